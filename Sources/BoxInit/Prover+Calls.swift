internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

// System calls and terminals.
extension Attempt {
    /// Calls by number: of Linux 6.8 to 6.18, which box knows and does not allow, and inside also numbers that no
    /// kernel has yet. A control tries only the known ones: it cannot tell what others will do.
    func newCalls() throws(Broken) -> String {
        var seen: [String] = []
        for name in ["statmount", "lsm_get_self_attr", "setxattrat", "file_getattr"] {
            let word = try SystemCall.word(name, .number(0), .number(0), .number(0), .number(0))
            if word != "ENOSYS" { seen.append("\(name) \(word)") }
        }
        if !isControl {
            for number in Array(480...600) + [4095] {
                let word = SystemCall.answer(number: number, []).word
                if word != "ENOSYS" { seen.append("\(number) \(word)") }
            }
        }
        return seen.isEmpty ? "ENOSYS" : seen.joined(separator: ", ")
    }

    func i386() -> String {
        let result = box_getpid_by_i386_entry()
        if result == 0 { return "absent" }
        return result == Int(getpid()) ? "succeeded" : errorName(CInt(-result))
    }

    /// getpid by the x32 numbers, which have bit 30 set.
    func x32() -> String {
        #if arch(x86_64)
            SystemCall.answer(number: 0x4000_0000 | 39, []).word
        #else
            "absent"
        #endif
    }

    /// An ioctl on a terminal of this process's own, which controls it, so that nobody's input is touched.
    func terminalControl(_ request: Int, typing: Bool) throws(Broken) -> String {
        // The terminal hangs up when it is closed here, before the answer is given.
        signal(SIGHUP, SIG_IGN)
        let terminal = try Broken.unless { () throws(KernelError) in
            try Processes.newSession()
            let terminal = try PseudoTerminal()
            try check("ioctl(TIOCSCTTY)", box_set_controlling_terminal(terminal.slave.number))
            return terminal
        }
        let argument: [UInt8] = typing ? Array("x".utf8) : [0, 0, 0, 0]
        return try SystemCall.word(
            "ioctl", .number(Int(terminal.slave.number)), .number(request), .bytes(argument))
    }
}
