internal import CLinux
internal import Glibc

/// A program to be started in a process group of its own, with standard signals and nothing open but its streams.
package struct CommandStart: Sendable {
    private let command: [String]
    private let environment: [String]
    /// Where it is looked for, in order.
    private let candidates: [String]
    /// What become 0, 1 and 2.
    package var streams: [CInt] = [0, 1, 2]
    /// Whether the first stream is a terminal whose foreground the program takes.
    package var takesTerminal = false
    /// Whether other descriptors stay open; only a test wants that.
    package var keepsDescriptors = false

    /// As execvp(3): a name without a slash is looked up in `path`; a place where it must not be executed is remembered
    /// while the search goes on; a text without an interpreter line is run by `/bin/sh`.
    package init(command: [String], environment: [String], path: [String]) {
        self.command = command
        self.environment = environment
        let name = command.first ?? ""
        candidates = name.isEmpty ? [] : name.contains("/") ? [name] : path.map { $0 + "/" + name }
    }

    /// Starts it; the caller goes on when it runs. Gives its process id, or the errno of its execution.
    package func run() -> Result<CInt, KernelError> {
        guard streams.count == 3, !command.isEmpty else {
            return .failure(KernelError(call: "streams", code: EINVAL))
        }
        let pid = unsafe withCStrings(command) { arguments in
            unsafe withCStrings(environment) { environment in
                unsafe withCStrings(candidates) { candidates in
                    var start = unsafe box_command()
                    unsafe start.arguments = arguments
                    unsafe start.environment = environment
                    unsafe start.candidates = candidates
                    unsafe start.streams = (streams[0], streams[1], streams[2])
                    unsafe start.takes_terminal = takesTerminal ? 1 : 0
                    unsafe start.keeps_descriptors = keepsDescriptors ? 1 : 0
                    return unsafe box_start_command(&start)
                }
            }
        }
        guard pid < 0 else { return .success(pid) }
        return .failure(KernelError(call: "execve", code: errno, subject: command.first ?? ""))
    }
}
