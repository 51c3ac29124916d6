import BoxKernel
import BoxSession
import BoxTypes
import Glibc

/// The terminal of a program that fills the screen: it is taken, drawn on, and given back as it was.
final class TopTerminal {
    /// The user's attributes while the terminal is raw.
    private var saved: TerminalState?
    /// What is on the screen; nil if that is not known.
    private var shown: [String]?

    private static let enter = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l"
    private static let leave = "\u{1b}[?7h\u{1b}[?25h\u{1b}[0m\u{1b}[?1049l"

    deinit { giveBack() }

    /// Takes the terminal. From the background this process is stopped first, as by the first output of any other.
    func take() throws(KernelError) {
        guard saved == nil else { return }
        while !Terminal.isForeground(0) { kill(getpid(), SIGSTOP) }
        let state = try TerminalState(of: 0)
        state.guardCrash(of: 0)
        try state.raw.apply(to: 0)
        saved = state
        shown = nil
        write(TopTerminal.enter)
    }

    /// Takes the terminal again, after this process was stopped by somebody else: the shell has set it for itself.
    func retake() throws(KernelError) {
        guard let saved else { return }
        while !Terminal.isForeground(0) { kill(getpid(), SIGSTOP) }
        try saved.raw.apply(to: 0)
        shown = nil
        write(TopTerminal.enter)
    }

    /// Gives the terminal back, with what was on it.
    func giveBack() {
        guard let state = saved else { return }
        saved = nil
        shown = nil
        TerminalState.endGuard()
        // In the background it is another job's already.
        guard Terminal.isForeground(0) else { return }
        write(TopTerminal.leave)
        // If it is gone there is nothing to put in order.
        _ = try? state.apply(to: 0)
    }

    /// Everything is to be drawn again.
    func forget() { shown = nil }

    /// The window's size; what a terminal that does not know it is taken for.
    var size: (rows: Int, columns: Int) {
        guard let size = try? Terminal.size(of: 1), size.rows > 0, size.columns > 0 else { return (24, 80) }
        return (Int(size.rows), Int(size.columns))
    }

    /// Shows lines, none of them wider than the screen: what has not changed is not drawn.
    func draw(_ lines: [String], columns: Int) {
        guard saved != nil, lines != shown else { return }
        var out = "\u{1b}[?2026h"
        if shown == nil { out += "\u{1b}[0m\u{1b}[2J" }
        for (row, line) in lines.enumerated() {
            if let shown, row < shown.count, shown[row] == line { continue }
            // Where the line is full the cursor stays on its last character, which would be cleared.
            out += "\u{1b}[\(row + 1);1H\u{1b}[0m\(line)\u{1b}[0m"
            if TopTerminal.isShort(line, columns) { out += "\u{1b}[K" }
        }
        out += "\u{1b}[?2026l"
        shown = lines
        write(out)
    }

    private static func isShort(_ line: String, _ columns: Int) -> Bool { TopText.width(line) < columns }

    private func write(_ text: String) { Output.data(text) }
}
