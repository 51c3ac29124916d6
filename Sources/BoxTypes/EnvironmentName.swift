/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
package struct EnvironmentName: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The name as written.
    package let string: String

    /// Parses a name of at most 256 bytes; says why if it isn't one.
    package init(_ text: String) throws(EnvironmentRefusal) {
        guard !text.isEmpty else { throw .empty }
        let bytes = text.utf8
        let letters = bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            default: false
            }
        }
        guard letters, bytes.count <= 256, let first = text.first, !first.isASCIIDigit else {
            throw .malformed(text)
        }
        string = text
    }

    package var description: String { string }

    package static func < (left: EnvironmentName, right: EnvironmentName) -> Bool {
        left.string < right.string
    }

    /// Why this name never gets in, even if it is asked for; nil if it may.
    package var refusal: EnvironmentRefusal? {
        if let why = EnvironmentName.refused[string] { return .refused(string, why) }
        for (prefix, why) in EnvironmentName.refusedPrefixes where string.hasPrefix(prefix) {
            return .refused(string, why)
        }
        return nil
    }

    /// The name if it may get in.
    package static func passable(_ text: String) throws(EnvironmentRefusal) -> EnvironmentName {
        let name = try EnvironmentName(text)
        if let refusal = name.refusal { throw refusal }
        return name
    }

    private static let refusedPrefixes: [(prefix: String, why: EnvironmentRefusal.Why)] = [
        ("LD_", .loadsCode), ("DYLD_", .loadsCode), ("BASH_FUNC_", .loadsCode), ("DBUS_", .opensDoor),
    ]

    private static let refused: [String: EnvironmentRefusal.Why] = {
        var all: [String: EnvironmentRefusal.Why] = [:]
        for name in [
            "GCONV_PATH", "LOCPATH", "GLIBC_TUNABLES", "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4",
            "PROMPT_COMMAND", "PYTHONSTARTUP", "NODE_OPTIONS", "PERL5OPT", "PERL5DB", "RUBYOPT",
            "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS",
        ] { all[name] = .loadsCode }
        for name in [
            "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "DOCKER_HOST", "DOCKER_CONTEXT",
            "CONTAINER_HOST",
            "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "TMUX", "TMUX_PANE", "STY",
        ] { all[name] = .opensDoor }
        for name in [
            "BOX", "BOX_SESSION", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy",
            "https_proxy", "all_proxy", "no_proxy",
        ] { all[name] = .setByBox }
        return all
    }()
}

/// Why an environment variable does not get in.
package enum EnvironmentRefusal: Error, Equatable, CustomStringConvertible {
    case empty
    case malformed(String)
    case refused(String, Why)
    case containsNul(String)
    case tooLong(String, bytes: Int)
    case tooLarge(bytes: Int)

    /// What is wrong with a well-formed name.
    package enum Why: Hashable, Sendable {
        /// It makes every program that is started inside load or run something else first.
        case loadsCode
        /// It names a socket, display or service of the host.
        case opensDoor
        /// The sandbox has its own value, and another one would only break it.
        case setByBox
    }

    /// The longest value, in bytes; the kernel takes no longer string (MAX_ARG_STRLEN, execve(2)).
    package static let longestValue = 128 * 1024
    /// The most that all names and values may have together, in bytes.
    package static let largestEnvironment = 256 * 1024

    package var description: String {
        switch self {
        case .empty: "the name of an environment variable is empty"
        case .malformed(let name):
            "\"\(name.escapedForTerminal)\" is not a name of an environment variable (letters, digits and _)"
        case .refused(let name, .loadsCode):
            "\(name) never gets in: it changes what every program inside loads or runs"
        case .refused(let name, .opensDoor):
            "\(name) never gets in: it names a socket, display or service of the host"
        case .refused(let name, .setByBox): "\(name) cannot be chosen: box sets it"
        case .containsNul(let name): "the value of \(name) contains a NUL byte"
        case .tooLong(let name, let bytes):
            "the value of \(name) has \(bytes) bytes; at most \(EnvironmentRefusal.longestValue) get in"
        case .tooLarge(let bytes):
            "the environment has \(bytes) bytes; at most \(EnvironmentRefusal.largestEnvironment) get in"
        }
    }

    /// Checks a value: no NUL, not too long.
    package static func check(value: String, of name: String) throws(EnvironmentRefusal) {
        guard !value.utf8.contains(0) else { throw .containsNul(name) }
        guard value.utf8.count < longestValue - name.utf8.count - 1 else {
            throw .tooLong(name, bytes: value.utf8.count)
        }
    }
}
