internal import BoxKernel
internal import BoxTypes

// What a file is, whatever its name means.
extension RiskRules {
    /// Permissions that reach further than the file.
    func bits(_ change: Change) -> String? {
        guard let new = change.new else { return nil }
        var names: [String] = []
        if new.mode & 0o4000 != 0 { names.append("setuid") }
        if new.mode & 0o2000 != 0 { names.append("setgid") }
        if new.mode & 0o1000 != 0 { names.append("sticky") }
        if let last = names.popLast() {
            let list = names.isEmpty ? last : names.joined(separator: ", ") + " and " + last
            return "the \(list) bit\(names.isEmpty ? " is" : "s are") stripped"
        }
        let isOpen = new.kind != .link && new.mode & 0o002 != 0
        if isOpen, (change.old?.mode ?? 0) & 0o002 == 0 || change.old?.kind == .link {
            return "every user of the computer may change it"
        }
        return nil
    }

    /// A file that can be run now and could not before.
    func program(_ change: Change) -> String? {
        guard let new = change.new, new.kind == .file, new.mode & 0o111 != 0 else { return nil }
        guard let old = change.old, old.kind == .file else { return "a new program: it can be run" }
        return old.mode & 0o111 == 0 ? "it becomes a program: it can be run" : nil
    }

    private static let huge = 50 << 20

    /// What stands in a file, as far as that is a surprise.
    func contents(_ change: Change, _ content: RiskContent) throws(StageError) -> String? {
        guard let new = change.new, new.kind == .file, change.kind != .modeChanged else { return nil }
        if new.size > RiskRules.huge { return "very large: \(ByteSize(bytes: new.size).rounded)" }
        guard new.size >= 4, let start = try content.new(4096) else { return nil }
        return ProgramFormat(start).map { "a compiled program (\($0.rawValue))" }
    }
}

/// Formats of compiled programs, by how their files begin.
enum ProgramFormat: String {
    case elf = "ELF"
    case windows = "Windows"
    case macOS = "macOS"

    /// The format of a file that begins so; nil if it is no program. What a compiler leaves for the linker is none.
    init?(_ start: [UInt8]) {
        guard start.count >= 4 else { return nil }
        switch (start[0], start[1], start[2], start[3]) {
        case (0x7F, 0x45, 0x4C, 0x46):
            guard !ProgramFormat.isRelocatable(start) else { return nil }
            self = .elf
        case (0x4D, 0x5A, _, _):
            guard ProgramFormat.isWindows(start) else { return nil }
            self = .windows
        case (0xFE, 0xED, 0xFA, 0xCE), (0xFE, 0xED, 0xFA, 0xCF), (0xCE, 0xFA, 0xED, 0xFE),
            (0xCF, 0xFA, 0xED, 0xFE):
            self = .macOS
        // Java classes begin so as well, but their version stands where a fat binary has its few architectures.
        case (0xCA, 0xFE, 0xBA, 0xBE):
            guard start.count >= 8, start[4..<7].allSatisfy({ $0 == 0 }), start[7] < 0x2B else { return nil }
            self = .macOS
        default: return nil
        }
    }

    private static func isRelocatable(_ start: [UInt8]) -> Bool {
        guard start.count >= 18 else { return false }
        // The byte order of the file is at 5; its type, 1 for relocatable, at 16.
        let (low, high) = start[5] == 2 ? (start[17], start[16]) : (start[16], start[17])
        return low == 1 && high == 0
    }

    private static func isWindows(_ start: [UInt8]) -> Bool {
        guard start.count >= 64 else { return false }
        let offset = (0..<4).reduce(0) { $0 | Int(start[0x3C + $1]) << (8 * $1) }
        // Old programs have no second header; text that begins with MZ has no NUL.
        guard offset + 4 <= start.count else { return start.contains(0) }
        return start[offset..<offset + 2].elementsEqual("PE".utf8) || start.contains(0)
    }
}
