import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

struct IdentityTests {
    /// The id that the calling user may map: its own, or for root another one.
    static func outside(_ launch: Launch) -> (user: UInt32, group: UInt32) {
        launch == .root ? (Launch.otherUser, Launch.otherUser) : (getCurrentUser(), getCurrentGroup())
    }

    @Test(.enabled(if: Host.canMakeUserNamespaces), arguments: Launch.available)
    func `a child has one user and one group, and can't change its groups`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            // All in a child of its own, so that its files in /proc belong to the user it becomes.
            let ending = try inChild {
                try launch.become()
                try check("prctl", box_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
                let outside = IdentityTests.outside(launch)
                let (unshared, go) = (try PipeEnds(), try PipeEnds())
                let child = try startChild {
                    try check("unshare", box_unshare(CInt(BOX_CLONE_NEWUSER)))
                    try unshared.give()
                    guard go.take() else { return 1 }
                    return try IdentityTests.checkInside(outside.user, outside.group)
                }
                guard unshared.take() else { return 90 }
                try Identity.write(
                    user: IdentityMapping(inside: 1000, outside: outside.user),
                    group: IdentityMapping(inside: 1001, outside: outside.group), for: child)
                let namespace = try Identity.openNamespace(of: child)
                guard fcntl(namespace.number, F_GETFD) == FD_CLOEXEC else { return 91 }
                try go.give()
                guard case .exited(let code) = try wait(for: child) else { return 92 }
                return code
            }
            #expect(ending == .exited(0))
        }
    }

    /// What the child finds in its namespace: a number that says what is wrong, or 0.
    private static func checkInside(_ user: UInt32, _ group: UInt32) throws -> CInt {
        // Root's child still has an id that is not mapped; the others have this one already.
        try check("setresgid", box_setresgid(1001))
        try check("setresuid", box_setresuid(1000))
        guard getCurrentUser() == 1000, getCurrentGroup() == 1001 else { return 2 }
        let users = try contents("/proc/self/uid_map").split(whereSeparator: \.isWhitespace)
        let groups = try contents("/proc/self/gid_map").split(whereSeparator: \.isWhitespace)
        guard users == ["1000", "\(user)", "1"], groups == ["1001", "\(group)", "1"] else { return 3 }
        guard box_setresuid(0) == -1, errno == EINVAL else { return 4 }
        // It has CAP_SETGID here: what refuses is the denial of setgroups.
        guard try Capabilities.current().effective != 0 else { return 5 }
        return box_setgroups0() == -1 && errno == EPERM ? 0 : 6
    }

    @Test(arguments: [(0 as UInt32, 5 as UInt32), (5, 0)])
    func `outside id 0 is never mapped, whoever asks`(user: UInt32, group: UInt32) {
        let subject = "an id map that reaches id 0 outside"
        let expected = KernelError(call: "write", code: EPERM, subject: subject)
        let user = IdentityMapping(inside: 1, outside: user)
        let group = IdentityMapping(inside: 1, outside: group)
        let written = errorOf { () throws(KernelError) in
            try Identity.write(user: user, group: group, for: getpid())
        }
        let made = errorOf { () throws(KernelError) in
            _ = try Identity.makeNamespace(user: user, group: group)
        }
        #expect(written == expected)
        #expect(made == expected)
    }

    @Test func `a process that does not exist is an error with its path`() {
        let mapping = IdentityMapping(inside: 1, outside: 1)
        let error = errorOf { () throws(KernelError) in
            try Identity.write(user: mapping, group: mapping, for: CInt.max)
        }
        #expect(error == KernelError(call: "open", code: ENOENT, subject: "/proc/\(CInt.max)/setgroups"))
    }

    @Test(.enabled(if: Host.canMakeUserNamespaces), arguments: Launch.available)
    func `a namespace for a mount has its ids and leaves no process`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            let ending = try inChild {
                try launch.become()
                try check("prctl", box_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
                let outside = IdentityTests.outside(launch)
                let namespace = try Identity.makeNamespace(
                    user: IdentityMapping(inside: 7, outside: outside.user),
                    group: IdentityMapping(inside: 8, outside: outside.group))
                var status: CInt = 0
                let wall: CInt = 0x4000_0000
                guard unsafe waitpid(-1, &status, wall) == -1, errno == ECHILD else { return 1 }
                try check("setns", box_setns(namespace.number, CInt(BOX_CLONE_NEWUSER)))
                let users = try contents("/proc/self/uid_map").split(whereSeparator: \.isWhitespace)
                let groups = try contents("/proc/self/gid_map").split(whereSeparator: \.isWhitespace)
                guard users == ["7", "\(outside.user)", "1"] else { return 2 }
                guard groups == ["8", "\(outside.group)", "1"] else { return 3 }
                return try contents("/proc/self/setgroups") == "deny\n" ? 0 : 4
            }
            #expect(ending == .exited(0))
        }
    }

    @Test(.enabled(if: Host.canMakeUserNamespaces))
    func `an id that is not the user's own can't be mapped by a user`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                try Launch.user.become()
                try check("prctl", box_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
                let foreign = IdentityMapping(inside: 0, outside: getCurrentUser() &- 7)
                let own = IdentityMapping(inside: 0, outside: getCurrentGroup())
                return errnoOf { () throws(KernelError) in
                    _ = try Identity.makeNamespace(user: foreign, group: own)
                }
            }
            #expect(ending == .exited(EPERM))
        }
    }

    @Test(.enabled(if: canMapMounts))
    func `a root-owned directory belongs to the unprivileged id through an id-mapped mount`() async {
        await #expect(processExitsWith: .success) {
            let scratch = try Scratch()
            let directory = try scratch.folder.directory("project")
            let ending = try inChild {
                let mapping = IdentityMapping(inside: 0, outside: Launch.otherUser)
                let namespace = try Identity.makeNamespace(user: mapping, group: mapping)
                let tree = try unsafe check(
                    "open_tree", box_open_tree(AT_FDCWD, directory.string, BOX_OPEN_TREE_CLONE))
                try check("mount_setattr", box_mount_setattr(tree, 0, 0, 0, namespace.number))
                var status = stat()
                try unsafe check("fstatat", fstatat(tree, ".", &status, 0))
                guard status.st_uid == Launch.otherUser else { return 1 }
                try Launch.user.become()
                _ = try Descriptor.open("new", O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, at: tree)
                return 0
            }
            #expect(ending == .exited(0))
            var status = stat()
            try unsafe check("stat", stat(directory.string + "/new", &status))
            #expect(status.st_uid == 0 && status.st_gid == 0)
        }
    }
}

/// Root, and a file system below `/tmp` that takes id-mapped mounts (tmpfs since Linux 6.3).
private let canMapMounts: Bool = {
    guard Host.isRoot else { return false }
    do {
        let scratch = try Scratch()
        let mapping = IdentityMapping(inside: 0, outside: Launch.otherUser)
        let namespace = try Identity.makeNamespace(user: mapping, group: mapping)
        let number = unsafe box_open_tree(AT_FDCWD, scratch.folder.path.string, BOX_OPEN_TREE_CLONE)
        let tree = Descriptor(owning: try check("open_tree", number))
        return box_mount_setattr(tree.number, 0, 0, 0, namespace.number) == 0
    } catch { return false }
}()

// Read again each time: threads of the test process have ids of their own.
private func getCurrentUser() -> UInt32 { geteuid() }
private func getCurrentGroup() -> UInt32 { getegid() }
