import BoxKernel
import BoxStage
import BoxTypes
import Glibc

/// What the user wants of one file's changes.
enum Picked: Equatable {
    /// Everything.
    case all
    /// Nothing.
    case none
    /// The old content with the hunks that were taken.
    case content([UInt8])
    /// No more questions: nothing of this file and of all later ones.
    case quit
}

/// Asks on the terminal which hunks to take, as `git add -p` does: one line with one letter is an answer.
///
/// The terminal stays as it is, so there is nothing to put back, however it ends.
struct HunkPicker: ~Copyable {
    /// More lines of one hunk are shown only when they are asked for.
    private static let mostLines = 500

    private let terminal: Descriptor
    private let hasColour: Bool
    private let hunks: VisibleHunks
    /// What was read after the last line.
    private var waiting: [UInt8] = []
    private var hasQuit = false

    /// Takes the terminal that box was started from; an error where there is none.
    init() throws(KernelError) {
        terminal = try HunkPicker.openTerminal()
        hasColour = Output.hasColour(terminal.number)
        hunks = VisibleHunks(colour: hasColour)
    }

    private static func openTerminal() throws(KernelError) -> Descriptor {
        do throws(KernelError) { return try Descriptor.open("/dev/tty", O_RDWR | O_NOCTTY) } catch {
            // Without a controlling terminal: standard input may be one all the same, open for both ways.
            guard Terminal.isTerminal(0) else { throw error }
            return try Descriptor.open(try Terminal.name(of: 0), O_RDWR | O_NOCTTY)
        }
    }

    /// Asks about one file. After the user has quit every further file is `.quit` without a question.
    mutating func pick(_ path: String, old: [UInt8], new: [UInt8]) throws(KernelError) -> Picked {
        guard !hasQuit else { return .quit }
        let diff = LineDiff(old: old, new: new)
        guard !diff.edits.isEmpty else { return .all }
        try say(painted("diff --box a/\(path.escapedForTerminal) b/\(path.escapedForTerminal)", "1"))
        guard !Binary.isBinary(old), !Binary.isBinary(new) else { return try pickWhole() }
        var selection = HunkSelection(diff)
        try show(selection.hunk, most: HunkPicker.mostLines)
        while true {
            let count = "(\(selection.current + 1)/\(selection.count))"
            guard let answer = try ask("\(count) Apply this hunk [\(selection.letters)]? ") else {
                return end(selection, hasQuit: true)
            }
            let before = selection.current
            switch selection.answer(answer) {
            case .done: return end(selection, hasQuit: false)
            case .quit: return end(selection, hasQuit: true)
            case .say(let message):
                try say(painted(message, "1;31"))
                if answer.first == "s" || answer.first == "S" {
                    try show(selection.hunk, most: HunkPicker.mostLines)
                }
            case .ask:
                let isAll = answer.first == "p" && before == selection.current
                try show(selection.hunk, most: isAll ? .max : HunkPicker.mostLines)
            }
        }
    }

    private mutating func end(_ selection: HunkSelection, hasQuit: Bool) -> Picked {
        self.hasQuit = hasQuit
        if selection.isEverything { return .all }
        if !selection.taken.isEmpty { return .content(selection.content) }
        return hasQuit ? .quit : .none
    }

    /// A binary file is taken as a whole.
    private mutating func pickWhole() throws(KernelError) -> Picked {
        while let answer = try ask("(1/1) Apply this binary file [y,n,q,?]? ") {
            switch answer.first {
            case "y", "Y", "a", "A": return .all
            case "n", "N", "d", "D": return .none
            case "q", "Q":
                hasQuit = true
                return .quit
            default:
                try say(
                    "y - take the file\nn - leave it out\nq - quit; leave out this one and all that are left")
            }
        }
        hasQuit = true
        return .quit
    }

    // MARK: - The terminal

    private func painted(_ text: String, _ code: String) -> String {
        hasColour ? "\u{1B}[\(code)m\(text)\u{1B}[m" : text
    }

    private borrowing func say(_ text: String) throws(KernelError) {
        try terminal.write(all: Array((text + "\n").utf8))
    }

    private borrowing func show(_ hunk: Hunk, most: Int) throws(KernelError) {
        try hunks.print(hunk, most: most) { (line) throws(KernelError) in try terminal.write(all: line) }
    }

    /// One line of the user's; nil at the end of the input.
    private mutating func ask(_ question: String) throws(KernelError) -> String? {
        try terminal.write(all: Array(painted(question, "1;34").utf8))
        while true {
            if let end = waiting.firstIndex(where: { $0 == 10 || $0 == 13 }) {
                let line = waiting[..<end]
                waiting = Array(waiting[(end + 1)...])
                return String(decoding: line, as: UTF8.self).filter { !$0.isWhitespace }
            }
            let more: [UInt8]
            do throws(KernelError) { more = try terminal.read(upTo: 1024) } catch {
                // The terminal is gone.
                guard error.code == EIO else { throw error }
                return nil
            }
            // Ctrl-D at the beginning of a line, or in it.
            guard !more.isEmpty else {
                try say("")
                return nil
            }
            // A line without an end is no answer.
            waiting = waiting.count > 1 << 16 ? more : waiting + more
        }
    }
}
