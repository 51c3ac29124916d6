package import BoxTypes

/// How much memory a session may use.
package enum MemoryLimit: Hashable, Sendable, CustomStringConvertible {
    case bytes(ByteSize)
    /// A share of the machine's memory, 1 to 100.
    case percentOfRAM(Int)

    /// Parses `4GB` (at least 16 MiB, what a shell and one small program need) or `75%`.
    package init(_ text: String) throws(UnitRefusal) {
        guard text.hasSuffix("%") else {
            self = .bytes(try Policy.Limits.size(text, from: ByteSize(bytes: 16 << 20)))
            return
        }
        let digits = text.dropLast()
        guard digits.allSatisfy(\.isASCIIDigit), let percent = Int(digits), (1...100).contains(percent) else {
            throw UnitRefusal("\"\(text)\" is not a share of the memory (write 1% to 100%)")
        }
        self = .percentOfRAM(percent)
    }

    /// The limit in bytes on a machine with this much memory.
    package func bytes(ofRAM ram: Int) -> Int {
        switch self {
        case .bytes(let size): size.bytes
        // Divided first: no overflow, and what is lost is less than 100 bytes.
        case .percentOfRAM(let percent): ram / 100 * percent
        }
    }

    package var description: String {
        switch self {
        case .bytes(let size): size.description
        case .percentOfRAM(let percent): "\(percent)%"
        }
    }
}

/// The values of `[limits]`, from a file or from the command line: one parser each, one range each.
extension Policy.Limits {
    /// `processes`, `--pids`: at most what the kernel's largest `pid_max` allows.
    package static func processes(_ text: String) throws(UnitRefusal) -> Int {
        try count(text, in: 1...4_194_304)
    }

    /// `open_files`: at most the kernel's own default ceiling (`fs.nr_open`).
    package static func openFiles(_ text: String) throws(UnitRefusal) -> Int {
        try count(text, in: 64...1_048_576)
    }

    /// `cpus`, `--cpus`, in thousandths.
    package static func milliCPUs(_ text: String) throws(UnitRefusal) -> Int {
        try CPUCount(text).thousandths
    }

    /// `time`, `--timeout`: one second to 366 days.
    package static func time(_ text: String) throws(UnitRefusal) -> Duration {
        let time = try Duration(parsing: text)
        guard time <= .seconds(366 * 86400) else { throw UnitRefusal("\(text) is more than 366 days") }
        return time
    }

    /// `temporary`: at least 1 MiB.
    package static func temporary(_ text: String) throws(UnitRefusal) -> ByteSize {
        try size(text, from: ByteSize(bytes: 1 << 20))
    }

    /// `file_size`: at least 1 MiB, or nothing useful could be written.
    package static func fileSize(_ text: String) throws(UnitRefusal) -> ByteSize {
        try size(text, from: ByteSize(bytes: 1 << 20))
    }

    /// `disk`, `--disk`: at least 1 MiB, or no session could write what it needs to begin.
    package static func disk(_ text: String) throws(UnitRefusal) -> ByteSize {
        try size(text, from: ByteSize(bytes: 1 << 20))
    }

    static func size(_ text: String, from least: ByteSize) throws(UnitRefusal) -> ByteSize {
        let size = try ByteSize(text)
        guard size >= least else { throw UnitRefusal("\(text) is less than \(least)") }
        return size
    }

    static func count(_ text: String, in range: ClosedRange<Int>) throws(UnitRefusal) -> Int {
        guard !text.isEmpty, text.allSatisfy(\.isASCIIDigit), let count = Int(text), range.contains(count)
        else {
            throw UnitRefusal("\(text) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return count
    }
}

extension Policy.Workspace {
    /// `only`, `--only`: a path from the project's root, taken as it is written.
    package static func part(_ text: String) throws(UnitRefusal) -> BytePath {
        let quoted = "\"\(text.prefix(80))\""
        guard !text.hasPrefix("/"), !text.hasPrefix("~") else {
            throw UnitRefusal("\(quoted): write the path from the project's root")
        }
        // A pattern that is taken as a plain name would leave out what it seems to name.
        if let sign = text.first(where: { "*?[".contains($0) }) {
            throw UnitRefusal("\(quoted): \(sign) is not supported; name the path itself")
        }
        let path = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard let path = BytePath(path), !path.bytes.isEmpty, path.bytes.count < 4096 else {
            throw UnitRefusal("\(quoted) is not a path below the project's root")
        }
        return path
    }
}
