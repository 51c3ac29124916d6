internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Stand-ins on the host for protected names that do not exist in a direct workspace, so that there is something
/// to mount over.
///
/// They are held by a process of their own, which removes them as soon as box is gone, however it went: a pipe
/// tells it. A placeholder is known by what it is (empty or with its fixed content, write-protected, dated to the
/// beginning of time), so one that a power failure left behind is recognised and removed by the next session.
/// Sessions of one project share them by a lock; the last one out removes them.
struct Placeholders: ~Copyable {
    private let keeper: CInt
    /// The names that could not be made because their directory is not writable.
    let unneeded: Set<AbsolutePath>
    /// Its end of file tells the keeper that box is gone.
    private var alive: Descriptor?

    /// The date of every placeholder, in seconds: no file that someone wrote has it.
    private static let date = 0

    /// Whether a path holds a placeholder.
    static func isPlaceholder(_ path: String, _ status: FileStatus) -> Bool {
        guard status.modified == date, status.mode & 0o222 == 0 else { return false }
        switch status.kind {
        case .directory: return DirectoryListing.names(of: path).isEmpty
        case .file: return status.size <= 2
        case .link, .characterDevice, .other: return false
        }
    }

    /// Makes those that are missing and starts their keeper. A name in a directory that is not
    /// writable is left out: nothing inside can make it either.
    static func make(
        _ wanted: [Plan.Placeholder]
    ) throws(SessionError) -> Placeholders {
        var unneeded: Set<AbsolutePath> = []
        var held: [(AbsolutePath, CInt)] = []
        for placeholder in wanted {
            do throws(KernelError) {
                held.append((placeholder.path, try hold(placeholder)))
            } catch {
                guard error.code == EACCES || error.code == EROFS || error.code == EPERM else {
                    throw SessionError(step: "protect \(placeholder.path)", error)
                }
                unneeded.insert(placeholder.path)
            }
        }
        return try Placeholders(holding: held, unneeded: unneeded)
    }

    /// Makes one, or takes part in one that another session holds; returns a descriptor with a shared lock.
    private static func hold(_ placeholder: Plan.Placeholder) throws(KernelError) -> CInt {
        let path = placeholder.path.string
        for _ in 0..<100 {
            switch placeholder.content {
            case .directory:
                if unsafe mkdir(path, 0o555) != 0, errno != EEXIST {
                    throw KernelError(call: "mkdir", code: errno, subject: path)
                }
            case .file(let content): try makeFile(path, content)
            }
            let file: Descriptor
            do throws(KernelError) {
                file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            } catch {
                if error.code == ENOENT { continue }
                throw error
            }
            try check("flock", box_flock(file.number, LOCK_SH), path)
            let status = try FileStatus.of(file.number)
            // The last session to hold it may have removed it just before the lock was had.
            guard let present = try? FileStatus.of(path, following: false), present == status else {
                continue
            }
            if status.modified != date { try setDate(file, path) }
            return file.release()
        }
        throw KernelError(call: "placeholder", code: EBUSY, subject: path)
    }

    private static func setDate(_ file: borrowing Descriptor, _ path: String) throws(KernelError) {
        let times = [timespec(tv_sec: date, tv_nsec: 0), timespec(tv_sec: date, tv_nsec: 0)]
        try check("futimens", unsafe futimens(file.number, times), path)
    }

    private static func makeFile(_ path: String, _ content: String) throws(KernelError) {
        let file: Descriptor
        do throws(KernelError) {
            file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o444)
        } catch {
            if error.code == EEXIST { return }
            throw error
        }
        try file.write(all: Array(content.utf8))
    }

    private init(
        holding held: [(AbsolutePath, CInt)], unneeded: Set<AbsolutePath>
    ) throws(SessionError) {
        self.unneeded = unneeded
        do throws(KernelError) {
            guard !held.isEmpty else {
                keeper = -1
                alive = nil
                return
            }
            let pipe = try Pipe()
            let pid = try check("fork", fork())
            if pid == 0 { Placeholders.keep(held, until: pipe.read.number) }
            for (_, number) in held { close(number) }
            keeper = pid
            alive = pipe.keepWrite()
        } catch { throw SessionError(step: "keep the placeholders", error) }
    }

    /// In the keeper: waits for box to be gone, then removes every placeholder that no other session holds.
    private static func keep(_ held: [(AbsolutePath, CInt)], until pipe: CInt) -> Never {
        // Signals of the user's terminal are for box and its command.
        _ = setsid()
        var keep = Set(held.map(\.1))
        keep.insert(pipe)
        for number in CInt(0)..<1024 where !keep.contains(number) { close(number) }
        var byte: UInt8 = 0
        _ = retry { unsafe read(pipe, &byte, 1) }
        for (path, number) in held.reversed() {
            // Another session holds it: that one removes it.
            guard box_flock(number, LOCK_EX | LOCK_NB) == 0 else { continue }
            guard let status = try? FileStatus.of(path.string, following: false),
                let own = try? FileStatus.of(number), status == own, isPlaceholder(path.string, status)
            else { continue }
            _ = unsafe status.kind == .directory ? rmdir(path.string) : unlink(path.string)
        }
        _exit(0)
    }

    /// Lets the keeper remove them, and waits until it has.
    mutating func release() {
        guard let alive = alive.take() else { return }
        _ = consume alive
        var status: CInt = 0
        _ = retry { unsafe waitpid(keeper, &status, 0) }
    }
}
