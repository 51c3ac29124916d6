import BoxKernel
import BoxPlan
import BoxTypes
import CLinux
import Glibc
import Profiles
import Testing

// These tests change the process for good, so each runs in a child of its own.

/// A shipped profile with a listener, compiled.
private func program(_ name: String) throws -> [UInt8] {
    let json = try #require(Shipped.syscallProfile(name))
    let context = SyscallContext(kernelMajor: 6, kernelMinor: 18)
    let filter = try SyscallProfile(json: json, name: name).filter(for: context)
    return try SeccompFilter.compile(filter.listening(to: .renames, on: .native))
}

/// Listens in this process, and to all children that it starts from now on.
private func listen(_ name: String = "default") throws -> SyscallListener {
    let program = try program(name)
    try check("prctl", box_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return try SyscallListener(installing: program)
}

private func fail(_ message: String) -> Never {
    print(message)
    exit(1)
}

/// Renames, perhaps marked; the errno, 0 if it went.
private func rename2(_ old: String, _ new: String, flags: Int = 0, mark: UInt64 = 0) -> CInt {
    unsafe old.withCString { old in
        unsafe new.withCString { new in
            guard case .number(let number)? = SyscallTable.entry("renameat2", on: .native) else { return -1 }
            let (from, to) = (Int(bitPattern: old), Int(bitPattern: new))
            let mark = Int(bitPattern: UInt(mark))
            return box_syscall(Int(number), Int(AT_FDCWD), from, Int(AT_FDCWD), to, flags, mark) < 0
                ? errno : 0
        }
    }
}

@Suite struct `A system call listener` {
    @Test(arguments: Shipped.syscallProfileNames)
    func `receives a rename with its paths, and the kernel performs it`(name: String) async throws {
        let scratch = try Scratch()
        let directory = scratch.folder.path.string
        _ = try scratch.folder.file("old")
        await #expect(processExitsWith: .success) {
            [name = name as String, directory = directory as String] in
            let ending = try inChild {
                let listener = try listen(name)
                let pid = try startChild { rename2(directory + "/old", directory + "/new") }
                guard let call = try listener.receive(), call.task == pid, listener.waits(call),
                    let memory = TaskMemory(call.task)
                else { fail("no call") }
                guard memory.text(at: call.arguments[1]) == Array((directory + "/old").utf8),
                    memory.text(at: call.arguments[3]) == Array((directory + "/new").utf8),
                    memory.text(at: 8) == nil, memory.text(at: .max) == nil
                else { fail("the paths are not those") }
                try listener.answer(call, .performed)
                return try wait(for: pid) == .exited(0) ? 0 : 1
            }
            guard ending == .exited(0) else { fail("\(ending)") }
        }
        #expect(unsafe access(directory + "/new", F_OK) == 0 && access(directory + "/old", F_OK) != 0)
    }

    @Test func `fails a call with the errno that it is given`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                let listener = try listen()
                let pid = try startChild { rename2("/none", "/none2") }
                guard let call = try listener.receive() else { fail("no call") }
                try listener.answer(call, .failed(EXDEV))
                return try wait(for: pid) == .exited(EXDEV) ? 0 : 1
            }
            guard ending == .exited(0) else { fail("\(ending)") }
        }
    }

    @Test func `is not asked about a rename that is marked`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                let listener = try listen()
                let pid = try startChild { rename2("/none", "/none2", mark: ListenedCalls.exemption) }
                guard try wait(for: pid) == .exited(ENOENT) else { fail("it was not performed") }
                let waiting = try poll([PollEntry(listener.descriptor.number, .read)], timeout: 0)
                return waiting.isEmpty ? 0 : 1
            }
            guard ending == .exited(0) else { fail("\(ending)") }
        }
    }

    @Test func `sees that a task has ended before its call was answered`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                let listener = try listen()
                let pid = try startChild { rename2("/none", "/none2") }
                guard let call = try listener.receive() else { fail("no call") }
                kill(pid, SIGKILL)
                guard try wait(for: pid) == .killed(SIGKILL) else { fail("it was not killed") }
                guard !listener.waits(call) else { fail("it still waits") }
                // Nobody minds an answer that comes too late.
                try listener.answer(call, .performed)
                return TaskMemory(pid) == nil ? 0 : 1
            }
            guard ending == .exited(0) else { fail("\(ending)") }
        }
    }

    @Test func `is closed in every program that is executed`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                let listener = try listen()
                let command = "! test -e /proc/self/fd/\(listener.descriptor.number)"
                return try run(["/bin/sh", "-c", command]) == .exited(0) ? 0 : 1
            }
            guard ending == .exited(0) else { fail("\(ending)") }
        }
    }

    @Test func `is the only one`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                let listener = try listen()
                defer { _ = listener.descriptor.number }
                let second = try program("default")
                return errnoOf { () throws(KernelError) in _ = try SyscallListener(installing: second) }
            }
            guard ending == .exited(EBUSY) else { fail("\(ending)") }
        }
    }
}
