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
    private let limit: Int?
    /// What the disk had when the session began.
    private let freeAtStart: Int
    /// When the watcher is to be started.
    private var begins: Int?
    private var watcher: Watcher?

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

    /// Starts the watcher when it is time, and takes what it says: why the session must end, if it must.
    mutating func serve(_ ready: [Ready]) throws(SessionError) -> String? {
        if let begins, begins <= Clock.milliseconds() {
            self.begins = nil
            try start()
        }
        guard let number = entries.first?.descriptor, ready.contains(where: { $0.descriptor == number })
        else {
            return nil
        }
        do throws(KernelError) {
            guard let message = try watcher?.channel.receive() else {
                // Whoever ended it: without it nothing would bound the disk's use.
                return "what it changes could not be watched any more. Nothing of it is lost"
            }
            return String(decoding: message.bytes, as: UTF8.self)
        } catch { throw SessionError(step: "watch the stage", error) }
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
                StageWatcher(
                    stage, limit: limit, freeAtStart: freeAtStart, channel: Channel(Descriptor(owning: far))
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
    private let freeAtStart: Int
    private let channel: Channel

    /// How long it sleeps at most, in milliseconds: a disk takes about 2 GB a second.
    private static let interval = 500
    /// What must stay free on the disk, if it is the session that fills it.
    private static let reserve = 256 << 20
    /// Looks that fail one after the other before the session is ended, some seconds in all.
    private static let mostFailures = 10
    /// Files and directories that a session may make, if its disk is limited at all.
    private static let mostInodes = 1_000_000

    init(_ stage: Stage, limit: Int?, freeAtStart: Int, channel: consuming Channel) {
        self.stage = stage
        self.limit = limit
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
        } catch { say("what it changes could not be watched any more (\(error)). Nothing of it is lost") }
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
    /// Directories that the agent has closed cannot be looked into, and what is open but deleted is in none: for the first
    /// the disk's own account counts instead, for the second what is left of the disk.
    private borrowing func refusal(_ usage: Usage, free: Int, taken: Int) -> String? {
        let bytes = usage.closed > 0 ? max(usage.bytes, taken) : usage.bytes
        let used = ByteSize(bytes: bytes).rounded
        if let limit, bytes > limit {
            return
                "its changes took \(used), more than its limit (\(ByteSize(bytes: limit).rounded)). Nothing of them is "
                + "lost. To give it more: --disk SIZE"
        }
        if limit != nil, usage.inodes > StageWatcher.mostInodes {
            return "it made more than \(StageWatcher.mostInodes) files. Nothing of them is lost"
        }
        if free < StageWatcher.reserve, max(bytes, taken) > StageWatcher.reserve {
            return
                "the disk is nearly full (\(ByteSize(bytes: max(0, free)).rounded) left). Nothing that it changed is lost"
        }
        return nil
    }

    /// Tells the supervisor, once and for all.
    private borrowing func say(_ why: String) -> Never {
        // It may have ended meanwhile, and then nobody needs to know.
        _ = try? channel.send(Array(why.utf8))
        _exit(0)
    }
}
