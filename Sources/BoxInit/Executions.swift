internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// The programs that process 1 starts beside the command (`box exec`).
struct Executions: ~Copyable {
    /// One that runs, or is about to.
    private struct Entry {
        let id: Int
        let pid: CInt
        /// The start is not over yet; then with the terminal's master, if there is one.
        var start: Start?
    }

    private final class Start {
        let begun: BegunCommand
        let master: Descriptor?
        init(_ begun: consuming BegunCommand, _ master: consuming Descriptor?) {
            self.begun = begun
            self.master = master
        }
        var masters: [CInt] {
            switch master {
            case .some(let master): [master.number]
            case .none: []
            }
        }
    }

    private var all: [Entry] = []

    /// What to wait for: programs that are being started.
    var entries: [PollEntry] { all.compactMap { $0.start?.begun.entry } }

    /// The process of one that was not waited for yet.
    func process(of id: Int) -> CInt? { all.first { $0.id == id }?.pid }

    /// Begins to start a program. What goes wrong is reported to whoever wants it; the session goes on.
    mutating func begin(
        _ execution: Execution, _ descriptors: [CInt], _ launcher: CommandLauncher,
        _ control: borrowing Channel
    ) throws(KernelError) -> (pid: CInt, start: CommandStart, running: PollEntry)? {
        defer { for number in descriptors { close(number) } }
        do throws(KernelError) { return try begin(execution, descriptors, launcher) } catch {
            try control.send(InitReport.executed(id: execution.id, code: error.code).wire)
            return nil
        }
    }

    private mutating func begin(
        _ execution: Execution, _ descriptors: [CInt], _ launcher: CommandLauncher
    ) throws(KernelError) -> (pid: CInt, start: CommandStart, running: PollEntry) {
        guard let window = execution.terminal else {
            guard descriptors.count == 3 else { throw KernelError(call: "execute", code: EBADF) }
            let start = launcher.further(execution, descriptors)
            return add(execution.id, start, try start.begin(), nil)
        }
        let pty = try PseudoTerminal(multiplexer: "/dev/pts/ptmx")
        try Terminal.setSize(Terminal.Size(rows: window.rows, columns: window.columns), of: pty.master.number)
        let slave = pty.slave.number
        let start = launcher.further(execution, [slave, slave, descriptors.first ?? slave])
        let begun = try start.begin()
        return add(execution.id, start, begun, pty.takeMaster())
    }

    private mutating func add(
        _ id: Int, _ start: CommandStart, _ begun: consuming BegunCommand, _ master: consuming Descriptor?
    ) -> (pid: CInt, start: CommandStart, running: PollEntry) {
        let (pid, running) = (begun.pid, begun.entry)
        all.append(Entry(id: id, pid: pid, start: Start(begun, master)))
        return (pid, start, running)
    }

    /// Reports the programs that run now, or could not be executed; their processes.
    mutating func serve(_ ready: [Ready], _ control: borrowing Channel) throws(KernelError) -> [CInt] {
        guard !all.isEmpty else { return [] }
        var begun: [CInt] = []
        let waiting = Set(ready.map(\.descriptor))
        for entry in all {
            guard let start = entry.start, waiting.contains(start.begun.entry.descriptor) else { continue }
            let code = try start.begun.outcome()
            begun.append(entry.pid)
            let report = InitReport.executed(id: entry.id, code: code)
            try control.send(report.wire, descriptors: code == 0 ? start.masters : [])
            guard let at = all.firstIndex(where: { $0.id == entry.id }) else { continue }
            if code == 0 { all[at].start = nil } else { all.remove(at: at) }
        }
        return begun
    }

    /// A child has ended. One whose start was not reported yet is reported first.
    mutating func changed(
        _ pid: CInt, _ change: ChildChange, _ control: borrowing Channel
    ) throws(KernelError) {
        let end: ProgramEnd
        switch change {
        case .exited(let code): end = .exited(code: code)
        case .killed(let signal): end = .killed(signal: signal)
        case .stopped, .continued: return
        }
        guard let entry = all.first(where: { $0.pid == pid }) else { return }
        if let start = entry.start {
            let ready = [Ready(index: 0, descriptor: start.begun.entry.descriptor, events: .read)]
            _ = try serve(ready, control)
        }
        guard let at = all.firstIndex(where: { $0.pid == pid }) else { return }
        let id = all.remove(at: at).id
        try control.send(InitReport.executionEnded(id: id, end).wire)
    }
}
