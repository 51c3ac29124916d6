import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

struct LandlockTests {
    @Test(arguments: [(0, 0), (1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (8, 16), (9, 17), (12, 17)])
    func `each ABI handles the rights that came with it and before`(abi: Int, count: Int) {
        #expect(LandlockAccess.handled(abi: abi).rawValue == UInt64(1) << UInt64(count) - 1)
    }

    @Test func `scopes exist from ABI 6 on`() {
        #expect(LandlockScope.available(abi: 5) == [])
        #expect(LandlockScope.available(abi: 6) == [.abstractUnixSocket, .signal])
    }

    @Test(.enabled(if: Host.landlockABI > 0))
    func `a right that the kernel does not have is refused by name`() throws {
        let beyond = try #require(LandlockAccess.table.first { $0.abi > Host.landlockABI })
        let ruleset = LandlockRuleset(handling: [.readFile, beyond.right])
        let subject =
            "\(beyond.name): needs Landlock ABI \(beyond.abi), the kernel has \(Host.landlockABI)"
        let error = errorOf { () throws(KernelError) in _ = try ruleset.create() }
        #expect(error == KernelError(call: "landlock", code: EOPNOTSUPP, subject: subject))
    }

    @Test(.enabled(if: Host.landlockABI > 0))
    func `a rule with a right that the ruleset does not handle is refused`() throws {
        let root = try Descriptor.open("/", BOX_O_PATH)
        var created = try LandlockRuleset(handling: [.readFile]).create()
        #expect(errnoOf { () throws(KernelError) in try created.allow([.writeFile], below: root) } == EINVAL)
    }

    @Test(.enabled(if: Host.landlockABI > 0))
    func `a rule that allows nothing is refused`() throws {
        let file = try Descriptor.open("/proc/self/status", O_RDONLY)
        var created = try LandlockRuleset(handling: [.readFile, .readDirectory]).create()
        #expect(
            errnoOf { () throws(KernelError) in try created.allow([.readDirectory], below: file) } == ENOMSG)
    }

    @Test(.enabled(if: Host.landlockABI > 0), arguments: Launch.available)
    func `what no rule allows is EACCES, as root and as a user`(launch: Launch) async throws {
        let scratch = try Scratch()
        let path = scratch.folder.path.string
        await #expect(processExitsWith: .success) { [launch, path = path as String] in
            let folder = try Folder(path)
            let (open, closed) = (try folder.directory("open"), try folder.directory("closed"))
            let secret = try folder.file("closed/secret")
            let readable = try folder.file("readable")
            try launch.become()
            // The control: everything works before.
            #expect(attempt(secret, O_RDONLY) == 0)
            #expect(attempt(readable, O_RDWR) == 0)
            let handled = LandlockAccess.handled(abi: Host.landlockABI)
            var created = try LandlockRuleset(handling: handled).create()
            try created.allow(handled, below: try Descriptor.open(open.string, BOX_O_PATH))
            // Rights of directories on a file: left out, the others hold.
            try created.allow(
                [.readFile, .readDirectory], below: try Descriptor.open(readable.string, BOX_O_PATH))
            try ProcessAttributes.setNoNewPrivileges()
            let report = try created.restrictSelf()
            #expect(
                report == LandlockReport(abi: Host.landlockABI, handled: handled, scopes: [], rules: 2))
            #expect(attempt(secret, O_RDONLY) == EACCES)
            #expect(attempt(secret, O_WRONLY) == EACCES)
            #expect(attempt(closed, O_RDONLY | O_DIRECTORY) == EACCES)
            #expect(attempt(readable, O_RDONLY) == 0)
            #expect(attempt(readable, O_WRONLY) == EACCES)
            #expect(attempt(open.appending(literal: "new"), O_RDWR | O_CREAT) == 0)
            #expect(attempt(closed.appending(literal: "new"), O_RDWR | O_CREAT) == EACCES)
            #expect(unsafe mkdir(closed.string + "/d", 0o700) == -1 && errno == EACCES)
            #expect(
                errorOf { () throws(KernelError) in _ = try Descriptor.open("/bin/true", O_RDONLY) }?.code
                    == EACCES)
        }
        scratch.remove()
    }

    @Test(.enabled(if: Host.landlockABI >= 2), arguments: Launch.available)
    func `a move between directories needs the right on both sides`(launch: Launch) async throws {
        let scratch = try Scratch()
        let path = scratch.folder.path.string
        await #expect(processExitsWith: .success) { [launch, path = path as String] in
            let folder = try Folder(path)
            let (one, two, three) = (
                try folder.directory("1"), try folder.directory("2"), try folder.directory("3")
            )
            _ = try folder.file("1/f")
            try launch.become()
            let handled = LandlockAccess.handled(abi: 2)
            var created = try LandlockRuleset(handling: handled).create()
            for directory in [one, two] {
                try created.allow(handled, below: try Descriptor.open(directory.string, BOX_O_PATH))
            }
            try created.allow(
                handled.subtracting(.refer), below: try Descriptor.open(three.string, BOX_O_PATH))
            try ProcessAttributes.setNoNewPrivileges()
            _ = try created.restrictSelf()
            #expect(unsafe rename(one.string + "/f", three.string + "/f") == -1 && errno == EXDEV)
            #expect(unsafe rename(one.string + "/f", two.string + "/f") == 0)
        }
        scratch.remove()
    }

    @Test(.enabled(if: Host.landlockABI >= 3), arguments: Launch.available)
    func `a file that may be written but not truncated keeps its text`(launch: Launch) async throws {
        let scratch = try Scratch()
        let path = scratch.folder.path.string
        await #expect(processExitsWith: .success) { [launch, path = path as String] in
            let folder = try Folder(path)
            let file = try folder.file("f")
            try launch.become()
            var created = try LandlockRuleset(handling: [.readFile, .writeFile, .truncate]).create()
            try created.allow([.readFile, .writeFile], below: try Descriptor.open(file.string, BOX_O_PATH))
            try ProcessAttributes.setNoNewPrivileges()
            _ = try created.restrictSelf()
            #expect(attempt(file, O_WRONLY | O_TRUNC) == EACCES)
            #expect(unsafe truncate(file.string, 0) == -1 && errno == EACCES)
            #expect(attempt(file, O_WRONLY) == 0)
            #expect(try contents(file.string) == "text")
        }
        scratch.remove()
    }

    @Test(.enabled(if: Host.landlockABI >= 5), arguments: Launch.available)
    func `ioctl on a device needs the right`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            // RNDGETENTCNT, which the device answers to everyone.
            let request: UInt = 0x8004_5200
            var count: CInt = 0
            let before = try Descriptor.open("/dev/urandom", O_RDONLY)
            #expect(unsafe ioctl(before.number, request, &count) == 0)
            var created = try LandlockRuleset(handling: [.readFile, .ioctlDevice]).create()
            try created.allow([.readFile], below: try Descriptor.open("/dev", BOX_O_PATH))
            try ProcessAttributes.setNoNewPrivileges()
            _ = try created.restrictSelf()
            let after = try Descriptor.open("/dev/urandom", O_RDONLY)
            #expect(unsafe ioctl(after.number, request, &count) == -1 && errno == EACCES)
        }
    }

    @Test(.enabled(if: Host.landlockABI > 0))
    func `a user without no_new_privs can't restrict itself`() async {
        await #expect(processExitsWith: .success) {
            try Launch.user.become()
            let created = try LandlockRuleset(handling: [.execute]).create()
            do throws(KernelError) {
                _ = try created.restrictSelf()
                Issue.record("restricted without no_new_privs")
            } catch { #expect(error == KernelError(call: "landlock_restrict_self", code: EPERM)) }
        }
    }

    @Test(.enabled(if: Host.landlockABI > 0))
    func `the seventeenth layer is E2BIG and loosens nothing`() async {
        await #expect(processExitsWith: .success) {
            try ProcessAttributes.setNoNewPrivileges()
            func layer() throws(KernelError) {
                _ = try LandlockRuleset(handling: [.readFile]).create().restrictSelf()
            }
            for _ in 1...16 { try layer() }
            #expect(errnoOf { () throws(KernelError) in try layer() } == E2BIG)
            #expect(attempt(AbsolutePath(literal: "/etc/passwd"), O_RDONLY) == EACCES)
        }
    }
}

struct LandlockScopeTests {
    @Test(.enabled(if: Host.landlockABI >= 6), arguments: Launch.available)
    func `signals and abstract sockets stay inside`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            // A child of the same user outside the domain, which ends when the pipe does.
            let pipe = try PipeEnds()
            let outside = try startChild {
                close(pipe.write)
                return pipe.take() ? 1 : 7
            }
            let listener = try abstractListener("box-test-\(getpid())")
            let name = "box-test-\(getpid())"
            #expect(kill(outside, 0) == 0)
            #expect(connectAbstract(name) == 0)
            let created = try LandlockRuleset(handling: [], scopes: [.abstractUnixSocket, .signal]).create()
            try ProcessAttributes.setNoNewPrivileges()
            let report = try created.restrictSelf()
            #expect(report.scopes == [.abstractUnixSocket, .signal])
            #expect(kill(outside, SIGKILL) == -1 && errno == EPERM)
            #expect(connectAbstract(name) == EPERM)
            // Files are as before.
            #expect(attempt(AbsolutePath(literal: "/etc/passwd"), O_RDONLY) == 0)
            try listener.close()
            close(pipe.write)
            #expect(try wait(for: outside) == .exited(7))
        }
    }

    @Test(
        .enabled(if: Host.landlockABI >= 6 && Host.isRoot), arguments: [(true, EPERM), (false, 0)])
    func `mounting is refused under file rules and works under scopes alone`(
        files: Bool, expected: CInt
    ) async {
        await #expect(processExitsWith: .success) { [files, expected] in
            let scratch = try Scratch()
            let directory = try scratch.folder.directory("m")
            let ending = try inChild {
                try check("unshare", box_unshare(CInt(truncatingIfNeeded: BOX_CLONE_NEWNS)))
                try check("mount", box_make_mounts_private())
                let context = try unsafe check("fsopen", box_fsopen("tmpfs"))
                try check("fsconfig", box_fsconfig_create(context))
                let tree = try check("fsmount", box_fsmount(context, 0))
                let ruleset = LandlockRuleset(handling: files ? [.execute] : [], scopes: [.signal])
                _ = try ruleset.create().restrictSelf()
                return unsafe box_move_mount(tree, AT_FDCWD, directory.string) == 0 ? 0 : errno
            }
            #expect(ending == .exited(expected))
        }
    }
}

private func withAbstractAddress(_ name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt
{
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
        unsafe path.dropFirst().copyBytes(from: Array(name.utf8))
    }
    // The first byte of the name is NUL: an abstract address.
    let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + name.utf8.count)
    return unsafe withUnsafePointer(to: address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
    }
}

private func abstractListener(_ name: String) throws -> Descriptor {
    let type = CInt(SOCK_STREAM.rawValue)
    let socket = Descriptor(owning: try check("socket", Glibc.socket(AF_UNIX, type, 0)))
    try check("bind", unsafe withAbstractAddress(name) { unsafe bind(socket.number, $0, $1) })
    try check("listen", listen(socket.number, 4))
    return socket
}

private func connectAbstract(_ name: String) -> CInt {
    let socket = Descriptor(owning: Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0))
    return unsafe withAbstractAddress(name) { unsafe connect(socket.number, $0, $1) } == 0 ? 0 : errno
}
