import CTesting
import Foundation

/// What a program left behind: its status as a shell would give it, and both streams.
struct Outcome: Sendable, CustomStringConvertible {
    /// The exit status, or 128 + the signal that ended it.
    var status: Int32
    /// Whether the harness had to end it.
    var timedOut = false
    /// Whether something still held the streams open when the program had ended.
    var heldOpen = false
    var out: [UInt8]
    var err: [UInt8]

    var text: String { String(decoding: out, as: UTF8.self) }
    var errors: String { String(decoding: err, as: UTF8.self) }
    /// The first stream without the white space around it.
    var answer: String { text.trimmingCharacters(in: .whitespacesAndNewlines) }
    var lines: [String] { text.split(whereSeparator: \.isNewline).map(String.init) }

    var description: String {
        "status \(status)\(timedOut ? " (timed out)" : "")\nout: \(text.prefix(1500))\nerr: \(errors.prefix(1500))"
    }
}

/// A failure of the harness itself.
struct HarnessError: Error, CustomStringConvertible {
    var description: String
}

/// A program that runs now, with pipes or a terminal of the harness's own. Not used by two threads at once.
final class Running {
    /// How a program is connected.
    enum Streams {
        /// Standard input from these bytes (or the null device), two pipes for the output.
        case pipes(input: [UInt8]?)
        /// Standard input stays open until `closeInput()`.
        case openInput
        /// A new terminal of this size is standard input, output and error, and controls the session.
        case terminal(rows: Int, columns: Int)
    }

    let pid: pid_t
    private(set) var out: [UInt8] = []
    private(set) var err: [UInt8] = []
    /// The terminal's path, where there is one.
    let terminalPath: String?
    private var outFile: Int32
    private var errFile: Int32
    private var inFile: Int32
    private var input: ArraySlice<UInt8> = []
    private var status: Int32?
    private var seen = 0

    /// Starts the program in a session of its own, with exactly this environment and no inherited descriptor.
    init(
        _ command: [String], environment: [String: String], directory: String, streams: Streams
    ) throws {
        var spawn = try Spawn(streams: streams)
        pid = try spawn.start(command, environment: environment, directory: directory)
        (inFile, outFile, errFile) = (spawn.input, spawn.out, spawn.err)
        terminalPath = spawn.terminalPath
        if case .pipes(let bytes?) = streams { input = bytes[...] }
        if case .pipes = streams, input.isEmpty { closeInput() }
    }

    deinit {
        if status == nil {
            kill(pid, SIGKILL)
            var ignored: Int32 = 0
            unsafe waitpid(pid, &ignored, 0)
        }
        for file in Set([inFile, outFile, errFile]) where file >= 0 { close(file) }
    }

    var hasEnded: Bool { reap() != nil }

    /// Sends a signal to the program alone.
    func signal(_ number: Int32) { kill(pid, number) }

    /// Types text, or writes it to the pipe.
    func send(_ text: String) throws {
        input = ArraySlice(text.utf8)
        while !input.isEmpty { try pump(milliseconds: 10) }
    }

    /// End of file on standard input.
    func closeInput() {
        if inFile >= 0, inFile != outFile { close(inFile) }
        if inFile != outFile { inFile = -1 }
    }

    /// Waits until the output since the last match contains the text; everything up to it counts as seen.
    @discardableResult
    func expect(_ text: String, within seconds: Double = 30) throws -> String {
        let wanted = Array(text.utf8)
        let end = Date().addingTimeInterval(seconds)
        while true {
            if let range = out[seen...].firstRange(of: wanted) {
                let before = String(decoding: out[seen..<range.lowerBound], as: UTF8.self)
                seen = range.upperBound
                return before
            }
            let over = reap() != nil && outFile < 0
            if Date() > end || over {
                throw HarnessError(
                    description:
                        "no \"\(text)\" \(over ? "before the end" : "in \(seconds) s"); since the last: "
                        + String(decoding: out[seen...].suffix(2000), as: UTF8.self)
                        + String(decoding: err.suffix(2000), as: UTF8.self))
            }
            try pump(milliseconds: 20)
        }
    }

    /// Waits for the end and gives what there was; ends the program itself after so many seconds.
    func wait(within seconds: Double = 30) throws -> Outcome {
        let end = Date().addingTimeInterval(seconds)
        var timedOut = false
        while reap() == nil {
            if Date() > end, !timedOut {
                timedOut = true
                kill(-pid, SIGKILL)
                kill(pid, SIGKILL)
            }
            try pump(milliseconds: 5)
        }
        // What is in the pipes now was written before the end; more than that is for the caller to judge.
        for _ in 0..<100_000 where outFile >= 0 || errFile >= 0 {
            let before = out.count + err.count
            try pump(milliseconds: 0)
            if out.count + err.count == before { break }
        }
        return Outcome(
            status: reap() ?? -1, timedOut: timedOut, heldOpen: outFile >= 0 || errFile >= 0, out: out,
            err: err)
    }

    /// Reads what comes for that long, whatever it is.
    func listen(seconds: Double) throws {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end, outFile >= 0 || errFile >= 0 { try pump(milliseconds: 10) }
    }

    /// The status as a shell gives it, once the program has ended.
    private func reap() -> Int32? {
        if let status { return status }
        var raw: Int32 = 0
        if unsafe waitpid(pid, &raw, WNOHANG) == pid {
            status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + (raw & 0x7f)
        }
        return status
    }

    /// Moves bytes both ways for at most that long.
    private func pump(milliseconds: Int32) throws {
        var files: [pollfd] = []
        if outFile >= 0 { files.append(pollfd(fd: outFile, events: Int16(POLLIN), revents: 0)) }
        if errFile >= 0, errFile != outFile {
            files.append(pollfd(fd: errFile, events: Int16(POLLIN), revents: 0))
        }
        if inFile >= 0, !input.isEmpty {
            files.append(pollfd(fd: inFile, events: Int16(POLLOUT), revents: 0))
        }
        _ = unsafe files.withUnsafeMutableBufferPointer {
            unsafe poll($0.baseAddress, nfds_t($0.count), milliseconds)
        }
        for file in files where file.revents != 0 {
            if file.revents & Int16(POLLOUT) != 0 { writeSome() }
            if file.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0, file.fd != inFile || file.fd == outFile
            {
                readSome(file.fd)
            } else if file.fd == inFile, file.revents & Int16(POLLERR) != 0 {
                input = []
            }
        }
    }

    private func writeSome() {
        let piece = Array(input.prefix(65536))
        let count = unsafe piece.withUnsafeBytes { unsafe write(inFile, $0.baseAddress, $0.count) }
        if count > 0 { input = input.dropFirst(count) }
        if count < 0, errno != EAGAIN { input = [] }
        if input.isEmpty, inFile != outFile, closesInputAtEnd { closeInput() }
    }

    private func readSome(_ file: Int32) {
        var bytes = [UInt8](repeating: 0, count: 262_144)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        if count > 0 {
            if file == outFile { out += bytes[..<count] } else { err += bytes[..<count] }
        } else if count == 0 || errno != EAGAIN {
            close(file)
            if file == inFile { inFile = -1 }
            if file == outFile { outFile = -1 }
            if file == errFile { errFile = -1 }
        }
    }

    private var closesInputAtEnd = false

    /// Changes the size of the terminal, as its window does.
    func resize(rows: Int, columns: Int) throws {
        guard ct_resize(outFile, Int32(rows), Int32(columns)) == 0 else {
            throw HarnessError(description: "cannot resize: errno \(errno)")
        }
    }

    /// The terminal's settings; only with a terminal.
    func settings() throws -> termios {
        var settings = termios()
        guard unsafe tcgetattr(outFile, &settings) == 0 else {
            throw HarnessError(description: "tcgetattr: \(errno)")
        }
        return settings
    }

    /// Bytes for standard input that are followed by its end.
    func finish(input bytes: [UInt8]) {
        input = bytes[...]
        closesInputAtEnd = true
    }
}
