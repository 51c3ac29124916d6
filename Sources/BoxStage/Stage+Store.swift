internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// A stage on disk: `stage.json` in its directory.
extension Stage {
    private static let format: UInt64 = 1
    /// Hidden names of a large project take some megabytes.
    private static let longestFile = 64 << 20

    private static func file(_ directory: String) -> String { directory + "/stage.json" }

    /// Reads a session's stage; nil if the session has none. One that is damaged, or another session's, is an error.
    package static func read(_ directory: String, session: String) throws(StageError) -> Stage? {
        let step = "read the stage of session \(session)"
        let bytes: [UInt8]
        do throws(KernelError) {
            let opened = try Descriptor.open(file(directory), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            bytes = try opened.readAll(limit: longestFile)
        } catch {
            if error.code == ENOENT { return nil }
            throw StageError(step, error)
        }
        do throws(StageForm.Fault) {
            let stage = try StageForm.parse(bytes, directory: directory)
            guard stage.session == session else { throw StageForm.Fault("it belongs to another session") }
            return stage
        } catch {
            throw StageError(
                step, reason: "\(file(directory).escapedForTerminal) is damaged: \(error.reason)",
                hint: "box discard removes the stage")
        }
    }

    /// Writes `stage.json`; a reader sees the old one or the new one.
    package func write() throws(StageError) {
        let path = Stage.file(directory)
        do throws(KernelError) {
            let temporary = path + ".new"
            let opened = try Descriptor.open(
                temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
            try opened.write(all: Array((StageForm.json(self, format: Stage.format).pretty + "\n").utf8))
            try Replacement.finish(opened, temporary, path, durably: false)
        } catch { throw StageError("write the stage of session \(session)", error) }
    }

    /// Removes the stage with all that is in it, whatever the agent made there. What is left after a failure is no stage
    /// any more, and is removed by the next call.
    package func remove() throws(StageError) {
        let path: AbsolutePath
        do throws(AbsolutePath.Refusal) { path = try AbsolutePath(directory) } catch {
            throw StageError("remove the stage of session \(session)", reason: error.description)
        }
        // First, so that half a stage is never taken for a whole one.
        let result = unsafe unlink(Stage.file(directory))
        if result < 0, errno != ENOENT, errno != ENOTDIR {
            throw StageError(
                "remove the stage of session \(session)", KernelError(call: "unlink", code: errno))
        }
        try TreeRemoval.remove(path)
    }
}

/// The form of a stage as JSON.
private enum StageForm {
    struct Fault: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    static func json(_ stage: Stage, format: UInt64) -> JSONOutput {
        .object([
            ("format", .number(Int(format))),
            ("session", .text(stage.session)),
            ("mode", .text(stage.mode.rawValue)),
            (
                "started",
                .object([
                    ("seconds", .number(stage.started.seconds)),
                    ("nanoseconds", .number(stage.started.nanoseconds)),
                ])
            ),
            ("roots", .list(stage.roots.map(json))),
        ])
    }

    private static func json(_ root: Stage.Root) -> JSONOutput {
        .object([
            ("host", .text(root.host.string)),
            // As texts: a reader of JSON may take numbers for floating point.
            ("device", .text(String(root.device))),
            ("inode", .text(String(root.inode))),
            ("hidden", .list(root.hidden.map(json))),
        ])
    }

    /// A path as text, or where it is not UTF-8 as `{"hex": "…"}`.
    private static func json(_ path: BytePath) -> JSONOutput {
        if let text = path.text { return .text(text) }
        let digits = path.bytes.map { byte in
            let hex = String(byte, radix: 16)
            return hex.utf8.count < 2 ? "0" + hex : hex
        }
        return .object([("hex", .text(digits.joined()))])
    }

    static func parse(_ bytes: [UInt8], directory: String) throws(Fault) -> Stage {
        let document: JSONValue
        do throws(JSONError) { document = try JSONValue(parsing: bytes) } catch {
            throw Fault(error.description)
        }
        let fields = try members(document, ["format", "session", "mode", "started", "roots"])
        guard fields[0] == .number(JSONNumber(text: "1")) else {
            throw Fault("another version of box wrote it")
        }
        guard let mode = Stage.Mode(rawValue: try text(fields[2])) else { throw Fault("unknown mode") }
        let started = try members(JSONValue(offset: 0, content: fields[3]), ["seconds", "nanoseconds"])
        guard case .array(let roots) = fields[4], !roots.isEmpty else { throw Fault("no roots") }
        var all: [Stage.Root] = []
        for value in roots { all.append(try root(value)) }
        return Stage(
            directory: directory, session: try text(fields[1]), mode: mode,
            started: Node.Time(
                seconds: Int(clamping: try number(started[0])),
                nanoseconds: Int(clamping: try number(started[1]))), roots: all)
    }

    private static func root(_ value: JSONValue) throws(Fault) -> Stage.Root {
        let fields = try members(value, ["host", "device", "inode", "hidden"])
        guard let device = UInt64(try text(fields[1])), let inode = UInt64(try text(fields[2])),
            case .array(let list) = fields[3]
        else { throw Fault("a root without identity") }
        let host: AbsolutePath
        do throws(AbsolutePath.Refusal) { host = try AbsolutePath(try hostText(fields[0])) } catch {
            throw Fault(error.description)
        }
        var hidden: [BytePath] = []
        for value in list { hidden.append(try path(value)) }
        return Stage.Root(host: host, device: device, inode: inode, hidden: hidden)
    }

    /// The text of a path; what is none is the empty path, which is refused.
    private static func hostText(_ content: JSONValue.Content) throws(AbsolutePath.Refusal) -> String {
        guard case .string(let text) = content else { throw .empty }
        return text
    }

    private static func path(_ value: JSONValue) throws(Fault) -> BytePath {
        var bytes: [UInt8] = []
        if case .string(let text) = value.content {
            bytes = Array(text.utf8)
        } else {
            let digits = Array(try text(try members(value, ["hex"])[0]).utf8)
            for index in stride(from: 0, to: digits.count, by: 2) {
                let pair = String(decoding: digits[index..<min(index + 2, digits.count)], as: UTF8.self)
                guard pair.utf8.count == 2, let byte = UInt8(pair, radix: 16) else {
                    throw Fault("a hidden path that is none")
                }
                bytes.append(byte)
            }
        }
        guard let path = BytePath(bytes), path != .root else { throw Fault("a hidden path that is none") }
        return path
    }

    /// The values of exactly these members, in this order.
    private static func members(
        _ value: JSONValue, _ names: [String]
    ) throws(Fault) -> [JSONValue.Content] {
        guard case .object(let all) = value.content, all.map(\.key) == names else {
            throw Fault("\(names.joined(separator: ", ")) are expected")
        }
        return all.map(\.value.content)
    }

    private static func text(_ content: JSONValue.Content) throws(Fault) -> String {
        guard case .string(let text) = content else { throw Fault("a text is expected") }
        return text
    }

    private static func number(_ content: JSONValue.Content) throws(Fault) -> UInt64 {
        guard case .number(let number) = content, let value = number.unsigned else {
            throw Fault("a number is expected")
        }
        return value
    }
}
