package import NIOCore

/// The head of an origin server's answer, and how its body ends.
package struct ResponseHead: Equatable, Sendable {
    package let status: Int
    package let framing: BodyFraming
    private let statusLine: [UInt8]
    private let forwarded: [Field]
    /// A HEAD or a 304 may tell the length of a body that it does not have.
    private let announced: BodyFraming?

    /// Whether the real answer is still to come.
    package var isInterim: Bool { status < 200 }

    /// Understands a head that answers `method`, or refuses it.
    package init(_ head: MessageHead, to method: Method) throws(HTTPRefusal) {
        let line = head.startLine
        let status = try ResponseHead.status(line)
        // No one asked for another protocol.
        guard status != 101 else { throw HTTPRefusal("the server switched protocols") }
        self.status = status
        statusLine = line
        forwarded = head.endToEnd
        announced = try BodyFraming(of: head)
        if method == .head || status < 200 || status == 204 || status == 304 {
            framing = .none
        } else {
            framing = announced ?? .untilClose
        }
    }

    /// The status in the first line of an answer.
    static func status(_ line: [UInt8]) throws(HTTPRefusal) -> Int {
        guard line.count >= 12, line.starts(with: "HTTP/1.".utf8), line[7] == 0x30 || line[7] == 0x31,
            line[8] == 0x20, line.count == 12 || line[12] == 0x20,
            let status = Int(String(decoding: line[9..<12], as: UTF8.self)), (100...599).contains(status)
        else { throw HTTPRefusal("the answer is not HTTP/1") }
        return status
    }

    /// The head that goes to the client.
    package func serialized(keepsAlive: Bool) -> ByteBuffer {
        var out = ByteBuffer()
        // The proxy's own version: the lines between it and the client are its own.
        out.writeString("HTTP/1.1")
        out.writeBytes(statusLine[8...])
        out.writeString("\r\n")
        out.write(forwarded)
        if !isInterim {
            out.write(announced ?? .untilClose, declaresEmpty: announced != nil)
            out.writeString(keepsAlive ? "Connection: keep-alive\r\n" : "Connection: close\r\n")
        }
        out.writeString("\r\n")
        return out
    }
}
