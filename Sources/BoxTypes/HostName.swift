/// A TCP port that can be connected to: 1 to 65535.
package struct Port: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let number: UInt16

    /// The port, unless it is 0.
    package init?(_ number: UInt16) {
        guard number != 0 else { return nil }
        self.number = number
    }

    private init(trusted: UInt16) { number = trusted }

    /// HTTPS, the port of a rule that names none.
    package static let https = Port(trusted: 443)
    /// Plain HTTP.
    package static let http = Port(trusted: 80)

    /// Parses one to five digits without a sign or a leading zero.
    package init(_ text: some StringProtocol) throws(HostRefusal) {
        let digits = Array(text.utf8)
        guard let first = digits.first, digits.count <= 5, first != UInt8(ascii: "0"),
            digits.allSatisfy(\.isDigit), let number = UInt16(text)
        else { throw HostRefusal("\"\(text)\" is not a port (1 to 65535)") }
        self.number = number
    }

    package var description: String { String(number) }

    package static func < (left: Port, right: Port) -> Bool { left.number < right.number }
}

/// Why a text names no host, address or rule.
package struct HostRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// The text breaks the grammar: a client that sends it is broken or hostile.
        case malformed
        /// The text is well formed but can never name a host on the network: a single label, `127.1`.
        case unusable
    }

    package let kind: Kind
    /// The message, safe to print.
    package let description: String

    package init(_ text: String, kind: Kind = .malformed) {
        self.kind = kind
        description = text.escapedForTerminal
    }
}

/// A fully qualified host name in its one canonical spelling: ASCII, lower case, no trailing dot.
///
/// Nothing is repaired: what is not letters, digits, `-`, `_` and dots is refused, because two programs that
/// map such text differently would disagree about the host. Names in other scripts are written as `xn--`.
package struct HostName: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    /// The one single-label name that a rule may open: the host's own loopback.
    package static let localhost = HostName(trusted: "localhost")

    private init(trusted: String) { description = trusted }

    /// Parses a name; upper case is lowered and one trailing dot taken off.
    package init(_ text: some StringProtocol) throws(HostRefusal) {
        var bytes = Array(text.utf8)
        guard bytes.allSatisfy(\.isHostByte) else {
            throw HostRefusal("the host name \"\(text.shortened)\" has a character that no host name has")
        }
        if bytes.count > 1, bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw HostRefusal("the host name is empty") }
        guard bytes.count <= 253 else { throw HostRefusal("the host name is longer than 253 bytes") }
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels { try HostName.check(label, in: text.shortened) }
        let name = String(decoding: bytes.map(\.lowercased), as: UTF8.self)
        guard let last = labels.last, HostName.endsName(last) else {
            throw HostRefusal(
                "\"\(name)\" is an odd spelling of an address, not a host name", kind: .unusable)
        }
        guard labels.count >= 2 || name == "localhost" else {
            throw HostRefusal("\"\(name)\" has no dot: only full host names are reachable", kind: .unusable)
        }
        description = name
    }

    private static func check(_ label: ArraySlice<UInt8>, in text: String) throws(HostRefusal) {
        guard !label.isEmpty else { throw HostRefusal("\"\(text)\" has an empty label") }
        guard label.count <= 63 else { throw HostRefusal("\"\(text)\" has a label longer than 63 bytes") }
        guard label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
            throw HostRefusal("\"\(text)\" has a label that begins or ends with '-'")
        }
    }

    /// Resolvers take `127.1`, `2130706433` and `0x7f.1` for addresses. No top-level domain is numeric, so a
    /// last label of digits or with `0x` is never a name.
    private static func endsName(_ label: ArraySlice<UInt8>) -> Bool {
        let isHexadecimal =
            label.count >= 2 && label.first == UInt8(ascii: "0")
            && label[label.startIndex + 1].lowercased == UInt8(ascii: "x")
        return !isHexadecimal && label.contains(where: \.isLetter)
    }

    /// Whether this name lies below `parent`; a name does not lie below itself.
    package func isSubdomain(of parent: HostName) -> Bool {
        let mine = description.utf8
        let suffix = parent.description.utf8
        return mine.count > suffix.count + 1
            && mine.dropLast(suffix.count).last == UInt8(ascii: ".")
            && mine.dropFirst(mine.count - suffix.count).elementsEqual(suffix)
    }
}

extension UInt8 {
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    var isLetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lowercased) }
    var isHostByte: Bool {
        isDigit || isLetter || self == UInt8(ascii: "-") || self == UInt8(ascii: "_")
            || self == UInt8(ascii: ".")
    }
    /// An ASCII capital as its small letter, any other byte as it is.
    package var lowercased: UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
    }
}

extension StringProtocol {
    /// At most 255 characters of the text, for messages and logs.
    package var shortened: String { String(unicodeScalars.prefix(255).map(Character.init)) }
}
