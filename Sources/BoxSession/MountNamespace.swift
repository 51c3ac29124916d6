internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The way to a sandbox's mounts, kept by the supervisor of a session that works in the project itself.
///
/// Opened while the first process may still be looked at: later it is not dumpable, and the kernel refuses.
struct MountNamespace: ~Copyable {
    private let user: Descriptor
    private let mounts: Descriptor

    /// Opens the namespaces of a child that was not reaped yet: otherwise its number may already be another's.
    init(of process: CInt) throws(KernelError) {
        let user = try Identity.openNamespace(of: process)
        mounts = try Descriptor.open("/proc/\(process)/ns/mnt", O_RDONLY)
        self.user = user
    }

    /// Makes a file that took the place of a protected one read-only inside.
    borrowing func protect(_ path: AbsolutePath) throws(SessionError) {
        let step = "protect \(path) inside"
        let change: ChildChange
        do throws(KernelError) {
            let executable = try Descriptor.open("/proc/self/exe", O_RDONLY)
            var start = Child.Start(
                .file(executable.number, arguments: ["box", "__protect", path.string]), namespaces: false)
            start.inherit = [user.number, mounts.number]
            var child = try Child(starting: start)
            try child.letGo()
            change = try child.wait()
        } catch { throw SessionError(step: step, error) }
        switch change {
        case .exited(0): return
        case .exited(let code):
            throw SessionError(step: step, KernelError(call: "__protect", code: code, subject: path.string))
        default: throw SessionError(step: step, reason: "box __protect ended unexpectedly (\(change))")
        }
    }
}
