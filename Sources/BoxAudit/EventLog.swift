internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// The session's `events.jsonl`, one line an event, each tied to those before it (`EventChain`).
///
/// It is written by whoever holds the session's lock: its supervisor, and later the commands that take over what it
/// changed. A file that is full is put aside (`LogParts`), and a new one goes on with the same chain.
package struct EventLog: ~Copyable {
    /// When a file is full, in bytes.
    package static let partSize = 64 << 20

    private let path: String
    private let session: String
    private let partSize: Int
    private let end: End

    /// How the log ends at present.
    private final class End {
        var file: Descriptor
        var parts: LogParts
        var chain: EventChain
        /// What was written last has no end: a line must begin anew.
        var isTorn: Bool
        init(_ file: consuming Descriptor, _ parts: LogParts, _ chain: EventChain, isTorn: Bool) {
            self.file = file
            self.parts = parts
            self.chain = chain
            self.isTorn = isTorn
        }
    }

    /// Opens the log for appending; it is the user's alone, and no link is followed.
    package init(path: String, session: String, partSize: Int = EventLog.partSize) throws(LogError) {
        do throws(KernelError) {
            let parts = try LogParts(of: path)
            let file = try EventLog.open(path)
            let (last, isTorn) = try EventLog.end(of: file)
            var chain = last
            // None was written since the last file was put aside.
            for number in parts.numbers.reversed() where chain == nil {
                chain = try EventLog.end(of: try EventLog.open(parts.path(number), O_RDONLY)).chain
            }
            end = End(file, parts, chain ?? EventChain(session: session), isTorn: isTorn)
        } catch { throw LogError(reason: "cannot open \(path.escapedForTerminal): \(error)") }
        self.path = path
        self.session = session
        self.partSize = partSize
    }

    private static func open(_ path: String, _ mode: CInt) throws(KernelError) -> Descriptor {
        let file = try Descriptor.open(path, mode | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        guard try FileStatus.of(file.number).kind == .file else {
            throw KernelError(call: "open", code: EINVAL, subject: "no file")
        }
        return file
    }

    private static func open(_ path: String) throws(KernelError) -> Descriptor {
        let file = try open(path, O_RDWR | O_CREAT | O_APPEND)
        let status = try FileStatus.of(file.number)
        if status.mode & 0o077 != 0 { try check("fchmod", fchmod(file.number, 0o600)) }
        return file
    }

    /// The chain's digest after the last line.
    package var digest: String { end.chain.text }

    /// So much of a log is read first to find its last line, and so much at most; in bytes.
    private static let tails = (first: 16 << 10, longest: 16 << 20)

    /// What the last line says that has a digest. A line after it that has none was cut off, or was put there.
    private static func end(
        of file: borrowing Descriptor
    ) throws(KernelError) -> (chain: EventChain?, isTorn: Bool) {
        let size = try FileStatus.of(file.number).size
        var length = tails.first
        var isTorn = false
        while true {
            let start = max(0, size - length)
            var bytes: [UInt8] = []
            while start + bytes.count < size {
                let piece = try file.read(at: start + bytes.count, upTo: size - start - bytes.count)
                if piece.isEmpty { break }
                bytes += piece
            }
            isTorn = bytes.last.map { $0 != UInt8(ascii: "\n") } ?? false
            let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            // The first may begin before, and behind the last end there is no line.
            for line in lines.dropFirst(start > 0 ? 1 : 0).dropLast().reversed() {
                if let chain = EventChain(after: line) { return (chain, isTorn) }
            }
            guard start > 0, length < tails.longest else { break }
            length *= 8
        }
        return (nil, isTorn)
    }

    /// Puts the file aside and begins a new one. The new one is made first: on a full disk nothing has changed. If box is
    /// ended between the steps, the next one that opens the log finds the same order of lines.
    private borrowing func beginPart() throws(KernelError) {
        let fresh = path + ".new"
        if unsafe unlink(fresh) < 0, errno != ENOENT { try check("unlink", -1, fresh) }
        let file = try EventLog.open(fresh, O_RDWR | O_CREAT | O_EXCL | O_APPEND)
        try end.parts.refresh()
        let full = end.parts.path((end.parts.numbers.last ?? 0) + 1)
        try check("rename", unsafe rename(path, full), path)
        try check("rename", unsafe rename(fresh, path), fresh)
        end.file = file
    }

    /// Appends an event with the present time.
    package borrowing func append(_ event: Event) throws(LogError) { try append([event]) }

    /// Appends events with the present time: all of them, or none.
    package borrowing func append(_ events: [Event]) throws(LogError) {
        guard !events.isEmpty else { return }
        var chain = end.chain
        var lines: [UInt8] = []
        for event in events {
            lines += chain.add(object(event).lineBytes)
            lines.append(UInt8(ascii: "\n"))
        }
        do throws(KernelError) {
            var size = try FileStatus.of(end.file.number).size
            if size >= partSize, !end.isTorn {
                try beginPart()
                size = 0
            }
            do throws(KernelError) {
                try end.file.write(all: end.isTorn ? [UInt8(ascii: "\n")] + lines : lines)
            } catch {
                // Half a line would be taken for damage: a full disk took only its beginning.
                if ftruncate(end.file.number, size) < 0 { end.isTorn = true }
                throw error
            }
        } catch { throw LogError(reason: "cannot write the session's log: \(error)") }
        end.chain = chain
        end.isTorn = false
    }

    private borrowing func object(_ event: Event) -> JSONOutput {
        var fields: [(String, JSONOutput)] = [
            ("time", .text(Timestamp.now())), ("session", .text(session)),
            ("event", .text(event.kind.rawValue)),
        ]
        for field in event.fields {
            let value: JSONOutput =
                switch field.value {
                case .text(let text): .text(text)
                case .number(let number): .number(number)
                case .flag(let flag): .bool(flag)
                case .list(let list): .texts(list)
                }
            fields.append((field.name, value))
        }
        return .object(fields)
    }
}

/// The log cannot be written: then the session must not go on unseen.
package struct LogError: Error, Equatable, CustomStringConvertible {
    package let reason: String
    package var description: String { reason }
}
