internal import CCap
internal import CLinux
internal import Glibc

/// The five capability sets of a thread, one bit per capability number.
package struct CapabilitySets: Hashable, Sendable {
    package var effective: UInt64 = 0
    package var permitted: UInt64 = 0
    package var inheritable: UInt64 = 0
    package var bounding: UInt64 = 0
    package var ambient: UInt64 = 0

    package init() {}

    /// Nothing in any set.
    package static let none = CapabilitySets()
}

/// The capabilities of the calling thread (capabilities(7)).
package enum Capabilities {
    /// NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE on, KEEP_CAPS off, and all four locked: neither uid 0
    /// nor a set-user-id program nor the ambient set gives a capability back.
    package static let lockedSecureBits: CInt = 0b1110_1111

    /// Gives up every capability, so that nothing run from here on can have one again.
    ///
    /// The order is forced by CAP_SETPCAP: lowering the bounding set and locking the securebits need it, and
    /// emptying the sets takes it away. Fails with `EPERM` where the thread lacks CAP_SETPCAP in its user
    /// namespace; then part of the sets may already be lowered.
    package static func dropAll() throws(KernelError) {
        for capability in all {
            try check("cap_drop_bound", cap_drop_bound(capability), "capability \(capability)")
        }
        try check("cap_reset_ambient", cap_reset_ambient())
        try check("prctl(PR_SET_SECUREBITS)", box_prctl(PR_SET_SECUREBITS, UInt(lockedSecureBits), 0, 0, 0))
        try clearSets()
    }

    /// Gives up what the thread holds and leaves bounding set and securebits alone: for a process that may
    /// never have had CAP_SETPCAP. With `no_new_privs` set nothing comes back by executing a program.
    package static func dropHeld() throws(KernelError) {
        try check("cap_reset_ambient", cap_reset_ambient())
        try clearSets()
    }

    /// What the thread has now.
    package static func current() throws(KernelError) -> CapabilitySets {
        guard let held = unsafe cap_get_proc() else { throw KernelError(call: "cap_get_proc", code: errno) }
        defer { unsafe cap_free(UnsafeMutableRawPointer(held)) }
        var sets = CapabilitySets()
        for capability in all {
            let bit = UInt64(1) << UInt64(capability)
            if try unsafe isSet(capability, CAP_EFFECTIVE, in: held) { sets.effective |= bit }
            if try unsafe isSet(capability, CAP_PERMITTED, in: held) { sets.permitted |= bit }
            if try unsafe isSet(capability, CAP_INHERITABLE, in: held) { sets.inheritable |= bit }
            if try check("cap_get_bound", cap_get_bound(capability)) == 1 { sets.bounding |= bit }
            if try check("cap_get_ambient", cap_get_ambient(capability)) == 1 { sets.ambient |= bit }
        }
        return sets
    }

    /// The securebits of the thread.
    package static func secureBits() throws(KernelError) -> CInt {
        try check("prctl(PR_GET_SECUREBITS)", box_prctl(PR_GET_SECUREBITS, 0, 0, 0, 0))
    }

    /// Every capability that the running kernel has; newer ones than libcap's header knows are included.
    private static var all: Range<cap_value_t> { 0..<cap_max_bits() }

    private static func clearSets() throws(KernelError) {
        guard let empty = unsafe cap_init() else { throw KernelError(call: "cap_init", code: errno) }
        let result = unsafe cap_set_proc(empty)
        let code = errno
        unsafe cap_free(UnsafeMutableRawPointer(empty))
        guard result == 0 else { throw KernelError(call: "cap_set_proc", code: code) }
    }

    @unsafe private static func isSet(
        _ capability: cap_value_t, _ set: cap_flag_t, in held: cap_t
    ) throws(KernelError) -> Bool {
        var value = CAP_CLEAR
        try unsafe check("cap_get_flag", cap_get_flag(held, capability, set, &value))
        return value == CAP_SET
    }
}

/// Attributes of the calling process that prctl(2) sets.
package enum ProcessAttributes {
    /// Sets `no_new_privs` on the thread: set-user-id bits and file capabilities stop having an effect.
    package static func setNoNewPrivileges() throws(KernelError) {
        try check("prctl(PR_SET_NO_NEW_PRIVS)", box_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }

    /// Whether `no_new_privs` is set.
    package static func hasNoNewPrivileges() throws(KernelError) -> Bool {
        try check("prctl(PR_GET_NO_NEW_PRIVS)", box_prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)) == 1
    }

    /// Decides whether others of the same user may trace the process and read its `/proc` files.
    ///
    /// A process that is not dumpable can't have its id maps written by an unprivileged parent either, so
    /// this comes after the maps. Executing a program resets it.
    package static func setDumpable(_ on: Bool) throws(KernelError) {
        try check("prctl(PR_SET_DUMPABLE)", box_prctl(PR_SET_DUMPABLE, on ? 1 : 0, 0, 0, 0))
    }

    /// Whether the process is dumpable.
    package static func isDumpable() throws(KernelError) -> Bool {
        try check("prctl(PR_GET_DUMPABLE)", box_prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)) == 1
    }

    /// The signal that the process gets when the thread that started it ends; 0 is none.
    ///
    /// A parent that ended before this call sends nothing: the caller must notice that by other means, for
    /// example a pipe whose other end the parent held. A change of the effective ids resets it.
    package static func setParentDeathSignal(_ signal: CInt) throws(KernelError) {
        try check("prctl(PR_SET_PDEATHSIG)", box_prctl(PR_SET_PDEATHSIG, UInt(signal), 0, 0, 0))
    }
}
