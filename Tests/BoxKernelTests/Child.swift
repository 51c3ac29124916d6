import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

// Swift's Glibc module hides fork, because a child of a process with threads may only do little. Here it is
// called in the process of an exit test, whose other threads are idle, and glibc keeps malloc usable.
@_silgen_name("fork") private func forkProcess() -> CInt

/// How a child ended.
enum Ending: Equatable {
    case exited(CInt)
    case killed(CInt)
}

/// Runs `body` in a forked child, which has one thread, and returns how it ended. Only for exit tests.
func inChild(_ body: () throws -> CInt) throws -> Ending {
    try wait(for: try startChild(body))
}

/// Forks; the child runs `body` and exits with its result.
func startChild(_ body: () throws -> CInt) throws -> CInt {
    let pid = forkProcess()
    guard pid == 0 else { return try check("fork", pid) }
    // The threads of the test library block signals.
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigprocmask(SIG_SETMASK, &none, nil)
    do { _exit(try body()) } catch {
        let text = Array("child: \(error)\n".utf8)
        unsafe write(STDERR_FILENO, text, text.count)
        _exit(99)
    }
}

/// Reaps a child.
func wait(for pid: CInt) throws -> Ending {
    var status: CInt = 0
    try check("waitpid", retry { unsafe waitpid(pid, &status, 0) })
    return box_wifexited(status) != 0 ? .exited(box_wexitstatus(status)) : .killed(box_wtermsig(status))
}

/// As whom a test does what it tries.
enum Launch: String, Codable, Sendable, CaseIterable {
    case root, user

    /// Both where the tests run as root, otherwise the user who runs them.
    static let available: [Launch] = geteuid() == 0 ? [.root, .user] : [.user]
    /// The id that root's tests take on as an ordinary user.
    static let otherUser: UInt32 = 65534

    /// Makes the calling thread the ordinary user where it should be one; other threads keep their ids.
    func become() throws {
        guard self == .user, geteuid() == 0 else { return }
        try check("setgroups", box_setgroups0())
        try check("setresgid", box_setresgid(Launch.otherUser))
        try check("setresuid", box_setresuid(Launch.otherUser))
    }
}

/// What this host lets the tests try.
enum Host {
    static let isRoot = geteuid() == 0
    static let landlockABI = LandlockSupport.probe().number
    /// Users may lack the permission by a sysctl or AppArmor.
    static let canMakeUserNamespaces = succeeds(["/usr/bin/unshare", "--user", "/bin/true"])

    private static func succeeds(_ arguments: [String]) -> Bool {
        do { return try run(arguments) == .exited(0) } catch { return false }
    }
}

/// A directory in which a test makes its files.
struct Folder {
    let path: AbsolutePath

    init(_ path: String) throws { self.path = try AbsolutePath(path) }

    /// Makes a directory that every user may write.
    func directory(_ name: String) throws -> AbsolutePath {
        let directory = try path.appending(name)
        try unsafe check("mkdir", mkdir(directory.string, 0o777))
        try unsafe check("chmod", chmod(directory.string, 0o777))
        return directory
    }

    /// Makes a file that every user may write.
    func file(_ name: String, _ text: String = "text") throws -> AbsolutePath {
        let file = try path.appending(name)
        try Descriptor.open(file.string, O_WRONLY | O_CREAT | O_EXCL, mode: 0o666).write(
            all: Array(text.utf8))
        try unsafe check("chmod", chmod(file.string, 0o666))
        return file
    }
}

/// A folder of its own for one test, readable for all. Who makes it must be able to remove it: a test that
/// gives up rights in its process makes it outside and hands the path in.
struct Scratch: ~Copyable {
    let folder: Folder

    init() throws {
        var template = Array("/tmp/box-kernel-test.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw KernelError(call: "mkdtemp", code: errno) }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try unsafe check("chmod", chmod(path, 0o755))
        folder = try Folder(path)
    }

    /// Ends the folder; a test that hands its path to a process calls this last.
    consuming func remove() {}

    deinit { removeTree(folder.path.string) }
}

private func removeTree(_ path: String) {
    guard let directory = unsafe opendir(path) else {
        unsafe unlink(path)
        return
    }
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafePointer(to: entry.pointee.d_name) {
            unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        }
        if name != ".", name != ".." { removeTree(path + "/" + name) }
    }
    unsafe closedir(directory)
    unsafe rmdir(path)
}

/// The errno of an attempt, 0 if it succeeded.
func errnoOf(_ body: () throws(KernelError) -> Void) -> CInt {
    do throws(KernelError) { try body() } catch { return error.code }
    return 0
}

/// The error of an attempt, nil if it succeeded.
func errorOf(_ body: () throws(KernelError) -> Void) -> KernelError? {
    do throws(KernelError) { try body() } catch { return error }
    return nil
}

/// Opens and closes a file.
func attempt(_ path: AbsolutePath, _ flags: CInt) -> CInt {
    errnoOf { () throws(KernelError) in _ = try Descriptor.open(path.string, flags, mode: 0o666) }
}

/// Reads a whole small file.
func contents(_ path: String) throws -> String {
    String(decoding: try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 20), as: UTF8.self)
}

/// Runs a program to its end with the credentials of the calling thread.
func run(_ arguments: [String]) throws -> Ending {
    var pid: pid_t = 0
    var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    let code = unsafe posix_spawn(&pid, arguments[0], nil, nil, &pointers, nil)
    guard code == 0 else { throw KernelError(call: "posix_spawn", code: code, subject: arguments[0]) }
    return try wait(for: pid)
}

/// A pipe as bare numbers, for processes that share it by fork and end soon.
struct PipeEnds {
    let read: CInt
    let write: CInt

    init() throws {
        var ends: [CInt] = [-1, -1]
        try unsafe check("pipe2", box_pipe2(&ends, O_CLOEXEC))
        (read, write) = (ends[0], ends[1])
    }

    /// Waits for one byte: whether it came before the end of the file.
    func take() -> Bool {
        var byte: UInt8 = 0
        return retry { unsafe Glibc.read(read, &byte, 1) } == 1
    }

    /// Writes one byte.
    func give() throws {
        var byte: UInt8 = 1
        try check("write", unsafe Glibc.write(write, &byte, 1))
    }
}
