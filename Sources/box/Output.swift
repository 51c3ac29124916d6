import BoxKernel
import BoxTypes
import Glibc

/// What box itself prints: data to standard output, messages to standard error.
enum Output {
    /// A message about what went wrong, with box's name in front.
    static func error(_ message: String) { raw("box: \(message)\n") }

    /// Text to standard error as it is.
    static func raw(_ text: String) { write(text, to: 2) }

    /// Data to standard output.
    static func data(_ text: String) { write(text, to: 1) }

    /// Data to standard output, as bytes.
    static func data(_ bytes: [UInt8]) { write(bytes[...], to: 1) }

    /// Whether a stream takes colours: a terminal, and the user did not say no.
    static func hasColour(_ descriptor: CInt) -> Bool {
        let refused = unsafe getenv("NO_COLOR") != nil
        let terminal = unsafe getenv("TERM").map { unsafe String(cString: $0) }
        return isatty(descriptor) == 1 && !refused && terminal != "dumb"
    }

    private static func write(_ text: String, to descriptor: CInt) {
        write(Array(text.utf8)[...], to: descriptor)
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to descriptor: CInt) {
        var rest = bytes
        while !rest.isEmpty {
            let wrote = unsafe rest.withUnsafeBytes { raw in
                unsafe Glibc.write(descriptor, raw.baseAddress, raw.count)
            }
            if wrote < 0, errno == EINTR { continue }
            // Nobody reads any more: there is nobody to tell, either.
            guard wrote > 0 else { return }
            rest = rest.dropFirst(wrote)
        }
    }
}
