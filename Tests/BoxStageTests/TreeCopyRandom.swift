import BoxKernel
import BoxTypes
import CLinux
import Glibc

/// A random tree, always the same for the same seed.
struct RandomCopyTree {
    private var random: SeededNumbers
    private let root: [UInt8]
    private var files: [[UInt8]] = []
    private var left: Int

    private static let names: [[UInt8]] =
        [
            "a", "b", "c", "-rf", " ", "a b", "a\nb", "a\tb", "\\", "'", "\"", "$(id)", "é", "e\u{301}", "日本",
            "..a", "...",
            ".env", "a.b", "a-b", "ab", "A", "\u{1B}[2J", "\u{202E}txt", "%s", "*", "~", "#", ";",
        ].map { Array($0.utf8) } + [[0xFF], [0x80, 0xC3], [0x01], Array(repeating: 0x78, count: 255)]

    init(seed: UInt64, at root: String, entries: Int) {
        random = SeededNumbers(seed)
        self.root = Array(root.utf8)
        left = entries
    }

    /// Makes it.
    mutating func make() throws { try fill(root, depth: 0) }

    private mutating func fill(_ directory: [UInt8], depth: Int) throws {
        var free = RandomCopyTree.names
        for _ in 0..<random.below(12) + 2 where left > 0 {
            left -= 1
            let path = directory + [0x2F] + free.remove(at: random.below(free.count))
            switch random.below(12) {
            case 0...2 where depth < 6:
                try checked("mkdir", unsafe withCName(path) { unsafe mkdir($0, 0o777) })
                try fill(path, depth: depth + 1)
                try finish(path, mode: UInt32(random.below(0o10000)) | 0o500)
            case 3: try link(path)
            case 4 where !files.isEmpty:
                let first = files[random.below(files.count)]
                try checked(
                    "link",
                    unsafe withCName(first) { a in unsafe withCName(path) { unsafe Glibc.link(a, $0) } })
            case 5: try special(path)
            default: try file(path)
            }
        }
    }

    private mutating func file(_ path: [UInt8]) throws {
        let number = unsafe withCName(path) { unsafe open($0, O_WRONLY | O_CREAT | O_EXCL, 0o600) }
        try checked("open", number)
        defer { close(number) }
        let sizes = [0, 1, 100, 4095, 4096, 4097, 70_000, 131_072, 131_073, 400_001]
        let size = sizes[random.below(sizes.count)]
        // Some with holes: at the beginning, in the middle, at the end.
        let isSparse = random.below(3) == 0
        var at = isSparse && random.below(2) == 0 ? 65536 : 0
        var piece = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        while at < size {
            for index in 0..<16 { piece[index] = UInt8(truncatingIfNeeded: random.next()) }
            try checked("pwrite", unsafe pwrite(number, piece, min(4096, size - at), at))
            at += isSparse ? 65536 * (1 + random.below(3)) : 4096
        }
        try checked("ftruncate", ftruncate(number, size))
        for index in 0..<random.below(3) {
            let value = (0..<random.below(200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            try checked("xattr", unsafe box_set_xattr(number, "user.t\(index)", value, value.count))
        }
        files.append(path)
        try finish(path, mode: UInt32(random.below(0o10000)) | 0o400)
    }

    private mutating func link(_ path: [UInt8]) throws {
        let targets = [
            "a", "../b", "/etc/passwd", "/nowhere", ".", "../../../..", String(repeating: "x/", count: 1900),
        ]
        let target = targets[random.below(targets.count)]
        try checked("symlink", unsafe withCName(path) { unsafe symlink(target, $0) })
        try finish(path, mode: nil)
    }

    private mutating func special(_ path: [UInt8]) throws {
        let isFIFO = random.below(2) == 0
        let mode = (isFIFO ? S_IFIFO : S_IFSOCK) | 0o600
        try checked("mknod", unsafe withCName(path) { unsafe mknod($0, mode, 0) })
    }

    private mutating func finish(_ path: [UInt8], mode: UInt32?) throws {
        if geteuid() == 0, random.below(3) == 0 {
            try checked("lchown", unsafe withCName(path) { unsafe lchown($0, 1000, 1000) })
        }
        if let mode { try checked("chmod", unsafe withCName(path) { unsafe chmod($0, mode) }) }
        let times = [
            timespec(), timespec(tv_sec: random.below(2_000_000_000), tv_nsec: random.below(1_000_000_000)),
        ]
        try checked(
            "utimensat", unsafe withCName(path) { unsafe utimensat(AT_FDCWD, $0, times, AT_SYMLINK_NOFOLLOW) }
        )
    }
}

/// A call that must succeed, or this machine cannot run the test.
private func checked(_ call: String, _ result: some SignedInteger) throws {
    guard result >= 0 else { throw CopyScratchError(description: "\(call): errno \(errno)") }
}
