package import BoxTypes
package import NIOCore

/// The methods that are let through.
package enum Method: String, Sendable, CaseIterable {
    case connect = "CONNECT"
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
    case options = "OPTIONS"
}

/// Why a request is refused before any rule is asked.
package enum RequestRefusal: Error, Equatable, Sendable {
    case http(HTTPRefusal)
    /// The host is well formed but can name nothing on the network; the text is what was asked for.
    case host(String, port: Port, via: Via, method: Method, why: String)
}

/// A request that the proxy understands: where it goes, and what is forwarded.
package struct RequestHead: Equatable, Sendable {
    package let method: Method
    package let target: HostTarget
    /// Path and query of a plain HTTP request; empty for CONNECT.
    package let path: String
    /// 1.0 or 1.1: the minor number.
    package let minorVersion: Int
    package let framing: BodyFraming
    /// Whether the client would send another request on this connection.
    package let keepsAlive: Bool
    private let forwarded: [Field]

    /// Understands a head, or refuses it.
    package init(_ head: MessageHead) throws(RequestRefusal) {
        do throws(HTTPRefusal) {
            (method, minorVersion) = try RequestHead.methodAndVersion(head)
            framing = try RequestHead.framing(head, method: method, minorVersion: minorVersion)
        } catch { throw .http(error) }
        let words = head.startLine.split(separator: 0x20, omittingEmptySubsequences: false)
        (target, path) = try RequestHead.target(String(decoding: words[1], as: UTF8.self), method)
        let connection = Set((head.all("connection") + head.all("proxy-connection")).flatMap(\.tokens))
        keepsAlive = minorVersion == 1 && !connection.contains("close")
        forwarded = head.endToEnd
    }

    private static func methodAndVersion(_ head: MessageHead) throws(HTTPRefusal) -> (Method, Int) {
        let words = head.startLine.split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.count == 3, !words.contains(where: \.isEmpty),
            words[1].allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw HTTPRefusal("the request line is not a method, a target and a version") }
        let minorVersion: Int
        switch String(decoding: words[2], as: UTF8.self) {
        case "HTTP/1.1": minorVersion = 1
        case "HTTP/1.0": minorVersion = 0
        default: throw HTTPRefusal("only HTTP/1.1 and HTTP/1.0 are spoken here")
        }
        guard let method = Method(rawValue: String(decoding: words[0], as: UTF8.self)) else {
            throw HTTPRefusal("the method is not let through", status: 405)
        }
        return (method, minorVersion)
    }

    private static func framing(
        _ head: MessageHead, method: Method, minorVersion: Int
    ) throws(HTTPRefusal) -> BodyFraming {
        guard head.all("host").count <= 1 else { throw HTTPRefusal("more than one Host") }
        // RFC 9112, 3.2. CONNECT names its host anyway, and some clients send nothing else.
        guard method == .connect || minorVersion == 0 || !head.all("host").isEmpty else {
            throw HTTPRefusal("no Host")
        }
        // An upgraded connection would carry what no one decided about. WebSockets go through CONNECT.
        guard head.all("upgrade").isEmpty else {
            throw HTTPRefusal("no upgrade of a connection", status: 501)
        }
        let framing = try BodyFraming(of: head) ?? .none
        guard framing != .chunked || minorVersion == 1 else { throw HTTPRefusal("chunks in HTTP/1.0") }
        guard framing == .none || method != .connect else { throw HTTPRefusal("CONNECT has no body") }
        return framing
    }

    /// CONNECT has `host:port`; all others `http://host[:port]/path`.
    private static func target(
        _ text: String, _ method: Method
    ) throws(RequestRefusal) -> (HostTarget, String) {
        if method == .connect { return (try parse(text, defaultPort: nil, method), "") }
        let scheme = "http://"
        guard text.hasPrefix(scheme) else {
            throw .http(HTTPRefusal("the target is not an absolute http:// URL; https goes through CONNECT"))
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(authority.count)
        // A fragment is never sent, and "\" is a path separator for some.
        guard !path.utf8.contains(where: { $0 == UInt8(ascii: "#") || $0 == UInt8(ascii: "\\") }) else {
            throw .http(HTTPRefusal("the URL has a character that no URL has"))
        }
        // Without a path, OPTIONS would ask about the whole server, which origin servers treat as "*".
        guard method != .options || !path.isEmpty else { throw .http(HTTPRefusal("OPTIONS without a path")) }
        return (try parse(authority, defaultPort: .http, method), path.isEmpty ? "/" : String(path))
    }

    private static func parse(
        _ authority: some StringProtocol, defaultPort: Port?, _ method: Method
    ) throws(RequestRefusal) -> HostTarget {
        do throws(HostRefusal) {
            return try HostTarget(authority: authority, defaultPort: defaultPort)
        } catch {
            switch error.kind {
            case .malformed: throw .http(HTTPRefusal("the target is not a host and a port"))
            case .unusable: throw try unusable(authority, defaultPort, method, error.description)
            }
        }
    }

    /// The refusal of a name like `printer` or `127.1`. Its port was parsed before the host, so it is good.
    private static func unusable(
        _ authority: some StringProtocol, _ defaultPort: Port?, _ method: Method, _ why: String
    ) throws(RequestRefusal) -> RequestRefusal {
        do throws(HostRefusal) {
            let (host, portText) = try HostTarget.split(authority)
            guard
                let port = try portText.map({ (text: String) throws(HostRefusal) in try Port(text) })
                    ?? defaultPort
            else { throw HostRefusal("no port") }
            return .host(
                host.lowercased(), port: port, via: method == .connect ? .connect : .http, method: method,
                why: why)
        } catch { throw .http(HTTPRefusal("the target is not a host and a port")) }
    }

    /// The head that goes to the origin server, or to the next proxy: `Host` is what was decided about, whatever the
    /// client wrote, and one request is all that the connection carries.
    package func serialized(to target: HostTarget, through proxy: UpstreamProxy? = nil) -> ByteBuffer {
        var out = ByteBuffer()
        let host =
            switch target.host {
            case .name(let name): name.description
            case .address(let address): address.bracketed
            }
        let authority = target.port == .http ? host : "\(host):\(target.port)"
        let place = proxy == nil ? path : "http://\(authority)\(path)"
        out.writeString("\(method.rawValue) \(place) HTTP/1.\(minorVersion)\r\nHost: \(authority)\r\n")
        out.write(proxyAuthorization: proxy)
        out.write(forwarded)
        out.write(framing, declaresEmpty: [.post, .put, .patch].contains(method))
        out.writeString("Connection: close\r\n\r\n")
        return out
    }
}

extension ByteBuffer {
    /// Writes the line that tells the next proxy who asks (RFC 9110, 11.7.2), if it wants one.
    mutating func write(proxyAuthorization proxy: UpstreamProxy?) {
        if let value = proxy?.authorization { writeString("Proxy-Authorization: \(value)\r\n") }
    }

    /// Writes header lines.
    mutating func write(_ fields: [Field]) {
        for field in fields {
            writeString("\(field.name): ")
            writeBytes(field.value)
            writeString("\r\n")
        }
    }

    /// Writes the line that tells how long the body is.
    mutating func write(_ framing: BodyFraming, declaresEmpty: Bool) {
        switch framing {
        case .none: if declaresEmpty { writeString("Content-Length: 0\r\n") }
        case .length(let count): writeString("Content-Length: \(count)\r\n")
        case .chunked: writeString("Transfer-Encoding: chunked\r\n")
        case .untilClose: break
        }
    }
}
