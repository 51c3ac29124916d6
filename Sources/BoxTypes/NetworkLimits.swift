/// What bounds the traffic of a session, or of one host in it; nil is unlimited.
package struct NetworkLimits: Hashable, Sendable {
    /// What happens to a tunnel that moves more bytes a second than `bytesPerSecond`.
    package enum Excess: String, Hashable, Sendable, CaseIterable { case slow, close }

    /// Requests (of tunnels and of plain HTTP) that may begin in a minute; the next gets 429 with `Retry-After`.
    package var requestsPerMinute: Int?
    /// Connections that may be open at the same time.
    package var connections: Int?
    /// Bytes that may leave in all. Then every tunnel is closed.
    package var upload: ByteSize?
    /// Bytes that may come in in all. Then every tunnel is closed.
    package var download: ByteSize?
    /// Bytes a second that may move in each direction.
    package var bytesPerSecond: ByteSize?
    /// What happens above `bytesPerSecond`; nil is `slow`.
    package var excess: Excess?

    package init() {}

    /// Writes the limits for another process of box.
    package func write(to writer: inout WireWriter) {
        let numbers = [
            requestsPerMinute, connections, upload?.bytes, download?.bytes, bytesPerSecond?.bytes,
        ]
        for number in numbers { writer.write(number) { $0.write($1) } }
        writer.write(excess) { $0.write($1.rawValue) }
    }

    /// Reads what `write` wrote.
    package init(from reader: inout WireReader) throws(WireError) {
        let number = { (reader: inout WireReader) throws(WireError) -> Int? in
            try reader.optional { (reader: inout WireReader) throws(WireError) -> Int in try reader.int() }
        }
        requestsPerMinute = try number(&reader)
        connections = try number(&reader)
        upload = try number(&reader).map(ByteSize.init(bytes:))
        download = try number(&reader).map(ByteSize.init(bytes:))
        bytesPerSecond = try number(&reader).map(ByteSize.init(bytes:))
        excess = try reader.optional { (reader: inout WireReader) throws(WireError) -> Excess in
            guard let excess = Excess(rawValue: try reader.string()) else { throw reader.malformed("excess") }
            return excess
        }
    }
}
