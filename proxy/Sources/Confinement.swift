internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// What the proxy gives up for good, in this order, while it still has one thread: it parses hostile bytes
/// outside the sandbox.
package enum Confinement {
    /// Why the proxy can't be confined; it does not serve then.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Confines the process. Everything that is started later, threads above all, is confined as well.
    package static func enter(_ configuration: ProxyConfiguration) throws(Failure) {
        do throws(KernelError) {
            // First, because it writes a file in memory.
            let filter = try SeccompFilter.compile(ProxyFilter.filter)
            if let identity = configuration.identity { try become(identity) }
            guard geteuid() != 0 else {
                throw KernelError(
                    call: "geteuid", code: EPERM, subject: "started as root without an identity")
            }
            try limitResources()
            // After the change of the ids, which clears both.
            try prctl(option: dumpable, 0, "PR_SET_DUMPABLE")
            try prctl(option: parentDeathSignal, UInt(SIGKILL), "PR_SET_PDEATHSIG")
            // The filter and Landlock need it.
            try prctl(option: noNewPrivileges, 1, "PR_SET_NO_NEW_PRIVS")
            try restrictFiles(acceptingNone: configuration.acceptsMissingLandlock)
            // Last, because it forbids some of the above.
            try SeccompFilter.install(filter, allThreads: true)
        } catch { throw Failure(description: "box-proxy cannot confine itself: \(error)") }
    }

    // prctl(2); Swift does not see these.
    private static let parentDeathSignal: CInt = 1
    private static let dumpable: CInt = 4
    private static let noNewPrivileges: CInt = 38

    private static func prctl(option: CInt, _ value: UInt, _ name: String) throws(KernelError) {
        try check("prctl(\(name))", box_prctl(option, value, 0, 0, 0))
    }

    /// Root must not parse hostile bytes. The group goes first, since the user could not change it any more.
    private static func become(_ identity: UInt32) throws(KernelError) {
        guard identity != 0 else { throw KernelError(call: "setresuid", code: EPERM, subject: "0") }
        try check("setgroups", box_setgroups0())
        try check("setresgid", box_setresgid(identity), "\(identity)")
        try check("setresuid", box_setresuid(identity), "\(identity)")
    }

    private static func limitResources() throws(KernelError) {
        // Two for each tunnel. What the policy allows at once is less; this is what the process can bear.
        let files = min(16384, try Limits.current(.openFiles).hard)
        try Limits.set(.openFiles, to: ResourceBounds(both: files))
        try limitMemory(2 << 30)
        // 1 and not 0: a core_pattern that is a pipe ignores 0 (core(5)).
        try Limits.set(.coreSize, to: ResourceBounds(both: 1))
        try Limits.set(.fileSize, to: ResourceBounds(both: 0))
    }

    /// Without memory the process ends, and the network is closed.
    private static func limitMemory(_ bytes: UInt) throws(KernelError) {
        let kind = __rlimit_resource_t(RLIMIT_DATA.rawValue)
        var limit = rlimit()
        try unsafe check("getrlimit", getrlimit(kind, &limit), "data")
        let most = min(bytes, limit.rlim_max)
        limit = rlimit(rlim_cur: most, rlim_max: most)
        try unsafe check("setrlimit", setrlimit(kind, &limit), "data")
    }

    /// Files that name resolution reads: its configuration, and the libraries of its plug-ins.
    private static let readable = [
        "/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store",
        "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman", "/mnt/wsl",
    ]

    private static func restrictFiles(acceptingNone: Bool) throws(KernelError) {
        let abi = LandlockSupport.probe().number
        if abi == 0, acceptingNone { return }
        let handled = LandlockAccess.handled(abi: abi)
        let ruleset = LandlockRuleset(handling: handled, scopes: LandlockScope.available(abi: abi))
        var created = try ruleset.create()
        // resolveUnix: newer resolvers ask systemd-resolved by its socket.
        let read = LandlockAccess([.readFile, .readDirectory, .resolveUnix]).intersection(handled)
        for path in readable {
            do throws(KernelError) {
                let directory = try Descriptor.open(path, BOX_O_PATH | BOX_O_DIRECTORY)
                try created.allow(read, below: directory)
            } catch {
                // A host has some of these.
                guard error.code == ENOENT || error.code == ENOTDIR else { throw error }
            }
        }
        _ = try created.restrictSelf()
    }
}
