/// File system rights of Landlock, as the kernel numbers them (landlock(7)).
///
/// The numbers are spelled out because the headers of the distributions lag behind their kernels.
package struct LandlockAccess: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The standard library's own is generic over any sequence, and shows in the time of a start.
    package init(arrayLiteral elements: Self...) {
        var bits: UInt64 = 0
        for element in elements { bits |= element.rawValue }
        rawValue = bits
    }

    package func union(_ other: Self) -> Self { Self(rawValue: rawValue | other.rawValue) }
    package func intersection(_ other: Self) -> Self { Self(rawValue: rawValue & other.rawValue) }

    // ABI 1, Linux 5.13.
    package static let execute = LandlockAccess(rawValue: 1 << 0)
    package static let writeFile = LandlockAccess(rawValue: 1 << 1)
    package static let readFile = LandlockAccess(rawValue: 1 << 2)
    package static let readDirectory = LandlockAccess(rawValue: 1 << 3)
    package static let removeDirectory = LandlockAccess(rawValue: 1 << 4)
    package static let removeFile = LandlockAccess(rawValue: 1 << 5)
    package static let makeCharacterDevice = LandlockAccess(rawValue: 1 << 6)
    package static let makeDirectory = LandlockAccess(rawValue: 1 << 7)
    package static let makeRegular = LandlockAccess(rawValue: 1 << 8)
    package static let makeSocket = LandlockAccess(rawValue: 1 << 9)
    package static let makeFIFO = LandlockAccess(rawValue: 1 << 10)
    package static let makeBlockDevice = LandlockAccess(rawValue: 1 << 11)
    package static let makeSymbolicLink = LandlockAccess(rawValue: 1 << 12)
    /// ABI 2, Linux 5.19. Before it, linking or renaming to another directory is always refused (EXDEV).
    package static let refer = LandlockAccess(rawValue: 1 << 13)
    /// ABI 3, Linux 6.2.
    package static let truncate = LandlockAccess(rawValue: 1 << 14)
    /// ABI 5, Linux 6.10: ioctl(2) on character and block devices.
    package static let ioctlDevice = LandlockAccess(rawValue: 1 << 15)
    /// ABI 9, Linux 7.1: connecting to a socket by its path.
    package static let resolveUnix = LandlockAccess(rawValue: 1 << 16)

    /// Each single right with its kernel name and the first ABI that has it.
    package static let table: [(right: LandlockAccess, name: String, abi: Int)] = [
        (.execute, "execute", 1), (.writeFile, "write_file", 1), (.readFile, "read_file", 1),
        (.readDirectory, "read_dir", 1), (.removeDirectory, "remove_dir", 1),
        (.removeFile, "remove_file", 1), (.makeCharacterDevice, "make_char", 1),
        (.makeDirectory, "make_dir", 1), (.makeRegular, "make_reg", 1), (.makeSocket, "make_sock", 1),
        (.makeFIFO, "make_fifo", 1), (.makeBlockDevice, "make_block", 1),
        (.makeSymbolicLink, "make_sym", 1), (.refer, "refer", 2), (.truncate, "truncate", 3),
        (.ioctlDevice, "ioctl_dev", 5), (.resolveUnix, "resolve_unix", 9),
    ]

    /// All rights that a kernel of this ABI can handle; none for ABI 0.
    package static func handled(abi: Int) -> LandlockAccess {
        table.reduce([]) { $1.abi <= abi ? $0.union($1.right) : $0 }
    }

    /// The rights that mean something on a path that is not a directory; the kernel takes no other there.
    package static let onFiles: LandlockAccess = [
        .execute, .writeFile, .readFile, .truncate, .ioctlDevice, .resolveUnix,
    ]

    /// The kernel's names of the rights in the set, in the order of their bits.
    package var names: [String] { LandlockAccess.table.filter { contains($0.right) }.map(\.name) }
}

/// What Landlock keeps inside the domain besides files (ABI 6, Linux 6.12).
package struct LandlockScope: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// No connection to an abstract UNIX socket that was made outside the domain.
    package static let abstractUnixSocket = LandlockScope(rawValue: 1 << 0)
    /// No signal to a process outside the domain.
    package static let signal = LandlockScope(rawValue: 1 << 1)

    /// Each single scope with its kernel name and the first ABI that has it.
    package static let table: [(scope: LandlockScope, name: String, abi: Int)] = [
        (.abstractUnixSocket, "abstract_unix_socket", 6), (.signal, "signal", 6),
    ]

    /// All scopes that a kernel of this ABI has.
    package static func available(abi: Int) -> LandlockScope {
        LandlockScope(table.filter { $0.abi <= abi }.map(\.scope))
    }

    /// The kernel's names of the scopes in the set.
    package var names: [String] { LandlockScope.table.filter { contains($0.scope) }.map(\.name) }
}

/// Options of the restriction itself.
package struct LandlockRestriction: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    // ABI 7, Linux 6.15: which refusals go to the audit log.
    package static let logSameExecutionOff = LandlockRestriction(rawValue: 1 << 0)
    package static let logNewExecutionOn = LandlockRestriction(rawValue: 1 << 1)
    package static let logSubdomainsOff = LandlockRestriction(rawValue: 1 << 2)
    /// ABI 8, Linux 7.0: all threads of the process at once.
    package static let allThreads = LandlockRestriction(rawValue: 1 << 3)

    /// Each single option with its kernel name and the first ABI that has it.
    package static let table: [(option: LandlockRestriction, name: String, abi: Int)] = [
        (.logSameExecutionOff, "log_same_exec_off", 7), (.logNewExecutionOn, "log_new_exec_on", 7),
        (.logSubdomainsOff, "log_subdomains_off", 7), (.allThreads, "tsync", 8),
    ]
}

/// Rights below one path.
package struct LandlockRule: Hashable, Sendable {
    package let path: AbsolutePath
    package let access: LandlockAccess

    package init(path: AbsolutePath, access: LandlockAccess) {
        self.path = path
        self.access = access
    }
}

/// What the running kernel says about Landlock.
package enum LandlockSupport: Hashable, Sendable {
    /// It enforces rules of this ABI, 1 or more.
    case abi(Int)
    /// The kernel was built without it (ENOSYS).
    case notBuilt
    /// It was not switched on at boot, see the `lsm=` parameter (EOPNOTSUPP).
    case disabled
    /// Something refuses the question, usually the system call filter of a container, with this errno.
    case refused(Int32)

    /// The ABI as a number; 0 where there is no Landlock.
    package var number: Int {
        switch self {
        case .abi(let number): number
        case .notBuilt, .disabled, .refused: 0
        }
    }
}

/// What was enforced on a thread, for the log and for `box doctor`.
package struct LandlockReport: Hashable, Sendable {
    package let abi: Int
    package let handled: LandlockAccess
    package let scopes: LandlockScope
    package let rules: Int

    package init(abi: Int, handled: LandlockAccess, scopes: LandlockScope, rules: Int) {
        self.abi = abi
        self.handled = handled
        self.scopes = scopes
        self.rules = rules
    }
}
