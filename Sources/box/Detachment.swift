import BoxKernel
import BoxSession
import BoxTypes
import Glibc

/// The two halves of `box run --detach`: the caller's process, which waits until the session runs, and its child, which
/// becomes the session's supervisor.
///
/// The child is made before anything else, and in a session of its own, so that nothing of it belongs to the caller's
/// terminal; but it keeps the caller's streams until its command runs: whatever is refused is said there.
struct Detachment: ~Copyable {
    /// The name of the session goes to the caller when it runs.
    private let ready: Descriptor

    /// Returns in the child alone. The caller's process says what came of it and exits.
    static func begin(quiet: Bool, json: Bool) throws(Refusal) -> Detachment {
        do throws(KernelError) {
            let pipe = try Pipe()
            let parent = getpid()
            let child = try Processes.copy()
            if child > 0 {
                try Caller(child: child, ready: pipe.keepRead(), quiet: quiet, json: json).wait()
            }
            return try becomeSupervisor(pipe.keepWrite(), parent: parent)
        } catch { throw Refusal("cannot detach: \(error)") }
    }

    private static func becomeSupervisor(
        _ ready: consuming Descriptor, parent: CInt
    ) throws(KernelError) -> Detachment {
        try Processes.newSession()
        // Until the session runs it ends with the caller.
        try ProcessAttributes.setParentDeathSignal(SIGTERM)
        guard getppid() == parent else { _exit(ExitStatus.refused) }
        // Files that the caller has open by chance must not stay open as long as the session.
        try ready.closeOthers()
        return Detachment(ready: ready)
    }

    /// Lets the caller go: the session runs.
    consuming func end(session: String) throws(SessionError) {
        do throws(KernelError) {
            let null = try Descriptor.open("/dev/null", O_RDWR)
            for number in CInt(0)..<3 { try null.duplicate(asStandardStream: number) }
            try ProcessAttributes.setParentDeathSignal(0)
            try ready.write(all: Array(session.utf8))
        } catch { throw SessionError(step: "detach", error) }
    }
}

/// The caller's half.
private struct Caller: ~Copyable {
    let child: CInt
    let ready: Descriptor
    let quiet: Bool
    let json: Bool

    /// Waits until the session runs, or is refused, and exits.
    consuming func wait() throws(KernelError) -> Never {
        // ^Z has no meaning while the child asks something; the others end it.
        let signals = try Processes.signalDescriptor([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP])
        var name: [UInt8] = []
        var hasAsked = false
        while true {
            let entries = [PollEntry(ready.number, .read), PollEntry(signals.number, .read)]
            for item in try poll(entries) {
                if item.index == 1 {
                    let ending = try Processes.takeSignals(signals).contains { $0 != SIGTSTP }
                    guard ending else { continue }
                    // With all that it has started by now: that is its group, if it has come that far.
                    for target in [-child, child] {
                        try Processes.kill(target, hasAsked ? SIGKILL : SIGTERM)
                    }
                    hasAsked = true
                } else {
                    let bytes = try ready.read(upTo: 256)
                    name += bytes
                    if bytes.isEmpty { finish(String(decoding: name, as: UTF8.self)) }
                }
            }
        }
    }

    private borrowing func finish(_ name: String) -> Never {
        guard !name.isEmpty else { exit(childStatus()) }
        if json {
            Output.data(JSONOutput.object([("id", .text(name)), ("name", .text(name))]).pretty + "\n")
        } else {
            Output.data(name + "\n")
        }
        if !quiet { Output.error("session \(name) runs. To see it: box attach \(name)") }
        exit(0)
    }

    /// How the child ended, which has said why.
    private borrowing func childStatus() -> CInt {
        do throws(KernelError) {
            switch try Processes.wait(for: child) {
            case .exited(let code): return code
            case .killed(let signal): return ExitStatus.signal(signal)
            case .stopped, .continued: return ExitStatus.refused
            }
        } catch { return ExitStatus.refused }
    }
}
