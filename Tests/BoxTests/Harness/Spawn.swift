import CTesting
import Foundation

/// The ends of a program's streams while it is being started.
struct Spawn {
    /// The harness's ends; with a terminal all three are its master.
    private(set) var input: Int32 = -1
    private(set) var out: Int32 = -1
    private(set) var err: Int32 = -1
    private(set) var terminalPath: String?
    private var theirs: [Int32] = [-1, -1, -1]

    init(streams: Running.Streams) throws {
        switch streams {
        case .terminal(let rows, let columns): try openTerminal(rows: rows, columns: columns)
        case .openInput: try openPipes(withInput: true)
        case .pipes(let bytes): try openPipes(withInput: bytes != nil)
        }
    }

    private mutating func openPipes(withInput: Bool) throws {
        (out, theirs[1]) = try Spawn.pipe(harnessReads: true)
        (err, theirs[2]) = try Spawn.pipe(harnessReads: true)
        if withInput {
            (input, theirs[0]) = try Spawn.pipe(harnessReads: false)
        } else {
            theirs[0] = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        }
    }

    /// A pipe: the harness's end and the program's.
    private static func pipe(harnessReads: Bool) throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        guard unsafe ct_pipe(&ends, harnessReads ? 0 : 1) == 0 else {
            throw HarnessError(description: "pipe: errno \(errno)")
        }
        return harnessReads ? (ends[0], ends[1]) : (ends[1], ends[0])
    }

    private mutating func openTerminal(rows: Int, columns: Int) throws {
        var path = [CChar](repeating: 0, count: 64)
        let master = unsafe ct_terminal(Int32(rows), Int32(columns), &path, Int32(path.count))
        guard master >= 0 else { throw HarnessError(description: "no terminal: errno \(errno)") }
        terminalPath = String(decoding: path.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        (input, out, err) = (master, master, master)
    }

    /// Starts it: a new session, default signals, and no descriptor but the three.
    mutating func start(
        _ command: [String], environment: [String: String], directory: String
    ) throws -> pid_t {
        defer { for file in theirs where file >= 0 { close(file) } }
        // An entry named `raw:…` is passed as its value stands: for what is no proper variable.
        let variables = environment.map { $0.hasPrefix("raw:") ? $1 : "\($0)=\($1)" }
        let (theirs, terminalPath) = (theirs, terminalPath)
        let child = unsafe withCStrings(command) { arguments in
            unsafe withCStrings(variables) { variables in
                guard let terminalPath else {
                    return unsafe ct_start(arguments, variables, directory, theirs, nil)
                }
                return unsafe ct_start(arguments, variables, directory, theirs, terminalPath)
            }
        }
        guard child > 0 else {
            throw HarnessError(description: "cannot start \(command[0]): errno \(errno)")
        }
        return child
    }
}

/// The texts as a null-terminated array of C strings.
private func withCStrings<Result>(
    _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe texts.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else {
            fatalError("an array with a null at its end is not empty")
        }
        return unsafe body(base)
    }
}
