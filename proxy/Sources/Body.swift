package import NIOCore

/// How the length of a message body is known. There is one way per message, or the message is refused.
package enum BodyFraming: Equatable, Sendable {
    case none
    case length(UInt64)
    case chunked
    /// Only of responses.
    case untilClose

    /// Reads `Content-Length` and `Transfer-Encoding`; nil where neither is there.
    init?(of head: MessageHead) throws(HTTPRefusal) {
        let lengths = head.all("content-length")
        let encodings = head.all("transfer-encoding")
        guard lengths.count + encodings.count <= 1 else {
            throw HTTPRefusal("more than one Content-Length or Transfer-Encoding")
        }
        if let encoding = encodings.first {
            guard encoding.value.elementsEqual("chunked".utf8) else {
                throw HTTPRefusal("a Transfer-Encoding other than chunked")
            }
            self = .chunked
        } else if let length = lengths.first {
            let digits = length.value
            // 18 digits are enough for any body and can't overflow.
            guard (1...18).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
                throw HTTPRefusal("a Content-Length that is not a number")
            }
            let count = digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 0x30) }
            self = count == 0 ? .none : .length(count)
        } else {
            return nil
        }
    }
}

/// Follows a body and finds its end; the bytes themselves pass unchanged.
///
/// Chunk sizes are hexadecimal digits only: extensions and trailers are refused, because programs disagree on
/// them and nothing needs them.
package struct BodyReader: Equatable, Sendable {
    private enum State: Equatable {
        case over
        case counted(UInt64)
        case untilClose
        /// In a chunk's size: its value so far and how many digits that was.
        case size(UInt64, digits: Int)
        case sizeLineFeed(UInt64)
        case data(UInt64)
        case dataCarriageReturn, dataLineFeed
        case lastCarriageReturn, lastLineFeed
    }

    private var state: State

    package init(_ framing: BodyFraming) {
        state =
            switch framing {
            case .none: .over
            case .length(let count): .counted(count)
            case .chunked: .size(0, digits: 0)
            case .untilClose: .untilClose
            }
    }

    /// Whether the body has ended.
    package var isComplete: Bool { state == .over }
    /// Whether the end of the connection ends this body properly.
    package var endsWithConnection: Bool { state == .over || state == .untilClose }

    /// Takes what belongs to the body off the buffer and returns it; what follows stays.
    package mutating func read(_ buffer: inout ByteBuffer) throws(HTTPRefusal) -> ByteBuffer {
        let view = buffer.readableBytesView
        var taken = 0
        while taken < view.count, state != .over {
            switch state {
            case .counted(let left):
                let part = min(left, UInt64(view.count - taken))
                taken += Int(part)
                state = left == part ? .over : .counted(left - part)
            case .untilClose: taken = view.count
            case .data(let left):
                let part = min(left, UInt64(view.count - taken))
                taken += Int(part)
                state = left == part ? .dataCarriageReturn : .data(left - part)
            case .over, .size, .sizeLineFeed, .dataCarriageReturn, .dataLineFeed, .lastCarriageReturn,
                .lastLineFeed:
                try step(view[view.startIndex + taken])
                taken += 1
            }
        }
        return buffer.readSlice(length: taken) ?? ByteBuffer()
    }

    /// Takes one byte of the framing between the data.
    private mutating func step(_ byte: UInt8) throws(HTTPRefusal) {
        switch (state, byte) {
        case (.size(let value, let digits), 0x0D) where digits > 0: state = .sizeLineFeed(value)
        case (.size(let value, let digits), _):
            // 15 digits can't overflow.
            guard digits < 15, let digit = byte.hexadecimalValue else {
                throw HTTPRefusal("a chunk size that is not a number")
            }
            state = .size(value << 4 | UInt64(digit), digits: digits + 1)
        case (.sizeLineFeed(let value), 0x0A): state = value == 0 ? .lastCarriageReturn : .data(value)
        case (.dataCarriageReturn, 0x0D): state = .dataLineFeed
        case (.dataLineFeed, 0x0A): state = .size(0, digits: 0)
        case (.lastCarriageReturn, 0x0D): state = .lastLineFeed
        case (.lastLineFeed, 0x0A): state = .over
        case (.sizeLineFeed, _), (.dataCarriageReturn, _), (.dataLineFeed, _), (.lastCarriageReturn, _),
            (.lastLineFeed, _), (.over, _), (.counted, _), (.untilClose, _), (.data, _):
            throw HTTPRefusal("a broken chunk, or a trailer")
        }
    }
}

extension UInt8 {
    fileprivate var hexadecimalValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
