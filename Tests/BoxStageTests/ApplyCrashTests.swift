import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

@testable import BoxStage

/// A host's tree with a stage for it, in directories of their own.
struct ApplyBench {
    let directory: String
    let stage: Stage
    let old: ModelTree
    let new: ModelTree
    let before: DiskTree

    var host: String { directory + "/host" }
    private var agent: String { directory + "/agent" }

    /// Where tests work: in memory, where making and removing trees costs nothing.
    static let fast = "/dev/shm"
    static let other = "/var/tmp"
    /// So many times as many random trees as usual: `BOX_TEST_SCALE`.
    static let scale = StageFixture.environment("BOX_TEST_SCALE").flatMap { UInt64($0) } ?? 1

    static func makeDirectory(_ parent: String) throws -> String {
        var template = Array("\(parent)/box-apply-test-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw KernelError(call: "mkdtemp", code: errno) }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    init(old: ModelTree, new: ModelTree, isElsewhere: Bool) throws {
        directory = try ApplyBench.makeDirectory(ApplyBench.fast)
        self.old = old
        self.new = new
        for name in ["host", "agent", "stage"] {
            try check("mkdir", unsafe mkdir("\(directory)/\(name)", 0o755))
        }
        try old.make(directory + "/host")
        try new.make(directory + "/agent")
        let home = isElsewhere ? try ApplyBench.makeDirectory(ApplyBench.other) : directory + "/stage"
        try check("mkdir", unsafe mkdir(home + "/0", 0o700))
        let opened = try Tree.open(directory + "/host")
        let root = try Node.of(opened.descriptor.number)
        stage = Stage(
            directory: home, session: "test-1", mode: .overlay, started: Node.Time.now(),
            roots: [
                Stage.Root(
                    host: try AbsolutePath(directory + "/host"), device: root.device, inode: root.inode)
            ])
        before = try DiskTree(directory + "/host")
    }

    func remove() throws {
        try TreeRemoval.remove(try AbsolutePath(directory))
        if !stage.directory.hasPrefix(directory) { try TreeRemoval.remove(try AbsolutePath(stage.directory)) }
    }

    var changes: [BytePath] { old.changes(to: new) }

    func wanted(_ path: BytePath) -> WantedChange {
        guard let item = new.items[path] else { return WantedChange(path: path, content: .nothing) }
        let agent = agent
        let content: WantedChange.Content =
            switch item.kind {
            case .file(let bytes): .file(size: bytes.count)
            case .link(let target): .link(target)
            case .directory: .directory
            }
        return WantedChange(path: path, content: content, mode: item.mode, modified: item.modified) {
            () throws(StageError) in
            do throws(KernelError) {
                return try Tree.open(agent).open(path, O_RDONLY)
            } catch { throw StageError("read", error) }
        }
    }

    /// Prepares, verifies and commits; gives what was thrown.
    func apply(_ calls: TransactionCalls) -> TransactionFailure? {
        do throws(TransactionFailure) {
            do throws(StageError) {
                let transaction = try Transaction.begin(stage, calls)
                let builder = TransactionBuilder(
                    transaction,
                    view: { (_, path) throws(StageError) in
                        guard let item = new.items[path], item.isDirectory else { return nil }
                        return Node(kind: .directory, mode: item.mode, modified: item.modified)
                    }, base: { (_, _) throws(StageError) in nil })
                do throws(TransactionFailure) {
                    for path in changes { try builder.add(wanted(path)) }
                } catch { throw transaction.giveUp(error).stageError }
                do throws(StageError) { try transaction.seal() } catch {
                    throw transaction.giveUp(.failed(error)).stageError
                }
                if let first = try transaction.verify(.forward).first {
                    throw transaction.giveUp(.conflict(first)).stageError
                }
                do throws(TransactionFailure) { try transaction.commit() } catch { throw error.stageError }
            } catch { throw .failed(error) }
            return nil
        } catch { return error }
    }

    func expectOld(_ what: String, identity: Bool) throws {
        let difference = before.difference(to: try DiskTree(host), identity: identity)
        #expect(difference == nil, "\(what)")
    }

    func expectNew(_ what: String) throws {
        let difference = before.difference(afterApplying: new, changes: changes, try DiskTree(host))
        #expect(difference == nil, "\(what)")
    }

    func expectClean(_ what: String) throws {
        #expect(try Transaction.state(of: stage) == nil, "\(what)")
    }
}

/// How the host's and the stage's file systems are.
enum ApplyGround: String, CaseIterable, Sendable {
    case same, elsewhere, withoutExchange

    /// A count of calls, of which one or all from one on fail.
    final class Counter {
        var count = 0
    }

    func calls(_ counter: Counter, dyingAt last: Int) -> TransactionCalls {
        let cannot = self == .withoutExchange
        return TransactionCalls { number, name in
            counter.count = number
            if number >= last { return EIO }
            return cannot && name == "exchange" ? EINVAL : 0
        }
    }

    func calls(_ counter: Counter, failingAt place: Int, with code: CInt) -> TransactionCalls {
        let cannot = self == .withoutExchange
        return TransactionCalls { number, name in
            counter.count = number
            if number == place { return code }
            return cannot && name == "exchange" ? EINVAL : 0
        }
    }
}

@Suite struct ApplyCrashTests {
    private static func bench(_ seed: UInt64, _ ground: ApplyGround) throws -> ApplyBench {
        var numbers = SeededNumbers(seed)
        let old = ModelTree.random(&numbers)
        return try ApplyBench(old: old, new: old.changed(&numbers), isElsewhere: ground == .elsewhere)
    }

    @Test(arguments: ApplyGround.allCases)
    func `random changes are applied exactly and undone exactly`(_ ground: ApplyGround) throws {
        for seed in UInt64(1)...(ground == .elsewhere ? 25 : 200) * ApplyBench.scale {
            let bench = try ApplyCrashTests.bench(seed, ground)
            let counter = ApplyGround.Counter()
            #expect(bench.apply(ground.calls(counter, dyingAt: .max)) == nil, "seed \(seed)")
            try bench.expectNew("seed \(seed)")
            try bench.expectClean("seed \(seed)")
            let outcome = try Undo.run(bench.stage, ground.calls(counter, dyingAt: .max))
            guard case .undone(_, kept: []) = outcome else {
                Issue.record("seed \(seed): \(outcome)")
                continue
            }
            try bench.expectOld("seed \(seed)", identity: ground != .elsewhere)
            try bench.expectClean("seed \(seed)")
            #expect(try Undo.run(bench.stage) == .nothing)
            try bench.remove()
        }
    }

    /// A crash is simulated by letting every call from one on fail: then no more than before a kill is done.
    @Test(arguments: ApplyGround.allCases)
    func `after a crash at any call resume and rollback give exactly the wanted trees`(
        _ ground: ApplyGround
    ) throws {
        for seed in UInt64(1)...(ground == .elsewhere ? 2 : 15) * ApplyBench.scale {
            for isResuming in [true, false] {
                var last = 1
                while true {
                    let bench = try ApplyCrashTests.bench(seed, ground)
                    let what = "seed \(seed), call \(last), \(isResuming ? "resume" : "rollback")"
                    let counter = ApplyGround.Counter()
                    _ = bench.apply(ground.calls(counter, dyingAt: last))
                    let state = try Transaction.state(of: bench.stage)
                    if let state {
                        try recover(bench, isResuming, state, ground, what)
                    } else if try Undo.last(bench.stage) != nil {
                        try bench.expectNew(what)
                    } else {
                        // It ended before there was a transaction.
                        try bench.expectOld(what, identity: true)
                    }
                    let isDone = counter.count < last
                    try bench.remove()
                    if isDone { break }
                    last += 1
                }
            }
        }
    }

    private func recover(
        _ bench: ApplyBench, _ isResuming: Bool, _ state: Journal.State, _ ground: ApplyGround, _ what: String
    ) throws {
        let calls = ground.calls(ApplyGround.Counter(), dyingAt: .max)
        let found = try #require(try Transaction.find(bench.stage, calls))
        let outcome = isResuming ? try found.resume() : try found.takeBack()
        try bench.expectClean(what)
        if state == .committed || state == .clearing {
            if isResuming {
                try bench.expectNew(what)
            } else {
                try bench.expectOld(what, identity: ground != .elsewhere)
            }
            #expect(outcome == (isResuming ? .applied : .takenBack))
            return
        }
        let wanted: Recovered =
            switch state {
            case .preparing where isResuming: .notBegun
            case .rollingBack, .preparing: .takenBack
            default: isResuming ? .applied : .takenBack
            }
        #expect(outcome == wanted, "\(what)")
        if outcome == .applied {
            try bench.expectNew(what)
            _ = try Undo.run(bench.stage, calls)
            try bench.expectOld(what, identity: ground != .elsewhere)
        } else {
            try bench.expectOld(what, identity: true)
        }
    }

    @Test(arguments: ApplyGround.allCases)
    func `after a crash of an undo at any call resume and rollback give exactly the wanted trees`(
        _ ground: ApplyGround
    ) throws {
        for seed in UInt64(30)...(ground == .elsewhere ? 31 : 40) {
            for isResuming in [true, false] {
                var last = 1
                while true {
                    let bench = try ApplyCrashTests.bench(seed, ground)
                    let what = "seed \(seed), call \(last), \(isResuming ? "resume" : "rollback")"
                    #expect(bench.apply(ground.calls(ApplyGround.Counter(), dyingAt: .max)) == nil)
                    let counter = ApplyGround.Counter()
                    _ = try? Undo.run(bench.stage, ground.calls(counter, dyingAt: last))
                    if let state = try Transaction.state(of: bench.stage) {
                        let calls = ground.calls(ApplyGround.Counter(), dyingAt: .max)
                        let found = try #require(try Transaction.find(bench.stage, calls))
                        let outcome = isResuming ? try found.resume() : try found.takeBack()
                        try bench.expectClean(what)
                        if outcome == .takenBack {
                            try bench.expectOld("\(what) \(state)", identity: ground != .elsewhere)
                        } else {
                            try bench.expectNew("\(what) \(state)")
                        }
                    }
                    let isDone = counter.count < last
                    try bench.remove()
                    if isDone { break }
                    last += 1
                }
            }
        }
    }

    @Test(arguments: [ENOSPC, EACCES, EIO, EROFS], ApplyGround.allCases)
    func `a call that fails takes everything back`(_ code: CInt, _ ground: ApplyGround) throws {
        for seed in UInt64(50)...(ground == .elsewhere ? 51 : 55) {
            var place = 1
            while true {
                let bench = try ApplyCrashTests.bench(seed, ground)
                let what = "seed \(seed), call \(place)"
                let counter = ApplyGround.Counter()
                let failure = bench.apply(ground.calls(counter, failingAt: place, with: code))
                if try Undo.last(bench.stage) != nil {
                    try bench.expectNew(what)
                } else if let found = try Transaction.find(bench.stage, TransactionCalls()) {
                    #expect(failure != nil)
                    // Only what comes after everything was applied is left to be finished.
                    #expect([.clearing, .committed].contains(found.journal.header.state), "\(what)")
                    #expect(try found.resume() == .applied)
                    try bench.expectNew(what)
                } else {
                    try bench.expectOld(what, identity: true)
                }
                let isDone = counter.count < place
                try bench.remove()
                if isDone { break }
                place += 1
            }
        }
    }
}
