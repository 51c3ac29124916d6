internal import BoxTypes

/// What reads a pipeline's log, and which words in it mean something to that.
package enum CILogFormat: String, CaseIterable, Sendable {
    /// Workflow commands of GitHub Actions: `::group::`, `::error::`. Any program's line can be one.
    case github
    /// Sections of GitLab.
    case gitlab
    case plain

    /// The format by the variables that the runners set.
    package init(environment: [String: String]) {
        if environment["GITHUB_ACTIONS"] == "true" {
            self = .github
        } else if environment["GITLAB_CI"] == "true" {
            self = .gitlab
        } else {
            self = .plain
        }
    }
}

/// box's own words in a pipeline's log, as text that is written by somebody else.
package struct CILog: Sendable {
    package enum Level: String, Sendable { case error, warning }

    package let format: CILogFormat
    /// Ends the part of the log in which no line is a command; nobody inside knows it.
    private let token: String

    package init(_ format: CILogFormat) {
        self.format = format
        token = (0..<4).map { _ in String(UInt64.random(in: UInt64.max / 2...UInt64.max), radix: 16) }
            .joined()
    }

    /// Lines that belong together under a title; the name is an identifier, the time in seconds since 1970.
    package func group(_ name: String, _ title: String, _ lines: [String], time: Int) -> String {
        switch format {
        case .github:
            let body = (["box: " + title] + lines).map(CILog.harmless)
            return "::group::" + body.joined(separator: "\n") + "\n::endgroup::\n"
        case .gitlab:
            let (escape, head) = ("\u{1B}[0K", "\(time):box_\(name)")
            return "\(escape)section_start:\(head)\r\(escape)box: \(title)\n"
                + lines.map { $0 + "\n" }.joined() + "\(escape)section_end:\(head)\r\(escape)\n"
        case .plain: return ([title] + lines).map { "box: \($0)\n" }.joined()
        }
    }

    /// One finding that the job's page shall show; elsewhere a line.
    package func finding(_ level: Level, _ title: String, _ message: String) -> String {
        switch format {
        case .github:
            "::\(level.rawValue) title=\(CILog.property(title))::\(CILog.data(message))\n"
        case .gitlab, .plain:
            "box: \(message.split(separator: "\n").joined(separator: "\n     "))\n"
        }
    }

    /// What goes before the command's output, which is not to be obeyed.
    package var fence: String {
        switch format {
        case .github: "::stop-commands::\(token)\n"
        case .gitlab, .plain: ""
        }
    }

    /// What goes after it. The output's last line may have no end.
    package var fenceEnd: String {
        switch format {
        case .github: "\n::\(token)::\n"
        case .gitlab: "\n"
        case .plain: ""
        }
    }

    // MARK: - Workflow commands
    // By scalars: for a String, a return and a newline are one character, which is neither of both.

    /// The value of a command, which goes on to the end of the line.
    static func data(_ text: String) -> String { escaped(text, ["%", "\r", "\n"]) }

    /// The value of a command's property, which a comma or a colon ends.
    static func property(_ text: String) -> String { escaped(text, ["%", "\r", "\n", ":", ","]) }

    private static func escaped(_ text: String, _ special: Set<Unicode.Scalar>) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            guard special.contains(scalar) else {
                out.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16, uppercase: true)
            out.append(contentsOf: ("%" + (digits.count == 1 ? "0" : "") + digits).unicodeScalars)
        }
        return String(out)
    }

    /// A line that is no command: neither one of the present form, at a line's beginning, nor one of the old form, which
    /// may be anywhere in it.
    static func harmless(_ line: String) -> String {
        var out: [Unicode.Scalar] = []
        for scalar in line.unicodeScalars {
            if scalar == "[", out.suffix(2) == ["#", "#"] { out.append("\\") }
            out.append(scalar == "\n" || scalar == "\r" ? " " : scalar)
        }
        if out.drop(while: \.properties.isWhitespace).starts(with: "::".unicodeScalars) {
            out.insert(contentsOf: "box: ".unicodeScalars, at: 0)
        }
        return String(String.UnicodeScalarView(out))
    }
}
