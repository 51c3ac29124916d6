package import BoxTypes

/// A further program that the sandbox's first process is to start, beside the command: under the same protections,
/// because it descends from that process as well.
package struct Execution: Equatable, Sendable {
    /// Names it in later orders and reports.
    package var id: Int
    package var command: [String]
    /// Variables beside those of the command, or in their place.
    package var environment: [Plan.EnvironmentEntry]
    /// Where it starts; nil is where the command did.
    package var directory: AbsolutePath?
    /// The size of the terminal that is made for it, with which a pipe for standard error may come; nil: three pipes come
    /// with the order.
    package var terminal: Window?

    /// In the errno that is reported, if it was its directory that could not be entered (`BOX_DIRECTORY_FAILED`).
    package static let directoryFailed: Int32 = 1 << 16

    /// A window's size in characters.
    package struct Window: Equatable, Sendable {
        package var rows: UInt16
        package var columns: UInt16
        package init(rows: UInt16, columns: UInt16) {
            self.rows = rows
            self.columns = columns
        }
    }

    package init(
        id: Int, command: [String], environment: [Plan.EnvironmentEntry] = [],
        directory: AbsolutePath? = nil, terminal: Window? = nil
    ) {
        self.id = id
        self.command = command
        self.environment = environment
        self.directory = directory
        self.terminal = terminal
    }

    package func write(to writer: inout WireWriter) {
        writer.write(id)
        writer.write(command) { $0.write($1) }
        writer.write(environment) { writer, entry in
            writer.write(entry.name)
            writer.write(entry.value)
        }
        writer.write(directory) { $0.write($1.string) }
        writer.write(terminal) { writer, window in
            writer.write(Int(window.rows))
            writer.write(Int(window.columns))
        }
    }

    package init(from reader: inout WireReader) throws(WireError) {
        id = try reader.int()
        command = try reader.list { (r: inout WireReader) throws(WireError) in try r.string() }
        environment = try reader.list { (r: inout WireReader) throws(WireError) in
            Plan.EnvironmentEntry(try r.string(), try r.string())
        }
        directory = try reader.optional { (r: inout WireReader) throws(WireError) in try r.path() }
        terminal = try reader.optional { (r: inout WireReader) throws(WireError) in
            guard let rows = UInt16(exactly: try r.int()), let columns = UInt16(exactly: try r.int()) else {
                throw r.malformed("window size")
            }
            return Window(rows: rows, columns: columns)
        }
        guard !command.isEmpty else { throw reader.malformed("command") }
    }
}
