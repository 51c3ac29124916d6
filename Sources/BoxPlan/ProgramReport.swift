package import BoxTypes

/// What the sandbox's first process tells of programs inside. Process ids are those of the sandbox; paths and arguments
/// are text that programs inside chose.
package enum ProgramReport: Equatable, Sendable {
    case started(ProgramStart)
    /// It ended, as far as the kernel tells.
    case ended(pid: Int32, ProgramEnd)
    /// Another file runs than the one that was asked for.
    case runs(pid: Int32, path: String)

    func write(to writer: inout WireWriter) {
        switch self {
        case .started(let start):
            writer.write(UInt8(0))
            start.write(to: &writer)
        case .ended(let pid, let end):
            writer.write(UInt8(1))
            writer.write(Int(pid))
            end.write(to: &writer)
        case .runs(let pid, let path):
            writer.write(UInt8(2))
            writer.write(Int(pid))
            writer.write(path)
        }
    }

    init(from reader: inout WireReader) throws(WireError) {
        switch try reader.byte() {
        case 0: self = .started(try ProgramStart(from: &reader))
        case 1: self = .ended(pid: try reader.int32(), try ProgramEnd(from: &reader))
        case 2: self = .runs(pid: try reader.int32(), path: try reader.string())
        default: throw reader.malformed("program report")
        }
    }
}

/// A program that is about to start.
package struct ProgramStart: Equatable, Sendable {
    package var pid: Int32
    /// The process that its process was made by, as far as it is known.
    package var parent: Int32?
    /// The file, without links; nil where the process did not let box look.
    package var path: String?
    package var arguments: [String]
    /// How many arguments are left out.
    package var omitted: Int
    /// The working directory.
    package var directory: String?

    package init(
        pid: Int32, parent: Int32?, path: String?, arguments: [String], omitted: Int, directory: String?
    ) {
        self.pid = pid
        self.parent = parent
        self.path = path
        self.arguments = arguments
        self.omitted = omitted
        self.directory = directory
    }

    fileprivate func write(to writer: inout WireWriter) {
        writer.write(Int(pid))
        writer.write(parent) { $0.write(Int($1)) }
        writer.write(path) { $0.write($1) }
        writer.write(arguments) { $0.write($1) }
        writer.write(omitted)
        writer.write(directory) { $0.write($1) }
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let text = { (reader: inout WireReader) throws(WireError) in try reader.string() }
        pid = try reader.int32()
        parent = try reader.optional { (r: inout WireReader) throws(WireError) in try r.int32() }
        path = try reader.optional(text)
        arguments = try reader.list(text)
        omitted = try reader.int()
        directory = try reader.optional(text)
    }
}

/// How a program ended.
package enum ProgramEnd: Equatable, Sendable {
    case exited(code: Int32)
    case killed(signal: Int32)
    /// The kernel did not keep it (before Linux 6.15).
    case unknown

    package func write(to writer: inout WireWriter) {
        switch self {
        case .exited(let code):
            writer.write(UInt8(0))
            writer.write(Int(code))
        case .killed(let signal):
            writer.write(UInt8(1))
            writer.write(Int(signal))
        case .unknown: writer.write(UInt8(2))
        }
    }

    package init(from reader: inout WireReader) throws(WireError) {
        switch try reader.byte() {
        case 0: self = .exited(code: try reader.int32())
        case 1: self = .killed(signal: try reader.int32())
        case 2: self = .unknown
        default: throw reader.malformed("end of a program")
        }
    }
}
