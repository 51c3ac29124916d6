import BoxPolicy
import BoxTypes
import Profiles
import Testing

/// `[workspace]` and what it hides.
struct WorkspacePolicyTests {
    private func layer(_ text: String, isProject: Bool = false) throws -> PolicyLayer {
        try PolicyReader.read(Array(text.utf8), file: "test", isProject: isProject)
    }

    private func hide(_ layers: PolicyLayer...) -> [String] {
        Policy(merging: layers).workspace.hide.map(\.description)
    }

    @Test func `every key of the workspace is read`() throws {
        let layer = try PolicyReader.read(try Fixture.read("good/everything.toml"), file: "everything.toml")
        #expect(
            layer.workspace.hide.map(\.description) == [
                ".env.*", "!.env.example", "**/*.pem", "secrets/", "config/[a-c]?.key",
            ])
        #expect(layer.workspace.only?.map(\.bytes) == [Array("src".utf8), Array("docs/a b".utf8)])
        #expect(layer.limits.disk == ByteSize(bytes: 1_500_000_000))
    }

    @Test(arguments: [
        ("overlay", Policy.Workspace.Mode.overlay), ("direct", .direct), ("copy", .copy), ("none", .none),
    ])
    func `a mode has a name`(name: String, mode: Policy.Workspace.Mode) throws {
        #expect(try layer("workspace.mode = \"\(name)\"").workspace.mode == mode)
    }

    @Test func `what any layer hides is hidden`() throws {
        let low = try layer("workspace.hide = [\".env\", \"a\"]")
        let high = try layer("workspace.hide = [\"b\", \".env\"]", isProject: true)
        #expect(hide(low, high) == ["a", "b", ".env"])
    }

    @Test func `an exception of a higher layer shows what a lower one hides`() throws {
        let base = try layer("workspace.hide = [\".env\"]")
        let user = try layer("workspace.hide = [\"!.env\"]")
        let path = try #require(BytePath(".env"))
        let shown = HideRules(Policy(merging: [base, user]).workspace.hide)
        #expect(!shown.hides(path, isDirectory: false))
    }

    @Test func `a project hides again what the user's exception shows`() throws {
        let path = try #require(BytePath(".env"))
        let layers = [
            try layer("workspace.hide = [\".env\"]"), try layer("workspace.hide = [\"!.env\"]"),
            try layer("workspace.hide = [\".env\"]", isProject: true),
        ]
        #expect(HideRules(Policy(merging: layers).workspace.hide).hides(path, isDirectory: false))
    }

    @Test func `a project's own exception is refused at its place`() throws {
        do throws(PolicyErrors) {
            _ = try PolicyReader.read(
                Array("[workspace]\nhide = [\"a\", \"!.env\"]".utf8), file: "box.toml", isProject: true)
            Issue.record("accepted")
        } catch {
            #expect(
                error.description
                    == "box.toml:2:14: workspace.hide: \"!.env\": a project's own policy can hide files and not "
                    + "show them; write this in your own configuration or give it as an option")
        }
    }

    @Test func `the parts of a higher layer take the place of a lower one's`() throws {
        let low = try layer("workspace.only = [\"a\", \"b\"]")
        #expect(Policy(merging: [low]).workspace.only?.map(\.bytes) == [Array("a".utf8), Array("b".utf8)])
        let both = Policy(merging: [low, try layer("workspace.only = [\"c\"]"), try layer("")])
        #expect(both.workspace.only?.map(\.bytes) == [Array("c".utf8)])
        #expect(Policy().workspace.only == nil)
    }

    @Test func `the stage's size is bounded, and a higher layer says how`() throws {
        let base = try PolicyReader.read(Shipped.base, file: "base.toml")
        #expect(Policy(merging: [base]).limits.disk == ByteSize(bytes: 10_000_000_000))
        let policy = Policy(merging: [base, try layer("limits.disk = \"1MiB\"")])
        #expect(policy.limits.disk == ByteSize(bytes: 1 << 20))
    }

    @Test(arguments: [
        (".env", true), (".env.local", true), (".env.production", true), (".env.test.local", true),
        (".env.example", false), (".env.sample", false), (".env.template", false), (".env.dist", false),
        (".env.test", false), (".envrc", false), ("server.pem", true), ("tls.key", true), ("id_rsa", true),
        ("id_ed25519_work", true), ("id_rsa.pub", false), ("id_ed25519_sk.pub", false),
        ("id_table.sql", false),
        (".netrc", true), (".npmrc", false), (".pgpass", true), ("a.p12", true), ("a.pfx", true),
        ("a.jks", true), ("a.kdbx", true), ("credentials.json", true), ("service-account-1.json", true),
        ("terraform.tfstate", true), ("terraform.tfstate.backup", true), ("main.tf", false),
        ("package.json", false), ("keys.json", false), ("src/.env", false), ("src/.env.example", false),
    ])
    func `the base policy hides secrets at the root and nothing that a build needs`(
        name: String, expected: Bool
    ) throws {
        let base = try PolicyReader.read(Shipped.base, file: "base.toml")
        let rules = HideRules(Policy(merging: [base]).workspace.hide)
        #expect(rules.hides(try #require(BytePath(name)), isDirectory: false) == expected)
        // Each start of a session would pay for a walk.
        #expect(!rules.needsWalk)
    }

    @Test func `a home's own directories of keys are hidden with all that is below`() throws {
        let rules = HideRules(
            Policy(merging: [try PolicyReader.read(Shipped.base, file: "base.toml")]).workspace.hide)
        for name in [".ssh", ".aws", ".gnupg"] {
            #expect(rules.hides(try #require(BytePath(name)), isDirectory: true))
            #expect(rules.hides(try #require(BytePath(name + "/x/y")), isDirectory: false))
        }
    }
}
