import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

@Suite struct BaseRecorders {
    private func records(_ fixture: StageFixture) throws -> [String: BaseRecord] {
        var reader = try BaseReader(fixture.stage.base(0), isRequired: true)
        var all: [String: BaseRecord] = [:]
        while let record = try reader.next() { all[record.path.escaped] = record }
        return all
    }

    @Test func `the first look counts, and what comes later is added to it`() throws {
        let fixture = try StageFixture(host: "echo x > a; echo y > b; mkdir d; echo z > d/c")
        try fixture.shell("echo X > a; echo n > new", in: fixture.upper)
        var recorder = try Recorder(fixture.stage)
        _ = try recorder.update()
        let first = try records(fixture)
        #expect(Set(first.keys) == ["a", "new"])
        #expect(first["new"]?.node == nil && first["a"]?.node?.size == 2)
        try fixture.shell("echo longer > a; echo h > new", in: fixture.host)
        try fixture.shell("mknod d c 0 0", in: fixture.upper)
        _ = try recorder.update()
        let second = try records(fixture)
        #expect(Set(second.keys) == ["a", "new", "d", "d/c"])
        #expect(second["a"] == first["a"] && second["new"] == first["new"])
        #expect(second["d"]?.isWhole == true)
    }

    @Test func `nothing is written while nothing is new`() throws {
        let fixture = try StageFixture(host: "echo x > a")
        try fixture.shell("echo X > a", in: fixture.upper)
        var recorder = try Recorder(fixture.stage)
        let usage = try recorder.update()
        let before = try fixture.shell("stat -c '%i %Z' 0/base", in: fixture.stage.directory)
        try fixture.shell("echo more >> a", in: fixture.upper)
        #expect(try recorder.update().bytes >= usage.bytes)
        #expect(try fixture.shell("stat -c '%i %Z' 0/base", in: fixture.stage.directory) == before)
    }

    @Test func `what the agent started from is kept, and given when the host has changed`() throws {
        let fixture = try StageFixture(host: "echo old > a; echo same > b; truncate -s 2M big; echo e >> big")
        try fixture.shell("echo mine > a; echo mine > b; echo mine > big; echo mine > new", in: fixture.upper)
        try fixture.record()
        try fixture.shell("echo theirs > a; echo theirs >> big", in: fixture.host)
        let walk = try ChangeWalk(fixture.stage)
        #expect(try StageFixture.text(walk.openOld(fixture.change("a"))) == "old\n")
        #expect(try StageFixture.text(walk.openOld(fixture.change("b"))) == "same\n")
        #expect(try StageFixture.text(walk.openHost(fixture.change("a"))) == "theirs\n")
        #expect(try StageFixture.text(walk.openNew(fixture.change("a"))) == "mine\n")
        // Too large to be kept: not known any more.
        #expect(try StageFixture.text(walk.openOld(fixture.change("big"))) == nil)
        #expect(try StageFixture.text(walk.openOld(fixture.change("new"))) == nil)
    }

    @Test func `what the host changed before the first look is not what the agent started from`() throws {
        let fixture = try StageFixture(host: "echo old > a; echo old > b")
        try fixture.shell("echo mine > a; echo mine > b", in: fixture.upper)
        try fixture.shell("echo theirs > a", in: fixture.host)
        try fixture.record()
        let walk = try ChangeWalk(fixture.stage)
        #expect(try StageFixture.text(walk.openOld(fixture.change("a"))) == nil)
        #expect(try walk.conflict(fixture.change("a"))?.kind == .modified)
        #expect(try walk.conflict(fixture.change("b")) == nil)
    }

    @Test func `git's index, HEAD and references are kept also when they are deleted or large`() throws {
        let fixture = try StageFixture(
            host: """
                mkdir -p .git/refs/heads .git/logs/refs sub/.git; echo r > .git/refs/heads/main; echo h > .git/HEAD
                head -c 3000000 /dev/urandom > .git/index; echo l > .git/other; echo p > sub/.git/packed-refs
                """)
        try fixture.shell("mknod .git c 0 0; mknod sub c 0 0", in: fixture.upper)
        try fixture.record()
        let kept = try records(fixture).filter { $0.value.kept != nil }.map(\.key).sorted()
        #expect(kept == [".git/HEAD", ".git/index", ".git/refs/heads/main", "sub/.git/packed-refs"])
    }

    @Test func `usage counts a hard-linked file once, and whiteouts`() throws {
        let fixture = try StageFixture(host: "echo x > gone")
        try fixture.shell(
            "head -c 40960 /dev/zero > a; ln a b; ln a c; mkdir d; mknod gone c 0 0; truncate -s 1T sparse",
            in: fixture.upper)
        let usage = try fixture.record()
        #expect(usage.inodes == 4 && usage.changes == 5 && usage.closed == 0)
        #expect((40960..<200_000).contains(usage.bytes))
    }

    @Test func `a watcher that starts anew does not keep a content twice under one number`() throws {
        let fixture = try StageFixture(host: "echo one > a; echo two > b")
        try fixture.shell("echo mine > a", in: fixture.upper)
        try fixture.record()
        try fixture.shell("echo mine > b", in: fixture.upper)
        try fixture.record()
        try fixture.shell("echo other > a; echo other > b", in: fixture.host)
        let walk = try ChangeWalk(fixture.stage)
        #expect(try StageFixture.text(walk.openOld(fixture.change("a"))) == "one\n")
        #expect(try StageFixture.text(walk.openOld(fixture.change("b"))) == "two\n")
    }
}
