import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

struct CapabilitiesTests {
    @Test(.enabled(if: Host.isRoot))
    func `root that drops all has no capability in any set and can't get one back`() async {
        await #expect(processExitsWith: .success) {
            #expect(try Capabilities.current().effective != 0)
            try Capabilities.dropAll()
            #expect(try Capabilities.current() == .none)
            #expect(try Capabilities.secureBits() == 0xEF)
            // Still uid 0, and a program run by uid 0 gets nothing.
            #expect(geteuid() == 0)
            for set in ["Inh", "Prm", "Eff", "Bnd", "Amb"] {
                let pattern = "^Cap\(set):\\s0000000000000000$"
                #expect(try run(["/usr/bin/grep", "-qE", pattern, "/proc/self/status"]) == .exited(0))
            }
            #expect(box_prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == -1 && errno == EPERM)
            #expect(box_setresuid(1) == -1 && errno == EPERM)
            #expect(errnoOf { () throws(KernelError) in try Capabilities.dropAll() } == EPERM)
        }
    }

    @Test(.enabled(if: Host.isRoot))
    func `without the drop a program run by root has capabilities (the control)`() throws {
        #expect(
            try run(["/usr/bin/grep", "-qE", "^CapEff:\\s0000000000000000$", "/proc/self/status"])
                == .exited(1))
    }

    @Test(.enabled(if: Host.canMakeUserNamespaces), arguments: Launch.available)
    func `in a user namespace of its own a process drops all`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            let ending = try inChild {
                try check("unshare", box_unshare(CInt(BOX_CLONE_NEWUSER)))
                guard try Capabilities.current().effective != 0 else { return 1 }
                try Capabilities.dropAll()
                guard try Capabilities.current() == .none else { return 2 }
                guard try Capabilities.secureBits() == Capabilities.lockedSecureBits else { return 3 }
                return 0
            }
            #expect(ending == .exited(0))
        }
    }

    @Test func `a user who holds none is told that the bounding set can't be lowered`() async {
        await #expect(processExitsWith: .success) {
            try Launch.user.become()
            let error = errorOf { () throws(KernelError) in try Capabilities.dropAll() }
            #expect(error == KernelError(call: "cap_drop_bound", code: EPERM, subject: "capability 0"))
            try Capabilities.dropHeld()
            let sets = try Capabilities.current()
            #expect(sets.effective | sets.permitted | sets.inheritable | sets.ambient == 0)
        }
    }

    @Test(.enabled(if: Host.isRoot))
    func `dropping what is held empties four sets and leaves the bounding set`() async {
        await #expect(processExitsWith: .success) {
            let before = try Capabilities.current()
            try Capabilities.dropHeld()
            var expected = CapabilitySets.none
            expected.bounding = before.bounding
            #expect(try Capabilities.current() == expected)
            #expect(before.bounding != 0)
        }
    }
}

struct ProcessAttributesTests {
    @Test(arguments: Launch.available)
    func `no_new_privs is set for good`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            #expect(try !ProcessAttributes.hasNoNewPrivileges())
            try ProcessAttributes.setNoNewPrivileges()
            #expect(try ProcessAttributes.hasNoNewPrivileges())
            #expect(box_prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1 && errno == EINVAL)
        }
    }

    @Test(arguments: Launch.available)
    func `the environment of a process that is not dumpable is not the user's to read`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            let (go, ready) = (try PipeEnds(), try PipeEnds())
            let child = try startChild {
                close(go.write)
                try ProcessAttributes.setDumpable(false)
                guard try !ProcessAttributes.isDumpable() else { return 1 }
                try ready.give()
                return go.take() ? 2 : 0
            }
            #expect(ready.take())
            let code = errnoOf { () throws(KernelError) in
                _ = try Descriptor.open("/proc/\(child)/environ", O_RDONLY)
            }
            #expect(code == (launch == .root ? 0 : EACCES))
            close(go.write)
            #expect(try wait(for: child) == .exited(0))
        }
    }

    @Test func `a process with the parent death signal ends with its parent`() async {
        await #expect(processExitsWith: .success) {
            let (alive, ready) = (try PipeEnds(), try PipeEnds())
            let parent = try startChild {
                _ = try startChild {
                    try ProcessAttributes.setParentDeathSignal(SIGKILL)
                    try ready.give()
                    while true { pause() }
                }
                return ready.take() ? 0 : 1
            }
            close(alive.write)
            #expect(try wait(for: parent) == .exited(0))
            // The grandchild held the last writing end: this returns when it is gone, and never otherwise.
            #expect(!alive.take())
        }
    }
}
