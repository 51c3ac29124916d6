import ArgumentParser
import BoxAudit
import BoxKernel
import BoxStage
import BoxTypes
import Glibc

/// How a difference is printed.
struct DiffFormat {
    /// When there are colours.
    enum Colour: String, ExpressibleByArgument, CaseIterable { case auto, always, never }

    /// Standard output is a terminal.
    let isTerminal: Bool
    /// Contents and names go out byte for byte, as a patch; otherwise for people to read.
    let isRaw: Bool
    /// Also what `git apply` would refuse.
    let isExplicitlyRaw: Bool
    let hasColour: Bool
    /// The same for what goes to standard error beside a patch.
    private let hasNoteColour: Bool
    let columns: Int

    init(colour: Colour, raw: Bool) {
        isTerminal = Terminal.isTerminal(1)
        // With colours in it, it is no patch any more.
        isRaw = raw || !isTerminal && colour != .always
        isExplicitlyRaw = raw
        switch colour {
        case .auto: (hasColour, hasNoteColour) = (Output.hasColour(1), Output.hasColour(isRaw ? 2 : 1))
        case .always: (hasColour, hasNoteColour) = (true, true)
        case .never: (hasColour, hasNoteColour) = (false, false)
        }
        columns = TerminalWindow.size.columns
    }

    func painted(_ text: String, _ code: String) -> String { painted(text, code, hasColour) }

    /// The same for a note.
    func noted(_ text: String, _ code: String) -> String { painted(text, code, hasNoteColour) }

    private func painted(_ text: String, _ code: String, _ isOn: Bool) -> String {
        isOn && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[m" : text
    }
}

/// The size of the window that standard output shows.
enum TerminalWindow {
    static var size: (rows: Int, columns: Int) {
        guard Terminal.isTerminal(1) else { return (24, 80) }
        do throws(KernelError) {
            let size = try Terminal.size(of: 1)
            // A terminal that never got a size says 0.
            return (size.rows == 0 ? 24 : Int(size.rows), size.columns == 0 ? 80 : Int(size.columns))
        } catch { return (24, 80) }
    }
}

/// Prints a review in one of its forms.
struct DiffPrinter {
    let review: DiffReview
    let format: DiffFormat
    let output: PagedOutput

    init(_ review: DiffReview, _ format: DiffFormat, _ output: PagedOutput) {
        self.review = review
        self.format = format
        self.output = output
    }

    /// A change's path for people.
    func shown(_ change: Change) -> String { BytePath.escaped(review.name(change)) }

    func write(_ text: String) throws(StageError) { try output.write(Array(text.utf8)) }

    // MARK: - The summary

    /// The session, what is risky or in conflict with the reasons, and on a terminal what else there is.
    func printSummary(_ isRunning: Bool) throws(StageError) {
        let stage = review.stage
        let state = isRunning ? ", running" : ""
        let files = review.count == 1 ? "1 file" : "\(review.count) files"
        let started = Timestamp.text(
            seconds: stage.started.seconds, milliseconds: stage.started.nanoseconds / 1_000_000)
        var text = format.noted(
            "session \(stage.session.escapedForTerminal), \(files) changed, started \(started)\(state)", "1")
        text += "\n"
        for note in review.notes { text += "! \(note)\n" }
        for entry in review.risky { text += risk(entry) }
        for (change, reason) in review.conflicts {
            text += format.noted("C \(shown(change)) (conflict: \(reason.escapedForTerminal))", "35") + "\n"
        }
        try note(text)
        guard !format.isRaw else { return }
        try write(overview() + "\n")
    }

    /// What is not data: to standard error where standard output is a patch.
    func note(_ text: String) throws(StageError) {
        if format.isRaw { Output.raw(text) } else { try write(text) }
    }

    private func risk(_ entry: DiffReview.Entry) -> String {
        let badge = format.noted(
            "\(entry.verdict.risk.name):", entry.verdict.risk == .blocked ? "1;31" : "1;33")
        return "! \(shown(entry.change)) (\(badge) \(entry.verdict.reason.escapedForTerminal))\n"
    }

    /// The first of the other changes, one on a line.
    private func overview() -> String {
        var text = ""
        var (lines, told) = (0, 0)
        var groups = review.movedDirectories
        for entry in review.firstNormal where lines < 40 {
            told += 1
            if review.isSourceOfMove(entry.change) { continue }
            var line = shown(entry.change)
            if let group = groups.take(entry) {
                guard let moved = group.line else { continue }
                line = moved
            } else if let source = review.source(of: entry.change) {
                line = BytePath.escaped(review.name(source, tree: entry.change.tree)) + " -> " + line
            }
            text += "\(entry.letter) \(line)\n"
            lines += 1
        }
        let rest = review.normalCount - told
        return rest > 0 ? text + "… and \(rest) more\n" : text
    }

    // MARK: - Names

    /// One name a line; quoted as git does if it has what would break lines, or ended by NUL and as it is.
    func printNames(endedByZero: Bool) throws(StageError) {
        try review.forEach { (entry) throws(StageError) in
            let name = review.name(entry.change)
            if endedByZero {
                try output.write(name + [0])
            } else if format.isRaw {
                try output.write(UnifiedDiff.quoted(name) + [10])
            } else {
                try write(BytePath.escaped(name) + "\n")
            }
        }
    }

    // MARK: - Statistics

    func printStat() throws(StageError) {
        var stat = DiffStat()
        var groups = review.movedDirectories
        try review.forEach { (entry) throws(StageError) in
            guard !review.isSourceOfMove(entry.change) else { return }
            if let group = groups.take(entry) {
                if let line = group.line { stat.add(line, .lines(added: 0, removed: 0), files: group.count) }
                return
            }
            var name = shown(entry.change)
            if let source = review.source(of: entry.change) {
                name = BytePath.escaped(review.name(source, tree: entry.change.tree)) + " => " + name
            }
            stat.add(name, try DiffContents(entry.change, review.walk).amount())
        }
        try write(stat.text(columns: format.columns, colour: format.hasColour))
    }
}
