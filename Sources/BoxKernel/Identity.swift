internal import CLinux
internal import Glibc

/// One id of a user namespace: what it is called inside, and which id of the parent namespace it is.
package struct IdentityMapping: Hashable, Sendable {
    package let inside: UInt32
    package let outside: UInt32

    package init(inside: UInt32, outside: UInt32) {
        self.inside = inside
        self.outside = outside
    }

    /// The line of `uid_map` or `gid_map`.
    fileprivate var line: String { "\(inside) \(outside) 1\n" }
}

/// The ids of a process in a user namespace of its own (user_namespaces(7)).
package enum Identity {
    /// Gives a child that was started in a new user namespace its one user and one group, from outside.
    ///
    /// `setgroups` is denied first: the kernel wants that of an unprivileged writer, and otherwise a process
    /// inside could drop a group that a file denies access to. Outside id 0 is refused here (`EPERM`) whoever
    /// asks: a namespace that maps it owns what root owns.
    package static func write(
        user: IdentityMapping, group: IdentityMapping, for process: CInt
    ) throws(KernelError) {
        try refuseRoot(user, group)
        try write("deny", to: "/proc/\(process)/setgroups")
        try write(user.line, to: "/proc/\(process)/uid_map")
        try write(group.line, to: "/proc/\(process)/gid_map")
    }

    /// Opens the user namespace that a process is in. The process must be a child that was not reaped yet:
    /// otherwise its number may already be another's.
    package static func openNamespace(of process: CInt) throws(KernelError) -> Descriptor {
        try Descriptor.open("/proc/\(process)/ns/user", O_RDONLY)
    }

    /// Makes a user namespace with these ids and no process in it, for an id-mapped mount: files of `inside`
    /// on the disk appear as files of `outside`. The same refusal of outside id 0 holds.
    package static func makeNamespace(
        user: IdentityMapping, group: IdentityMapping
    ) throws(KernelError) -> Descriptor {
        try refuseRoot(user, group)
        let number = box_user_namespace(user.inside, user.outside, group.inside, group.outside)
        return Descriptor(owning: try check("clone(CLONE_NEWUSER)", number, "id-mapped mount"))
    }

    private static func refuseRoot(_ user: IdentityMapping, _ group: IdentityMapping) throws(KernelError) {
        guard user.outside != 0, group.outside != 0 else {
            throw KernelError(call: "write", code: EPERM, subject: "an id map that reaches id 0 outside")
        }
    }

    /// The kernel takes a map in one write or not at all.
    private static func write(_ text: String, to path: String) throws(KernelError) {
        let file = try Descriptor.open(path, O_WRONLY)
        let bytes = Array(text.utf8)
        do throws(KernelError) {
            guard try file.write(some: bytes[...]) == bytes.count else {
                throw KernelError(call: "write", code: EIO)
            }
        } catch { throw KernelError(call: error.call, code: error.code, subject: path) }
    }
}
