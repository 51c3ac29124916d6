/// Why a text is not a quantity.
package struct UnitRefusal: Error, Equatable, CustomStringConvertible {
    /// The message, safe to print.
    package let description: String

    package init(_ text: String) { description = text.escapedForTerminal }
}

extension Character {
    /// `0` to `9`, and not the digits of other scripts.
    package var isASCIIDigit: Bool { ("0"..."9").contains(self) && isASCII }
}

/// A decimal number as written, kept exact: `digits / 10^scale`.
struct DecimalText {
    private let digits: Int
    private let scale: Int

    /// Digits, or digits, a dot and digits; nil for anything else and for what does not fit.
    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isASCIIDigit) }) else {
            return nil
        }
        let fraction = parts.count == 2 ? parts[1] : ""
        guard fraction.count <= 9, let digits = Int(String(parts[0]) + String(fraction)) else { return nil }
        self.digits = digits
        scale = fraction.count
    }

    /// The product, if it is a whole number that fits.
    func times(_ factor: Int) -> Int? {
        let (high, low) = digits.multipliedFullWidth(by: factor)
        let divisor = (0..<scale).reduce(1) { product, _ in product * 10 }
        // The quotient must fit, or dividingFullWidth traps: high < divisor / 2 is enough for that.
        guard high < (divisor + 1) / 2 else { return nil }
        if divisor == 1 { return Int(exactly: low).flatMap { high == 0 ? $0 : nil } }
        let (quotient, remainder) = divisor.dividingFullWidth((high, low))
        return remainder == 0 ? quotient : nil
    }
}

extension Duration {
    /// Parses whole numbers with units, largest first, each once: `90s`, `10m`, `2h`, `1h30m`, `1d`; a number
    /// without a unit is seconds. Refuses zero, signs, spaces, fractions and what does not fit.
    package init(parsing text: String) throws(UnitRefusal) {
        let refusal = UnitRefusal("\"\(text)\" is not a time (write for example 90s, 10m, 2h or 1h30m)")
        var rest = text[...]
        var total = 0
        var last = Int.max
        while !rest.isEmpty {
            let digits = rest.prefix(while: \.isASCIIDigit)
            rest = rest.dropFirst(digits.count)
            guard let count = Int(digits) else { throw refusal }
            let unit: Int
            if let letter = rest.popFirst() {
                guard let seconds = Duration.unitSeconds[letter] else { throw refusal }
                unit = seconds
            } else {
                guard last == .max else { throw refusal }
                unit = 1
            }
            guard unit < last else { throw refusal }
            last = unit
            let (part, tooMany) = count.multipliedReportingOverflow(by: unit)
            let (sum, tooLarge) = total.addingReportingOverflow(part)
            guard !tooMany, !tooLarge else { throw UnitRefusal("\"\(text)\" is too long a time") }
            total = sum
        }
        guard total > 0 else { throw text.isEmpty ? refusal : UnitRefusal("the time must be more than zero") }
        self = .seconds(total)
    }

    private static let unitSeconds: [Character: Int] = ["d": 86400, "h": 3600, "m": 60, "s": 1]

    /// The whole seconds in the form that `init(parsing:)` reads, e.g. `1h30m`.
    package var text: String {
        var rest = Int(components.seconds)
        var out = ""
        for (unit, name) in [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")] where rest >= unit {
            out += "\(rest / unit)\(name)"
            rest %= unit
        }
        return out.isEmpty ? "0s" : out
    }
}

/// How many CPUs' worth of time, in thousandths of a CPU.
package struct CPUCount: Hashable, Sendable, CustomStringConvertible {
    package let thousandths: Int

    package init(thousandths: Int) { self.thousandths = thousandths }

    /// Parses `2` or `1.5`: at least 0.01 (the kernel's least share), at most 4096, three decimal places.
    package init(_ text: String) throws(UnitRefusal) {
        guard let thousandths = DecimalText(text)?.times(1000) else {
            throw UnitRefusal("\"\(text)\" is not a number of CPUs (write for example 2 or 1.5)")
        }
        guard (10...4_096_000).contains(thousandths) else {
            throw UnitRefusal("\"\(text)\" CPUs is outside 0.01 to 4096")
        }
        self.thousandths = thousandths
    }

    package var description: String {
        let whole = "\(thousandths / 1000)"
        let fraction = String(String(1000 + thousandths % 1000).dropFirst())
        let digits = fraction.reversed().drop { $0 == "0" }.reversed()
        return digits.isEmpty ? whole : whole + "." + String(digits)
    }
}
