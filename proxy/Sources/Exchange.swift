package import NIOCore

/// One plain HTTP request and its answer, after the connection to the origin server stands.
package struct Exchange: Sendable {
    private let head: RequestHead
    private var requestBody: BodyReader
    private var responseReader = HeadReader()
    private var responseBody: BodyReader?
    private var interim = 0
    /// Whether the client may send another request on its connection when this one is over.
    package private(set) var keepsAlive: Bool
    /// Whether any byte of an answer went to the client, so that no answer of our own can.
    package private(set) var hasAnswered = false
    /// Whether the answer is the next proxy's question for a name and a password.
    package private(set) var wantsProxyCredentials = false

    package init(_ head: RequestHead) {
        self.head = head
        requestBody = BodyReader(head.framing)
        keepsAlive = head.keepsAlive
    }

    package var isRequestComplete: Bool { requestBody.isComplete }
    package var isResponseComplete: Bool { responseBody?.isComplete ?? false }

    /// Takes bytes of the request's body; what follows it stays in the buffer.
    package mutating func fromClient(_ bytes: inout ByteBuffer) throws(HTTPRefusal) -> ByteBuffer {
        try requestBody.read(&bytes)
    }

    /// Takes bytes of the answer and returns what goes to the client.
    package mutating func fromUpstream(_ bytes: ByteBuffer) throws(HTTPRefusal) -> [ByteBuffer] {
        var rest = bytes
        var out: [ByteBuffer] = []
        while responseBody == nil {
            guard let message = try responseReader.read(&rest) else { return out }
            let response = try ResponseHead(message, to: head.method)
            if response.status == 407 { wantsProxyCredentials = true }
            guard response.framing != .chunked || head.minorVersion == 1 else {
                throw HTTPRefusal("chunks for a client of HTTP/1.0")
            }
            if response.isInterim {
                interim += 1
                guard interim <= 8 else { throw HTTPRefusal("too many interim answers") }
                responseReader = HeadReader()
                guard head.minorVersion == 1 else { continue }
            } else {
                let body = BodyReader(response.framing)
                responseBody = body
                // The end of the body must be visible, and no part of the request may be left to read.
                if !requestBody.isComplete || (body.endsWithConnection && !body.isComplete) {
                    keepsAlive = false
                }
            }
            out.append(response.serialized(keepsAlive: keepsAlive))
            hasAnswered = true
        }
        if var body = responseBody {
            out.append(try body.read(&rest))
            responseBody = body
            // An origin server that sends more than its answer does not know where its answer ends.
            if body.isComplete, rest.readableBytes > 0 { keepsAlive = false }
        }
        return out.filter { $0.readableBytes > 0 }
    }

    /// The origin server closed. Returns whether its answer was complete.
    package mutating func upstreamEnded() -> Bool {
        keepsAlive = false
        return responseBody?.endsWithConnection ?? false
    }
}
