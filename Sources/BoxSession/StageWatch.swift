internal import BoxKernel
internal import BoxStage
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Watches a stage while its session runs, in a process of its own: it notes early what the host has under changed
/// files, and it tells before the disk is full.
///
/// It is started when a session has lasted for a second, so that short ones do not pay for it. What it has not seen,
/// the last look when the session ends sees.
struct StageWatch: ~Copyable {
    let stage: Stage
    /// What the changes may take, in bytes.
    private var limit: Int?
    /// What it takes at a time, and how often it was granted.
    private let share: Int?
    private var grants = 1
    /// What the disk had when the session began.
    private let freeAtStart: Int
    /// When the watcher is to be started.
    private var begins: Int?
    private var watcher: Watcher?

    /// Why the session cannot go on as it does.
    struct Finding: Equatable {
        enum Kind: UInt8 {
            /// It has used up what it may use; it can be given more.
            case exceeded = 1
            /// The disk is nearly full.
            case full = 2
            /// Nobody can say what it uses.
            case unknown = 3
        }
        let kind: Kind
        let reason: String
        /// What becomes of the changes, and what to do.
        var advice = "Nothing of them is lost"

        /// For one whose command was ended.
        var text: String { "\(reason). \(advice)" }
    }

    private struct Watcher: ~Copyable {
        let pid: CInt
        let channel: Channel

        /// Closes the socket, which ends it, and waits until it is gone.
        consuming func end() {
            let pid = pid
            discardChannel()
            var status: CInt = 0
            _ = retry { unsafe waitpid(pid, &status, 0) }
        }

        private consuming func discardChannel() {}
    }

    /// When a session has lasted so long that it is watched, in milliseconds.
    private static let patience = 1000

    init(_ stage: Stage, limit: Int?) throws(SessionError) {
        let free: Int
        do throws(StageError) { free = try StageWatch.freeBytes(stage) } catch {
            throw SessionError(step: error.step, reason: error.reason)
        }
        freeAtStart = free
        self.stage = stage
        self.limit = limit
        share = limit
        begins = Clock.milliseconds() + StageWatch.patience
    }

    /// What is free on the disk of a stage.
    fileprivate static func freeBytes(_ stage: Stage) throws(StageError) -> Int {
        var state = statvfs()
        guard unsafe statvfs(stage.directory, &state) == 0 else {
            throw StageError("ask for free space", KernelError(call: "statvfs", code: errno))
        }
        return Int(state.f_bavail) * Int(state.f_frsize)
    }

    /// When `serve` has to be called although nothing is ready; nil if it need not.
    var nextTime: Int? { begins }

    /// What is waited for.
    var entries: [PollEntry] {
        switch watcher {
        case .none: []
        case .some(let watcher): [PollEntry(watcher.channel.descriptor.number, .read)]
        }
    }

    /// Takes what the watcher says, if it has spoken: why the session must end, if it must. Starts it when it is time.
    mutating func serve(hasSpoken: Bool) throws(SessionError) -> Finding? {
        if hasSpoken { return try take() }
        if let begins, begins <= Clock.milliseconds() {
            self.begins = nil
            if entries.isEmpty { try start() }
        }
        return nil
    }

    private mutating func take() throws(SessionError) -> Finding {
        do throws(KernelError) {
            let message = try watcher?.channel.receive()
            // It has ended, and another one begins if the session goes on.
            watcher.take()?.end()
            guard let message else {
                // Whoever ended it: without it nothing would bound the disk's use.
                return Finding(
                    kind: .unknown, reason: "what it changes could not be watched any more",
                    advice: "Nothing of it is lost")
            }
            var reader = WireReader(message.bytes)
            do throws(WireError) {
                guard let kind = Finding.Kind(rawValue: try reader.byte()) else {
                    throw reader.malformed("finding")
                }
                return Finding(kind: kind, reason: try reader.string(), advice: try reader.string())
            } catch { throw KernelError(call: "read", code: EPROTO) }
        } catch { throw SessionError(step: "watch the stage", error) }
    }

    /// Lets the changes take as much again, and watches them again; how much that is, in bytes, if it is limited.
    mutating func grant() -> Int? {
        grants += 1
        begins = Clock.milliseconds()
        if let share {
            let (bytes, isTooMuch) = share.multipliedReportingOverflow(by: grants)
            limit = isTooMuch ? Int.max : bytes
        }
        return share
    }

    /// Ends the watcher. Afterwards nobody else writes to the stage's records.
    mutating func end() {
        begins = nil
        watcher.take()?.end()
    }

    private mutating func start() throws(SessionError) {
        // In case it is killed; its end says whether there is something.
        do throws(StageError) { try WaitingStages.set(stage, waits: true) } catch {
            throw SessionError(step: error.step, reason: error.reason, hint: error.hint)
        }
        do throws(KernelError) {
            let pair = try ChannelPair()
            let parent = getpid()
            let pid = try check("fork", fork())
            if pid == 0 {
                let far = pair.far.number
                StageWatcher.isolate(keeping: far, parent: parent)
                guard (try? StageWatcher.openClosedDirectories()) != nil else { _exit(1) }
                StageWatcher(
                    stage, limit: limit, inodes: StageWatcher.mostInodes * grants, freeAtStart: freeAtStart,
                    channel: Channel(Descriptor(owning: far))
                ).run()
            }
            watcher = Watcher(pid: pid, channel: pair.keepNear())
        } catch { throw SessionError(step: "watch the stage", error) }
    }
}

/// The watcher's own process.
private struct StageWatcher: ~Copyable {
    private let stage: Stage
    private let limit: Int?
    private let inodes: Int
    private let freeAtStart: Int
    private let channel: Channel

    /// How long it sleeps at most, in milliseconds: a disk takes about 2 GB a second.
    private static let interval = 500
    /// What must stay free on the disk, if it is the session that fills it.
    private static let reserve = 256 << 20
    /// Looks that fail one after the other before the session is ended, some seconds in all.
    private static let mostFailures = 10
    /// Files and directories that a session may make, if its disk is limited at all.
    static let mostInodes = 1_000_000

    init(_ stage: Stage, limit: Int?, inodes: Int, freeAtStart: Int, channel: consuming Channel) {
        self.stage = stage
        self.limit = limit
        self.inodes = inodes
        self.freeAtStart = freeAtStart
        self.channel = channel
    }

    /// Lets go of all that belongs to the supervisor.
    static func isolate(keeping number: CInt, parent: CInt) {
        // Signals of the user's terminal are for box and its command.
        _ = setsid()
        if (try? ProcessAttributes.setParentDeathSignal(SIGKILL)) == nil || getppid() != parent { _exit(1) }
        let null = unsafe open("/dev/null", O_RDWR)
        for other in CInt(0)..<3 { _ = box_dup3(null, other, 0) }
        if number > 3 { _ = box_close_range(3, UInt32(number - 1), 0) }
        _ = box_close_range(UInt32(number + 1), UInt32.max, 0)
    }

    /// Lets an ordinary user's watcher look into directories of his that the agent has closed: in a user namespace of its
    /// own, which has the user and his group as they are, it may look at all that they own. Where none is to be had, the
    /// disk's account stands for them (`refusal`).
    static func openClosedDirectories() throws(KernelError) {
        let (user, group) = (geteuid(), getegid())
        guard user != 0, group != 0, box_unshare(CInt(BOX_CLONE_NEWUSER)) == 0 else { return }
        try Identity.write(
            user: IdentityMapping(inside: user, outside: user),
            group: IdentityMapping(inside: group, outside: group), for: getpid())
    }

    /// Looks again and again until the supervisor closes the socket.
    consuming func run() -> Never {
        do throws(StageError) {
            var recorder = try Recorder(stage)
            var seen: Int?
            var wait = 0
            var failures = 0
            while try sleep(wait) {
                let free = try StageWatch.freeBytes(stage)
                // Nothing was written: then there is nothing to look at.
                if let seen, abs(free - seen) < 4096 {
                    wait = StageWatcher.interval
                    continue
                }
                let began = Clock.milliseconds()
                do throws(StageError) {
                    let usage = try recorder.update()
                    if let why = refusal(usage, free: free, taken: freeAtStart - free) { say(why) }
                    (seen, failures) = (free, 0)
                } catch {
                    // The agent changes everything meanwhile; what does not pass in some seconds is no accident.
                    failures += 1
                    guard failures < StageWatcher.mostFailures else { throw error }
                    recorder = try Recorder(stage)
                }
                // A stage of a million files must not keep a processor busy.
                wait = max(StageWatcher.interval, 10 * (Clock.milliseconds() - began))
            }
        } catch {
            say(
                StageWatch.Finding(
                    kind: .unknown, reason: "what it changes could not be watched any more (\(error))",
                    advice: "Nothing of it is lost"))
        }
        _exit(0)
    }

    /// False when the session has ended.
    private borrowing func sleep(_ milliseconds: Int) throws(StageError) -> Bool {
        do throws(KernelError) {
            return try poll([PollEntry(channel.descriptor.number, .read)], timeout: milliseconds).isEmpty
        } catch { throw StageError("wait", error) }
    }

    /// Why the session must end; nil if it need not. `taken` is what the disk has lost since the session began, to whomever.
    ///
    /// Closed directories that cannot be looked into all the same (of another group) are in no sum, nor is what is open but
    /// deleted: for the first the disk's own account counts instead, for the second what is left of the disk.
    private borrowing func refusal(_ usage: Usage, free: Int, taken: Int) -> StageWatch.Finding? {
        let bytes = usage.closed > 0 ? max(usage.bytes, taken) : usage.bytes
        let used = ByteSize(bytes: bytes).rounded
        if let limit, bytes > limit {
            return StageWatch.Finding(
                kind: .exceeded,
                reason: "its changes took \(used), more than its limit (\(ByteSize(bytes: limit).rounded))",
                advice: "Nothing of them is lost. To give it more: --disk SIZE")
        }
        if limit != nil, usage.inodes > inodes {
            return StageWatch.Finding(kind: .exceeded, reason: "it made more than \(inodes) files")
        }
        if free < StageWatcher.reserve, max(bytes, taken) > StageWatcher.reserve {
            return StageWatch.Finding(
                kind: .full,
                reason: "the disk is nearly full (\(ByteSize(bytes: max(0, free)).rounded) left)",
                advice: "Nothing that it changed is lost")
        }
        return nil
    }

    /// Tells the supervisor, once and for all.
    private borrowing func say(_ finding: StageWatch.Finding) -> Never {
        var writer = WireWriter()
        writer.write(finding.kind.rawValue)
        writer.write(finding.reason)
        writer.write(finding.advice)
        // It may have ended meanwhile, and then nobody needs to know.
        _ = try? channel.send(writer.bytes)
        _exit(0)
    }
}
