import Glibc

/// What a command line says that others must not read: `ps` shows every user every process's arguments.
enum CommandLineSecret {
    /// Overwrites user and password of a proxy's URL, and the values of `--env NAME=VALUE`, in the kernel's view of this
    /// process's arguments. Until this line, a moment, they can be seen; a policy file says the same without that.
    static func hide() {
        // Read once, before anything is overwritten: these are copies.
        _ = CommandLine.arguments
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { continue }
            let text = unsafe String(cString: argument)
            // What belongs to the program inside is its own.
            if text == "--" { return }
            let before = unsafe CommandLine.unsafeArgv[index - 1].map { unsafe String(cString: $0) }
            let isVariable = before == "--env" || text.hasPrefix("--env=")
            let bytes = Array(text.utf8)
            guard let secret = isVariable ? value(in: bytes) : place(in: bytes) else { continue }
            for at in secret { unsafe argument[at] = CChar(UInt8(ascii: "x")) }
        }
    }

    /// Where the value of `NAME=VALUE` or `--env=NAME=VALUE` is; nil if there is none.
    private static func value(in bytes: [UInt8]) -> Range<Int>? {
        let name = bytes.starts(with: Array("--env=".utf8)) ? 6 : 0
        guard let equals = bytes[name...].firstIndex(of: UInt8(ascii: "=")) else { return nil }
        return equals + 1..<bytes.count
    }

    /// Where the part before the `@` of a URL is.
    private static func place(in bytes: [UInt8]) -> Range<Int>? {
        let colon = UInt8(ascii: ":")
        let slash = UInt8(ascii: "/")
        guard let at = bytes.lastIndex(of: UInt8(ascii: "@")),
            let scheme = bytes.indices.dropLast(2).first(where: {
                bytes[$0] == colon && bytes[$0 + 1] == slash && bytes[$0 + 2] == slash
            }), scheme + 3 <= at
        else { return nil }
        return scheme + 3..<at
    }
}
