import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

/// What the agent did × what the host did meanwhile, before and after the watcher had looked.
@Suite struct ChangeWalkConflicts {
    struct Row: Sendable, CustomTestStringConvertible {
        let agent: String
        let host: String
        let path: String
        let kind: Conflict.Kind?
        /// What is said if the watcher had not looked before the host changed. Without a record what the host deleted is
        /// not known, so the agent's file is a new one.
        let isUnknownConflict: Bool
        var testDescription: String { "\(agent) / \(host)" }
        init(
            _ agent: String, _ host: String, _ path: String, _ kind: Conflict.Kind?, unrecorded: Bool? = nil
        ) {
            (self.agent, self.host, self.path, self.kind) = (agent, host, path, kind)
            isUnknownConflict = unrecorded ?? (kind != nil)
        }
    }

    static let rows = [
        Row("echo m > f", "true", "f", nil),
        Row("echo m > f", "echo h > f", "f", .modified),
        Row("echo m > f", "echo m > f", "f", nil),
        Row("echo m > f", "echo m > f; chmod 600 f", "f", .modified),
        Row("echo m > f", "touch f", "f", nil, unrecorded: true),
        Row("echo m > f", "echo h > f; echo f > f", "f", nil, unrecorded: true),
        Row("echo m > f", "chmod 755 f", "f", .modified),
        Row("echo m > f", "rm f", "f", .deleted, unrecorded: false),
        Row("echo m > f", "rm f; mkdir f", "f", .typeChanged),
        Row("echo m > f", "rm f; ln -s x f", "f", .typeChanged),
        Row("mknod f c 0 0", "true", "f", nil),
        Row("mknod f c 0 0", "echo h > f", "f", .modified),
        Row("mknod f c 0 0", "rm f; mkdir f", "f", .typeChanged),
        Row("echo f > f; chmod 755 f", "chmod 600 f", "f", .modified),
        Row("echo f > f; chmod 755 f", "chmod 755 f", "f", nil),
        Row("echo n > n", "true", "n", nil),
        Row("echo n > n", "echo h > n", "n", .created),
        Row("echo n > n", "echo n > n", "n", nil),
        Row("echo n > n", "mkdir n", "n", .created),
        Row("ln -s x n", "ln -s x n", "n", nil),
        Row("ln -s x n", "ln -s y n", "n", .created),
        Row("ln -s x l", "ln -sfn y l", "l", .modified),
        Row("ln -s x l", "rm l; ln -s t l", "l", nil, unrecorded: true),
        Row("mkdir n", "mkdir n", "n", nil),
        Row("mkdir e; chmod 700 e", "chmod 711 e", "e", .modified),
        Row("mkdir e; chmod 700 e", "rmdir e", "e", .deleted, unrecorded: false),
        Row("mknod e c 0 0", "true", "e", nil),
        Row("mknod e c 0 0", "touch e/x", "e", .modified),
        Row("mkdir d; echo n > d/n", "true", "d/n", nil),
        Row("mkdir d; echo n > d/n", "rm -r d", "d/n", .deleted, unrecorded: false),
        Row("mkdir d; echo n > d/n", "rm -r d; ln -s / d", "d/n", .typeChanged),
        Row("mkdir -p d/x/y; echo n > d/x/y/n", "touch d/x", "d/x/y/n", .typeChanged),
        Row("mkdir -p x/y; echo n > x/y/n", "true", "x/y/n", nil),
        Row("mknod d c 0 0", "echo h > d/a", "d/a", .modified),
        Row("mknod d c 0 0", "rm d/a", "d/a", nil, unrecorded: true),
        Row("echo m > d", "echo h > d/a", "d/a", .modified),
    ]

    private func fixture() throws -> StageFixture {
        try StageFixture(host: "echo f > f; ln -s t l; mkdir e d; echo a > d/a; chmod 755 d e; chmod 644 f")
    }

    @Test(arguments: rows) func `the watcher had looked before the host changed`(_ row: Row) throws {
        let fixture = try fixture()
        try fixture.shell(row.agent, in: fixture.upper)
        try fixture.record()
        let change = try fixture.change(row.path)
        try fixture.shell(row.host, in: fixture.host)
        #expect(try ChangeWalk(fixture.stage).conflict(change)?.kind == row.kind)
        // Later looks, and another process, say the same.
        try fixture.record()
        if let again = try fixture.list().first(where: { $0.path == change.path }) {
            #expect(try ChangeWalk(fixture.stage).conflict(again)?.kind == row.kind)
        }
    }

    @Test(arguments: rows) func `the host changed before anybody looked`(_ row: Row) throws {
        let fixture = try fixture()
        try fixture.shell(row.agent, in: fixture.upper)
        let before = try fixture.list()
        try fixture.shell(row.host, in: fixture.host)
        for isRecorded in [false, true] {
            if isRecorded { try fixture.record() }
            let path = try #require(BytePath(row.path))
            let walk = try ChangeWalk(fixture.stage)
            // It may be that what the host did shows in a directory above, or in what is below.
            let kinds = try fixture.list().filter {
                path.isSame(orBelow: $0.path) || $0.path.isSame(orBelow: path)
            }
            .map { (change) throws in try walk.conflict(change)?.kind }
            #expect(!kinds.isEmpty || !row.isUnknownConflict || before.isEmpty)
            #expect(
                kinds.contains { $0 != nil } == row.isUnknownConflict, "recorded: \(isRecorded), \(kinds)")
        }
    }

    @Test func `an index with the same entries is no conflict`() throws {
        let fixture = try StageFixture(
            host: """
                git init -q -b main .; git config user.email a@example.invalid; git config user.name A
                echo a > a; git add a; git commit -qm one; touch -d '2 days ago' a; git status > /dev/null
                """)
        try fixture.shell(
            "mkdir .git; cp ../../../host/.git/index .git/index; printf x >> .git/index", in: fixture.upper)
        try fixture.record()
        let before = try fixture.shell("sha256sum .git/index", in: fixture.host)
        try fixture.shell("touch -d '1 day ago' a; git status > /dev/null", in: fixture.host)
        #expect(try fixture.shell("sha256sum .git/index", in: fixture.host) != before)
        #expect(try fixture.conflict(".git/index") == nil)
        try fixture.shell("echo b > b; git add b", in: fixture.host)
        #expect(try fixture.conflict(".git/index") == .modified)
    }

    @Test func `records of an apply are what the host has by box, so their times say nothing`() throws {
        let fixture = try fixture()
        try fixture.shell("echo m > f; echo n > n", in: fixture.upper)
        try fixture.record()
        // An apply.
        try fixture.shell("echo m > f; echo n > n", in: fixture.host)
        let walk = try ChangeWalk(fixture.stage)
        var records: [BaseRecord] = []
        for change in try fixture.list() {
            records.append(BaseRecord(path: change.path, node: try walk.hostNode(change), isApplied: true))
        }
        try BaseFile.replace(fixture.stage, 0, records)
        #expect(try fixture.changes() == [])
        try fixture.shell("echo m2 > f", in: fixture.upper)
        #expect(try fixture.changes() == ["modified f"])
        #expect(try fixture.conflict("f") == nil)
        try fixture.shell("echo h > f", in: fixture.host)
        #expect(try fixture.conflict("f") == .modified)
    }
}
