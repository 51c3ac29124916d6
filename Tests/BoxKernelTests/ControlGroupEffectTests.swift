import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

/// Whether this host has all three controllers where box can use them; Tests/tools/kernel-boot boots one that
/// has.
private let allControllers: Bool = {
    do { return try ControlGroupSupport.probe().missing.isEmpty } catch { return false }
}()

@Suite(.enabled(if: allControllers), .serialized)
struct ControlGroupTests {
    /// A group of its own for a test, and a command run in it.
    private func group(_ name: String, _ limits: ControlGroupLimits) throws -> ControlGroup {
        let place = try #require(try ControlGroupSupport.probe().place)
        return try ControlGroup.create(name: "test-\(name)-\(getpid())", at: place, limits: limits)
    }

    @Test func `a command that needs more memory than it may is killed, and that is counted`() throws {
        let group = try group("memory", ControlGroupLimits(memoryBytes: 48 << 20))
        // The control: within the limit it ends well.
        #expect(
            try run(shell: "dd if=/dev/zero of=/dev/null bs=8M count=1 2>/dev/null", in: group) == .exited(0))
        #expect(try group.usage().outOfMemoryKills == 0)
        // The whole group is killed, the shell with its child.
        let ending = try run(
            shell: "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit 0", in: group)
        #expect(ending == .killed(SIGKILL))
        let usage = try group.usage()
        #expect(usage.outOfMemoryKills >= 1)
        if let peak = usage.memoryPeak { #expect(peak > 40 << 20 && peak <= 48 << 20) }
        try group.remove(within: 5000)
    }

    @Test func `memory in a tmpfs counts, too`() throws {
        let group = try group("tmpfs", ControlGroupLimits(memoryBytes: 32 << 20))
        let file = "/dev/shm/box-test-\(getpid())"
        let ending = try run(
            shell: "dd if=/dev/zero of=\(file) bs=1M count=100 2>/dev/null; exit 0", in: group)
        #expect(ending == .killed(SIGKILL))
        #expect(unsafe unlink(file) == 0)
        try group.remove(within: 5000)
    }

    @Test func `processes end at the limit, and killing the group ends them all`() throws {
        let group = try group("pids", ControlGroupLimits(processes: 10))
        // The shell fails to fork its eleventh process and says so by its status.
        let ending = try run(
            shell: "i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i+1)); done 2>/dev/null; exit 0", in: group
        )
        #expect(ending != .exited(0))
        let processes = try contents("\(group.path)/cgroup.procs").split(separator: "\n")
        #expect(processes.count == 9 || processes.count == 10)
        #expect(try contents("\(group.path)/pids.events") != "max 0\n")
        try group.kill()
        try group.remove(within: 5000)
    }

    @Test func `a busy loop gets its share of CPU time`() throws {
        let group = try group("cpu", ControlGroupLimits(milliCPUs: 200, cpuWeight: 50))
        let before = ContinuousClock.now
        _ = try run(shell: "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done", in: group)
        let wall = before.duration(to: .now)
        let line = try #require(
            try contents("\(group.path)/cpu.stat").split(separator: "\n").first {
                $0.hasPrefix("usage_usec ")
            })
        let used = Duration.microseconds(try #require(Int64(line.dropFirst(11))))
        // One period more, since the last one may be used in full.
        #expect(used <= wall * 0.2 + .milliseconds(40), "\(used) of \(wall)")
        #expect(try contents("\(group.path)/cpu.weight") == "50\n")
        try group.remove(within: 5000)
    }

    @Test func `a group with a process in it is busy until the process ends`() throws {
        let group = try group("busy", ControlGroupLimits(processes: 10))
        let path = group.path
        let pipe = try PipeEnds()
        let child = try start(shell: "read line", in: group, input: pipe.read)
        #expect(errnoOf(removing: group) == EBUSY)
        // It was not removed, and the process lives.
        #expect(unsafe access(path.string, F_OK) == 0)
        close(pipe.write)
        close(pipe.read)
        #expect(try wait(for: child) == .exited(1))
        #expect(unsafe rmdir(path.string) == 0)
    }

    @Test func `what can't be made leaves nothing behind`() throws {
        let place = try #require(try ControlGroupSupport.probe().place)
        let limits = ControlGroupLimits(cpuWeight: 0)
        let error = errorOf { () throws(KernelError) in
            _ = try ControlGroup.create(name: "test-bad", at: place, limits: limits)
        }
        let path = try place.parent.appending(place.prefix + "test-bad")
        #expect(error == KernelError(call: "write", code: ERANGE, subject: "\(path)/cpu.weight"))
        #expect(unsafe access(path.string, F_OK) == -1 && errno == ENOENT)
        for name in ["../../escape", "a/b", "..", ".", "", "a\nb"] {
            let refused = errorOf { () throws(KernelError) in
                _ = try ControlGroup.create(name: name, at: place, limits: ControlGroupLimits())
            }
            #expect(refused?.code == EINVAL)
        }
    }

    @Test(.enabled(if: Host.isRoot))
    func `the group is the root of the cgroup namespace that is made with it`() throws {
        let group = try group("namespace", ControlGroupLimits(processes: 10))
        let isRoot = "grep -qx 0::/ /proc/self/cgroup"
        // The control: in the namespace of the host the group has its name.
        #expect(try run(shell: isRoot, in: group) == .exited(1))
        let newCgroup: UInt64 = 0x0200_0000
        #expect(try wait(for: start(shell: isRoot, in: group, flags: newCgroup)) == .exited(0))
        try group.remove(within: 5000)
    }

    private func errnoOf(removing group: consuming ControlGroup) -> CInt {
        do throws(KernelError) { try group.remove(within: 20) } catch { return error.code }
        return 0
    }

    /// Starts a shell in the group, as box starts a session: by `CLONE_INTO_CGROUP`.
    private func start(
        shell script: String, in group: borrowing ControlGroup, input: CInt = STDIN_FILENO, flags: UInt64 = 0
    ) throws -> CInt {
        let shell = try Descriptor.open("/bin/sh", O_RDONLY)
        let (go, errors) = (try PipeEnds(), try PipeEnds())
        defer { for end in [go.read, go.write, errors.read, errors.write] { close(end) } }
        try go.give()
        let standardInput = dup(STDIN_FILENO)
        dup2(input, STDIN_FILENO)
        defer {
            dup2(standardInput, STDIN_FILENO)
            close(standardInput)
        }
        let words: [String] = ["sh", "-c", script]
        var strings = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe strings.indices { unsafe free(strings[index]) } }
        var path = unsafe [strdup("PATH=/bin:/usr/bin"), nil]
        defer { unsafe free(path[0]) }
        return try unsafe strings.withUnsafeMutableBufferPointer { arguments in
            try unsafe path.withUnsafeMutableBufferPointer { environment in
                var plan = unsafe box_spawn_plan()
                unsafe plan.clone_flags = flags
                unsafe plan.go_fd = go.read
                unsafe plan.error_fd = errors.write
                unsafe plan.executable_fd = shell.number
                unsafe plan.cgroup_fd = group.directory.number
                unsafe plan.arguments = unsafe UnsafePointer(arguments.baseAddress)
                unsafe plan.environment = unsafe UnsafePointer(environment.baseAddress)
                var pidfd: CInt = -1
                let pid = unsafe box_spawn(&plan, &pidfd)
                try check("clone3", pid)
                close(pidfd)
                return pid
            }
        }
    }

    private func run(shell script: String, in group: borrowing ControlGroup) throws -> Ending {
        try wait(for: try start(shell: script, in: group))
    }
}
