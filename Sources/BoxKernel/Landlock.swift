package import BoxTypes
internal import CLinux
internal import Glibc

extension LandlockSupport {
    /// Asks the running kernel. Having no Landlock is an answer, not an error.
    package static func probe() -> LandlockSupport {
        let abi = box_landlock_abi()
        if abi > 0 { return .abi(Int(abi)) }
        switch errno {
        case ENOSYS: return .notBuilt
        case EOPNOTSUPP: return .disabled
        case let code: return .refused(code)
        }
    }

    /// The error that a use of Landlock must end in, where there is none.
    fileprivate func requireABI() throws(KernelError) -> Int {
        switch self {
        case .abi(let number): return number
        case .notBuilt: throw KernelError(call: "landlock_create_ruleset", code: ENOSYS)
        case .disabled: throw KernelError(call: "landlock_create_ruleset", code: EOPNOTSUPP)
        case .refused(let code): throw KernelError(call: "landlock_create_ruleset", code: code)
        }
    }
}

/// What a Landlock domain shall handle. It becomes real in two steps, and the types keep their order:
/// `create()` makes the kernel object that takes rules, `restrictSelf()` ends it by enforcing it.
package struct LandlockRuleset: Hashable, Sendable {
    /// The rights that are refused wherever no rule allows them.
    package let handled: LandlockAccess
    /// What stays inside the domain. With no handled rights this is a scope-only domain: files and mounts
    /// are as before, so that nested sandboxes can still mount.
    package let scopes: LandlockScope

    package init(handling handled: LandlockAccess, scopes: LandlockScope = []) {
        self.handled = handled
        self.scopes = scopes
    }

    /// Creates the kernel's ruleset.
    ///
    /// Nothing is dropped silently: a right or scope that this kernel's ABI does not have is `EOPNOTSUPP`
    /// and names it. What to ask for on which kernel is the planner's decision.
    package func create() throws(KernelError) -> Created {
        let abi = try LandlockSupport.probe().requireABI()
        for entry in LandlockAccess.table where handled.contains(entry.right) && entry.abi > abi {
            throw beyond(entry.name, needs: entry.abi, has: abi)
        }
        for entry in LandlockScope.table where scopes.contains(entry.scope) && entry.abi > abi {
            throw beyond(entry.name, needs: entry.abi, has: abi)
        }
        let number = box_landlock_create_ruleset(handled.rawValue, 0, scopes.rawValue)
        try check("landlock_create_ruleset", number)
        return Created(ruleset: self, abi: abi, descriptor: Descriptor(owning: number))
    }

    /// A ruleset in the kernel: takes rules until it is enforced.
    package struct Created: ~Copyable {
        private let ruleset: LandlockRuleset
        private let abi: Int
        private let descriptor: Descriptor
        private var rules = 0

        fileprivate init(ruleset: LandlockRuleset, abi: Int, descriptor: consuming Descriptor) {
            self.ruleset = ruleset
            self.abi = abi
            self.descriptor = descriptor
        }

        /// Allows rights on an opened path (`O_PATH` is enough) and, for a directory, on everything below.
        ///
        /// On a path that is not a directory the rights that only directories have are left out, since they
        /// would mean nothing there and the kernel refuses them. A right that the ruleset does not handle,
        /// or a rule that would allow nothing, is an error (`EINVAL`, `ENOMSG`).
        package mutating func allow(
            _ access: LandlockAccess, below path: borrowing Descriptor
        ) throws(KernelError) {
            var status = stat()
            try unsafe check("fstat", fstat(path.number, &status))
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            let rights = isDirectory ? access : access.intersection(.onFiles)
            let unknown = access.subtracting(ruleset.handled)
            guard unknown.isEmpty else {
                let names = unknown.names.joined(separator: ", ")
                throw KernelError(call: "landlock_add_rule", code: EINVAL, subject: "\(names) is not handled")
            }
            try check(
                "landlock_add_rule", box_landlock_add_path(descriptor.number, rights.rawValue, path.number))
            rules += 1
        }

        /// Enforces the rules on the calling thread and all its future children, for good.
        ///
        /// Needs `no_new_privs` or CAP_SYS_ADMIN (`EPERM` otherwise). The 17th layer is `E2BIG`.
        package consuming func restrictSelf(
            _ options: LandlockRestriction = LandlockRestriction(rawValue: 0)
        ) throws(KernelError) -> LandlockReport {
            for entry in LandlockRestriction.table where options.contains(entry.option) && entry.abi > abi {
                throw beyond(entry.name, needs: entry.abi, has: abi)
            }
            try check(
                "landlock_restrict_self", box_landlock_restrict_self(descriptor.number, options.rawValue))
            return LandlockReport(abi: abi, handled: ruleset.handled, scopes: ruleset.scopes, rules: rules)
        }
    }
}

private func beyond(_ name: String, needs: Int, has: Int) -> KernelError {
    let subject = "\(name): needs Landlock ABI \(needs), the kernel has \(has)"
    return KernelError(call: "landlock", code: EOPNOTSUPP, subject: subject)
}
