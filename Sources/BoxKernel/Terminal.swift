internal import CLinux
internal import Glibc

/// What a terminal looks like from the outside, and who is in front of it.
package enum Terminal {
    /// Rows and columns, and the size in pixels where the terminal tells it.
    package struct Size: Equatable, Sendable {
        package var rows: UInt16
        package var columns: UInt16
        package var pixelWidth: UInt16 = 0
        package var pixelHeight: UInt16 = 0

        package init(rows: UInt16, columns: UInt16, pixelWidth: UInt16 = 0, pixelHeight: UInt16 = 0) {
            self.rows = rows
            self.columns = columns
            self.pixelWidth = pixelWidth
            self.pixelHeight = pixelHeight
        }
    }

    /// Whether the descriptor is a terminal; a closed descriptor is none.
    package static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

    /// The window's size; a terminal that never got one says 0 × 0.
    package static func size(of descriptor: CInt) throws(KernelError) -> Size {
        var window = winsize()
        try check("ioctl(TIOCGWINSZ)", unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window))
        return Size(
            rows: window.ws_row, columns: window.ws_col, pixelWidth: window.ws_xpixel,
            pixelHeight: window.ws_ypixel)
    }

    /// Sets the window's size; on a change the foreground group behind the terminal gets `SIGWINCH`.
    package static func setSize(_ size: Size, of descriptor: CInt) throws(KernelError) {
        var window = winsize(
            ws_row: size.rows, ws_col: size.columns, ws_xpixel: size.pixelWidth,
            ws_ypixel: size.pixelHeight)
        try check("ioctl(TIOCSWINSZ)", unsafe ioctl(descriptor, UInt(TIOCSWINSZ), &window))
    }

    /// The foreground process group; `ENOTTY` unless it is the caller's controlling terminal.
    package static func foregroundGroup(of descriptor: CInt) throws(KernelError) -> CInt {
        try check("tcgetpgrp", tcgetpgrp(descriptor))
    }

    /// Puts a process group of the caller's session in the foreground.
    package static func setForegroundGroup(_ group: CInt, of descriptor: CInt) throws(KernelError) {
        try check("tcsetpgrp", tcsetpgrp(descriptor, group))
    }

    /// Whether the caller may use the terminal without being stopped by job control.
    ///
    /// On a terminal that is not the controlling one, job control does not apply.
    package static func isForeground(_ descriptor: CInt) -> Bool {
        let group = tcgetpgrp(descriptor)
        return group < 0 || group == getpgrp()
    }

    /// The terminal's path, e.g. `/dev/pts/3`.
    package static func name(of descriptor: CInt) throws(KernelError) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let code = unsafe ttyname_r(descriptor, &buffer, buffer.count)
        guard code == 0 else { throw KernelError(call: "ttyname_r", code: code) }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Throws away what was typed, or answered by the terminal, and not read yet.
    package static func discardInput(of descriptor: CInt) throws(KernelError) {
        try check("tcflush", tcflush(descriptor, TCIFLUSH))
    }
}

/// A terminal's attributes as they were at one moment; `apply` puts them back.
package struct TerminalState {
    private var attributes: termios

    /// Reads the attributes.
    package init(of descriptor: CInt) throws(KernelError) {
        var now = termios()
        try check("tcgetattr", unsafe tcgetattr(descriptor, &now))
        attributes = now
    }

    /// The same terminal with every byte passed as it is, both ways: no echo, no lines, no signals, no
    /// changes.
    package var raw: TerminalState {
        var other = self
        unsafe cfmakeraw(&other.attributes)
        return other
    }

    /// The same terminal for text in UTF-8: its erase key takes a whole character away.
    package var withUTF8: TerminalState {
        var other = self
        other.attributes.c_iflag |= tcflag_t(IUTF8)
        return other
    }

    /// Whether input comes by lines.
    package var isCanonical: Bool { attributes.c_lflag & tcflag_t(ICANON) != 0 }

    /// Whether input is echoed.
    package var echoes: Bool { attributes.c_lflag & tcflag_t(ECHO) != 0 }

    /// Sets the attributes once what was written before has been shown.
    ///
    /// From a background job this stops the caller by `SIGTTOU` unless that is blocked or ignored.
    package func apply(to descriptor: CInt) throws(KernelError) {
        var wanted = attributes
        let result = retry { unsafe tcsetattr(descriptor, TCSADRAIN, &wanted) }
        try check("tcsetattr", result)
    }

    /// Has these attributes put back if the process crashes or calls `exit` before `endGuard`.
    package func guardCrash(of descriptor: CInt) {
        var wanted = attributes
        unsafe box_terminal_guard(descriptor, &wanted)
    }

    /// Ends `guardCrash`.
    package static func endGuard() { box_terminal_unguard() }
}

/// A new pseudo-terminal: what is written to one end is read from the other, as by a terminal and its user.
package struct PseudoTerminal: ~Copyable {
    /// The user's end.
    package var master: Descriptor
    /// The program's end.
    package var slave: Descriptor

    /// Makes one in the devpts instance that `multiplexer` belongs to. Neither end becomes a controlling
    /// terminal.
    package init(multiplexer: String = "/dev/ptmx") throws(KernelError) {
        let master = try Descriptor.open(multiplexer, O_RDWR | O_NOCTTY)
        try check("ioctl(TIOCSPTLCK)", box_pty_unlock(master.number), multiplexer)
        let slave = box_pty_peer(master.number, O_RDWR | O_NOCTTY | O_CLOEXEC)
        self.slave = Descriptor(owning: try check("ioctl(TIOCGPTPEER)", slave, multiplexer))
        self.master = master
    }

    /// Keeps the user's end and closes the other.
    package consuming func takeMaster() -> Descriptor { master }
}
