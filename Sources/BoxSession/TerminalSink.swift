/// Where the output of a `TerminalFilter` goes: bytes for a terminal, or a screen that shows them.
protocol TerminalSink {
    /// Text with C0 controls but ESC. A character may begin in one piece and end in the next.
    mutating func text(_ bytes: Span<UInt8>)
    /// One byte of such text.
    mutating func text(_ byte: UInt8)
    /// A whole sequence that was judged harmless, as it was spelled.
    mutating func take(_ sequence: TerminalSequence, spelled bytes: [UInt8])
    /// One byte of an image's data, or of the two that end it.
    mutating func image(_ byte: UInt8)
}

/// What a filter passes on other than text.
enum TerminalSequence {
    case escape(final: UInt8, intermediates: [UInt8])
    case control(ControlSequence)
    /// A control string, and where its text stands in the spelled bytes.
    case string(StringKind, body: Range<Int>)
    /// One of the Linux console's two commands without an end.
    case linuxPalette(body: Range<Int>)
    /// The head of a Sixel image, whose data follow.
    case image
}

extension [UInt8]: TerminalSink {
    mutating func text(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    mutating func text(_ byte: UInt8) { append(byte) }

    mutating func take(_ sequence: TerminalSequence, spelled bytes: [UInt8]) { self += bytes }

    mutating func image(_ byte: UInt8) { append(byte) }
}
