internal import BoxTypes
package import NIOCore

/// An answer that the proxy itself gives. It is always the last on its connection, except for the 200 of CONNECT.
package struct Reply: Equatable, Sendable {
    package let status: Int
    private let reason: RefusalReason?
    /// In how many seconds another try may be welcome; only of 429.
    private let retryAfter: Int?
    private let body: JSONOutput

    /// `200` for CONNECT: from here on the bytes are the tunnel's.
    package static let established = ByteBuffer(string: "HTTP/1.1 200 Connection established\r\n\r\n")

    /// The refusal that tells a program, a model and its user what to do.
    ///
    /// - Parameter resolution: what opens the door, most often a command for the user.
    static func blocked(
        _ host: String, port: Port?, reason: RefusalReason, explanation: String, resolution: String,
        status: Int = 403, retryAfter: Int? = nil
    ) -> Reply {
        let place = host.isEmpty ? "the request" : "\(host.escapedForTerminal)\(port.map { ":\($0)" } ?? "")"
        let message = "\(place) is not allowed (\(explanation)). To allow it: \(resolution)"
        return Reply(
            "blocked_by_box", status, host, port, reason: reason, message: message,
            resolution: resolution, retryAfter: retryAfter)
    }

    /// The refusal of bytes that are no request.
    static func malformed(_ refusal: HTTPRefusal) -> Reply {
        Reply(
            "bad_request", refusal.status, "", nil, reason: .protocol,
            message: "box-proxy refused the request: \(refusal.explanation).",
            resolution: "send CONNECT HOST:PORT or an absolute http:// URL over HTTP/1.1")
    }

    /// The rules allow the target, but it can't be reached.
    static func upstreamFailed(_ target: HostTarget, _ explanation: String, status: Int) -> Reply {
        Reply(
            "upstream_failed", status, target.host.description, target.port, reason: nil,
            message: "\(target) is allowed, but \(explanation).",
            resolution: "try again, or check the name and the server")
    }

    private init(
        _ error: String, _ status: Int, _ host: String, _ port: Port?, reason: RefusalReason?,
        message: String, resolution: String, retryAfter: Int? = nil
    ) {
        self.status = status
        self.reason = reason
        self.retryAfter = retryAfter
        body = .object([
            ("error", .text(error)), ("code", .number(status)), ("host", .text(host.shortened)),
            ("port", port.map { .number(Int($0.number)) } ?? .null),
            ("reason", .optional(reason?.rawValue)), ("message", .text(message)),
            ("resolution", .text(resolution)),
        ])
    }

    /// The whole answer; a HEAD request gets the same header without the body.
    package func serialized(withBody: Bool = true) -> ByteBuffer {
        let text = body.line + "\n"
        var out = ByteBuffer()
        out.writeString("HTTP/1.1 \(status) \(Reply.phrases[status] ?? "Refused")\r\n")
        out.writeString("Content-Type: application/json\r\nContent-Length: \(text.utf8.count)\r\n")
        if let reason { out.writeString("X-Box-Reason: \(reason.rawValue)\r\n") }
        if let retryAfter { out.writeString("Retry-After: \(retryAfter)\r\n") }
        out.writeString("Connection: close\r\n\r\n")
        if withBody { out.writeString(text) }
        return out
    }

    private static let phrases = [
        400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed", 414: "URI Too Long",
        429: "Too Many Requests", 431: "Request Header Fields Too Large", 501: "Not Implemented",
        502: "Bad Gateway", 504: "Gateway Timeout",
    ]
}
