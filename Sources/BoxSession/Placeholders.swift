internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Stand-ins on the host for protected names that do not exist in a direct workspace, so that there is something
/// to mount over.
///
/// box removes them when the sandbox is gone. If box itself is killed, a process of their own does that: a pipe tells
/// it. A placeholder is known by what it is (empty or with its fixed content, dated to the beginning of time, a file
/// write-protected, a directory with the sticky bit), so one that a power failure left behind is recognised and removed
/// by the next session. Sessions of one project share them by a lock on the project's directory; the last one out
/// removes them.
///
/// Directories are not deleted but moved to a stock in the state directory, where that is on the same file system: ext4
/// takes a hundred times as long to free a directory as to move one.
struct Placeholders: ~Copyable {
    private var keeper: CInt = -1
    /// The names that could not be made because their directory is not writable.
    let unneeded: Set<AbsolutePath>
    private let made: [AbsolutePath]
    /// Where directories wait for the next session.
    private let stock: String
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
        guard status.modified == date else { return false }
        return status.kind == .directory ? status.mode & sticky != 0 : status.mode & 0o222 == 0
    }

    private static let sticky: UInt32 = 0o1000

    /// Makes those that are missing. A name in a directory that is not writable is left out: nothing inside can make it
    /// either.
    static func make(
        _ wanted: [Plan.Placeholder], in project: AbsolutePath, stock: String
    ) throws(SessionError) -> Placeholders {
        let step = "protect what is not in \(project) yet"
        do throws(KernelError) {
            let directory = try Descriptor.open(project.string, O_RDONLY | O_DIRECTORY)
            // Waits while the last session before this one removes its own.
            try check("flock", retry { box_flock(directory.number, LOCK_SH) }, project.string)
            var unneeded: Set<AbsolutePath> = []
            var made: [AbsolutePath] = []
            for placeholder in wanted {
                if try make(placeholder, stock) {
                    made.append(placeholder.path)
                } else {
                    unneeded.insert(placeholder.path)
                }
            }
            return Placeholders(made, stock, unneeded: unneeded, lock: directory)
        } catch {
            let advice = "Make the directory writable (chmod u+w), or use --workspace none"
            throw SessionError(step: step, error, hint: error.code == EACCES ? advice : "")
        }
    }

    /// Makes one, unless it is there; false if its directory is not writable.
    private static func make(_ placeholder: Plan.Placeholder, _ stock: String) throws(KernelError) -> Bool {
        let path = placeholder.path.string
        var code: CInt
        switch placeholder.content {
        case .directory:
            // One from the stock has its date still.
            if move(stock + "/" + name(of: placeholder.path), to: path) { return true }
            code = unsafe mkdir(path, 0o755 | sticky) == 0 ? 0 : errno
        case .socket:
            code = unsafe mknod(path, S_IFSOCK | 0o444, 0) == 0 ? 0 : errno
            // A file system without special files has directories.
            if code == EPERM || code == EOPNOTSUPP || code == EINVAL {
                code = unsafe mkdir(path, 0o755 | sticky) == 0 ? 0 : errno
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

    /// Moves a directory to a name that is free.
    private static func move(_ from: String, to path: String) -> Bool {
        unsafe box_rename_noreplace(from, path) == 0
    }

    private static func name(of path: AbsolutePath) -> String { path.components.last.map(String.init) ?? "" }

    private init(
        _ made: [AbsolutePath], _ stock: String, unneeded: Set<AbsolutePath>, lock: consuming Descriptor
    ) {
        self.unneeded = unneeded
        self.made = made
        self.stock = stock
        self.lock = made.isEmpty ? nil : .some(consume lock)
    }

    /// Starts their keeper.
    mutating func keep() throws(SessionError) {
        guard let number = lock?.number else { return }
        do throws(KernelError) {
            let pipe = try Pipe()
            let pid = try check("fork", fork())
            if pid == 0 { Placeholders.keep(made, stock, lock: number, until: pipe.numbers().read) }
            keeper = pid
            alive = pipe.keepWrite()
        } catch { throw SessionError(step: "protect what is not in the project yet", error) }
    }

    /// In the keeper: waits for box to be gone, then removes every placeholder, unless another session is there.
    private static func keep(_ made: [AbsolutePath], _ stock: String, lock: CInt, until pipe: CInt) -> Never {
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
        if retry({ unsafe read(pipe, &byte, 1) }) == 0 { remove(made, stock, lock: lock) }
        _exit(0)
    }

    /// Removes every placeholder, unless another session is there: its shared lock refuses this one's, and it removes
    /// them when it ends.
    private static func remove(_ made: [AbsolutePath], _ stock: String, lock: CInt) {
        guard box_flock(lock, LOCK_EX | LOCK_NB) == 0 else { return }
        for path in made.reversed() {
            guard let status = try? FileStatus.of(path.string, following: false), isDated(status)
            else { continue }
            if status.kind == .directory {
                putAway(path, stock)
            } else {
                _ = unsafe unlink(path.string)
            }
        }
    }

    /// Moves a directory to the stock, or removes it. One that someone has put something into stays: it has another date,
    /// and rmdir(2) takes empty ones only.
    private static func putAway(_ path: AbsolutePath, _ stock: String) {
        let place = stock + "/" + name(of: path)
        if !move(path.string, to: place) {
            guard errno == ENOENT, unsafe mkdir(stock, 0o700) == 0, move(path.string, to: place) else {
                _ = unsafe rmdir(path.string)
                return
            }
        }
        // Something may have been put into it at the last moment.
        guard let moved = try? FileStatus.of(place, following: false), !isDated(moved) else { return }
        _ = move(place, to: path.string)
    }

    /// Removes them; the keeper need not.
    mutating func release() {
        guard let lock = lock.take() else { return }
        Placeholders.remove(made, stock, lock: lock.number)
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
