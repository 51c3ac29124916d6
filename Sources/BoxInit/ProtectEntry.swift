internal import BoxKernel
internal import CLinux
internal import Glibc

/// The entry of `box __protect PATH…`: enters the namespaces of a sandbox that works in the project itself, makes files
/// read-only there, and ends.
///
/// A file that is replaced on the host (by `box allow`, by an editor) loses the mount that protected its name. Nothing
/// of the sandbox is run or read, and what is inside cannot see this process: it stays in the host's pid namespace.
package enum ProtectEntry {
    /// Where it finds the two namespaces: the only descriptors it is born with.
    private static let userNamespace: CInt = 3
    private static let mountNamespace: CInt = 4

    /// Runs to the end of the process; its status is the errno of what failed.
    package static func run() -> Never {
        let paths = CommandLine.arguments.dropFirst(2)
        let user = Descriptor(owning: userNamespace)
        let mounts = Descriptor(owning: mountNamespace)
        do throws(KernelError) {
            try ProcessAttributes.setDumpable(false)
            try ProcessAttributes.setParentDeathSignal(SIGKILL)
            // The user namespace first: its owner has all capabilities in it, and so in the other one.
            try check("setns", box_setns(user.number, Int32(bitPattern: 0x1000_0000)), "user namespace")
            try check("setns", box_setns(mounts.number, Int32(bitPattern: 0x0002_0000)), "mount namespace")
            for path in paths { try protect(path) }
            _exit(0)
        } catch { _exit(error.code) }
    }

    private static func protect(_ path: String) throws(KernelError) {
        let place = try Descriptor.open(path, BOX_O_PATH | O_NOFOLLOW)
        guard try FileStatus.of(place.number).kind == .file else {
            throw KernelError(call: "protect", code: ELOOP, subject: path)
        }
        let mount = try Mounts.clone("", at: place.number, recursive: false)
        try Mounts.set([.readOnly, .noSUID, .noDevices], on: mount, recursive: false)
        try Mounts.attach(mount, on: place, path)
    }
}
