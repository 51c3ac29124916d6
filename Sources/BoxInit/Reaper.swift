internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

/// Waits for the command, reaps everything that is left to process 1, and passes signals on.
struct Reaper: ~Copyable {
    private let control: Channel
    private let children: Descriptor
    private let command: CInt

    init(control: borrowing Channel, children: consuming Descriptor, command: CInt) throws(KernelError) {
        self.control = Channel(try control.descriptor.duplicate())
        self.children = children
        self.command = command
    }

    /// Returns when the command has ended and that is reported, or when the supervisor is gone.
    borrowing func run() throws(KernelError) {
        while true {
            let ready = try poll([
                PollEntry(children.number, .read), PollEntry(control.descriptor.number, .read),
            ])
            if ready.contains(where: { $0.index == 0 }) {
                _ = try Processes.takeSignals(children)
                if try reap() { return }
            }
            if ready.contains(where: { $0.index == 1 }) {
                // The supervisor is gone: nothing may go on without it.
                guard let message = try control.receive() else { return }
                try obey(try InitOrder(checking: message.bytes))
            }
        }
    }

    /// Whether the command has ended.
    private borrowing func reap() throws(KernelError) -> Bool {
        while let (pid, change) = try Processes.nextChange() {
            guard pid == command else { continue }
            switch change {
            case .exited(let code):
                try control.send(InitReport.exited(code: code).wire)
                return true
            case .killed(let signal):
                try control.send(InitReport.killed(signal: signal).wire)
                return true
            case .stopped(let signal): try control.send(InitReport.stopped(signal: signal).wire)
            case .continued: try control.send(InitReport.continued.wire)
            }
        }
        return false
    }

    private borrowing func obey(_ order: InitOrder) throws(KernelError) {
        switch order {
        case .groundwork, .launch, .start, .placeholders: return
        case .signal(let number):
            // What a terminal sends goes to the group, what kill(1) sends to the process: as without a sandbox.
            let toGroup = [SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT].contains(number)
            try Processes.kill(toGroup ? -command : command, number)
        case .signalAll(let number): try Processes.kill(-1, number)
        }
    }
}
