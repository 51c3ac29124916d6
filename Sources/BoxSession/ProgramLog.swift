internal import BoxAudit
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// The programs of a session: makes events of what the sandbox's first process tells, and knows which ones run.
struct ProgramLog {
    private struct Running {
        let path: String
        let words: [String]
        let started: Int
        /// Counts up: the newest is what a user wants to see.
        let number: Int
    }

    private let secrets: KnownSecrets
    private var running: [Int32: Running] = [:]
    /// How many have started so far.
    private(set) var count = 0

    init(secrets: KnownSecrets) { self.secrets = secrets }

    /// The newest program that still runs, as a command line; nil if none does, or programs are not listened to.
    var current: String? {
        running.values.max { $0.number < $1.number }.map { program in
            program.words.isEmpty ? program.path : program.words.joined(separator: " ")
        }
    }

    /// The event of a report.
    mutating func take(_ report: ProgramReport) -> Event {
        switch report {
        case .started(var start):
            count += 1
            start.arguments = start.arguments.map(secrets.hidden(in:))
            running[start.pid] = Running(
                path: start.path ?? "", words: Array(start.arguments.prefix(32)),
                started: Clock.milliseconds(),
                number: count)
            return ProgramLog.event(start)
        case .ended(let pid, let end): return event(end, pid, running.removeValue(forKey: pid))
        case .runs(let pid, let path):
            let known = running[pid]
            running[pid] = Running(
                path: path, words: [path], started: known?.started ?? Clock.milliseconds(),
                number: known?.number ?? count)
            return Event(
                .exec,
                [
                    Event.Field("pid", .number(Int(pid))), Event.Field("path", .text(path)),
                    Event.Field("instead_of", .text(known?.path ?? "")),
                ])
        }
    }

    private static func event(_ start: ProgramStart) -> Event {
        var fields = [Event.Field("pid", .number(Int(start.pid)))]
        if let parent = start.parent { fields.append(Event.Field("parent", .number(Int(parent)))) }
        if let path = start.path {
            fields.append(Event.Field("path", .text(path)))
        } else {
            fields.append(Event.Field("hidden", .flag(true)))
        }
        fields.append(Event.Field("arguments", .list(start.arguments)))
        if start.omitted > 0 { fields.append(Event.Field("omitted", .number(start.omitted))) }
        if let directory = start.directory { fields.append(Event.Field("cwd", .text(directory))) }
        return Event(.exec, fields)
    }

    private borrowing func event(_ end: ProgramEnd, _ pid: Int32, _ program: Running?) -> Event {
        var fields = [Event.Field("pid", .number(Int(pid)))]
        if let program { fields.append(Event.Field("path", .text(program.path))) }
        switch end {
        case .exited(let code): fields.append(Event.Field("exit_status", .number(Int(code))))
        case .killed(let signal): fields.append(Event.Field("signal", .number(Int(signal))))
        case .unknown: break
        }
        if let program {
            fields.append(Event.Field("ms", .number(Clock.milliseconds() - program.started)))
        }
        return Event(.execEnd, fields)
    }

    /// Ends of the programs that still ran when all was ended at once.
    mutating func takeRest() -> [Event] {
        let rest = running.sorted { $0.value.number < $1.value.number }
        running = [:]
        return rest.map { event(.killed(signal: SIGKILL), $0.key, $0.value) }
    }
}
