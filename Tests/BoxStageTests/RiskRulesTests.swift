import BoxKernel
import BoxTypes
import Testing

@testable import BoxStage

/// What a change needs before it reaches the host: one line of a table each.
struct RiskRulesTests {
    /// A change in an invented project.
    struct Case: CustomTestStringConvertible, Sendable {
        var path: [UInt8]
        var risk: Risk
        var kind = Change.Kind.added
        var new: Node? = Node(kind: .file, size: 10)
        var old: Node?
        var target: [UInt8]?
        var tree = 0
        /// What the host has, and what the agent has besides the changed path.
        var host: Set<String> = []
        var inside: Set<String>?
        var content: [UInt8]? = Array("hello, all".utf8)
        var before: [UInt8]?

        init(_ path: String, _ risk: Risk) {
            self.path = Array(path.utf8)
            self.risk = risk
        }

        init(bytes path: [UInt8], _ risk: Risk) {
            self.path = path
            self.risk = risk
        }

        var testDescription: String { "\(BytePath.escaped(path)) \(kind.rawValue)" }

        func with(_ change: (inout Case) -> Void) -> Case {
            var copy = self
            change(&copy)
            return copy
        }

        /// The same file changed instead of added.
        var modified: Case {
            with {
                $0.kind = .modified
                $0.old = Node(kind: .file, size: 9)
                $0.before = Array("hello all".utf8)
            }
        }

        var deleted: Case {
            with {
                $0.kind = .deleted
                $0.old = $0.new
                $0.new = nil
            }
        }

        func mode(_ mode: UInt32) -> Case { with { $0.new?.mode = mode } }

        func link(to target: String) -> Case {
            with {
                $0.new = Node(kind: .link, mode: 0o777)
                $0.target = Array(target.utf8)
            }
        }

        /// In a project that is a git repository on the host.
        var inRepository: Case {
            with { $0.host.formUnion([".git", ".git/HEAD", ".git/objects", ".git/refs", ".git/config"]) }
        }

        func on(_ names: String...) -> Case { with { $0.host.formUnion(names) } }
        func but(_ names: String...) -> Case { with { $0.inside = $0.host.subtracting(names) } }
        func and(_ names: String...) -> Case { with { $0.inside = $0.host.union(names) } }
        func kind(_ kind: Node.Kind) -> Case { with { $0.new = Node(kind: kind) } }
        func inTree(_ tree: Int) -> Case { with { $0.tree = tree } }
    }

    static let stage = Stage(
        directory: "/nowhere", session: "s", mode: .overlay, started: Node.Time(seconds: 0, nanoseconds: 0),
        roots: [
            Stage.Root(
                host: AbsolutePath(literal: "/project"), device: 1, inode: 1,
                hidden: [".env", "config/prod.key", "secrets"].compactMap { BytePath($0) }),
            Stage.Root(host: AbsolutePath(literal: "/main/.git"), device: 1, inode: 2),
        ])

    static func verdict(_ one: Case) throws -> Verdict {
        let path = try #require(BytePath(one.path))
        var change = Change(
            tree: one.tree, path: path, kind: one.kind, old: one.old, new: one.new, newTarget: one.target)
        if one.new?.kind == .file { change.new?.size = max(one.new?.size ?? 0, one.content?.count ?? 0) }
        if one.old?.kind == .file { change.old?.size = one.before?.count ?? 0 }
        let inside = (one.inside ?? one.host).union(one.new == nil ? [] : [path.text ?? ""])
        let content = RiskContent(
            new: { limit throws(StageError) in one.content.map { Array($0.prefix(limit)) } },
            old: { limit throws(StageError) in one.before.map { Array($0.prefix(limit)) } },
            hasName: { path throws(StageError) in inside.contains(path.text ?? "") },
            hadName: { path throws(StageError) in one.host.contains(path.text ?? "") },
            twin: { _ throws(StageError) in nil })
        return try RiskRules(stage).verdict(change, content: content)
    }

    private func check(_ one: Case) throws {
        let verdict = try RiskRulesTests.verdict(one)
        #expect(verdict.risk == one.risk, "\(one.testDescription): \(verdict.reason)")
        #expect(verdict.reason.isEmpty == (one.risk == .normal))
        #expect(verdict.reason == verdict.reason.escapedForTerminal && verdict.reason.utf8.count < 300)
    }

    @Test(arguments: [
        Case("README.md", .normal), Case("src/main.swift", .normal), Case("src/main.swift", .normal).modified,
        Case("src/main.swift", .normal).deleted, Case("a b/c,d", .normal), Case("größe/ñandú.txt", .normal),
        Case(".gitignore", .normal), Case(".github/CODEOWNERS", .normal),
        Case("src/hooks/useState.ts", .normal),
        Case("config/app.yaml", .normal), Case("config", .normal), Case("lib/objects/a", .normal),
        Case("info/readme", .normal), Case("src/head.c", .normal), Case("box.toml.md", .normal),
        Case("mybox.toml", .normal), Case("git.txt", .normal), Case(".gitx/config", .normal),
        Case("git~x", .normal), Case("docs/make.md", .normal), Case("a::b.3pm", .normal),
        Case("empty", .normal).kind(.directory), Case("d", .normal).kind(.directory).mode(0o755),
    ])
    func `ordinary work is normal`(one: Case) throws { try check(one) }

    @Test(arguments: [
        Case("box.toml", .blocked), Case("box.toml", .blocked).modified, Case("box.toml", .blocked).deleted,
        Case("a/b/box.toml", .blocked), Case("BOX.TOML", .blocked), Case("Box.Toml", .blocked),
        Case("box.toml.", .blocked), Case("box.toml ", .blocked), Case("box.toml::$DATA", .blocked),
        Case("bo\u{200C}x.toml", .blocked), Case("box.toml", .blocked).link(to: "other"),
    ])
    func `box's own policy is held back under every spelling`(one: Case) throws { try check(one) }

    @Test(arguments: [
        ".envrc", "sub/.envrc", ".vscode/tasks.json", "packages/a/.vscode/settings.json",
        ".idea/workspace.xml",
        ".zed/tasks.json", ".devcontainer/devcontainer.json", ".claude/settings.local.json", ".mcp.json",
        "x/.mcp.json", ".cursor/mcp.json", ".codex/config.toml", ".gemini/settings.json", ".husky/pre-commit",
        ".husky/_/h", ".aider.conf.yml", ".mise.toml", "mise.toml", ".github/hooks/x.json", ".gitconfig",
        ".VSCode/tasks.json", ".vscode./tasks.json", ".v\u{17F}code/tasks.json", ".hus\u{212A}y/pre-commit",
        ".clau\u{200D}de/settings.json", ".githooks/pre-push", ".nvim.lua", ".exrc",
    ])
    func `what runs by opening or entering a project is blocked, added, changed and deleted`(
        path: String
    ) throws {
        for one in [Case(path, .blocked), Case(path, .blocked).modified, Case(path, .blocked).deleted] {
            try check(one)
        }
    }

    @Test(arguments: ControlFiles.atRoot)
    func `what is read-only in a direct workspace is blocked in a staged one`(name: String) throws {
        try check(Case(name, .blocked))
        try check(Case(name + "/x", ControlFiles.directoriesAtRoot.contains(name) ? .blocked : .normal))
        try check(Case("a/" + name, .blocked))
    }

    @Test(arguments: [
        ".github/workflows/ci.yml", ".github/actions/x/action.yml", "sub/.github/workflows/a.yml",
        ".gitlab-ci.yml", ".circleci/config.yml", "Jenkinsfile", "ci/Jenkinsfile.release",
        "azure-pipelines.yml",
        ".drone.yml", ".travis.yml", ".buildkite/pipeline.yml", ".cirrus.yml",
    ])
    func `what a CI service runs is confirmed, also when it is deleted`(path: String) throws {
        for one in [Case(path, .confirm), Case(path, .confirm).modified, Case(path, .confirm).deleted] {
            try check(one)
        }
    }

    @Test(arguments: [
        "Makefile", "makefile", "sub/GNUmakefile", "rules.mk", "CMakeLists.txt", "cmake/x.cmake", "setup.py",
        "setup.cfg", "pyproject.toml", "tests/conftest.py", "tox.ini", "noxfile.py", "x.pth", "build.rs",
        ".cargo/config.toml", "a/.cargo/config", "rust-toolchain.toml", ".npmrc", ".yarnrc.yml",
        ".pnpmfile.cjs",
        "build.gradle", "build.gradle.kts", "gradlew", "gradle/wrapper/gradle-wrapper.jar", "pom.xml",
        "Dockerfile", "api/Dockerfile.dev", "docker-compose.yml", "compose.prod.yaml",
        ".pre-commit-config.yaml",
        "Rakefile", "Gemfile", "Package.swift", "Package@swift-6.0.swift", ".tool-versions", "flake.nix",
        "vite.config.ts", "AGENTS.md", "CLAUDE.md", ".cursorrules", ".gitmodules", ".gitattributes",
        "App.csproj",
        "pip.conf", "lefthook.yml",
    ])
    func `what common commands run is confirmed, and may be deleted`(path: String) throws {
        for one in [Case(path, .confirm), Case(path, .confirm).modified, Case(path, .normal).deleted] {
            try check(one)
        }
        let chmod = Case(path, .normal).with {
            $0.kind = .modeChanged
            $0.old = Node(kind: .file, mode: 0o600, size: 10)
        }
        try check(chmod)
    }

    @Test(arguments: [
        Case("x", .blocked).kind(.fifo), Case("x", .blocked).kind(.socket),
        Case("x", .blocked).kind(.characterDevice), Case("x", .blocked).kind(.blockDevice),
        Case(".env", .blocked), Case(".env", .blocked).deleted, Case(".ENV", .blocked),
        Case(".env/x", .blocked),
        Case("secrets/a/b", .blocked), Case("Secrets/a", .blocked), Case("config/prod.key", .blocked),
        Case("config/PROD.key", .blocked), Case("se\u{AD}crets/x", .blocked),
    ])
    func `devices and what the policy hides are never applied, not even by name`(one: Case) throws {
        try check(one)
        #expect(try RiskRulesTests.verdict(one).isUnappliable)
    }

    @Test(arguments: [".env.local", "config", "config/prod.key2", "x/.env", "secretsx", "config/other"])
    func `only what is hidden is held back, not its neighbours`(path: String) throws {
        try check(Case(path, .normal))
        #expect(try !RiskRulesTests.verdict(Case(path, .normal)).isUnappliable)
    }

    @Test(arguments: [
        Case("a", .blocked).link(to: "/etc/passwd"), Case("a", .blocked).link(to: "/proc/self/cwd"),
        Case("a", .blocked).link(to: ".."), Case("a", .blocked).link(to: "../x"),
        Case("d/a", .blocked).link(to: "../../x"), Case("d/a", .blocked).link(to: ".././../x"),
        Case("d/a", .blocked).link(to: "..//../x"), Case("d/a", .blocked).link(to: "b/../../../x"),
        Case("d/a", .blocked).link(to: "b/../x"), Case("a", .blocked).link(to: "b/.."),
        Case("a", .blocked).link(to: ""), Case("a", .blocked).link(to: ".git/hooks/pre-commit"),
        Case("d/a", .blocked).link(to: "../.git"), Case("a", .blocked).link(to: "sub/.GIT/config"),
        Case("a", .blocked).link(to: ".envrc"), Case("d/a", .blocked).link(to: "../box.toml"),
        Case("a", .blocked).link(to: ".vscode"), Case("a", .blocked).modified.link(to: "/x"),
        Case("a", .confirm).link(to: "b"), Case("d/e/a", .confirm).link(to: "../../b"),
        Case("d/a", .confirm).link(to: "./../b/./c"), Case("d/a", .confirm).link(to: ".."),
        Case("a", .confirm).link(to: "missing/..x"), Case("a", .confirm).link(to: "b\u{1B}[2J"),
        Case("a", .normal).link(to: "/etc").deleted, Case("Makefile", .confirm).link(to: "b"),
    ])
    func `a link is judged by where its text leads from its place`(one: Case) throws { try check(one) }

    @Test(arguments: [
        Case("x", .confirm).mode(0o755), Case("x", .confirm).mode(0o645), Case("x", .confirm).mode(0o4644),
        Case("x", .confirm).mode(0o2644), Case("d", .confirm).kind(.directory).mode(0o1777),
        Case("d", .confirm).kind(.directory).mode(0o2775), Case("x", .confirm).modified.mode(0o755),
        Case("x", .confirm).mode(0o666), Case("x", .normal).mode(0o664), Case("x", .normal).mode(0o400),
        Case("x", .normal).modified.mode(0o755).with { $0.old?.mode = 0o755 },
        Case("x", .confirm).modified.mode(0o6755).with { $0.old?.mode = 0o6755 },
        Case("x", .normal).modified.mode(0o666).with { $0.old?.mode = 0o666 },
        Case("x", .confirm).modified.mode(0o755).with { $0.old = Node(kind: .link, mode: 0o777) },
        Case("x", .confirm).modified.mode(0o666).with { $0.old = Node(kind: .link, mode: 0o777) },
        Case("x", .normal).mode(0o755).deleted,
    ])
    func `bits that make programs or open files to others are confirmed`(one: Case) throws { try check(one) }

    @Test func `setuid bits are said to be stripped, also of a new program`() throws {
        let verdict = try RiskRulesTests.verdict(Case("x", .confirm).mode(0o6755))
        #expect(verdict.reason == "the setuid and setgid bits are stripped")
        let one = try RiskRulesTests.verdict(Case("x", .confirm).kind(.directory).mode(0o1755))
        #expect(one.reason == "the sticky bit is stripped")
    }

    @Test(arguments: [
        Case("a\nb", .confirm), Case("a\u{1B}[2Jb", .confirm), Case("a\rb", .confirm), Case("a\tb", .confirm),
        Case("a\u{9B}b", .confirm), Case("a\u{202E}b", .confirm), Case("a\u{200B}b", .confirm),
        Case(bytes: [0x61, 0xFF], .confirm), Case(bytes: [0xC3], .confirm), Case("-rf", .confirm),
        Case("d/-x/e", .confirm), Case("a ", .confirm), Case(" a", .confirm), Case("a.", .confirm),
        Case("a ./b", .confirm), Case("nul", .confirm), Case("CON.txt", .confirm),
        Case("d/com1.log", .confirm),
        Case("LPT9", .confirm), Case("COM¹", .confirm), Case("PACKAG~1.JSO", .confirm),
        Case("a\\b", .confirm),
        Case("$(id)", .normal), Case("a'b\"c", .normal), Case("null", .normal), Case("com10", .normal),
        Case("console", .normal), Case("a~b", .normal), Case("backup~", .normal), Case("f.txt.~1~", .normal),
        Case("a\nb", .normal).modified, Case("-rf", .normal).deleted,
    ])
    func `new names that read otherwise than they are are confirmed`(one: Case) throws { try check(one) }

    @Test func `a twin's name is in the reason`() throws {
        let content = RiskContent(
            new: { _ throws(StageError) in nil }, old: { _ throws(StageError) in nil },
            hasName: { _ throws(StageError) in false }, hadName: { _ throws(StageError) in false },
            twin: { _ throws(StageError) in BytePath("d/README\u{1B}") })
        let change = Change(
            path: try #require(BytePath("d/readme\u{1B}")), kind: .modified, old: Node(kind: .file),
            new: Node(kind: .file))
        #expect(try RiskRules(RiskRulesTests.stage).verdict(change, content: content) == .normal)
        var added = change
        (added.old, added.path) = (nil, try #require(BytePath("d/readme")))
        let verdict = try RiskRules(RiskRulesTests.stage).verdict(added, content: content)
        #expect(verdict.risk == .confirm && verdict.reason.hasSuffix("the same as d/README\\x1b"))
    }

    @Test func `very large files and compiled programs are confirmed`() throws {
        func one(_ content: [UInt8], _ risk: Risk) -> Case {
            Case("data.bin", risk).with { $0.content = content }
        }
        let elf: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
        let windows =
            Array("MZ".utf8) + [UInt8](repeating: 0, count: 0x3A) + [0x40, 0, 0, 0] + Array("PE\0\0".utf8)
        for case let (content, risk) in [
            (elf + [3, 0], Risk.confirm), (elf + [2, 0], .confirm), (elf + [1, 0], .normal),
            (Array(elf.prefix(6)), .confirm), (windows, .confirm),
            (
                Array("MZ is how this text begins, which is long enough to be looked at closely.".utf8),
                .normal
            ),
            (Array("MZ".utf8), .normal), ([0xCF, 0xFA, 0xED, 0xFE, 0, 0], .confirm),
            ([0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 2], .confirm),
            ([0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 0x3D], .normal),
            ([0x7F, 0x45, 0x4C], .normal), ([], .normal), (Array("#!/bin/sh\n".utf8), .normal),
        ] { try check(one(content, risk)) }
        try check(Case("data.bin", .confirm).with { $0.new?.size = (50 << 20) + 1 })
        try check(Case("data.bin", .normal).with { $0.new?.size = 50 << 20 })
    }

    @Test func `many deletions together are confirmed`() {
        #expect(RiskRules.sweeping(deleted: 100) == .normal)
        #expect(RiskRules.sweeping(deleted: 101).risk == .confirm)
        #expect(RiskRules.sweeping(deleted: 0) == .normal)
    }

    @Test func `every row of the table has names, each can be found, and a reason of one sentence`() throws {
        for row in RiskTable.rows {
            #expect(!row.names.isEmpty && row.risk != .normal)
            #expect(!row.reason.isEmpty && !row.reason.hasSuffix(".") && row.reason.utf8.count < 100)
            for name in row.names {
                #expect(
                    name.count { $0 == "*" } <= 1 && (!name.contains("*") || !name.hasSuffix("/")), "\(name)")
                let example = name.replacing("*", with: "x") + (name.hasSuffix("/") ? "y" : "")
                let names = "some/where/\(example)".split(separator: "/").map { FoldedName($0.utf8) }
                #expect(RiskTable.row(for: names, row.risk) != nil, "\(name)")
            }
        }
    }

    @Test func `random bytes as names, targets and contents always get a verdict`() throws {
        var random = SeededNumbers(seed: 7)
        let letters = Array(".git/HEADobjectsrefsconfig~1 \\:-\u{202E}é\u{17F}".utf8) + [0xFF, 0x01]
        var seen: [Risk: Int] = [:]
        for _ in 0..<20_000 {
            var bytes = random.take(random.below(20) + 1, of: letters)
            while BytePath(bytes) == nil { bytes = random.take(random.below(20) + 1, of: letters) }
            var one = Case(bytes: bytes, .normal)
            one.new = random.below(5) == 0 ? nil : Node(kind: Node.Kind.allCases[random.below(7)])
            one.old = random.below(2) == 0 ? nil : Node(kind: .file)
            one.target = random.take(random.below(12), of: letters)
            one.content = random.take(random.below(40), of: letters)
            one.tree = random.below(2)
            if random.below(2) == 0 { one = one.inRepository }
            let verdict = try RiskRulesTests.verdict(one)
            #expect(verdict.reason == verdict.reason.escapedForTerminal)
            seen[verdict.risk, default: 0] += 1
        }
        #expect(seen.count == 3)
    }
}
