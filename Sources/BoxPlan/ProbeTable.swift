package import BoxTypes

/// A thing that must not be possible inside, by name; what is done for it is in the prover.
package enum Probe: String, Hashable, Sendable, CaseIterable {
    case rootMap, namespaces, unshareUser, cloneFlags, cloneFlagsHigh, clone3
    case mount, unmount, pivotRoot, chroot, newMount, remount, hostname
    case firstEnvironment, firstMemory, firstTrace, readMemory, takeDescriptor, descriptors
    case systemWrite, home, mountFlags, hostTemporary, handles
    case globalSettings, anySetting, maskedFiles, devices
    case bpf, performance, userfault, ioUring, keyring, newCalls, i386, x32
    case typeAhead, typeAheadHigh, console, lineDiscipline, families, rawSocket, kernelEvents, personality
    case filtered, coreLimit, coreLimitChange
    case capabilities, regain, groups
    case landlockIoctl
    case abstractSocket, serviceSockets, interfaces, directConnection, hostLoopback
    case scratchLimit, environment
}

/// What `box doctor --prove` shows of a probe, what it must see inside, and what makes it a proof.
package struct ProbeRow: Equatable, Sendable {
    /// The same attempt without the sandbox.
    package struct Control: Equatable, Sendable {
        package enum Place: Equatable, Sendable {
            /// As the user who started box.
            case outside
            /// In fresh namespaces of its own, with every capability there: where only root may try at all.
            case bare
        }
        package enum Demand: Equatable, Sendable {
            case succeeds
            /// It ends otherwise than inside: for values, and for calls whose arguments the kernel itself would
            /// refuse later, with another error.
            case differs
        }
        package var place: Place
        package var demand: Demand
    }

    package var probe: Probe
    /// The attack's id in the catalogue of attacks, e.g. `NS-05`.
    package var id: String
    package var attempt: String
    /// What may be seen inside: an errno, a signal or a value.
    package var expected: [String]
    package var control: Control
    /// The protection that answers for it; where it is missing, the probe says nothing.
    package var protection: Protection

    fileprivate init(
        _ probe: Probe, _ id: String, _ attempt: String, _ expected: [String], _ place: Control.Place,
        _ demand: Control.Demand, _ protection: Protection
    ) {
        self.probe = probe
        self.id = id
        self.attempt = attempt
        self.expected = expected
        control = Control(place: place, demand: demand)
        self.protection = protection
    }
}

/// Every probe, in the order in which it is shown. Shared by the prover inside, the control outside and the report.
package enum ProbeTable {
    /// All rows.
    package static let rows: [ProbeRow] =
        namespaces + files + kernelFiles + calls + terminal + sockets + rights + reach

    private static let namespaces: [ProbeRow] = [
        ProbeRow(
            .rootMap, "NS-01", "be an id of the host's root", ["one id, not root"], .outside, .differs,
            .identity),
        ProbeRow(
            .namespaces, "NS-02", "share a namespace with the host", ["all 7 differ"], .outside, .differs,
            .namespaces),
        ProbeRow(
            .unshareUser, "NS-05", "unshare(CLONE_NEWUSER)", ["EPERM", "ENOSPC"], .outside, .succeeds,
            .nestedNamespaces),
        ProbeRow(
            .cloneFlags, "NS-06", "clone with each namespace flag", ["EPERM"], .bare, .succeeds,
            .nestedNamespaces),
        ProbeRow(
            .cloneFlagsHigh, "NS-06", "the same with garbage in the upper 32 bits", ["EPERM"], .bare,
            .succeeds,
            .nestedNamespaces),
        ProbeRow(
            .clone3, "NS-07", "clone3, whose flags no filter sees", ["ENOSYS"], .outside, .differs,
            .nestedNamespaces),
        ProbeRow(.mount, "NS-08", "mount a tmpfs", ["EPERM"], .bare, .succeeds, .nestedNamespaces),
        ProbeRow(.unmount, "NS-08", "umount2 of /tmp", ["EPERM"], .bare, .succeeds, .nestedNamespaces),
        ProbeRow(.pivotRoot, "NS-08", "pivot_root", ["EPERM"], .bare, .differs, .nestedNamespaces),
        ProbeRow(.chroot, "NS-08", "chroot", ["EPERM"], .bare, .succeeds, .nestedNamespaces),
        ProbeRow(
            .newMount, "NS-08", "fsopen of a tmpfs", ["ENOSYS", "EPERM"], .bare, .succeeds, .nestedNamespaces),
        ProbeRow(.remount, "NS-10", "remount /usr writable", ["EPERM"], .bare, .succeeds, .nestedNamespaces),
        ProbeRow(.hostname, "NS-12", "sethostname", ["EPERM"], .bare, .succeeds, .seccomp),
        ProbeRow(
            .firstEnvironment, "NS-13", "open /proc/1/environ", ["EACCES", "EPERM", "ENOENT"], .outside,
            .succeeds,
            .identity),
        ProbeRow(
            .firstMemory, "NS-13", "open /proc/1/mem", ["EACCES", "EPERM", "ENOENT"], .outside, .succeeds,
            .identity),
        ProbeRow(
            .firstTrace, "NS-13", "ptrace process 1", ["EPERM", "EACCES", "ESRCH"], .outside, .succeeds,
            .identity),
        ProbeRow(
            .readMemory, "NS-14", "process_vm_readv of process 1", ["EPERM", "ENOSYS"], .outside, .succeeds,
            .seccomp),
        ProbeRow(
            .takeDescriptor, "NS-14", "pidfd_getfd from process 1", ["EPERM", "ENOSYS"], .outside, .succeeds,
            .seccomp),
        ProbeRow(
            .descriptors, "FD-01", "find a leaked descriptor", ["0 1 2"], .outside, .differs, .namespaces),
    ]

    private static let files: [ProbeRow] = [
        ProbeRow(
            .systemWrite, "FS-01", "make a file in /, /etc, /usr, /var/lib, /opt", ["EROFS"], .outside,
            .differs,
            .namespaces),
        ProbeRow(
            .home, "FS-03", "list the home directory", ["empty", "ENOENT"], .outside, .differs, .namespaces),
        ProbeRow(
            .mountFlags, "FS-12", "find a mount with set-user-id programs or devices, or a writable system",
            ["none"], .outside, .differs, .namespaces),
        ProbeRow(
            .handles, "FS-19", "open_by_handle_at", ["EPERM"], .outside, .differs, .seccomp),
        ProbeRow(
            .hostTemporary, "FS-21", "read a file of the host's /tmp", ["ENOENT"], .outside, .succeeds,
            .namespaces),
    ]

    private static let kernelFiles: [ProbeRow] = [
        ProbeRow(
            .globalSettings, "PR-01", "open the host's settings in /proc for writing",
            ["none opens, read-only"],
            .outside,
            .differs, .procMasks),
        ProbeRow(
            .anySetting, "PR-02", "find any writable setting in /proc/sys", ["none"], .bare, .differs,
            .procMasks),
        ProbeRow(
            .maskedFiles, "PR-03", "read what /proc tells about the host", ["nothing"], .outside, .differs,
            .procMasks),
        ProbeRow(
            .devices, "DV-01", "list the devices", ["full null random tty urandom zero"], .outside, .differs,
            .namespaces),
    ]

    private static let calls: [ProbeRow] = [
        ProbeRow(.bpf, "SC-14", "bpf", ["EPERM"], .outside, .differs, .seccomp),
        ProbeRow(.performance, "SC-14", "perf_event_open", ["EPERM"], .outside, .differs, .seccomp),
        ProbeRow(.userfault, "SC-14", "userfaultfd", ["EPERM"], .outside, .succeeds, .seccomp),
        ProbeRow(.ioUring, "SC-05", "io_uring_setup", ["ENOSYS", "EPERM"], .outside, .differs, .seccomp),
        ProbeRow(
            .keyring, "SC-01", "find the session's key ring", ["ENOSYS", "EPERM"], .outside, .succeeds,
            .seccomp),
        ProbeRow(.newCalls, "SC-02", "calls newer than box", ["ENOSYS"], .outside, .differs, .seccomp),
        ProbeRow(
            .i386, "SC-03", "the 32-bit entry (int 0x80)", ["SIGSYS", "absent"], .outside, .succeeds, .seccomp
        ),
        ProbeRow(.x32, "SC-03", "an x32 call", ["SIGSYS", "absent"], .outside, .differs, .seccomp),
        ProbeRow(
            .personality, "SC-16", "personality(READ_IMPLIES_EXEC)", ["EPERM"], .outside, .succeeds, .seccomp),
        ProbeRow(
            .filtered, "SC-17", "be without filter, or able to gain privileges", ["Seccomp 2, NoNewPrivs 1"],
            .outside, .differs, .seccomp),
        ProbeRow(
            .coreLimit, "SC-20", "have memory written to a core dump", ["limit 1"], .outside, .differs,
            .identity),
        ProbeRow(.coreLimitChange, "SC-20", "change RLIMIT_CORE", ["EPERM"], .outside, .succeeds, .seccomp),
    ]

    private static let terminal: [ProbeRow] = [
        ProbeRow(
            .typeAhead, "SC-06", "type into the terminal (TIOCSTI)", ["EPERM"], .outside, .differs, .seccomp),
        ProbeRow(
            .typeAheadHigh, "SC-06", "the same with garbage in the upper 32 bits", ["EPERM"], .outside,
            .differs,
            .seccomp),
        ProbeRow(
            .console, "SC-08", "type into a console (TIOCLINUX)", ["EPERM"], .outside, .differs, .seccomp),
        ProbeRow(
            .lineDiscipline, "SC-09", "load a line discipline (TIOCSETD)", ["EPERM"], .outside, .succeeds,
            .seccomp),
    ]

    private static let sockets: [ProbeRow] = [
        ProbeRow(
            .families, "SC-10", "sockets of all families", ["UNIX INET INET6 NETLINK", "UNIX INET NETLINK"],
            .bare,
            .differs, .seccomp),
        ProbeRow(.rawSocket, "SC-12", "a raw socket", ["EPERM", "EAFNOSUPPORT"], .bare, .succeeds, .seccomp),
        ProbeRow(
            .kernelEvents, "SC-12", "listen to the kernel's device events", ["EPERM", "EAFNOSUPPORT"],
            .outside,
            .succeeds, .seccomp),
    ]

    private static let rights: [ProbeRow] = [
        ProbeRow(.capabilities, "CP-01", "hold a capability", ["none in 5 sets"], .bare, .differs, .identity),
        ProbeRow(.regain, "CP-02", "capset of CAP_SYS_ADMIN", ["EPERM"], .bare, .succeeds, .identity),
        ProbeRow(.groups, "CP-03", "setgroups", ["deny, EPERM"], .outside, .differs, .identity),
        ProbeRow(
            .landlockIoctl, "LL-05", "ioctl on /dev/urandom", ["EACCES"], .outside, .succeeds, .landlockIoctl),
    ]

    private static let reach: [ProbeRow] = [
        ProbeRow(
            .abstractSocket, "IP-04", "connect to an abstract socket of the host", ["ECONNREFUSED", "EPERM"],
            .outside, .succeeds, .namespaces),
        ProbeRow(
            .serviceSockets, "IP-05", "connect to services of the host by path", ["ENOENT"], .outside,
            .succeeds,
            .namespaces),
        ProbeRow(.interfaces, "NT-01", "find a network interface", ["lo"], .outside, .differs, .network),
        ProbeRow(
            .directConnection, "NT-02", "connect past the proxy", ["ENETUNREACH"], .outside, .differs,
            .network),
        ProbeRow(
            .hostLoopback, "NT-04", "connect to the host's 127.0.0.1", ["ECONNREFUSED"], .outside, .succeeds,
            .network),
        ProbeRow(
            .scratchLimit, "RC-04", "put 65 MiB into /dev/shm", ["ENOSPC"], .bare, .succeeds, .namespaces),
        ProbeRow(
            .environment, "EN-01", "find a variable of the user's environment", ["none"], .outside, .differs,
            .namespaces),
    ]
}
