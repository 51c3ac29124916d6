extension UpstreamProxy: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Parses `http://[USER[:PASSWORD]@]HOST:PORT[/]`; user and password may have percent escapes.
    ///
    /// The refusals never show the part before the `@`.
    package init(url text: String) throws(HostRefusal) {
        let scheme = "http://"
        guard text.lowercased().hasPrefix(scheme) else {
            throw HostRefusal(
                text.lowercased().hasPrefix("https://")
                    ? "a proxy that is itself reached by TLS (https://) is not supported. Use its http:// port"
                    : "the proxy is written http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")
        }
        var rest = text.dropFirst(scheme.count)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        var authorization: String?
        // The last one: a password may have been written with an @ in it.
        if let at = rest.lastIndex(of: "@") {
            authorization = try UpstreamProxy.basic(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        do throws(HostRefusal) { target = try HostTarget(authority: rest) } catch {
            throw HostRefusal("the proxy's host: \(error.description)")
        }
        self.authorization = authorization
    }

    /// Basic authorization (RFC 7617): the bytes of `USER:PASSWORD` in base 64.
    private static func basic(_ text: Substring) throws(HostRefusal) -> String {
        let refusal = HostRefusal(
            "the proxy's user or password has a broken percent escape or a control character")
        var bytes: [UInt8] = []
        var left = Array(text.utf8)[...]
        while let byte = left.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard left.count >= 2, left.prefix(2).allSatisfy(\.isHexadecimalDigit),
                let value = UInt8(String(decoding: left.prefix(2), as: UTF8.self), radix: 16)
            else { throw refusal }
            bytes.append(value)
            left = left.dropFirst(2)
        }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw refusal }
        guard bytes.count <= 1024 else { throw HostRefusal("the proxy's user and password are too long") }
        if !bytes.contains(UInt8(ascii: ":")) { bytes.append(UInt8(ascii: ":")) }
        return "Basic " + base64(bytes)
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        var at = 0
        while at < bytes.count {
            let group = bytes[at..<min(at + 3, bytes.count)]
            let padded = Array(group) + [UInt8](repeating: 0, count: 3 - group.count)
            let value = Int(padded[0]) << 16 | Int(padded[1]) << 8 | Int(padded[2])
            for place in 0..<4 {
                out.append(place > group.count ? UInt8(ascii: "=") : alphabet[value >> (18 - 6 * place) & 63])
            }
            at += 3
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Where it is, without the authorization: this is what logs and people see.
    package var description: String { "http://\(target)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["target": target.description]) }
}

extension UInt8 {
    fileprivate var isHexadecimalDigit: Bool {
        isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(lowercased)
    }
}
