internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

/// The start of a program that waits for an answer: what its registers say, and what they point to.
struct ExecutionCall {
    private static let numbers = [BOX_SYS_EXECVE, BOX_SYS_EXECVEAT]

    let call: WaitingCall
    private let directory: CInt
    private let path: UInt64
    private let arguments: UInt64
    private let flags: UInt64

    /// Nil for any other call.
    init?(_ call: WaitingCall) {
        let given = call.arguments
        switch ExecutionCall.numbers.firstIndex(of: call.number) {
        case 0?:
            (directory, path, arguments, flags) = (AT_FDCWD, given[0], given[1], 0)
        case 1?:
            // The kernel takes the lower half of the registers.
            directory = CInt(truncatingIfNeeded: given[0])
            (path, arguments, flags) = (given[1], given[2], given[4] & 0xFFFF_FFFF)
        default: return nil
        }
        self.call = call
    }

    /// Only asks whether it would be allowed (Linux 6.14).
    var isQuestion: Bool { flags & 0x10000 != 0 }

    /// Of a command line so much is kept: lines of compilers are long, and nobody reads what goes beyond.
    private static let limits = TaskMemory.WordLimits(words: 128, one: 2048, all: 8192)

    /// What is to be executed.
    enum Program {
        /// An open place, which is the caller's, and the arguments.
        case file(CInt, arguments: [[UInt8]], omitted: Int)
        /// The kernel would refuse it with this errno, and so does box: then nothing can start that was not seen.
        case refused(CInt)
        /// The process does not let box look.
        case hidden
    }

    /// Looks it up as the kernel will.
    func program() -> Program {
        guard let memory = TaskMemory(call.task) else { return .hidden }
        guard let text = memory.text(at: path) else { return .refused(EFAULT) }
        guard let place = place(text) else { return .refused(ENOENT) }
        let follows = flags & 0x100 == 0
        switch ExecutionCall.look(place, follows: follows) {
        case .success(let file):
            let (words, omitted) = memory.words(at: arguments, ExecutionCall.limits)
            return .file(file, arguments: words, omitted: omitted)
        case .failure(let error): return sharesRoot && error.code != EPERM ? .refused(error.code) : .hidden
        }
    }

    /// The same for a program that this process itself starts. `last` is the number of the place that was tried before.
    func program(of start: CommandStart, last: inout Int) -> Program {
        let which = call.arguments[3]
        guard let (path, words) = start.attempt(which, after: last) else { return .hidden }
        if which != UInt64.max { last = Int(clamping: which) }
        let isRelative = !path.hasPrefix("/")
        let place = isRelative ? "\(start.directory ?? ".")/\(path)" : path
        switch ExecutionCall.look(Array(place.utf8), follows: true) {
        case .success(let file):
            let kept = words.prefix(128).map { Array($0.utf8.prefix(2048)) }
            return .file(file, arguments: kept, omitted: words.count - kept.count)
        case .failure(let error): return error.code == EPERM ? .hidden : .refused(error.code)
        }
    }

    /// A path's file as a place; or the errno with which the kernel refuses to execute it, EPERM where that is not sure.
    private static func look(_ path: [UInt8], follows: Bool) -> Result<CInt, KernelError> {
        let number = unsafe withCName(path) { name in
            unsafe open(name, BOX_O_PATH | BOX_O_CLOEXEC | (follows ? 0 : O_NOFOLLOW))
        }
        guard number >= 0 else {
            let code = errno
            let isSure = [ENOENT, ENOTDIR, ELOOP].contains(code)
            return .failure(KernelError(call: "open", code: isSure ? code : EPERM))
        }
        var status = stat()
        let known = unsafe fstat(number, &status) == 0
        let isProgram = status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o111 != 0
        guard !follows || !known || isProgram else {
            close(number)
            return .failure(KernelError(call: "execve", code: EACCES))
        }
        return .success(number)
    }

    /// The path as this process finds it; nil where nothing can be there.
    private func place(_ text: [UInt8]) -> [UInt8]? {
        let task = "/proc/\(call.task)/"
        guard let first = text.first else {
            let isDescriptor = flags & 0x1000 != 0 && directory != AT_FDCWD
            return isDescriptor ? Array("\(task)fd/\(directory)".utf8) : nil
        }
        if first == UInt8(ascii: "/") { return Array("\(task)root".utf8) + text }
        let start = directory == AT_FDCWD ? "cwd" : "fd/\(directory)"
        return Array("\(task)\(start)/".utf8) + text
    }

    /// Whether the task sees the same files: in a sandbox inside the sandbox a path may mean another file.
    private var sharesRoot: Bool {
        guard let its = try? FileStatus.of("/proc/\(call.task)/root/.", following: true),
            let own = try? FileStatus.of("/.", following: true)
        else { return false }
        return its == own
            && ProcessFacts.link("/proc/\(call.task)/ns/mnt") == ProcessFacts.link("/proc/self/ns/mnt")
    }
}
