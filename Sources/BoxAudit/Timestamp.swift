internal import Glibc

/// Points in time as the formats have them.
package enum Timestamp {
    /// The present time in RFC 3339, UTC, with milliseconds.
    package static func now() -> String {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return text(seconds: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
    }

    /// A point in time in RFC 3339.
    package static func text(seconds: Int, milliseconds: Int) -> String {
        var parts = unsafe tm()
        var seconds = seconds
        unsafe gmtime_r(&seconds, &parts)
        func pad(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let (year, month, day) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
        let (hour, minute, second) = unsafe (parts.tm_hour, parts.tm_min, parts.tm_sec)
        let date = "\(pad(Int(year), 4))-\(pad(Int(month), 2))-\(pad(Int(day), 2))"
        let clock = "\(pad(Int(hour), 2)):\(pad(Int(minute), 2)):\(pad(Int(second), 2))"
        return "\(date)T\(clock).\(pad(milliseconds, 3))Z"
    }
}

extension Timestamp {
    private static let form = Array("0000-00-00T00:00:00.000Z".utf8)

    /// The milliseconds since 1970 of a time as the logs have it; nil for any other text.
    package static func milliseconds(of text: String) -> Int? {
        let bytes = Array(text.utf8)
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard bytes.count == form.count,
            zip(bytes, form).allSatisfy({ digits.contains($1) ? digits.contains($0) : $0 == $1 })
        else { return nil }
        func number(_ range: Range<Int>) -> Int {
            bytes[range].reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        }
        var parts = unsafe tm()
        unsafe parts.tm_year = CInt(number(0..<4) - 1900)
        unsafe parts.tm_mon = CInt(number(5..<7) - 1)
        unsafe parts.tm_mday = CInt(number(8..<10))
        unsafe parts.tm_hour = CInt(number(11..<13))
        unsafe parts.tm_min = CInt(number(14..<16))
        unsafe parts.tm_sec = CInt(number(17..<19))
        return unsafe timegm(&parts) * 1000 + number(20..<23)
    }

    /// Milliseconds since 1970, now.
    package static func milliseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    /// A point in time as the clock on the wall has it: `2026-02-03` and `10:22:31`.
    package static func local(milliseconds: Int) -> (date: String, time: String) {
        var parts = unsafe tm()
        var seconds = milliseconds / 1000
        guard unsafe localtime_r(&seconds, &parts) != nil else { return ("-", "-") }
        func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (year, month, day) = unsafe (Int(parts.tm_year) + 1900, parts.tm_mon + 1, parts.tm_mday)
        let (hour, minute, second) = unsafe (parts.tm_hour, parts.tm_min, parts.tm_sec)
        return ("\(year)-\(two(month))-\(two(day))", "\(two(hour)):\(two(minute)):\(two(second))")
    }

    /// The time that people mean by `2026-02-03`, `2026-02-03 10:22`, `10:22:31` (of today), in their own zone, or by a
    /// time as the logs have it; nil for any other text.
    package static func milliseconds(saying text: String) -> Int? {
        if let time = milliseconds(of: text) { return time }
        if text.hasSuffix("Z"), let time = milliseconds(of: text.dropLast() + ".000Z") { return time }
        let words = text.split(whereSeparator: { $0 == " " || $0 == "T" }).map(String.init)
        guard (1...2).contains(words.count) else { return nil }
        let today = local(milliseconds: milliseconds()).date
        let hasDate = words[0].contains("-")
        guard hasDate || words.count == 1 else { return nil }
        let clock = hasDate ? (words.count == 2 ? words[1] : "00:00") : words[0]
        guard let day = numbers(hasDate ? words[0] : today, "-", [4, 2, 2]),
            let time = numbers(clock, ":", [2, 2, 2]) ?? numbers(clock, ":", [2, 2]).map({ $0 + [0] }),
            (1...12).contains(day[1]), (1...31).contains(day[2]), time[0] < 24, time[1] < 60, time[2] < 61
        else { return nil }
        var parts = unsafe tm()
        unsafe parts.tm_year = day[0] - 1900
        unsafe parts.tm_mon = day[1] - 1
        unsafe parts.tm_mday = day[2]
        unsafe parts.tm_hour = time[0]
        unsafe parts.tm_min = time[1]
        unsafe parts.tm_sec = time[2]
        // Whether it is summer time is found out.
        unsafe parts.tm_isdst = -1
        return unsafe mktime(&parts) * 1000
    }

    /// Numbers of just these widths.
    private static func numbers(_ text: String, _ separator: Character, _ widths: [Int]) -> [CInt]? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count == widths.count,
            zip(parts, widths).allSatisfy({ part, width in
                part.utf8.count == width
                    && part.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            })
        else { return nil }
        return parts.compactMap { CInt($0) }
    }
}
