package import BoxAudit
internal import BoxTypes

/// What the proxy tells its supervisor while it serves.
package enum ProxyReport: Equatable, Sendable {
    case event(Event)
    /// The rules of this number are in force, and closed so many connections.
    case applied(UInt64, closed: Int)
    case wantsSockets
    /// The rule for one connection of this number has let it through.
    case used(Int)
    /// The bytes that have moved so far.
    case traffic(up: Int, down: Int)

    /// No event is added to a message that is so long. An event is a few hundred bytes, at most some thousand: a
    /// message stays below what a packet of the control socket may hold.
    private static let fullMessage = 1 << 14

    /// The message of the first report, or of as many events as follow each other and fit; and how many reports these
    /// are.
    package static func message(_ reports: ArraySlice<ProxyReport>) -> (bytes: [UInt8], count: Int) {
        var writer = WireWriter()
        var count = 0
        for report in reports {
            if case .event(let event) = report {
                if count == 0 { writer.write(ProxyMessage.event.rawValue) }
                event.write(to: &writer)
                count += 1
                if writer.bytes.count < fullMessage { continue }
            } else if count == 0 {
                report.writeAlone(to: &writer)
                count = 1
            }
            break
        }
        return (writer.bytes, count)
    }

    private func writeAlone(to writer: inout WireWriter) {
        switch self {
        case .event(let event):
            writer.write(ProxyMessage.event.rawValue)
            event.write(to: &writer)
        case .applied(let number, let closed):
            writer.write(ProxyMessage.applied.rawValue)
            writer.write(number)
            writer.write(closed)
        case .wantsSockets: writer.write(ProxyMessage.wantsSockets.rawValue)
        case .used(let number):
            writer.write(ProxyMessage.used.rawValue)
            writer.write(number)
        case .traffic(let up, let down):
            writer.write(ProxyMessage.traffic.rawValue)
            writer.write(up)
            writer.write(down)
        }
    }
}
