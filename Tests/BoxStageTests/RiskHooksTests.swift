import BoxKernel
import BoxTypes
import Glibc
import Testing

@testable import BoxStage

/// Hooks that a repository keeps among its files.
struct RiskHooksTests {
    @Test(arguments: [
        ("tools/hooks", "tools/hooks"), ("./tools/../hooks/", "hooks"), ("/project/x", "x"),
        ("/projects/x", nil),
        ("/project", nil), (".", nil), ("..", nil), ("../x", nil), ("~/hooks", nil), ("", nil),
        ("a\u{1B}", nil),
    ])
    func `the setting names a directory of the project or none`(value: String, expected: String?) {
        let found = RiskRules.directory(Array(value.utf8), of: AbsolutePath(literal: "/project"))
        #expect(found?.text == expected)
    }

    @Test func `the host's settings say where hooks are, and what lies there is blocked`() throws {
        var template = Array("/var/tmp/box-hooks-XXXXXX".utf8CString)
        let made = unsafe mkdtemp(&template) != nil
        try #require(made)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { _ = unsafe system("rm -rf '\(path)'") }
        let git = "env -i PATH=/usr/bin:/bin GIT_CONFIG_NOSYSTEM=1 git"
        let status = unsafe system(
            "cd '\(path)' && \(git) init -q . && \(git) config core.hooksPath Tools/Hooks && mkdir common")
        try #require(status == 0)
        let roots = try [path, path + "/common"].map { path in
            let node = try #require(try Tree.open(path).node(.root))
            return Stage.Root(host: try AbsolutePath(path), device: node.device, inode: node.inode)
        }
        let stage = Stage(
            directory: "/nowhere", session: "s", mode: .overlay, started: .now(), roots: roots)
        let hooks = try RiskRules.hookDirectories(of: stage)
        #expect(hooks.map(\.text) == ["Tools/Hooks"])
        let rules = RiskRules(stage, hooks: hooks)
        let content = RiskContent(
            new: { _ throws(StageError) in [] }, old: { _ throws(StageError) in nil },
            hasName: { _ throws(StageError) in false }, hadName: { _ throws(StageError) in false },
            twin: { _ throws(StageError) in nil })
        for (name, risk) in [
            ("Tools/Hooks/pre-commit", Risk.blocked), ("tools/hooks/lib/x", .blocked),
            ("Tools/Hooks", .blocked),
            ("Tools/Hooksx", .normal), ("Tools/x", .normal),
        ] {
            let change = Change(path: try #require(BytePath(name)), kind: .added, new: Node(kind: .file))
            #expect(try rules.verdict(change, content: content).risk == risk, "\(name)")
        }
    }
}
