import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

/// Random trees, random work in them, in a real overlay and in a copy; what was done is found by comparing all there is.
@Suite struct ChangeWalkRandoms {
    /// Others: `BOX_TEST_SEEDS=30-1000`.
    static let seeds: Range<Int> = {
        let words = (StageFixture.environment("BOX_TEST_SEEDS") ?? "0-30").split(separator: "-").compactMap {
            Int($0)
        }
        return words.count == 2 && words[0] < words[1] ? words[0]..<words[1] : 0..<30
    }()

    private func oracle(_ fixture: StageFixture, _ words: [String]) throws {
        let outcome = try fixture.run(["python3", StageFixture.oracle] + words)
        try #require(outcome.status == 0, "\(outcome.output)")
    }

    private func work(_ fixture: StageFixture, _ seed: String) throws {
        let view = fixture.stage.directory + "/mnt"
        let outcome = try fixture.overlay(["python3", StageFixture.oracle, "work", seed, view])
        try #require(outcome.status == 0, "\(outcome.output)")
    }

    private func compare(_ fixture: StageFixture, _ expected: [String], _ when: String) throws {
        let found = try fixture.changes()
        #expect(found == expected, "\(when): \(found.difference(from: expected))")
    }

    /// The contents of all changed files are those of the view and of the host.
    private func checkContents(_ fixture: StageFixture, _ walk: ChangeWalk) throws {
        for change in try fixture.list() {
            if change.new?.kind == .file {
                let new = try #require(try StageFixture.bytes(walk.openNew(change)))
                #expect(new.count == change.new?.size)
            }
            if change.old?.kind == .file {
                let old = try StageFixture.bytes(walk.openOld(change))
                #expect(try old == StageFixture.bytes(walk.openHost(change)))
                #expect(old?.count == change.old?.size)
            }
            #expect(try walk.conflict(change) == nil, "\(change.path.escaped)")
        }
    }

    @Test(.enabled(if: StageFixture.canMount), arguments: seeds)
    func `an agent's random work is found, also when it goes on after an apply`(_ seed: Int) throws {
        let fixture = try StageFixture()
        try oracle(fixture, ["make", "\(seed)", fixture.host])
        try fixture.begin()
        try work(fixture, "\(seed)")
        var expected = try fixture.expected()
        try compare(fixture, expected, "before it was recorded")
        if seed % 2 == 0 { try fixture.record() }
        try work(fixture, "more\(seed)")
        expected = try fixture.expected()
        try fixture.record()
        try compare(fixture, expected, "after it was recorded")
        try checkContents(fixture, try ChangeWalk(fixture.stage))

        try apply(fixture)
        try compare(fixture, [], "after an apply")
        try work(fixture, "again\(seed)")
        expected = try fixture.expected()
        try compare(fixture, expected, "work after an apply")
        try fixture.record()
        try compare(fixture, expected, "work after an apply, recorded")
    }

    /// Makes the host what the agent has, and notes it.
    private func apply(_ fixture: StageFixture) throws {
        let changes = try fixture.list()
        // The view cannot be used while the host changes under it.
        let outcome = try fixture.overlay(["cp", "-a", ".", fixture.path + "/view"])
        try #require(outcome.status == 0, "\(outcome.output)")
        try oracle(fixture, ["take", fixture.host, fixture.path + "/view"])
        try #require(try fixture.difference(fixture.host, fixture.path + "/view") == [])
        let walk = try ChangeWalk(fixture.stage)
        var records = try changes.map { change throws in
            BaseRecord(
                path: change.path, node: try walk.hostNode(change), target: change.newTarget, isApplied: true,
                copy: change.new.flatMap {
                    $0.kind == .file && $0.inode % 2 == 0 ? BaseRecord.Stamp($0) : nil
                })
        }
        // Directories that went with what was in them have records of their own, as an apply gives them.
        let host = try fixture.stage.openHost(0)
        var known = Set(records.map(\.path))
        for path in changes.filter({ $0.new == nil }).flatMap(\.path.ancestors)
        where try host.node(path) == nil && known.insert(path).inserted {
            records.append(BaseRecord(path: path, isApplied: true))
        }
        try BaseFile.replace(fixture.stage, 0, records.sorted { $0.path < $1.path })
    }

    @Test(arguments: seeds) func `a copy gives the same as an overlay`(_ seed: Int) throws {
        let fixture = try StageFixture(.copy)
        try oracle(fixture, ["make", "\(seed)", fixture.host])
        try fixture.shell("cp -a ./. '\(fixture.upper)'", in: fixture.host)
        try fixture.writeBaseOfCopy()
        #expect(try fixture.changes() == [])
        try oracle(fixture, ["work", "\(seed)", fixture.upper])
        let expected = try fixture.difference(fixture.host, fixture.upper)
        #expect(try fixture.changes() == expected)
        let before = try fixture.record()
        #expect(before.inodes > 0 || expected.isEmpty || before.changes == 0)
        try checkContents(fixture, try ChangeWalk(fixture.stage))
    }
}

extension StageFixture {
    /// Writes the base of a copy that has just been made.
    func writeBaseOfCopy() throws {
        var writer = try BaseWriter(stage.base(0))
        let host = try stage.openHost(0)
        let copy = try stage.openUpper(0)
        var todo: [BytePath] = try host.names().reversed().map { BytePath.root.appending($0) }
        while let path = todo.popLast() {
            let node = try #require(try host.node(path))
            let stamp = try copy.node(path).map(BaseRecord.Stamp.init)
            let target = node.kind == .link ? try host.directory(path.parent).linkTarget(path.name) : nil
            try writer.append(
                BaseRecord(path: path, node: node, target: target, copy: node.kind == .file ? stamp : nil))
            if node.kind == .directory {
                todo += try host.directory(path).names().reversed().map { path.appending($0) }
            }
        }
        try writer.finish()
        try begin()
    }
}
