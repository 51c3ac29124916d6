import CTesting
import Foundation

/// Everything of a directory tree that an apply could get wrong: kinds, modes, owners, contents, times, links, attributes.
struct TreeDigest: Equatable, Sendable {
    /// One file, link or directory.
    struct Entry: Equatable, Sendable {
        /// As `find -type` names them.
        var kind: Character
        var mode: UInt32
        var owner: UInt32
        var group: UInt32
        var size: Int
        var seconds: Int
        var nanoseconds: Int
        /// A file's content, or where a link points.
        var content: [UInt8]
        /// Names and values of extended attributes.
        var attributes: [UInt8]
        /// How many names the file has in the whole file system.
        var links: Int
        /// The first path of the tree that is the same file.
        var first: String
    }

    /// By path; each byte of a path is one scalar of Latin-1, so that no name is lost.
    private(set) var entries: [String: Entry] = [:]

    /// Reads a tree; a larger file's content is not looked at.
    init(_ directory: String, longest: Int = 1 << 22) throws {
        var inodes: [UInt64: String] = [:]
        try read(Array(directory.utf8), "", longest, &inodes)
    }

    private init(_ entries: [String: Entry]) { self.entries = entries }

    /// The bytes of a path as the key of its entry.
    static func key(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: bytes.map { Unicode.Scalar($0) })
        return text
    }

    // MARK: - Reading

    private mutating func read(
        _ path: [UInt8], _ key: String, _ longest: Int, _ inodes: inout [UInt64: String]
    ) throws {
        var status = stat()
        let name = path.map { CChar(bitPattern: $0) } + [0]
        guard unsafe lstat(name, &status) == 0 else { throw TreeDigest.failure("lstat", key) }
        let kind = TreeDigest.kind(status.st_mode)
        var content: [UInt8] = []
        if kind == "f", status.st_size <= longest { content = try TreeDigest.content(name, key) }
        if kind == "l" { content = try TreeDigest.target(name, key) }
        let isDirectory = kind == "d"
        let first = isDirectory ? key : inodes[UInt64(status.st_ino), default: key]
        inodes[UInt64(status.st_ino)] = first
        entries[key] = Entry(
            kind: kind, mode: status.st_mode & 0o7777, owner: status.st_uid, group: status.st_gid,
            // A directory's size and links are the file system's affair.
            size: isDirectory ? 0 : Int(status.st_size), seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec, content: content,
            attributes: try TreeDigest.attributes(name, key),
            links: isDirectory ? 0 : Int(status.st_nlink), first: first)
        guard isDirectory else { return }
        for child in try TreeDigest.names(name, key).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let below = key.isEmpty ? TreeDigest.key(child) : key + "/" + TreeDigest.key(child)
            try read(path + [UInt8(ascii: "/")] + child, below, longest, &inodes)
        }
    }

    private static func failure(_ call: String, _ key: String) -> HarnessError {
        HarnessError(description: "\(call) \(key.debugDescription): errno \(errno)")
    }

    private static func kind(_ mode: mode_t) -> Character {
        switch mode & S_IFMT {
        case S_IFREG: "f"
        case S_IFDIR: "d"
        case S_IFLNK: "l"
        case S_IFIFO: "p"
        case S_IFSOCK: "s"
        case S_IFCHR: "c"
        default: "b"
        }
    }

    private static func content(_ path: [CChar], _ key: String) throws -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", key) }
        defer { close(file) }
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe piece.withUnsafeMutableBytes {
                unsafe Foundation.read(file, $0.baseAddress, $0.count)
            }
            guard count >= 0 else { throw failure("read", key) }
            if count == 0 { return all }
            all += piece[..<count]
        }
    }

    private static func target(_ path: [CChar], _ key: String) throws -> [UInt8] {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink(path, &bytes, bytes.count)
        guard count >= 0 else { throw failure("readlink", key) }
        return bytes[..<count].map { UInt8(bitPattern: $0) }
    }

    private static func attributes(_ path: [CChar], _ key: String) throws -> [UInt8] {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = unsafe ct_attributes(path, &bytes, bytes.count)
        guard count >= 0 else { throw failure("listxattr", key) }
        return bytes[..<count].map { UInt8(bitPattern: $0) }
    }

    private static func names(_ path: [CChar], _ key: String) throws -> [[UInt8]] {
        guard let directory = unsafe opendir(path) else { throw failure("opendir", key) }
        defer { unsafe closedir(directory) }
        var names: [[UInt8]] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe Array(bytes.prefix { $0 != 0 })
            }
            if name != Array(".".utf8), name != Array("..".utf8) { names.append(name) }
        }
        return names
    }

    // MARK: - Comparing

    /// What is below a directory, with paths that begin there.
    func below(_ path: String) -> TreeDigest {
        var some: [String: Entry] = [:]
        for (key, var entry) in entries where key == path || key.hasPrefix(path + "/") {
            let own = String(key.dropFirst(path.count + 1))
            entry.first =
                entry.first.hasPrefix(path + "/") ? String(entry.first.dropFirst(path.count + 1)) : own
            some[own] = entry
        }
        return TreeDigest(some)
    }

    /// Without these paths and what is below them.
    func without(_ paths: String...) -> TreeDigest {
        TreeDigest(entries.filter { key, _ in !paths.contains { key == $0 || key.hasPrefix($0 + "/") } })
    }

    /// Only what a reader of the files sees: kinds, permissions, contents; with the times of files or without.
    func plain(times: Bool = false) -> TreeDigest {
        TreeDigest(
            entries.mapValues { entry in
                var plain = entry
                (plain.owner, plain.group, plain.attributes, plain.links) = (0, 0, [], 0)
                plain.mode &= 0o777
                if !times || entry.kind == "d" { (plain.seconds, plain.nanoseconds) = (0, 0) }
                return plain
            })
    }

    /// What differs from another tree, for people; empty if nothing does.
    func differences(from other: TreeDigest) -> [String] {
        var found: [String] = []
        for key in Set(entries.keys).union(other.entries.keys).sorted() {
            switch (other.entries[key], entries[key]) {
            case (nil, nil): continue
            case (nil, _?): found.append("\(key.debugDescription) is new")
            case (_?, nil): found.append("\(key.debugDescription) is gone")
            case (let old?, let new?):
                let words = TreeDigest.differences(old, new)
                if !words.isEmpty {
                    found.append("\(key.debugDescription): \(words.joined(separator: ", "))")
                }
            }
        }
        return found
    }

    private static func differences(_ old: Entry, _ new: Entry) -> [String] {
        var words: [String] = []
        func note(_ what: String, _ a: some Equatable, _ b: some Equatable) {
            if "\(a)" != "\(b)" { words.append("\(what) \(a) -> \(b)") }
        }
        note("kind", old.kind, new.kind)
        note("mode", String(old.mode, radix: 8), String(new.mode, radix: 8))
        note("owner", "\(old.owner):\(old.group)", "\(new.owner):\(new.group)")
        note("size", old.size, new.size)
        note("time", "\(old.seconds).\(old.nanoseconds)", "\(new.seconds).\(new.nanoseconds)")
        note("links", old.links, new.links)
        note("same file", old.first, new.first)
        if old.content != new.content {
            words.append("content \(text(old.content)) -> \(text(new.content))")
        }
        if old.attributes != new.attributes { words.append("attributes") }
        return words
    }

    /// A part of a second as `touch` takes it.
    static func padded(_ nanoseconds: Int) -> String {
        let digits = String(nanoseconds)
        return String(repeating: "0", count: 9 - digits.count) + digits
    }

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix(60), as: UTF8.self).debugDescription
    }
}

/// A project whose sessions work in a staged copy, and box's commands about what they changed.
struct StagedProject {
    /// What `box diff --json` says.
    struct Review: Decodable {
        struct Change: Decodable, Hashable {
            var path: String
            var kind: String
            var type: String
            var old_type: String?
            var risk: String
            var reason: String
            var old_size: Int?
            var new_size: Int?
            var binary: Bool
            var moved_from: String?
            var link_target: String?
            var path_bytes: String?
            var mode: String?
            var old_mode: String?
        }

        var session: String
        var base: String
        var digest: String
        var changes: [Change]
        var conflicts: [String]

        subscript(_ path: String) -> Change? { changes.first { $0.path == path } }
        /// `kind path`, in order.
        var list: [String] { changes.map { "\($0.kind) \($0.path)" } }
    }

    let box: Box
    var path: String { box.scratch.project }

    /// A project with what a shell script makes in it.
    init(_ script: String = ":", mode: String = "overlay") throws {
        var box = try Box()
        box.options = ["--workspace", mode, "--net", "none"]
        self.box = box
        try FileManager.default.removeItem(atPath: path + "/probe")
        try host(script)
    }

    /// A shell script in the project, as its owner.
    @discardableResult
    func host(_ script: String) throws -> Outcome {
        let outcome = try Host.shell("set -e\n" + script, directory: path)
        guard outcome.status == 0 else { throw HarnessError(description: "on the host: \(outcome)") }
        return outcome
    }

    /// A session that runs a shell script.
    @discardableResult
    func session(_ script: String, as name: String = "one", options: [String] = []) throws -> Outcome {
        let outcome = try box.shell(script, options: ["--name", name] + options)
        guard outcome.status == 0 else { throw HarnessError(description: "the session: \(outcome)") }
        return outcome
    }

    func review(_ words: String..., session: String = "one") throws -> Review {
        let outcome = try box.call(["diff", "--json", "-s", session] + words)
        guard outcome.status == 0 else { throw HarnessError(description: "box diff: \(outcome)") }
        return try JSONDecoder().decode(Review.self, from: Data(outcome.out))
    }

    /// `box apply WORDS`.
    func apply(_ words: String..., session: String = "one") throws -> Outcome {
        try apply(words, session: session)
    }

    func apply(_ words: [String], session: String = "one") throws -> Outcome {
        try box.call(["apply", "-s", session] + words)
    }

    func undo(session: String = "one") throws -> Outcome {
        try box.call(["undo", "--yes", "-s", session])
    }

    func digest() throws -> TreeDigest { try TreeDigest(path) }

    /// Gives a path an extended attribute, as its owner; file systems without these do not matter.
    func setAttribute(_ name: String, _ value: String, _ below: String) throws {
        let size = value.utf8.count
        guard unsafe ct_set_attribute("\(path)/\(below)", name, value, size) == 0 || errno == EOPNOTSUPP
        else {
            throw HarnessError(description: "setxattr \(below): errno \(errno)")
        }
    }

    /// Unpacks an archive that was made inside; where it lies.
    func unpack(_ archive: [UInt8], as name: String) throws -> String {
        let directory = box.scratch.root + "/" + name
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        let outcome = try Host.run(
            ["/bin/tar", "-xpf", "-", "--no-same-owner"], input: archive, directory: directory)
        guard outcome.status == 0 else { throw HarnessError(description: "tar: \(outcome)") }
        return directory
    }
}
