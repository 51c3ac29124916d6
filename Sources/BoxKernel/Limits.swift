package import BoxTypes
internal import Glibc

/// The resource limits of the calling process.
package enum Limits {
    /// Sets one limit. A hard limit above the present one is `EPERM` without CAP_SYS_RESOURCE, and a soft
    /// limit above the hard one is `EINVAL`: nothing is clamped here.
    package static func set(_ limit: ResourceLimit, to bounds: ResourceBounds) throws(KernelError) {
        var value = rlimit(rlim_cur: rlim_t(bounds.soft), rlim_max: rlim_t(bounds.hard))
        try unsafe check("setrlimit", setrlimit(limit.number, &value), limit.rawValue)
    }

    /// The limit in force.
    package static func current(_ limit: ResourceLimit) throws(KernelError) -> ResourceBounds {
        var value = rlimit()
        try unsafe check("getrlimit", getrlimit(limit.number, &value), limit.rawValue)
        return ResourceBounds(soft: UInt64(value.rlim_cur), hard: UInt64(value.rlim_max))
    }
}

extension ResourceLimit {
    fileprivate var number: __rlimit_resource_t {
        let resource =
            switch self {
            case .coreSize: RLIMIT_CORE
            case .openFiles: RLIMIT_NOFILE
            case .processes: __RLIMIT_NPROC
            case .fileSize: RLIMIT_FSIZE
            case .lockedMemory: __RLIMIT_MEMLOCK
            case .messageQueues: __RLIMIT_MSGQUEUE
            case .pendingSignals: __RLIMIT_SIGPENDING
            case .nice: __RLIMIT_NICE
            case .realtimePriority: __RLIMIT_RTPRIO
            case .stackSize: RLIMIT_STACK
            case .cpuSeconds: RLIMIT_CPU
            }
        return __rlimit_resource_t(resource.rawValue)
    }
}
