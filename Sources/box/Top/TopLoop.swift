import BoxAudit
import BoxKernel
import BoxSession
import BoxTypes
import CLinux
import Glibc

/// `box top` from the first screen to the last: one loop that waits for keys, for supervisors and for the next second.
final class TopLoop {
    private let watch: TopWatch
    private let terminal = TopTerminal()
    private let signals: Descriptor
    private var screen: TopScreen
    private let colour: Bool
    private var keys = TopKeys()
    private var jobs: [TopJob] = []
    private var log: TopLog?
    /// When everything is to be looked at again.
    private var next = 0
    private var end: End?

    /// How it ends.
    enum End: Equatable {
        case byUser
        case bySignal(CInt)
    }

    /// How often everything is looked at, in milliseconds.
    private static let interval = 1000
    /// After an escape the rest of a key comes at once, or it is the key.
    private static let escapeTime = 50

    init(project: String?, withEnded: Bool, home: String?, colour: Bool) throws(KernelError) {
        // Those of job control, too: another job may have the terminal while this one touches it.
        signals = try Processes.signalDescriptor([
            SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGTTIN, SIGTTOU, SIGCHLD,
        ])
        signal(SIGPIPE, SIG_IGN)
        watch = TopWatch(project: project, withEnded: withEnded, home: home)
        screen = TopScreen(colour: colour)
        self.colour = colour
    }

    /// Runs until the user leaves, or a signal ends it.
    func run() throws(KernelError) -> End {
        try terminal.take()
        defer { terminal.giveBack() }
        while true {
            if next <= BoxSession.Clock.milliseconds() { look() }
            draw()
            try wait()
            if let end { return end }
        }
    }

    private func look() {
        next = BoxSession.Clock.milliseconds() + TopLoop.interval
        do throws(SessionError) { try watch.look() } catch { screen.message = error.description }
        screen.show(watch.sessions)
    }

    private func draw() {
        screen.clock = String(Timestamp.local(milliseconds: Timestamp.milliseconds()).1.prefix(8))
        let (rows, columns) = terminal.size
        terminal.draw(screen.lines(rows: rows, columns: columns), columns: columns)
    }

    // MARK: - Waiting

    private func wait() throws(KernelError) {
        var entries = [PollEntry(0, .read), PollEntry(signals.number, .read)]
        if let log { entries.append(log.entry) }
        entries += jobs.map(\.entry) + watch.entries
        let left = max(0, next - BoxSession.Clock.milliseconds())
        let ready = try poll(entries, timeout: keys.isUndecided ? min(left, TopLoop.escapeTime) : left)
        let numbers = Set(ready.map(\.descriptor))
        if numbers.contains(signals.number) { try takeSignals() }
        if let log, numbers.contains(log.entry.descriptor) { follow(log) }
        try takeResults(numbers)
        if watch.take(ready) { screen.show(watch.sessions) }
        // The last: a key may open what gets the number of something that was closed since.
        if numbers.contains(0) {
            try takeKeys()
        } else if keys.isUndecided {
            for key in keys.settle() { try take(key) }
        }
    }

    private func takeSignals() throws(KernelError) {
        for number in try Processes.takeSignals(signals) {
            switch number {
            case SIGINT, SIGTERM, SIGHUP, SIGQUIT: end = end ?? .bySignal(number)
            case SIGTSTP: try suspend()
            case SIGCONT: try terminal.retake()
            case SIGWINCH: terminal.forget()
            default: break
            }
        }
    }

    private func takeKeys() throws(KernelError) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = retry { unsafe CInt(read(0, &buffer, buffer.count)) }
        // The terminal is gone.
        guard count > 0 else { return end = .bySignal(SIGHUP) }
        for key in keys.take(Array(buffer.prefix(Int(count)))) { try take(key) }
    }

    /// Takes the results of what was begun.
    private func takeResults(_ ready: Set<CInt>) throws(KernelError) {
        for job in jobs where ready.contains(job.entry.descriptor) {
            guard try !job.take() else { continue }
            jobs.removeAll { $0 === job }
            screen.message = job.end()
            next = 0
        }
    }

    private func follow(_ log: TopLog) {
        do throws(SessionError) { try log.take() } catch { screen.message = error.description }
        screen.log = log.lines
    }

    // MARK: - Keys

    private func take(_ key: TopKey) throws(KernelError) {
        switch screen.take(key, rows: terminal.size.rows) {
        case nil: break
        case .quit: end = .byUser
        case .suspend: try suspend()
        case .redraw:
            terminal.forget()
            next = 0
        case .allow(let session, let place):
            begin(["allow", "-s", session, "--", place], "session \(session): \(place) allowed")
        case .stop(let session): begin(["stop", session], "session \(session)")
        case .pause(let session): begin(["pause", session], "session \(session)")
        case .resume(let session): begin(["resume", session], "session \(session)")
        case .attach(let session): try attach(session)
        case .openLog(let session):
            do throws(SessionError) {
                let log = try TopLog(session, colour: colour)
                self.log = log
                screen.log = log.lines
            } catch { screen.message = error.description }
        case .closeLog: log = nil
        }
    }

    private func begin(_ words: [String], _ title: String) {
        do throws(KernelError) { jobs.append(try TopJob(words, title: title)) } catch {
            screen.message = "box \(words[0]) cannot be started: \(error)"
        }
    }

    /// Stops this process, so that the user's shell takes over; on return it goes on.
    private func suspend() throws(KernelError) {
        terminal.giveBack()
        kill(getpid(), SIGSTOP)
        try terminal.take()
        next = 0
    }

    // MARK: - Attaching

    /// Gives the terminal to `box attach` until that ends.
    private func attach(_ session: String) throws(KernelError) {
        terminal.giveBack()
        do throws(KernelError) {
            let child = try TopJob.start(["attach", session], [0, 1, 2], takesTerminal: true)
            let status = try waitFor(child)
            try Terminal.setForegroundGroup(getpgrp(), of: 0)
            if status != 0 { screen.message = "box attach \(session) ended with status \(status)" }
        } catch { screen.message = "box attach cannot be started: \(error)" }
        next = 0
        if end == nil { try terminal.take() }
    }

    /// Waits for a command that has the terminal; when it is stopped (^Z) this process is, too.
    private func waitFor(_ child: CInt) throws(KernelError) -> CInt {
        while true {
            var status: CInt = 0
            let changed = retry { unsafe waitpid(child, &status, WNOHANG | WUNTRACED) }
            guard changed == child else {
                _ = try poll([PollEntry(signals.number, .read)])
                for number in try Processes.takeSignals(signals) {
                    guard [SIGTERM, SIGHUP, SIGQUIT].contains(number) else { continue }
                    end = .bySignal(number)
                    kill(-child, number)
                    kill(-child, SIGCONT)
                }
                continue
            }
            if box_wifstopped(status) != 0 {
                try Terminal.setForegroundGroup(getpgrp(), of: 0)
                kill(getpid(), SIGSTOP)
                while !Terminal.isForeground(0) { kill(getpid(), SIGSTOP) }
                try Terminal.setForegroundGroup(child, of: 0)
                kill(-child, SIGCONT)
                continue
            }
            return box_wifexited(status) != 0 ? box_wexitstatus(status) : 128 + box_wtermsig(status)
        }
    }
}
