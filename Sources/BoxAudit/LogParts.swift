package import BoxKernel
internal import BoxTypes

/// The files of a session's log: `events.jsonl`, which is written to, and before it `events.1.jsonl`, `events.2.jsonl` …,
/// which are full, in the order of time.
package struct LogParts: Equatable, Sendable {
    /// The session's directory.
    package let directory: String
    /// The numbers of the full ones that are there, in order.
    package private(set) var numbers: [Int] = []

    /// The file that is written to.
    package let present: String
    package static let name = "events.jsonl"

    /// The parts before the present one, as they are now. `log` is the present one's path.
    package init(of log: String) throws(KernelError) {
        present = log
        directory = log.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(log[..<$0]) } ?? ""
        try refresh()
    }

    /// Looks again.
    package mutating func refresh() throws(KernelError) {
        numbers = try Tree.open(directory.isEmpty ? "." : directory).names().compactMap(LogParts.number)
            .sorted()
    }

    /// Where a full part is.
    package func path(_ number: Int) -> String { "\(directory)/events.\(number).jsonl" }

    /// The number of a part's name; nil for every other name.
    package static func number(of name: some Sequence<UInt8>) -> Int? {
        let text = String(decoding: Array(name), as: UTF8.self)
        guard text.hasPrefix("events."), text.hasSuffix(".jsonl"), text.utf8.count > 13,
            let number = Int(text.dropFirst(7).dropLast(6)), number > 0, text == "events.\(number).jsonl"
        else { return nil }
        return number
    }
}
