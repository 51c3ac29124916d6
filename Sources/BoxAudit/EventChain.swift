internal import Crypto

/// Ties the lines of a session's log together: each carries a digest of itself and of all lines before it, so that one
/// that was changed, taken out, moved or put in is found.
///
/// The digest of a line is the first half of SHA-256 of the digest before it, as text, followed by the line without its
/// `chain`; before the first line stands a digest of the session's name. It is no signature: what it finds is damage and
/// edits by those who do not go to that trouble. Programs inside cannot reach the log at all.
package struct EventChain: Equatable, Sendable {
    /// 32 hexadecimal digits, as the lines have it.
    package private(set) var digest: [UInt8]

    private static let digits = 32
    private static let begin = Array(#","chain":""#.utf8)
    private static let end = Array(#""}"#.utf8)
    private static let tail = begin.count + digits + end.count
    private static let alphabet = Array("0123456789abcdef".utf8)

    /// The chain of a log without a line.
    package init(session: String) {
        digest = EventChain.digest(of: Array("box events of \(session)".utf8), [])
    }

    /// The chain as it is after this line; nil if the line has no digest. Whether it is the right one is not looked at.
    package init?(after line: ArraySlice<UInt8>) {
        guard let parts = EventChain.parts(line) else { return nil }
        digest = Array(parts.digest)
    }

    package var text: String { String(decoding: digest, as: UTF8.self) }

    /// Adds an event, a JSON object with members on one line: the line for the log, without its end.
    package mutating func add(_ object: [UInt8]) -> [UInt8] {
        digest = EventChain.digest(of: digest, object)
        var line: [UInt8] = []
        line.reserveCapacity(object.count + EventChain.tail)
        line += object[..<(object.count - 1)]
        line += EventChain.begin
        line += digest
        line += EventChain.end
        return line
    }

    /// Goes on to the next line of a log; false, and nothing is changed, if it is not what was written after the lines
    /// before.
    package mutating func follow(_ line: ArraySlice<UInt8>) -> Bool {
        guard let parts = EventChain.parts(line) else { return false }
        let wanted = EventChain.digest(of: digest, parts.object + [UInt8(ascii: "}")])
        guard parts.digest.elementsEqual(wanted) else { return false }
        digest = wanted
        return true
    }

    /// A line's members, without the closing brace, and its digest.
    private static func parts(_ line: ArraySlice<UInt8>) -> (
        object: ArraySlice<UInt8>, digest: ArraySlice<UInt8>
    )? {
        guard line.count > tail else { return nil }
        let rest = line.suffix(tail)
        let digest = rest.dropFirst(begin.count).prefix(digits)
        guard rest.starts(with: begin), rest.suffix(end.count).elementsEqual(end),
            digest.allSatisfy(alphabet.contains)
        else { return nil }
        return (line.dropLast(tail), digest)
    }

    private static func digest(of before: [UInt8], _ object: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: before)
        hash.update(data: object)
        var digits: [UInt8] = []
        digits.reserveCapacity(EventChain.digits)
        for byte in hash.finalize().prefix(EventChain.digits / 2) {
            digits.append(alphabet[Int(byte >> 4)])
            digits.append(alphabet[Int(byte & 15)])
        }
        return digits
    }
}
