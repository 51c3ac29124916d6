import BoxKernel
import BoxTypes
import Glibc
import Testing

@testable import BoxStage

@Suite struct JournalTests {
    private func records(_ count: Int) throws -> [JournalRecord] {
        try (1...count).map { number in
            let path = try #require(BytePath(Array("d/\(number)".utf8) + [0xFF]))
            var record = JournalRecord(number: number, tree: number % 3, path: path, action: .put)
            let node = Node(kind: .file, mode: 0o4755, uid: 7, gid: .max, inode: .max, size: number)
            record.before = number % 2 == 0 ? Witness(node) : nil
            record.after = Witness(node)
            record.isTouched = number % 5 == 0
            record.isChange = true
            record.base = BaseRecord(path: path, node: node, target: [1, 2], kept: 9, isApplied: true)
            record.settled = number % 7 == 0 ? BaseRecord(path: path) : nil
            record.agent = BaseRecord.Stamp(node)
            record.agentMode = 0o6755
            return record
        }
    }

    private func journal(_ fixture: StageFixture, _ all: [JournalRecord]) throws -> Tree {
        let calls = TransactionCalls()
        let directory = try Tree.open(fixture.stage.directory)
        var header = Journal.Header()
        header.places = [.isUsed, [], .inProject]
        header.rootTimes = (1...3).map { Node.Time(seconds: $0, nanoseconds: 5) }
        let journal = try Journal.make(in: directory.descriptor.number, header, calls)
        for record in all { try journal.append(record, calls) }
        try journal.seal(.prepared, calls)
        try journal.set(.committing, calls)
        return directory
    }

    private func read(_ directory: borrowing Tree, _ order: Journal.Order) throws -> [JournalRecord] {
        let journal = try #require(try Journal.open(in: directory))
        var all: [JournalRecord] = []
        try journal.forEach(order, { $0 }) { (record) throws(StageError) in all.append(record) }
        return all
    }

    @Test func `a journal is read from both ends as it was written`() throws {
        let fixture = try StageFixture()
        let all = try records(5000)
        let directory = try journal(fixture, all)
        let opened = try #require(try Journal.open(in: directory))
        #expect(opened.header.state == .committing)
        #expect(opened.header.count == 5000)
        #expect(opened.header.places == [.isUsed, [], .inProject])
        #expect(opened.header.rootTimes.last == Node.Time(seconds: 3, nanoseconds: 5))
        #expect(try read(directory, .forward) == all)
        #expect(try read(directory, .backward) == all.reversed())
    }

    @Test(
        arguments: [0, 4, 16, 40, 500, 511, 512, 515, 700, -1, -4, -30], [Journal.Order.forward, .backward])
    func `a journal that is cut off or changed is an error and no crash`(_ place: Int, _ order: Journal.Order)
        throws
    {
        let fixture = try StageFixture()
        let all = try records(40)
        let directory = try journal(fixture, all)
        let path = fixture.stage.directory + "/journal"
        var bytes = try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 20)
        let index = place < 0 ? bytes.count + place : place
        // Cut off.
        let file = try Descriptor.open(path, O_WRONLY | O_TRUNC)
        try file.write(all: Array(bytes[..<index]))
        if index == 0 {
            #expect(try Journal.open(in: directory) == nil)
        } else {
            #expect(throws: (any Error).self) { try self.read(directory, order) }
        }
        // Changed: it is an error, or another value, but never a crash.
        bytes[index] ^= 0xFF
        let changed = try Descriptor.open(path, O_WRONLY | O_TRUNC)
        try changed.write(all: bytes)
        if let found = try? read(directory, order) { #expect(found.count <= all.count) }
    }
}
