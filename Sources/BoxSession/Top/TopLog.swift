package import BoxKernel

/// The log of a session as it grows, in lines for `box top`.
package final class TopLog {
    private var reader: LogReader
    private let growth: LogGrowth
    private var text: LogText
    /// The newest lines, escaped.
    package private(set) var lines: [String] = []

    /// As much of the log's end as one would ever scroll through.
    private static let mostBytes = 1 << 19
    private static let mostLines = 4000

    /// Opens the log of a session; throws if there is none.
    package init(_ session: String, colour: Bool) throws(SessionError) {
        var reader = try LogReader(try SessionStore.named(session).log)
        growth = try reader.growth()
        try reader.skip(toLast: TopLog.mostBytes)
        self.reader = reader
        text = LogText(colour: colour)
        try read()
    }

    /// What to wait for.
    package var entry: PollEntry { growth.entry }

    /// Takes what was written since.
    package func take() throws(SessionError) {
        try growth.settle()
        try read()
    }

    private func read() throws(SessionError) {
        var text = text
        var found: [String] = []
        try reader.read { _, line in
            // What is damaged box log tells of.
            guard case .text(let bytes) = line, let entry = LogEntry(bytes) else { return }
            found += text.lines(entry)
        }
        self.text = text
        lines += found
        lines.removeFirst(max(0, lines.count - TopLog.mostLines))
    }
}
