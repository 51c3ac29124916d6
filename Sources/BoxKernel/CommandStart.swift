internal import CLinux
internal import Glibc

/// A program to be started in a process group of its own, with standard signals and nothing open but its streams.
package struct CommandStart: Sendable {
    package let command: [String]
    private let environment: [String]
    /// Where it is looked for, in order.
    package let candidates: [String]
    /// What become 0, 1 and 2.
    package var streams: [CInt] = [0, 1, 2]
    /// Whether the first stream is a terminal whose foreground the program takes.
    package var takesTerminal = false
    /// Whether other descriptors stay open; only a test wants that.
    package var keepsDescriptors = false
    /// Whether the first stream is a terminal that becomes the program's own: it leads a new session on it.
    package var beginsSession = false
    /// Where it starts; nil is where this process is.
    package var directory: String?

    /// As execvp(3): a name without a slash is looked up in `path`; a place where it must not be executed is remembered
    /// while the search goes on; a text without an interpreter line is run by `/bin/sh`.
    package init(command: [String], environment: [String], path: [String]) {
        self.command = command
        self.environment = environment
        let name = command.first ?? ""
        candidates = name.isEmpty ? [] : name.contains("/") ? [name] : path.map { $0 + "/" + name }
    }

    /// What one of its calls executes, by the register behind the call's arguments: a candidate, or the shell for the one
    /// before; nil for a number that there is not.
    package func attempt(_ which: UInt64, after last: Int) -> (path: String, arguments: [String])? {
        if which == UInt64.max {
            guard candidates.indices.contains(last) else { return nil }
            return ("/bin/sh", ["sh", candidates[last]] + command.dropFirst())
        }
        guard let index = Int(exactly: which), candidates.indices.contains(index) else { return nil }
        return (candidates[index], command)
    }

    /// Starts it; the caller goes on when it runs. Gives its process id, or the errno of its execution.
    package func run() -> Result<CInt, KernelError> {
        do throws(KernelError) {
            let pid = try unsafe start(failure: -1) { unsafe box_start_command($0) }
            return .success(try check("execve", pid, command.first ?? ""))
        } catch { return .failure(error) }
    }

    /// Begins to start it, and goes on at once: for a caller whose answer the start itself waits for.
    package func begin() throws(KernelError) -> BegunCommand {
        let failure = try Pipe()
        let pid = try unsafe start(failure: failure.write.number) { unsafe box_begin_command($0) }
        return BegunCommand(pid: try check("fork", pid), failure: failure.keepRead())
    }

    private func start(
        failure: CInt, _ body: (UnsafePointer<box_command>) -> pid_t
    ) throws(KernelError) -> pid_t {
        guard streams.count == 3, !command.isEmpty else { throw KernelError(call: "streams", code: EINVAL) }
        return unsafe withCStrings(command) { arguments in
            unsafe withCStrings(environment) { environment in
                unsafe withCStrings(candidates) { candidates in
                    unsafe withCStrings([directory ?? "."]) { directory in
                        var start = unsafe box_command()
                        unsafe start.arguments = arguments
                        unsafe start.environment = environment
                        unsafe start.candidates = candidates
                        unsafe start.streams = (streams[0], streams[1], streams[2])
                        unsafe start.takes_terminal = takesTerminal ? 1 : 0
                        unsafe start.keeps_descriptors = keepsDescriptors ? 1 : 0
                        unsafe start.begins_session = beginsSession ? 1 : 0
                        unsafe start.directory = UnsafePointer(directory[0])
                        unsafe start.failure_fd = failure
                        return unsafe body(&start)
                    }
                }
            }
        }
    }
}

/// A program that is being started.
package struct BegunCommand: ~Copyable {
    package let pid: CInt
    private let failure: Descriptor

    fileprivate init(pid: CInt, failure: consuming Descriptor) {
        self.pid = pid
        self.failure = failure
    }

    /// Readable when it runs, or cannot.
    package var entry: PollEntry { PollEntry(failure.number, .read) }

    /// Once `entry` is ready: the errno of its execution; 0 if it runs.
    package borrowing func outcome() throws(KernelError) -> CInt {
        let bytes = try failure.read(upTo: 4)
        guard bytes.count == 4 else { return 0 }
        return bytes.enumerated().reduce(0) { $0 | CInt($1.element) << CInt(8 * $1.offset) }
    }
}
