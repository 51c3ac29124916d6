import BoxPlan
import BoxTypes
import Testing

/// A context of an ordinary sandbox: no capabilities.
private func context(
    _ architecture: SyscallArchitecture = .x86_64, _ major: Int = 6, _ minor: Int = 18,
    capabilities: Set<String> = []
) -> SyscallContext {
    SyscallContext(
        architecture: architecture, kernelMajor: major, kernelMinor: minor, capabilities: capabilities)
}

private func profile(_ json: String) throws(SyscallProfileError) -> SyscallProfile {
    try SyscallProfile(json: Array(json.utf8), name: "p.json")
}

/// A document with these elements of `syscalls`, and `execve` so that it can be used.
private func document(_ entries: String..., action: String = "SCMP_ACT_ERRNO") -> String {
    let execve = #"{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}"#
    return #"{"defaultAction": "\#(action)", "syscalls": ["#
        + ([execve] + entries).joined(separator: ",\n") + "]}"
}

private func resolve(
    _ json: String, _ context: SyscallContext = context()
) throws(SyscallProfileError) -> NamedFilter {
    NamedFilter(try profile(json).filter(for: context), context.architecture)
}

private let eperm = SyscallAction.errno(1)
private let enosys = SyscallAction.errno(38)
private let eafnosupport = SyscallAction.errno(97)

@Suite struct `Reading system call profiles` {
    /// The shape of the profiles that container engines ship: architecture map with nulls, empty and missing
    /// optional parts, conditions by capability, architecture and kernel, calls of other architectures.
    private let engineShaped = #"""
        {
        	"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
        	"archMap": [
        		{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        		{"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}
        	],
        	"syscalls": [
        		{"names": ["bdflush", "vm86old", "oldolduname"], "action": "SCMP_ACT_ERRNO", "args": [], "comment": "",
        		 "includes": {}, "excludes": {}, "errnoRet": 1, "errno": "EPERM"},
        		{"names": ["execve", "clock_gettime64", "_newselect", "umount", "read"], "action": "SCMP_ACT_ALLOW"},
        		{"name": "getpid", "action": "SCMP_ACT_ALLOW", "args": null, "includes": null},
        		{"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        		{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        		{"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_BPF"]}},
        		{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
        		 "args": [{"index": 0, "value": 4294967295, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
        		{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["s390", "s390x"]},
        		 "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
        		{"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        		{"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
        		{"names": ["sync_file_range"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.0"}}
        	]
        }
        """#

    @Test func `a profile in the shape of the container engines is read whole`() throws {
        let filter = try resolve(engineShaped)
        #expect(try filter("read") == .allow)
        #expect(try filter("getpid") == .allow)
        #expect(try filter("write") == enosys)
        #expect(try filter("ptrace") == .allow)
        #expect(try filter("bpf") == eperm)
        #expect(try filter("personality", 0xFFFF_FFFF) == .allow)
        #expect(try filter("personality", 0x0040_0000) == enosys)
        #expect(try filter("clone", 0x11) == .allow)
        #expect(try filter("clone", 0x1000_0011) == enosys)
        #expect(try filter("arch_prctl") == .allow)
        #expect(try filter("sync_file_range") == enosys)
    }

    @Test func `conditional entries follow architecture, kernel and capabilities`() throws {
        let admin: Set<String> = ["CAP_SYS_ADMIN", "CAP_BPF"]
        #expect(try resolve(engineShaped, context(capabilities: admin))("bpf") == .allow)
        #expect(try resolve(engineShaped, context(capabilities: ["CAP_SYS_ADMIN"]))("bpf") == eperm)
        #expect(try resolve(engineShaped, context(.x86_64, 4, 7))("ptrace") == enosys)
        #expect(try resolve(engineShaped, context(.x86_64, 4, 8))("ptrace") == .allow)
        #expect(try resolve(engineShaped, context(.x86_64, 5, 0))("ptrace") == .allow)
        #expect(try resolve(engineShaped, context(.x86_64, 5, 19))("sync_file_range") == .allow)
        let arm = try resolve(engineShaped, context(.aarch64))
        #expect(try arm("read") == .allow)
        #expect(SyscallTable.entry("arch_prctl", on: .aarch64) == .elsewhere)
    }

    @Test(arguments: [
        ("SCMP_CMP_EQ", [5]), ("SCMP_CMP_NE", [0, 4, 6, .max]), ("SCMP_CMP_LT", [0, 4]),
        ("SCMP_CMP_LE", [0, 4, 5]), ("SCMP_CMP_GT", [6, .max]), ("SCMP_CMP_GE", [5, 6, .max]),
    ])
    func `each comparison compares unsigned`(op: String, matching: [UInt64]) throws {
        let entry = """
            {"names": ["read"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 5, "value": 5, "op": "\(op)"}]}
            """
        let filter = try resolve(document(entry))
        for value in [0, 4, 5, 6, UInt64.max] {
            #expect(try filter("read", 0, 0, 0, 0, 0, value) == (matching.contains(value) ? .allow : eperm))
        }
    }

    @Test(arguments: [
        ("SCMP_ACT_ALLOW", SyscallAction.allow), ("SCMP_ACT_ERRNO", .errno(1)),
        ("SCMP_ACT_KILL", .killThread),
        ("SCMP_ACT_KILL_THREAD", .killThread), ("SCMP_ACT_KILL_PROCESS", .killProcess),
        ("SCMP_ACT_LOG", .log), ("SCMP_ACT_TRAP", .trap), ("SCMP_ACT_TRACE", .trace(1)),
    ])
    func `each action is known`(name: String, action: SyscallAction) throws {
        #expect(try resolve(document(#"{"name": "read", "action": "\#(name)"}"#))("read") == action)
    }

    @Test func `an errno is a number, a name, or both if they agree`() throws {
        let entries = [
            #"{"name": "read", "action": "SCMP_ACT_ERRNO", "errnoRet": 4095}"#,
            #"{"name": "write", "action": "SCMP_ACT_ERRNO", "errno": "EAFNOSUPPORT"}"#,
            #"{"name": "open", "action": "SCMP_ACT_TRACE", "errnoRet": 38, "errno": "ENOSYS"}"#,
        ]
        let filter = try resolve(document(entries[0], entries[1], entries[2]))
        #expect(try filter("read") == .errno(4095))
        #expect(try filter("write") == eafnosupport)
        #expect(try filter("open") == .trace(38))
    }

    @Test func `of overlapping rules the most restrictive wins, whatever their order`() throws {
        let allow = #"{"name": "ioctl", "action": "SCMP_ACT_ALLOW"}"#
        let deny = """
            {"name": "ioctl", "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
             "args": [{"index": 1, "value": 4294967295, "valueTwo": 21522, "op": "SCMP_CMP_MASKED_EQ"}]}
            """
        for filter in [try resolve(document(allow, deny)), try resolve(document(deny, allow))] {
            #expect(try filter("ioctl", 0, 21522) == .errno(13))
            // The kernel looks at 32 bits, so the rest must not matter.
            #expect(try filter("ioctl", 0, 21522 | 1 << 32) == .errno(13))
            #expect(try filter("ioctl", 0, 21523) == .allow)
        }
    }

    @Test(arguments: [
        (#"{"#, "line 1, column 2: expected a key in quotes, found the end of the text"),
        (#"[]"#, "line 1, column 1: expected an object, found a list"),
        (#"null"#, "line 1, column 1: expected an object, found null"),
        (#"{"syscalls": []}"#, "line 1, column 1: the key 'defaultAction' is missing"),
        (#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, "line 1, column 1: the key 'syscalls' is missing"),
        (
            "{\n \"defaultaction\": \"SCMP_ACT_ALLOW\"}",
            "line 2, column 2: unknown key 'defaultaction'; did you mean 'defaultAction'?"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALOW", "syscalls": []}"#,
            "line 1, column 19: defaultAction: unknown action 'SCMP_ACT_ALOW'; did you mean 'SCMP_ACT_ALLOW'?"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}"#,
            "line 1, column 49: syscalls: expected a list, found an object"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "syscalls": []}"#,
            "line 1, column 56: defaultErrnoRet: only SCMP_ACT_ERRNO and SCMP_ACT_TRACE have an errno"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096, "syscalls": []}"#,
            "line 1, column 56: defaultErrnoRet: 4096 is not a whole number from 0 to 4095"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYSS", "syscalls": []}"#,
            "line 1, column 53: defaultErrno: unknown errno 'ENOSYSS'; did you mean 'ENOSYS'?"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "defaultErrnoRet": 1, "syscalls": []}"#,
            "line 1, column 53: defaultErrno: ENOSYS is 38, but defaultErrnoRet says 1"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_NOTIFY", "syscalls": []}"#,
            "line 1, column 19: defaultAction: not supported: box has no listener that decides about system calls"
        ),
        (
            #"{"listenerPath": "/run/x", "defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}"#,
            "line 1, column 18: listenerPath: not supported: box has no listener that decides about system calls"
        ),
        (
            #"{"flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "syscalls": []}"#,
            "line 1, column 41: flags[1]: 'SECCOMP_FILTER_FLAG_SPEC_ALLOW' is not supported"
        ),
        (
            #"{"architectures": ["SCMP_ARCH_X86-64"], "syscalls": []}"#,
            "line 1, column 20: architectures[0]: unknown architecture 'SCMP_ARCH_X86-64'; "
                + "did you mean 'SCMP_ARCH_X86_64'?"
        ),
        (
            #"{"architectures": ["SCMP_ARCH_X86_64"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#,
            "line 1, column 52: archMap: 'architectures' and 'archMap' exclude each other"
        ),
        (
            #"{"archMap": [{"subArchitectures": []}]}"#,
            "line 1, column 14: archMap[0]: the key 'architecture' is missing"
        ),
    ])
    func `a bad document is refused with its place`(json: String, message: String) {
        let error = #expect(throws: SyscallProfileError.self) { try profile(json) }
        #expect(error?.description == "system call profile p.json, \(message)")
    }

    @Test(arguments: [
        (#"{"action": "SCMP_ACT_ALLOW"}"#, "syscalls[1]: the entry names no system call"),
        (#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#, "syscalls[1]: the entry names no system call"),
        (#"{"names": ["read"]}"#, "syscalls[1]: the key 'action' is missing"),
        (
            #"{"name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW"}"#,
            "syscalls[1].name: 'name' and 'names' exclude each other"
        ),
        (
            #"{"names": ["write", "opnat"], "action": "SCMP_ACT_ALLOW"}"#,
            "syscalls[1].names[1]: unknown system call 'opnat'; did you mean 'openat'?"
        ),
        (
            #"{"names": [7], "action": "SCMP_ACT_ALLOW"}"#,
            "syscalls[1].names[0]: expected a text, found a number"
        ),
        (
            #"{"name": "\u001b[2J", "action": "SCMP_ACT_ALLOW"}"#,
            "syscalls[1].name: unknown system call '\\x1b[2J'"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "arg": []}"#,
            "syscalls[1]: unknown key 'arg'; did you mean 'args'?"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "errnoRet": 1}"#,
            "syscalls[1].errnoRet: only SCMP_ACT_ERRNO and SCMP_ACT_TRACE have an errno"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "priority": 256}"#,
            "syscalls[1].priority: 256 is not a whole number from 0 to 255"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["SYS_ADMIN"]}}"#,
            "syscalls[1].includes.caps[0]: unknown capability 'SYS_ADMIN'; did you mean 'CAP_SYS_ADMIN'?"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd46"]}}"#,
            "syscalls[1].excludes.arches[0]: unknown architecture 'amd46'; did you mean 'amd64'?"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8.1"}}"#,
            "syscalls[1].includes.minKernel: '4.8.1' is no kernel version; write two numbers as in 4.8"
        ),
        (
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "+4.8"}}"#,
            "syscalls[1].includes.minKernel: '+4.8' is no kernel version; write two numbers as in 4.8"
        ),
    ])
    func `a bad entry is refused with its place`(entry: String, message: String) {
        expectRefused(entry, message)
    }

    @Test(arguments: [
        (#"{"index": 0, "op": "SCMP_CMP_EQ"}"#, ": the key 'value' is missing"),
        (#"{"value": 0, "op": "SCMP_CMP_EQ"}"#, ": the key 'index' is missing"),
        (#"{"index": 0, "value": 0}"#, ": the key 'op' is missing"),
        (#"{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}"#, ".index: 6 is not a whole number from 0 to 5"),
        (
            #"{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}"#,
            ".value: -1 is not a whole number from 0 to 18446744073709551615"
        ),
        (
            #"{"index": 0, "value": 1.5, "op": "SCMP_CMP_EQ"}"#,
            ".value: 1.5 is not a whole number from 0 to 18446744073709551615"
        ),
        (
            #"{"index": 0, "value": 0, "op": "SCMP_CMP_EQUAL"}"#,
            ".op: unknown comparison 'SCMP_CMP_EQUAL'; did you mean 'SCMP_CMP_EQ'?"
        ),
        (
            #"{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}"#,
            ".valueTwo: 2 has bits outside the mask 1: no match"
        ),
        (
            #"{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}"#,
            ".valueTwo: only SCMP_CMP_MASKED_EQ has a second value"
        ),
    ])
    func `a bad condition is refused with its place`(condition: String, message: String) {
        expectRefused(
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "args": [\#(condition)]}"#,
            "syscalls[1].args[0]\(message)")
    }

    @Test func `two conditions on one argument are refused, since runtimes disagree about them`() {
        let condition = #"{"index": 0, "value": 1, "op": "SCMP_CMP_GE"}"#
        expectRefused(
            #"{"name": "read", "action": "SCMP_ACT_ALLOW", "args": [\#(condition), \#(condition)]}"#,
            "syscalls[1].args[1]: a second condition on argument 0; use one entry for each")
    }

    private func expectRefused(_ entry: String, _ message: String) {
        let error = #expect(throws: SyscallProfileError.self) { try profile(document(entry)) }
        #expect(error?.position.line == 2)
        let text = error.map { ($0.path.isEmpty ? "" : $0.path + ": ") + $0.reason }
        #expect(text == message)
    }

    @Test func `a profile under which nothing could start is refused`() throws {
        let empty = try profile(#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}"#)
        let error = #expect(throws: SyscallProfileError.self) { try empty.filter(for: context()) }
        #expect(error?.reason == "execve and execveat are denied, so no command could be started")
    }

    @Test func `a file that is too long is refused before it is parsed`() {
        let long = [UInt8](repeating: 0x20, count: SyscallProfile.longest + 1)
        let error = #expect(throws: SyscallProfileError.self) { try SyscallProfile(json: long, name: "p") }
        #expect(error?.reason == "the file has 1048577 bytes, at most 1048576 are read")
    }

    @Test func `more rules than the kernel takes are refused`() throws {
        let names = SyscallTable.all(on: .x86_64).map { "\"\($0.name)\"" }.joined(separator: ",")
        let entries = (0..<12).map { value in
            """
            {"names": [\(names)], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": \(value), "op": "SCMP_CMP_EQ"}]}
            """
        }.joined(separator: ",")
        let large = try profile(document(entries))
        let error = #expect(throws: SyscallProfileError.self) { try large.filter(for: context()) }
        #expect(error?.reason == "more than 4096 rules")
    }
}

@Suite struct `The system call table` {
    @Test(arguments: [
        ("read", 0, 63), ("openat", 257, 56), ("clone3", 435, 435), ("fchmodat2", 452, 452),
        ("file_setattr", 469, 469), ("memfd_secret", 447, 447), ("newfstatat", 262, 79),
    ])
    func `numbers are those of the kernel`(name: String, x86: Int32, arm: Int32) {
        #expect(SyscallTable.entry(name, on: .x86_64) == .number(x86))
        #expect(SyscallTable.entry(name, on: .aarch64) == .number(arm))
    }

    @Test func `calls of other architectures are known and have no number`() {
        #expect(SyscallTable.entry("open", on: .aarch64) == .elsewhere)
        #expect(SyscallTable.entry("socketcall", on: .x86_64) == .elsewhere)
        #expect(SyscallTable.entry("opem", on: .x86_64) == nil)
    }

    @Test(arguments: SyscallArchitecture.allCases)
    func `no two names share a number`(architecture: SyscallArchitecture) {
        let all = SyscallTable.all(on: architecture)
        #expect(Set(all.map(\.number)).count == all.count)
        #expect(all.count > 320)
    }
}
