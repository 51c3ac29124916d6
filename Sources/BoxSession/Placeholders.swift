internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Stand-ins on the host for protected names that do not exist in a direct workspace, so that there is something
/// to mount over.
///
/// box removes them when the sandbox is gone. If box itself is killed, a process of their own does that: a pipe tells
/// it. A placeholder is known by what it is (empty or with its fixed content, write-protected, dated to the beginning
/// of time), so one that a power failure left behind is recognised and removed by the next session.
/// Sessions of one project share them by a lock on the project's directory; the last one out removes them.
struct Placeholders: ~Copyable {
    private let keeper: CInt
    /// The names that could not be made because their directory is not writable.
    let unneeded: Set<AbsolutePath>
    private let made: [AbsolutePath]
    /// The project's directory with a shared lock.
    private var lock: Descriptor?
    /// Its end of file tells the keeper that box is gone.
    private var alive: Descriptor?

    /// The date of every placeholder, in seconds: no file that someone wrote has it.
    private static let date = 0

    /// Whether a path holds a placeholder.
    static func isPlaceholder(_ path: String, _ status: FileStatus) -> Bool {
        guard isDated(status) else { return false }
        switch status.kind {
        case .directory: return DirectoryListing.names(of: path).isEmpty
        case .file: return status.size <= 2
        case .other: return status.isSocket
        case .link, .characterDevice: return false
        }
    }

    private static func isDated(_ status: FileStatus) -> Bool {
        status.modified == date && status.mode & 0o222 == 0
    }

    /// Makes those that are missing and starts their keeper. A name in a directory that is not writable is left out:
    /// nothing inside can make it either.
    static func make(
        _ wanted: [Plan.Placeholder], in project: AbsolutePath
    ) throws(SessionError) -> Placeholders {
        let step = "protect what is not in \(project) yet"
        do throws(KernelError) {
            let directory = try Descriptor.open(project.string, O_RDONLY | O_DIRECTORY)
            // Waits while the last session before this one removes its own.
            try check("flock", retry { box_flock(directory.number, LOCK_SH) }, project.string)
            var unneeded: Set<AbsolutePath> = []
            var made: [AbsolutePath] = []
            for placeholder in wanted {
                if try make(placeholder) {
                    made.append(placeholder.path)
                } else {
                    unneeded.insert(placeholder.path)
                }
            }
            return try Placeholders(keeping: made, unneeded: unneeded, lock: directory)
        } catch {
            let advice = "Make the directory writable (chmod u+w), or use --workspace none"
            throw SessionError(step: step, error, hint: error.code == EACCES ? advice : "")
        }
    }

    /// Makes one, unless it is there; false if its directory is not writable.
    private static func make(_ placeholder: Plan.Placeholder) throws(KernelError) -> Bool {
        let path = placeholder.path.string
        var code: CInt
        switch placeholder.content {
        case .directory: code = unsafe mkdir(path, 0o555) == 0 ? 0 : errno
        case .socket:
            code = unsafe mknod(path, S_IFSOCK | 0o444, 0) == 0 ? 0 : errno
            // A file system without special files has directories.
            if code == EPERM || code == EOPNOTSUPP || code == EINVAL {
                code = unsafe mkdir(path, 0o555) == 0 ? 0 : errno
            }
        case .file(let content): code = try makeFile(path, content)
        }
        switch code {
        case 0: break
        case EEXIST: return true
        case EROFS: return false
        // Its owner can make it writable, and so could the command, which runs as the same user: not for others'.
        case EACCES where try isOthers(placeholder.path.parent): return false
        default: throw KernelError(call: "mknod", code: code, subject: path)
        }
        let times = [timespec(tv_sec: date, tv_nsec: 0), timespec(tv_sec: date, tv_nsec: 0)]
        try check("utimensat", unsafe utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), path)
        return true
    }

    /// Whether a directory belongs to someone else, so that nothing inside can change its mode.
    private static func isOthers(_ directory: AbsolutePath) throws(KernelError) -> Bool {
        let owner = try FileStatus.of(directory.string, following: false).uid
        return geteuid() != 0 && owner != geteuid()
    }

    private static func makeFile(_ path: String, _ content: String) throws(KernelError) -> CInt {
        let file: Descriptor
        do throws(KernelError) {
            file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o444)
        } catch { return error.code }
        try file.write(all: Array(content.utf8))
        return 0
    }

    private init(
        keeping made: [AbsolutePath], unneeded: Set<AbsolutePath>, lock: consuming Descriptor
    ) throws(KernelError) {
        self.unneeded = unneeded
        self.made = made
        guard !made.isEmpty else {
            keeper = -1
            return
        }
        let pipe = try Pipe()
        let pid = try check("fork", fork())
        if pid == 0 { Placeholders.keep(made, lock: lock.number, until: pipe.numbers().read) }
        keeper = pid
        alive = pipe.keepWrite()
        self.lock = .some(consume lock)
    }

    /// In the keeper: waits for box to be gone, then removes every placeholder, unless another session is there.
    private static func keep(_ made: [AbsolutePath], lock: CInt, until pipe: CInt) -> Never {
        // Signals of the user's terminal are for box and its command.
        _ = setsid()
        let null = unsafe open("/dev/null", O_RDWR)
        for number in CInt(0)..<3 { _ = box_dup3(null, number, 0) }
        // All others go, above all the pipe's own write end, whose closing it waits for.
        let (low, high) = (min(lock, pipe), max(lock, pipe))
        for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, CInt.max)] where first <= last {
            guard box_close_range(UInt32(first), UInt32(last), 0) < 0 else { continue }
            // Linux before 5.9: one by one.
            for number in first...min(last, CInt(sysconf(CInt(_SC_OPEN_MAX)))) { close(number) }
        }
        var byte: UInt8 = 0
        // A byte says that box has done it itself.
        if retry({ unsafe read(pipe, &byte, 1) }) == 0 { remove(made, lock: lock) }
        _exit(0)
    }

    /// Removes every placeholder, unless another session is there: its shared lock refuses this one's, and it removes
    /// them when it ends.
    private static func remove(_ made: [AbsolutePath], lock: CInt) {
        guard box_flock(lock, LOCK_EX | LOCK_NB) == 0 else { return }
        for path in made.reversed() {
            guard let status = try? FileStatus.of(path.string, following: false), isDated(status)
            else { continue }
            // A directory that someone has put something into stays: rmdir(2) takes empty ones only.
            _ = unsafe status.kind == .directory ? rmdir(path.string) : unlink(path.string)
        }
    }

    /// Removes them; the keeper need not.
    mutating func release() {
        guard let lock = lock.take() else { return }
        Placeholders.remove(made, lock: lock.number)
        _ = try? alive?.write(all: [1])
        alive = nil
    }

    /// Waits until the keeper is gone.
    consuming func wait() {
        guard keeper > 0 else { return }
        var status: CInt = 0
        _ = retry { unsafe waitpid(keeper, &status, 0) }
    }
}
