/// A number of bytes.
///
/// Text form: a whole or decimal number and a unit, upper or lower case, without a space. `B`; decimal `k`/`KB`,
/// `M`/`MB`, `G`/`GB`, `T`/`TB`, `P`/`PB` (1 KB = 1000 bytes); binary `KiB`, `MiB`, `GiB`, `TiB`, `PiB`
/// (1 KiB = 1024 bytes). A number without a unit is bytes. What is not a whole number of bytes is refused.
package struct ByteSize: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let bytes: Int

    package init(bytes: Int) { self.bytes = bytes }

    /// Parses the text form; refuses signs, spaces, unknown units, fractions of a byte and more than 2⁶³−1.
    package init(_ text: String) throws(UnitRefusal) {
        let number = text.prefix { $0.isASCIIDigit || $0 == "." }
        let unit = text.dropFirst(number.count).lowercased()
        guard let factor = ByteSize.factors[unit] else {
            throw UnitRefusal("\"\(text)\" is not a size (write a number and B, KB, MB, GB, KiB, MiB or GiB)")
        }
        guard let decimal = DecimalText(number) else {
            throw UnitRefusal("\"\(text)\" is not a size (write for example 512MB or 1.5GiB)")
        }
        guard let bytes = decimal.times(factor) else {
            throw UnitRefusal("\"\(text)\" is too large or is not a whole number of bytes")
        }
        self.bytes = bytes
    }

    private static let factors: [String: Int] = [
        "": 1, "b": 1,
        "k": 1000, "kb": 1000, "m": 1_000_000, "mb": 1_000_000, "g": 1_000_000_000, "gb": 1_000_000_000,
        "t": 1_000_000_000_000, "tb": 1_000_000_000_000,
        "p": 1_000_000_000_000_000, "pb": 1_000_000_000_000_000,
        "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
    ]

    private static let names: [(factor: Int, name: String)] = [
        (1 << 50, "PiB"), (1_000_000_000_000_000, "PB"), (1 << 40, "TiB"), (1_000_000_000_000, "TB"),
        (1 << 30, "GiB"), (1_000_000_000, "GB"), (1 << 20, "MiB"), (1_000_000, "MB"),
        (1 << 10, "KiB"), (1000, "KB"),
    ]

    /// The exact size in the largest unit that divides it, e.g. `4GB`, `1536MiB`; parses back to the same value.
    package var description: String {
        guard bytes != 0 else { return "0B" }
        for (factor, name) in ByteSize.names where bytes.isMultiple(of: factor) {
            return "\(bytes / factor)\(name)"
        }
        return "\(bytes)B"
    }

    /// About the size, for people: `764 MB`, `1.5 GB`.
    package var rounded: String {
        var unit = 0
        var tenths = bytes
        let names = ["B", "KB", "MB", "GB", "TB", "PB"]
        while tenths >= 10_000 * 100, unit < names.count - 1 {
            tenths /= 1000
            unit += 1
        }
        // Below a thousand of the unit; one decimal place while that says something.
        if tenths >= 1000, unit < names.count - 1 {
            let (whole, part) = (tenths / 1000, tenths % 1000 / 100)
            let number = whole < 10 && part > 0 ? "\(whole).\(part)" : "\(whole)"
            return "\(number) \(names[unit + 1])"
        }
        return "\(tenths) \(names[unit])"
    }

    package static func < (left: ByteSize, right: ByteSize) -> Bool { left.bytes < right.bytes }
}
