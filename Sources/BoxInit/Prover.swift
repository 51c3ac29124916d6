internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The entry of `box __prove`: tries every probe of the table and prints a line of JSON for each.
///
/// Inside a sandbox it is the command, and writes to standard output. With `--control` it runs without any
/// sandbox, as the one who started box, and writes to descriptor 3. With `--rehearse` it is `Rehearsal`.
package enum Prover {
    /// Runs to the end of the process.
    package static func run() -> Never {
        let words = CommandLine.arguments.dropFirst(2)
        switch words.first {
        case "--rehearse": Rehearsal.run(words.dropFirst())
        case "--control": prove(words.dropFirst(), isControl: true, output: 3)
        default: prove(words, isControl: false, output: 1)
        }
    }

    private static func prove(_ words: ArraySlice<String>, isControl: Bool, output: CInt) -> Never {
        guard let targets = ProbeTargets(words: words) else { _exit(125) }
        let attempt = Attempt(targets: targets, isControl: isControl)
        for row in ProbeTable.rows {
            let line = answer(row, attempt).line + "\n"
            // Not owned: 1 and 3 stay open to the end.
            let bytes = Array(line.utf8)
            let wrote = unsafe bytes.withUnsafeBytes { raw in
                retry { unsafe write(output, raw.baseAddress, raw.count) }
            }
            // Pipes take a line of this size whole or not at all (pipe(7), PIPE_BUF).
            guard wrote == bytes.count else { _exit(125) }
        }
        _exit(0)
    }

    /// Every probe has a process of its own: some change it, some are meant to be killed.
    private static func answer(_ row: ProbeRow, _ attempt: Attempt) -> ProbeAnswer {
        do throws(KernelError) {
            let pipe = try Pipe()
            let pid = try check("fork", fork())
            if pid == 0 { child(row, attempt, pipe.write.number) }
            let reader = pipe.keepRead()
            let said = try reader.readAll(limit: 1 << 16)
            var status: CInt = 0
            try check("waitpid", retry { unsafe waitpid(pid, &status, 0) })
            if box_wifsignaled(status) != 0 {
                return ProbeAnswer(row.probe, observed: Prover.signalName(box_wtermsig(status)))
            }
            guard let mark = said.first else {
                return ProbeAnswer(row.probe, observed: "it ended without an answer", isBroken: true)
            }
            let text = String(decoding: said.dropFirst(), as: UTF8.self)
            return ProbeAnswer(row.probe, observed: text, isBroken: mark != UInt8(ascii: "+"))
        } catch { return ProbeAnswer(row.probe, observed: "\(error)", isBroken: true) }
    }

    private static func child(_ row: ProbeRow, _ attempt: Attempt, _ output: CInt) -> Never {
        // An attempt that hangs is one that went wrong: SIGALRM is no expected answer.
        alarm(10)
        var text: String
        do throws(Broken) {
            if attempt.isControl, row.control.place == .bare { try Bare.enter() }
            text = "+" + (try attempt.make(row.probe))
        } catch { text = "-" + error.reason }
        let bytes = Array(text.utf8.prefix(4000))
        let wrote = unsafe bytes.withUnsafeBytes { raw in unsafe write(output, raw.baseAddress, raw.count) }
        _exit(wrote == bytes.count ? 0 : 1)
    }

    private static func signalName(_ signal: CInt) -> String {
        switch signal {
        case SIGSYS: "SIGSYS"
        case SIGSEGV: "SIGSEGV"
        case SIGALRM: "it hung"
        default: "signal \(signal)"
        }
    }
}

/// An attempt that could not even be prepared.
struct Broken: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }

    /// Runs what an attempt needs first.
    static func unless<Value: ~Copyable>(
        _ body: () throws(KernelError) -> Value
    ) throws(Broken) -> Value {
        do throws(KernelError) { return try body() } catch { throw Broken("\(error)") }
    }
}

/// Namespaces of a control's own, with every capability in them, so that nothing reaches the host.
enum Bare {
    /// Puts this process there. It must not go on if that fails.
    static func enter() throws(Broken) {
        let (uid, gid) = (getuid(), getgid())
        // User, mount, UTS, IPC and network: all that the controls change.
        let flags: CInt = 0x1000_0000 | 0x0002_0000 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000
        guard box_unshare(flags) == 0 else { throw Broken("unshare: \(errorName(errno))") }
        try Broken.unless { () throws(KernelError) in
            try write("deny", "/proc/self/setgroups")
            try write("0 \(uid) 1\n", "/proc/self/uid_map")
            try write("0 \(gid) 1\n", "/proc/self/gid_map")
            try Mounts.makePrivate()
        }
    }

    private static func write(_ text: String, _ path: String) throws(KernelError) {
        try Descriptor.open(path, O_WRONLY).write(all: Array(text.utf8))
    }
}
