import BoxKernel
import BoxTypes
import CLinux
import Glibc

/// What the scratch of a copy's test could not do.
struct CopyScratchError: Error, CustomStringConvertible {
    let description: String
}

/// A directory for one test of copies; it goes with its owner.
final class CopyScratch: Sendable {
    let path: String

    init() throws {
        var template = Array("/var/tmp/box-copy-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw CopyScratchError(description: "mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = unsafe system("chmod -R u+rwx '\(path)' 2>/dev/null; rm -rf '\(path)'") }

    /// A place in it.
    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes a directory in it and returns its path.
    func directory(_ name: String) throws -> String {
        try copyShell("mkdir -p '\(self(name))'")
        return self(name)
    }
}

/// Runs a command line of `/bin/sh`, which must succeed, and returns what it printed.
@discardableResult
func copyShell(_ line: String) throws -> String {
    guard let stream = unsafe popen("{ \(line)\n} 2>&1", "r") else {
        throw CopyScratchError(description: line)
    }
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = unsafe fread(&piece, 1, piece.count, stream)
        if count == 0 { break }
        text += piece.prefix(count)
    }
    let status = unsafe pclose(stream)
    let output = String(decoding: text, as: UTF8.self)
    guard status == 0 else { throw CopyScratchError(description: "\(line): status \(status): \(output)") }
    return output
}

/// What is at one place of a tree, seen by means of its own and not by those under test.
struct SeenEntry: Equatable, CustomStringConvertible {
    var type: UInt32
    var mode: UInt32
    var owner: [UInt32]
    var seconds: Int
    var nanoseconds: Int
    var content: [UInt8] = []
    /// Where there is data, by offset.
    var extents: [Int] = []
    var attributes: [[UInt8]: [UInt8]] = [:]
    /// The first path in the tree that is the same file.
    var firstName: [UInt8] = []

    /// How much of the content is no hole.
    var dataSize: Int {
        stride(from: 0, to: extents.count, by: 2).reduce(0) { $0 + extents[$1 + 1] - extents[$1] }
    }

    var description: String {
        """
        type \(String(type, radix: 8)) mode \(String(mode, radix: 8)) owner \(owner) time \(seconds).\(nanoseconds) \
        content \(content.count): \(content.prefix(20)) extents \(extents) attributes \(attributes.count) \
        first \(BytePath.escaped(firstName))
        """
    }
}

/// Looks at a whole tree; `.` is the tree's own directory.
func seenTree(_ root: String, without special: Bool = false) throws -> [[UInt8]: SeenEntry] {
    var all: [[UInt8]: SeenEntry] = [:]
    var firsts: [[UInt64]: [UInt8]] = [:]
    var pending: [[UInt8]] = [[]]
    while let path = pending.popLast() {
        let full = Array(root.utf8) + (path.isEmpty ? [] : [UInt8(ascii: "/")] + path)
        var st = stat()
        guard unsafe withCName(full, { unsafe lstat($0, &st) }) == 0 else {
            throw CopyScratchError(description: "lstat \(BytePath.escaped(full)): \(errno)")
        }
        let type = st.st_mode & S_IFMT
        if special, ![S_IFREG, S_IFDIR, S_IFLNK].contains(type) { continue }
        var entry = SeenEntry(
            type: type, mode: type == S_IFLNK ? 0 : st.st_mode & 0o7777, owner: [st.st_uid, st.st_gid],
            seconds: st.st_mtim.tv_sec, nanoseconds: st.st_mtim.tv_nsec)
        if type == S_IFDIR { pending += try names(full).map { path.isEmpty ? $0 : path + [0x2F] + $0 } }
        if type != S_IFDIR {
            let identity = [UInt64(st.st_dev), UInt64(st.st_ino)]
            entry.firstName = min(path, firsts[identity] ?? path, by: { $0.lexicographicallyPrecedes($1) })
            firsts[identity] = entry.firstName
        }
        try look(full, Int(st.st_size), &entry)
        all[path.isEmpty ? [UInt8(ascii: ".")] : path] = entry
    }
    // The order of the look is not that of the names, so that the first name is known only now.
    for (path, entry) in all where !entry.firstName.isEmpty {
        var st = stat()
        _ = unsafe withCName(Array(root.utf8) + [0x2F] + path) { unsafe lstat($0, &st) }
        all[path]?.firstName = firsts[[UInt64(st.st_dev), UInt64(st.st_ino)]] ?? path
    }
    return all
}

private func min(
    _ left: [UInt8], _ right: [UInt8], by precedes: ([UInt8], [UInt8]) -> Bool
) -> [UInt8] { precedes(right, left) ? right : left }

private func names(_ directory: [UInt8]) throws -> [[UInt8]] {
    guard let stream = unsafe withCName(directory, { unsafe opendir($0) }) else {
        throw CopyScratchError(description: "opendir \(BytePath.escaped(directory)): \(errno)")
    }
    defer { unsafe closedir(stream) }
    var all: [[UInt8]] = []
    while let entry = unsafe readdir(stream) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
            unsafe Array(raw.prefix { $0 != 0 })
        }
        if name != [0x2E], name != [0x2E, 0x2E] { all.append(name) }
    }
    return all
}

private func look(_ path: [UInt8], _ size: Int, _ entry: inout SeenEntry) throws {
    if entry.type == S_IFLNK {
        var text = [CChar](repeating: 0, count: 5000)
        let length = unsafe withCName(path) { unsafe readlink($0, &text, text.count) }
        entry.content = text.prefix(length).map { UInt8(bitPattern: $0) }
        return
    }
    guard entry.type == S_IFREG || entry.type == S_IFDIR else { return }
    let file = unsafe withCName(path) { unsafe open($0, O_RDONLY | O_NONBLOCK) }
    guard file >= 0 else { throw CopyScratchError(description: "open \(BytePath.escaped(path)): \(errno)") }
    defer { close(file) }
    var list = [CChar](repeating: 0, count: 65536)
    let length = unsafe box_list_xattrs(file, &list, list.count)
    let text = list.prefix(max(0, length)).map { UInt8(bitPattern: $0) }
    for name in text.split(separator: 0) where name.starts(with: Array("user.".utf8)) {
        var value = [UInt8](repeating: 0, count: 65536)
        let count = unsafe withCName(name) { unsafe box_get_xattr(file, $0, &value, value.count) }
        entry.attributes[Array(name)] = Array(value.prefix(max(0, count)))
    }
    guard entry.type == S_IFREG else { return }
    entry.content = [UInt8](repeating: 0, count: size)
    var done = 0
    while done < size {
        let got = unsafe entry.content.withUnsafeMutableBytes {
            unsafe pread(file, $0.baseAddress.map { unsafe $0 + done }, size - done, done)
        }
        guard got > 0 else { break }
        done += got
    }
    var at = 0
    while at < size {
        let start = lseek(file, at, BOX_SEEK_DATA)
        guard start >= 0 else { break }
        at = lseek(file, start, BOX_SEEK_HOLE)
        entry.extents += [start, at]
    }
}
