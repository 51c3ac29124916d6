internal import BoxAudit
internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Reads a session's log line by line, as far as it is written; a later call goes on where the last one ended. However
/// long the log is, no more than a piece of it is in memory.
package struct LogReader: ~Copyable {
    /// Longer lines are damage: what box writes is bounded.
    package static let longestLine = 1 << 20
    private static let piece = 1 << 18

    private let file: Descriptor
    private let path: String
    private var rest: [UInt8] = []
    private var isTooLong = false
    /// How many lines there were so far.
    package private(set) var count = 0

    /// A line of the log, without its end.
    package enum Line {
        case text(ArraySlice<UInt8>)
        /// Longer than any that box writes.
        case tooLong
    }

    /// Opens a session's log. No link is followed, and only a regular file is one: reading others could wait for ever.
    package init(_ path: String) throws(SessionError) {
        do throws(KernelError) {
            file = try LogReader.open(path)
        } catch {
            let shown = path.escapedForTerminal
            switch error.code {
            case ELOOP: throw SessionError(step: "read \(shown)", reason: "it is a link, and no log is one")
            case EINVAL: throw SessionError(step: "read \(shown)", reason: "it is not a file")
            default: throw SessionError(step: "read the log", error)
            }
        }
        self.path = path
    }

    private static func open(_ path: String) throws(KernelError) -> Descriptor {
        let file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard try FileStatus.of(file.number).kind == .file else {
            throw KernelError(call: "read", code: EINVAL)
        }
        return file
    }

    /// Behind the last complete line there is the beginning of another.
    package var isTorn: Bool { !rest.isEmpty || isTooLong }

    /// Gives every line that was completed since the last call, with its number from 1.
    package mutating func read(_ body: (Int, Line) -> Void) throws(SessionError) {
        while true {
            let bytes: [UInt8]
            do throws(KernelError) { bytes = try file.read(upTo: LogReader.piece) } catch {
                throw SessionError(step: "read \(path.escapedForTerminal)", error)
            }
            if bytes.isEmpty { return }
            take(bytes, body)
        }
    }

    private mutating func take(_ bytes: [UInt8], _ body: (Int, Line) -> Void) {
        var start = bytes.startIndex
        while let end = LogReader.newline(in: bytes, from: start) {
            count += 1
            if isTooLong || rest.count + end - start > LogReader.longestLine {
                body(count, .tooLong)
            } else if rest.isEmpty {
                body(count, .text(bytes[start..<end]))
            } else {
                body(count, .text((rest + bytes[start..<end])[...]))
            }
            rest.removeAll(keepingCapacity: true)
            isTooLong = false
            start = end + 1
        }
        if !isTooLong { rest += bytes[start...] }
        if rest.count > LogReader.longestLine {
            rest.removeAll(keepingCapacity: false)
            isTooLong = true
        }
    }

    /// A search byte by byte takes longer than the reading.
    private static func newline(in bytes: [UInt8], from start: Int) -> Int? {
        unsafe bytes.withUnsafeBytes { raw in
            guard start < raw.count, let base = raw.baseAddress,
                let found = unsafe memchr(base + start, 0x0A, raw.count - start)
            else { return nil }
            return unsafe UnsafeRawPointer(found) - base
        }
    }

    /// Something to wait for until the log has grown: readable then. It is the open file that is watched, whatever stands
    /// under its name.
    package borrowing func growth() throws(SessionError) -> LogGrowth { try LogGrowth(file) }
}

/// Tells when a log has grown.
package struct LogGrowth: ~Copyable {
    private let notifier: Descriptor

    fileprivate init(_ file: borrowing Descriptor) throws(SessionError) {
        do throws(KernelError) { notifier = try LogGrowth.watch(file) } catch {
            throw SessionError(step: "follow the log", error)
        }
    }

    private static func watch(_ file: borrowing Descriptor) throws(KernelError) -> Descriptor {
        let notifier = Descriptor(
            owning: try check("inotify_init1", inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))))
        let place = "/proc/self/fd/\(file.number)"
        let watch = unsafe inotify_add_watch(notifier.number, place, UInt32(IN_MODIFY))
        try check("inotify_add_watch", watch)
        return notifier
    }

    /// Waits until it has, or for so many milliseconds.
    package borrowing func wait(_ milliseconds: Int) throws(SessionError) {
        do throws(KernelError) {
            guard try !poll([PollEntry(notifier.number, .read)], timeout: milliseconds).isEmpty else {
                return
            }
            // What happened is known; the events are taken so that the next wait waits.
            _ = try notifier.read(upTo: 16 << 10)
        } catch { throw SessionError(step: "follow the log", error) }
    }
}

/// Whether a log is as it was written.
package enum LogVerdict: Equatable, Sendable {
    /// So many events, each tied to those before.
    case whole(events: Int)
    /// The first line that was not written so, and what is known of it.
    case bad(line: Int, reason: String)
    /// The lines there are are tied together, but the session's record tells of later ones.
    case cut(events: Int)

    /// Goes through the log of a session. `recorded` is the digest that its record has from its end; while it runs the
    /// last line may be incomplete.
    package static func of(
        _ session: StoredSession
    ) throws(SessionError) -> LogVerdict {
        let isRunning = SessionLock.isHeld(session.directory)
        var reader = try LogReader(session.log)
        var chain = EventChain(session: session.name)
        var verdict: LogVerdict?
        var isRecorded = session.chain == nil
        try reader.read { number, line in
            guard verdict == nil else { return }
            switch line {
            case .tooLong: verdict = .bad(line: number, reason: "it is too long")
            case .text(let bytes):
                if chain.follow(bytes) {
                    isRecorded = isRecorded || chain.text == session.chain
                } else {
                    verdict = .bad(line: number, reason: LogVerdict.reason(bytes))
                }
            }
        }
        if let verdict { return verdict }
        if reader.isTorn, !isRunning {
            return .bad(line: reader.count + 1, reason: "its end is missing")
        }
        return isRecorded ? .whole(events: reader.count) : .cut(events: reader.count)
    }

    private static func reason(_ line: ArraySlice<UInt8>) -> String {
        guard EventChain(after: line) != nil else {
            return "it has no digest: it was cut off, or box did not write it"
        }
        return
            "it is not what was written after the lines before: it was changed, or lines are missing before it"
    }
}
