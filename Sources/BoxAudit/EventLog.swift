internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// The session's `events.jsonl`, one line an event, each tied to those before it (`EventChain`).
///
/// It is written by whoever holds the session's lock: its supervisor, and later the commands that take over what it
/// changed.
package struct EventLog: ~Copyable {
    private let file: Descriptor
    private let session: String
    private let end: End

    /// How the log ends at present.
    private final class End {
        var chain: EventChain
        /// What was written last has no end: a line must begin anew.
        var isTorn: Bool
        init(_ chain: EventChain, isTorn: Bool) {
            self.chain = chain
            self.isTorn = isTorn
        }
    }

    /// Opens the log for appending; it is the user's alone, and no link is followed.
    package init(path: String, session: String) throws(LogError) {
        do throws(KernelError) {
            let file = try EventLog.open(path)
            end = try EventLog.end(of: file, session)
            self.file = file
        } catch { throw LogError(reason: "cannot open \(path.escapedForTerminal): \(error)") }
        self.session = session
    }

    private static func open(_ path: String) throws(KernelError) -> Descriptor {
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK
        let file = try Descriptor.open(path, flags, mode: 0o600)
        let status = try FileStatus.of(file.number)
        guard status.kind == .file else { throw KernelError(call: "open", code: EINVAL, subject: "no file") }
        if status.mode & 0o077 != 0 { try check("fchmod", fchmod(file.number, 0o600)) }
        return file
    }

    /// The chain's digest after the last line.
    package var digest: String { end.chain.text }

    /// So much of a log is read first to find its last line, and so much at most; in bytes.
    private static let tails = (first: 16 << 10, longest: 16 << 20)

    /// What the last line says that has a digest. A line after it that has none was cut off, or was put there.
    private static func end(
        of file: borrowing Descriptor, _ session: String
    ) throws(KernelError) -> End {
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
                if let chain = EventChain(after: line) { return End(chain, isTorn: isTorn) }
            }
            guard start > 0, length < tails.longest else { break }
            length *= 8
        }
        return End(EventChain(session: session), isTorn: isTorn)
    }

    /// Appends an event with the present time.
    package borrowing func append(_ event: Event) throws(LogError) {
        var chain = end.chain
        let line = chain.add(Array(object(event).line.utf8)) + [UInt8(ascii: "\n")]
        do throws(KernelError) {
            let size = try FileStatus.of(file.number).size
            do throws(KernelError) {
                try file.write(all: end.isTorn ? [UInt8(ascii: "\n")] + line : line)
            } catch {
                // Half a line would be taken for damage: a full disk took only its beginning.
                if ftruncate(file.number, size) < 0 { end.isTorn = true }
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
