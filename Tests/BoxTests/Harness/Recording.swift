import Foundation
import Synchronization
import Testing

/// What the suite knows of the test that runs now: its id of the catalogue, and what became of it.
final class Record: Sendable {
    private struct State {
        var id: String
        var failed = false
        var skipped: String?
    }

    private let state: Mutex<State>

    init(id: String) { state = Mutex(State(id: id)) }

    /// The test that runs in this task.
    @TaskLocal static var current: Record?

    /// Names the row of the catalogue that a table's test is about.
    func name(_ id: String) { state.withLock { $0.id = id } }

    /// The test found something wrong.
    func fail() { state.withLock { $0.failed = true } }

    /// The test could not be done here.
    func skip(_ reason: String) { state.withLock { $0.skipped = reason } }

    /// The id, and `PASS`, `FAIL` or `SKIP reason`.
    var summary: (id: String, result: String) {
        state.withLock { state in
            if state.failed { return (state.id, "FAIL") }
            return (state.id, state.skipped.map { "SKIP \($0)" } ?? "PASS")
        }
    }
}

/// Records every test of a suite in the file that `BOX_TEST_RESULTS` names, one line each.
struct Recorded: SuiteTrait, TestTrait, TestScoping {
    /// The id where the suite's tests are not about one row each.
    var id: String

    var isRecursive: Bool { true }

    func scopeProvider(for test: Test, testCase: Test.Case?) -> Recorded? {
        testCase == nil ? nil : self
    }

    func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let record = Record(id: id)
        let counting = IssueHandlingTrait.compactMapIssues { issue in
            record.fail()
            return issue
        }
        try await Record.$current.withValue(record) {
            do {
                try await counting.provideScope(for: test, testCase: testCase, performing: function)
            } catch {
                record.fail()
                Results.append(record.summary, name: test.displayName ?? test.name)
                throw error
            }
            Results.append(record.summary, name: test.displayName ?? test.name)
        }
    }
}

extension Trait where Self == Recorded {
    /// The suite's results are recorded; its tests name their rows themselves, or go by this id.
    static func recorded(_ id: String) -> Recorded { Recorded(id: id) }
}

/// The file of results: `PASS|FAIL|SKIP`, id, name and reason, separated by tabs.
enum Results {
    static func append(_ summary: (id: String, result: String), name: String) {
        guard let path = ProcessInfo.processInfo.environment["BOX_TEST_RESULTS"] else { return }
        let words = summary.result.split(separator: " ", maxSplits: 1)
        let line = "\(words[0])\t\(summary.id)\t\(name)\t\(words.count > 1 ? String(words[1]) : "")\n"
        let file = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        let written = unsafe Array(line.utf8).withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
        close(file)
        if written != line.utf8.count { Issue.record("cannot write \(path)") }
    }
}
