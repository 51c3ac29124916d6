internal import BoxKernel
internal import BoxPlan
package import BoxPolicy
package import BoxTypes
internal import CLinux
internal import Glibc

/// Gets the values of `[environment.from]`: keys that lie in a password manager, a file or another variable.
///
/// They are held in memory only: no file, log, argument or plan shows them. What goes wrong is told without them.
package enum SecretValues {
    /// The values by name. Commands run on the host as the user, one after the other, and may ask on the terminal.
    package static func get(
        _ sources: [String: Policy.SecretSource], home: AbsolutePath
    ) throws(SessionError) -> [String: String] {
        var values: [String: String] = [:]
        for (name, source) in sources.sorted(by: { $0.key < $1.key }) {
            values[name] = try get(name, source, home)
        }
        return values
    }

    /// The largest value, in bytes: keys are short.
    private static let largest = 64 << 10

    private static func get(
        _ name: String, _ source: Policy.SecretSource, _ home: AbsolutePath
    ) throws(SessionError) -> String {
        let step = "get \(name) (environment.from)"
        let bytes: [UInt8]
        switch source {
        case .variable(let variable):
            guard let value = UserEnvironment.parse(ProcessEnvironment.entries())[variable], !value.isEmpty
            else {
                throw SessionError(step: step, reason: "\(variable) is not in your environment")
            }
            return value
        case .file(let text): bytes = try read(text, home, step)
        case .command(let command): bytes = try output(of: command, step)
        }
        // Files and commands end with a line.
        var value = bytes[...]
        if value.last == UInt8(ascii: "\n") { value = value.dropLast() }
        if value.last == UInt8(ascii: "\r") { value = value.dropLast() }
        guard !value.isEmpty else { throw SessionError(step: step, reason: "it is empty") }
        guard let text = String(validating: value, as: UTF8.self), !value.contains(0) else {
            throw SessionError(step: step, reason: "it is not text (UTF-8 without NUL)")
        }
        return text
    }

    private static func read(
        _ text: String, _ home: AbsolutePath, _ step: String
    ) throws(SessionError) -> [UInt8] {
        let path: AbsolutePath
        do throws(PlanError) { path = try Planner.expand(text, home: home) } catch {
            throw SessionError(step: step, reason: "\(error)")
        }
        do throws(KernelError) {
            let file = try Descriptor.open(path.string, O_RDONLY | O_NONBLOCK)
            let status = try FileStatus.of(file.number)
            guard status.kind == .file, status.size <= largest else {
                throw KernelError(call: "open", code: status.kind == .file ? EFBIG : EINVAL, subject: text)
            }
            return try file.readAll(limit: largest)
        } catch { throw SessionError(step: step, error) }
    }

    /// What a command prints. It has the user's terminal and environment; box waits for it.
    private static func output(of command: String, _ step: String) throws(SessionError) -> [UInt8] {
        let shown = command.escapedForTerminal
        let bytes: [UInt8]
        let status: CInt
        do throws(KernelError) {
            let pipe = try Pipe()
            let pid = try spawn(command, output: pipe.write.number)
            let read = pipe.keepRead()
            bytes = try read.readAll(limit: largest)
            var raw: CInt = 0
            try check("waitpid", retry { unsafe waitpid(pid, &raw, 0) }, "sh")
            status = raw
        } catch { throw SessionError(step: step, error, hint: "The command is: \(shown)") }
        guard status == 0 else {
            let how =
                status & 0x7f == 0
                ? "the command ended with status \(status >> 8 & 0xff)"
                : "the command was ended by signal \(status & 0x7f)"
            throw SessionError(step: step, reason: "\(how): \(shown)")
        }
        return bytes
    }

    private static func spawn(_ command: String, output: CInt) throws(KernelError) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        _ = unsafe posix_spawn_file_actions_init(&actions)
        defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
        _ = unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        var pid: pid_t = 0
        let code = unsafe withCStrings(["sh", "-c", command]) { arguments in
            unsafe posix_spawn(&pid, "/bin/sh", &actions, nil, arguments, environ)
        }
        guard code == 0 else { throw KernelError(call: "posix_spawn", code: code, subject: "/bin/sh") }
        return pid
    }
}
