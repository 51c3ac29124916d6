internal import BoxAudit
package import BoxKernel
internal import BoxTypes
internal import Glibc

/// Reads a session's log line by line, as far as it is written, through all its parts; a later call goes on where the last
/// one ended. However long the log is, no more than a piece of it is in memory.
package struct LogReader: ~Copyable {
    /// Longer lines are damage: what box writes is bounded.
    package static let longestLine = 1 << 20
    private static let piece = 1 << 18

    private var parts: LogParts
    private var current: Opened
    private var rest: [UInt8] = []
    private var isTooLong = false
    /// How many lines there were so far.
    package private(set) var count = 0
    /// The first part that is missing, and the line before which it is.
    package private(set) var missing: (line: Int, name: String)?

    /// A line of the log, without its end.
    package enum Line {
        case text(ArraySlice<UInt8>)
        /// Longer than any that box writes.
        case tooLong
    }

    /// A part that is read.
    private struct Opened: ~Copyable {
        let file: Descriptor
        let path: String
        /// The number that it has, or gets when it is put aside.
        let number: Int
    }

    /// Opens a session's log; `path` is that of its last part. No link is followed, and only a regular file is one: reading
    /// others could wait for ever.
    package init(_ path: String) throws(SessionError) {
        var parts: LogParts
        do throws(KernelError) { parts = try LogParts(of: path) } catch {
            throw SessionError(step: "read the log", error)
        }
        let first = parts.numbers.first
        current =
            if let first {
                try LogReader.open(parts.path(first), number: first)
            } else {
                try LogReader.openPresent(&parts, number: 1)
            }
        self.parts = parts
        if let first, first > 1 { missing = (1, "events.1.jsonl") }
    }

    private static func open(_ path: String, number: Int) throws(SessionError) -> Opened {
        do throws(KernelError) {
            let file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            guard try FileStatus.of(file.number).kind == .file else {
                throw KernelError(call: "read", code: EINVAL)
            }
            return Opened(file: file, path: path, number: number)
        } catch {
            let shown = path.escapedForTerminal
            switch error.code {
            case ELOOP: throw SessionError(step: "read \(shown)", reason: "it is a link, and no log is one")
            case EINVAL: throw SessionError(step: "read \(shown)", reason: "it is not a file")
            default: throw SessionError(step: "read the log", error)
            }
        }
    }

    /// Opens the part that is written to. It may be put aside meanwhile, so that another one has its name.
    private static func openPresent(_ parts: inout LogParts, number: Int) throws(SessionError) -> Opened {
        let present = try open(parts.present, number: number)
        try refresh(&parts)
        guard let aside = parts.numbers.first(where: { $0 >= number }) else { return present }
        return try open(parts.path(aside), number: aside)
    }

    private static func refresh(_ parts: inout LogParts) throws(SessionError) {
        do throws(KernelError) { try parts.refresh() } catch {
            throw SessionError(step: "read the log", error)
        }
    }

    /// Goes on to the part after the present one, which was put aside; false if there is none yet.
    private mutating func goOn() throws(SessionError) -> Bool {
        let number = current.number
        if let next = parts.numbers.first(where: { $0 > number }) {
            current = try LogReader.open(parts.path(next), number: next)
        } else {
            // box was ended between putting the last one aside and beginning a new one.
            if unsafe access(parts.present, F_OK) < 0, errno == ENOENT { return false }
            current = try LogReader.openPresent(&parts, number: number + 1)
        }
        if current.number > number + 1, missing == nil {
            missing = (count + 1, "events.\(number + 1).jsonl")
        }
        return true
    }

    /// Goes to where about the last so many bytes of the log begin; the line that begins before is passed over.
    package mutating func skip(toLast bytes: Int) throws(SessionError) {
        try LogReader.refresh(&parts)
        let last = parts.numbers.last
        current = try LogReader.openPresent(&parts, number: (last ?? 0) + 1)
        let left = bytes - (try LogReader.seek(current, toLast: bytes))
        if left > 0, let last, last < current.number {
            current = try LogReader.open(parts.path(last), number: last)
            _ = try LogReader.seek(current, toLast: left)
        }
        rest = []
        // As if the line were too long, so that its end is none of its own.
        do throws(KernelError) {
            isTooLong = try check("lseek", Int(lseek(current.file.number, 0, SEEK_CUR))) > 0
        } catch { throw SessionError(step: "read the log", error) }
    }

    /// Goes back from the end of a part, as far as it goes; how far that was.
    private static func seek(_ part: borrowing Opened, toLast bytes: Int) throws(SessionError) -> Int {
        do throws(KernelError) {
            let end = try check("lseek", Int(lseek(part.file.number, 0, SEEK_END)), part.path)
            let start = max(0, end - bytes)
            try check("lseek", Int(lseek(part.file.number, start, SEEK_SET)), part.path)
            return end - start
        } catch { throw SessionError(step: "read the log", error) }
    }

    /// Behind the last complete line there is the beginning of another.
    package var isTorn: Bool { !rest.isEmpty || isTooLong }

    /// Gives every line that was completed since the last call, with its number from 1.
    package mutating func read(_ body: (Int, Line) -> Void) throws(SessionError) {
        while true {
            try readToEnd(body)
            try LogReader.refresh(&parts)
            let number = current.number
            guard parts.numbers.contains(where: { $0 >= number }) else { return }
            // It was put aside; until then something may have been written.
            try readToEnd(body)
            guard try goOn() else { return }
        }
    }

    private mutating func readToEnd(_ body: (Int, Line) -> Void) throws(SessionError) {
        while true {
            let bytes: [UInt8]
            do throws(KernelError) { bytes = try current.file.read(upTo: LogReader.piece) } catch {
                throw SessionError(step: "read \(current.path.escapedForTerminal)", error)
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

    /// Something to wait for until the log has grown: readable then.
    package borrowing func growth() throws(SessionError) -> LogGrowth { try LogGrowth(parts.directory) }
}

/// Tells when a log may have grown: something was written in its directory, or another part was begun.
package struct LogGrowth: ~Copyable {
    private let notifier: Descriptor

    fileprivate init(_ directory: String) throws(SessionError) {
        do throws(KernelError) { notifier = try LogGrowth.watch(directory) } catch {
            throw SessionError(step: "follow the log", error)
        }
    }

    private static func watch(_ directory: String) throws(KernelError) -> Descriptor {
        let notifier = Descriptor(
            owning: try check("inotify_init1", inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))))
        let events = UInt32(IN_MODIFY) | UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)
        try check("inotify_add_watch", unsafe inotify_add_watch(notifier.number, directory, events))
        return notifier
    }

    /// Readable when it has; `settle` makes it wait for the next time.
    package var entry: PollEntry { PollEntry(notifier.number, .read) }

    /// What happened is known.
    package borrowing func settle() throws(SessionError) {
        do throws(KernelError) { _ = try notifier.read(upTo: 16 << 10) } catch {
            guard error.code == EAGAIN else { throw SessionError(step: "follow the log", error) }
        }
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
        if case .bad(let line, _)? = verdict, let missing = reader.missing, missing.line == line {
            return .bad(line: line, reason: "\(missing.name) is missing, which has the lines before it")
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
