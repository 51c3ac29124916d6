import Foundation

/// A real program's output to a terminal of 24 × 80, from start to end.
enum RecordedProgram: String, CaseIterable, Sendable {
    case vim, less, top

    private var command: [String] {
        switch self {
        case .vim:
            // It draws: a split window, line numbers, highlighted matches, a search, a fold; and ends by itself.
            [
                "vim", "-u", "NONE", "-i", "NONE", "-n", "-N", "-c", "set number hlsearch list", "-c",
                "/line 1",
                "-c", "split", "-c", "normal G", "-c", "redraw!", "-c", "normal dd", "-c", "vsplit", "-c",
                "redraw!", "-c", "qa!", "text",
            ]
        case .less: ["less", "-N", "+/line 2", "text"]
        case .top: ["top", "-n", "1"]
        }
    }

    /// What is typed.
    private var keys: String {
        switch self {
        case .vim, .top: ""
        case .less: "  bnj/line 3\rkq"
        }
    }

    static let areThere = (allCases.map(\.rawValue) + ["python3"]).allSatisfy { TmuxPicture.path($0) != nil }

    /// Runs it; whatever follows the last picture, as leaving the alternate screen, is cut off.
    func record() throws -> [UInt8] {
        let directory = NSTemporaryDirectory() + "recorded-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let lines = (1...100).map { "line \($0)\t日本 größe \(String(repeating: "x", count: $0))\n" }
        let program = """
            import fcntl, os, pty, struct, sys, termios
            pid, terminal = pty.fork()
            if pid == 0:
                os.chdir(sys.argv[1])
                os.environ.update(TERM="xterm-256color", LESS="", HOME=sys.argv[1])
                # The size is there before the program is.
                os.read(0, 1)
                os.execvp(sys.argv[3], sys.argv[3:])
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.write(terminal, b"\\n" + sys.argv[2].encode())
            with open(sys.argv[1] + "/output", "wb") as output:
                while True:
                    try:
                        data = os.read(terminal, 65536)
                    except OSError:
                        break
                    if not data:
                        break
                    output.write(data)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """
        let quoted = ([directory, keys] + command).map { "'\($0)'" }.joined(separator: " ")
        let script =
            "cd '\(directory)' && exec timeout 30 python3 record.py \(quoted) > /dev/null 2>&1 < /dev/null\n"
        for (name, text) in [("text", lines.joined()), ("record.py", program), ("run", script)] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
        }
        let status = try TmuxPicture.run("\(directory)/run")
        let output = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/output")))
        guard status == 0, output.count > 500 else {
            throw TmuxPicture.Failure(
                description: "\(self) ended with \(status) and wrote \(output.count) bytes")
        }
        let end = output.ranges(of: Array("\u{1B}[?1049l".utf8)).last?.lowerBound ?? output.endIndex
        return Array(output[..<end])
    }
}
