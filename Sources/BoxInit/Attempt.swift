internal import BoxPlan
internal import Glibc

/// One way to try: inside, or as a control without sandbox.
struct Attempt {
    let targets: ProbeTargets
    let isControl: Bool

    /// Tries, in this process, and says what was seen: `succeeded`, an errno's name or a value.
    ///
    /// The numbers are the kernel's, the same on all processors that box runs on.
    func make(_ probe: Probe) throws(Broken) -> String {
        switch probe {
        case .rootMap: try rootMap()
        case .namespaces: try sharedNamespaces()
        case .unshareUser: try SystemCall.word("unshare", .number(0x1000_0000))
        case .cloneFlags: try cloneEach(high: 0)
        case .cloneFlagsHigh: try cloneEach(high: 0x5A5A_5A5A << 32)
        case .clone3: try SystemCall.word("clone3", .number(0), .number(0))
        case .mount: try mountScratch("/tmp")
        case .unmount: try unmount()
        case .pivotRoot: try SystemCall.word("pivot_root", .text("/"), .text("/"))
        case .chroot: try SystemCall.word("chroot", .text("/"))
        case .newMount: try SystemCall.word("fsopen", .text("tmpfs"), .number(1))
        case .remount: try remount()
        case .hostname: try SystemCall.word("sethostname", .text("x"), .number(1))

        case .firstEnvironment: try openFirst("environ")
        case .firstMemory: try openFirst("mem")
        case .firstTrace: try trace()
        case .readMemory: try withVictim(readMemory(of:))
        case .takeDescriptor: try withVictim(takeDescriptor(of:))
        case .descriptors: descriptors()
        case .environment: environment()
        case .filtered: try filtered()
        case .coreLimit: try coreLimit()
        case .coreLimitChange: try changeCoreLimit()
        case .capabilities: try capabilities()
        case .regain: try regain()
        case .groups: try groups()

        case .systemWrite: try systemWrite()
        case .home: home()
        case .mountFlags: try mountFlags()
        case .hostTemporary: try open(targets.file)
        // A handle of a wrong size: the kernel's own answer is another than the filter's.
        case .handles: try SystemCall.word("open_by_handle_at", .number(-100), .number(0), .number(0))
        case .globalSettings: try globalSettings()
        case .anySetting: try anySetting()
        case .maskedFiles: maskedFiles()
        case .devices: try devices()
        case .landlockIoctl: try ioctlDevice()
        case .scratchLimit: try fillScratch()

        // Arguments that do nothing: no such command, no structure behind the pointer.
        case .bpf: try SystemCall.word("bpf", .number(9999), .number(0), .number(0))
        case .performance:
            try SystemCall.word(
                "perf_event_open", .number(0), .number(0), .number(-1), .number(-1), .number(0))
        // USER_MODE_ONLY, which every user may use.
        case .userfault: try SystemCall.word("userfaultfd", .number(1))
        case .ioUring: try SystemCall.word("io_uring_setup", .number(0), .number(0))
        // KEYCTL_GET_KEYRING_ID of the session's key ring, not made if there is none.
        case .keyring: try SystemCall.word("keyctl", .number(0), .number(-4), .number(0))
        case .newCalls: try newCalls()
        case .i386: i386()
        case .x32: x32()
        case .personality: try SystemCall.word("personality", .number(0x40_0000))
        case .typeAhead: try terminalControl(0x5412, typing: true)
        case .typeAheadHigh: try terminalControl(0x5412 | 1 << 32, typing: true)
        case .console: try terminalControl(0x541C, typing: true)
        // N_TTY, which a terminal has anyway.
        case .lineDiscipline: try terminalControl(0x5423, typing: false)

        case .families: try families()
        // AF_INET, SOCK_RAW, ICMP; AF_NETLINK, SOCK_RAW, KOBJECT_UEVENT.
        case .rawSocket: try SystemCall.word("socket", .number(2), .number(3), .number(1))
        case .kernelEvents: try SystemCall.word("socket", .number(16), .number(3), .number(15))
        case .abstractSocket: try connectAbstract()
        case .serviceSockets: try connectServices()
        case .interfaces: try interfaces()
        case .directConnection: try connectDirectly()
        case .hostLoopback: try connectLoopback()
        }
    }
}
