internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Finds out which program inside made a connection, where the kernel tells: the socket's inode is in the network
/// namespace's table, and the inode in a process's list of open files.
///
/// It is a help for people and nothing depends on it: a program may be gone already, and looking costs time, so the
/// work is bounded in every direction.
struct ConnectionOwner {
    /// A program inside, as it is called there.
    struct Owner: Equatable {
        let name: String
        let pid: Int
    }

    /// The sandbox's first process, by its number on the host.
    private let first: CInt
    /// Where the last connections came from, by their numbers on the host: mostly the next ones do as well.
    private var recent: [CInt] = []
    /// Lookups that may still be made, and when that was true.
    private var left = ConnectionOwner.burst
    private var counted = Clock.milliseconds()

    private static let burst = 50
    private static let perSecond = 50
    /// A table that is longer than this is not read: each lookup would cost more than the connection.
    private static let longestTable = 256 << 10
    private static let mostProcesses = 512

    init(first: CInt) { self.first = first }

    /// The program that has the socket with this address and port inside; nil if that cannot be told.
    mutating func owner(address: IPAddress, port: UInt16) -> Owner? {
        guard takeTurn(), let inode = inode(address, port) else { return nil }
        let link = "socket:[\(inode)]"
        for pid in recent where has(pid, link) { return owner(pid) }
        for pid in processes() where !recent.contains(pid) && has(pid, link) {
            recent = [pid] + recent.prefix(3)
            return owner(pid)
        }
        return nil
    }

    private mutating func takeTurn() -> Bool {
        let now = Clock.milliseconds()
        let more = (now - counted) * ConnectionOwner.perSecond / 1000
        if more > 0 {
            left = min(ConnectionOwner.burst, left + more)
            counted = now
        }
        guard left > 0 else { return false }
        left -= 1
        return true
    }

    // MARK: - The network namespace's table

    /// The inode of the socket that is bound there.
    private func inode(_ address: IPAddress, _ port: UInt16) -> Substring? {
        let (file, place) = ConnectionOwner.tableEntry(address, port)
        guard
            let table = ConnectionOwner.read(
                "/proc/\(first)/net/\(file)", limit: ConnectionOwner.longestTable)
        else { return nil }
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", maxSplits: 10)
            // Local address, then the remote one, the state, two queues, a timer, retries, the owner, a timeout.
            guard fields.count > 9, fields[1] == place, fields[9] != "0" else { continue }
            return fields[9]
        }
        return nil
    }

    /// The table's name, and the address as it is written there: 32-bit words in the host's order, the port in digits.
    static func tableEntry(_ address: IPAddress, _ port: UInt16) -> (file: String, place: String) {
        func hex(_ value: UInt32, _ digits: Int = 8) -> String {
            let text = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        let end = ":" + hex(UInt32(port), 4)
        switch address {
        case .v4(let value): return ("tcp", hex(value.bigEndian) + end)
        case .v6(let value):
            let words = [96, 64, 32, 0].map { UInt32(truncatingIfNeeded: value >> $0) }
            return ("tcp6", words.map { hex($0.bigEndian) }.joined() + end)
        }
    }

    // MARK: - Processes

    private func processes() -> [CInt] {
        InsideProcesses.all(of: first, atMost: ConnectionOwner.mostProcesses)
    }

    private func has(_ pid: CInt, _ link: String) -> Bool {
        let files = DirectoryListing.names(of: "/proc/\(pid)/fd").prefix(4096)
        return files.contains { SmallFile.readLink("/proc/\(pid)/fd/\($0)") == link }
    }

    private func owner(_ pid: CInt) -> Owner? {
        guard let status = ConnectionOwner.read("/proc/\(pid)/status", limit: 1 << 14) else { return nil }
        var name: Substring?
        var inside: Int?
        for line in status.split(separator: "\n") {
            if line.hasPrefix("Name:\t") { name = line.dropFirst(6) }
            // Its number in each pid namespace, the innermost last.
            if line.hasPrefix("NSpid:\t") { inside = line.split(separator: "\t").last.flatMap { Int($0) } }
        }
        guard let name, let inside else { return nil }
        return Owner(name: String(name).escapedForTerminal, pid: inside)
    }

    private static func read(_ path: String, limit: Int) -> String? {
        guard let file = try? Descriptor.open(path, O_RDONLY), let bytes = try? file.readAll(limit: limit)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
