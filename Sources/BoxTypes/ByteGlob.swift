/// A pattern for one name: `*` any bytes, `?` one byte, `[a-z]` one of a set, `[!a-z]` one that is not of it, `\` takes
/// the next byte as it is. Everything is compared byte by byte and in the case that is written.
package struct ByteGlob: Hashable, Sendable {
    fileprivate enum Token: Hashable {
        case byte(UInt8)
        case one
        case many
        case set(ByteSet)
    }

    private let tokens: [Token]

    /// Parses one component of a pattern; it has no `/`.
    package init(_ pattern: some Collection<UInt8>) throws(PatternRefusal) {
        var tokens: [Token] = []
        var rest = Array(pattern)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"): if tokens.last != .many { tokens.append(.many) }
            case UInt8(ascii: "?"): tokens.append(.one)
            case UInt8(ascii: "["): tokens.append(.set(try ByteSet(&rest)))
            case UInt8(ascii: "\\"):
                guard let next = rest.popFirst() else { throw PatternRefusal("it ends with a lone \\") }
                tokens.append(.byte(next))
            default: tokens.append(.byte(byte))
            }
        }
        self.tokens = tokens
    }

    /// The name itself, if the pattern has no wildcard.
    package var literal: [UInt8]? {
        var bytes: [UInt8] = []
        for token in tokens {
            guard case .byte(let byte) = token else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    /// Whether the pattern says next to nothing: every name matches, or every one of a length or more.
    var isEverything: Bool { tokens.contains(.many) && tokens.allSatisfy { $0 == .many || $0 == .one } }

    /// Whether the whole name matches; the time grows with the product of both lengths at most.
    package func matches(_ name: some Collection<UInt8>) -> Bool { matches(Array(name)[...]) }

    /// The same for a part of an array, as paths give their components.
    package func matches(_ name: ArraySlice<UInt8>) -> Bool {
        var (token, at) = (0, name.startIndex)
        // Only the last `*` need ever take more: what the ones before it took was enough for what follows them.
        var retry: (token: Int, at: Int)?
        while at < name.endIndex {
            if token < tokens.count, tokens[token] == .many {
                retry = (token + 1, at)
                token += 1
            } else if token < tokens.count, tokens[token].takes(name[at]) {
                (token, at) = (token + 1, at + 1)
            } else if let last = retry {
                retry = (last.token, last.at + 1)
                (token, at) = (last.token, last.at + 1)
            } else {
                return false
            }
        }
        return tokens[token...].allSatisfy { $0 == .many }
    }
}

extension ByteGlob.Token {
    fileprivate func takes(_ byte: UInt8) -> Bool {
        switch self {
        case .byte(let own): own == byte
        case .one: true
        case .many: false
        case .set(let set): set.contains(byte)
        }
    }
}

/// The bytes between `[` and `]` of a pattern.
private struct ByteSet: Hashable {
    private var ranges: [ClosedRange<UInt8>] = []
    private var isNegated = false

    /// Takes what follows a `[`, with the `]` at its end.
    init(_ rest: inout ArraySlice<UInt8>) throws(PatternRefusal) {
        if rest.first == UInt8(ascii: "!") || rest.first == UInt8(ascii: "^") {
            isNegated = true
            rest.removeFirst()
        }
        // A `]` that comes first is one of the set.
        var isFirst = true
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "]"), !isFirst { return }
            if byte == UInt8(ascii: "["), rest.first == UInt8(ascii: ":") {
                throw PatternRefusal("classes like [:alpha:] are not supported; write [a-zA-Z]")
            }
            isFirst = false
            let low = try ByteSet.plain(byte, &rest)
            guard rest.first == UInt8(ascii: "-"), rest.dropFirst().first != UInt8(ascii: "]") else {
                ranges.append(low...low)
                continue
            }
            rest.removeFirst()
            guard let end = rest.popFirst() else { break }
            let high = try ByteSet.plain(end, &rest)
            guard low <= high else { throw PatternRefusal("a range in [ ] ends before it begins") }
            ranges.append(low...high)
        }
        throw PatternRefusal("a [ has no ] (write \\[ for the sign itself)")
    }

    private static func plain(_ byte: UInt8, _ rest: inout ArraySlice<UInt8>) throws(PatternRefusal) -> UInt8
    {
        // Matching is by bytes, so a character of several would be taken apart.
        guard byte < 0x80 else { throw PatternRefusal("only ASCII characters can stand in [ ]") }
        guard byte == UInt8(ascii: "\\") else { return byte }
        guard let next = rest.popFirst() else { throw PatternRefusal("it ends with a lone \\") }
        return next
    }

    func contains(_ byte: UInt8) -> Bool { ranges.contains { $0.contains(byte) } != isNegated }
}

/// Why a text is not a pattern of file names.
package struct PatternRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The message, safe to print.
    package let description: String

    package init(_ text: String) { description = text.escapedForTerminal }
}
