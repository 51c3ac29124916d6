internal import BoxKernel
package import BoxTypes
internal import Glibc
internal import NIOCore

/// The event loop with its listeners.
package struct Server: Sendable {
    private let loop: DoorLoop
    private let door: NIOLoopBound<Door>
    private let names: NIOLoopBound<DNSService>
    private let resolver: Resolver
    private let relay: TunnelRelay

    /// Starts the event loop.
    ///
    /// - Parameter makeSender: called once on the loop; what it returns is called there with every report.
    package init(
        _ configuration: ProxyConfiguration, makeSender: @escaping @Sendable () -> ReportSender
    ) throws {
        let loop = try DoorLoop()
        self.loop = loop
        let resolver = Resolver()
        self.resolver = resolver
        let relay = TunnelRelay(on: loop)
        self.relay = relay
        let door = try loop.submit {
            NIOLoopBound(
                Door(configuration, loop: loop, resolver: resolver, relay: relay, send: makeSender()),
                eventLoop: loop)
        }.wait()
        self.door = door
        names = try loop.submit {
            NIOLoopBound(DNSService(loop) { [door = door.value] in door.answer($0) }, eventLoop: loop)
        }.wait()
    }

    /// Serves a socket, which becomes the server's own.
    package func serve(_ socket: DoorSocket, _ number: CInt) throws {
        switch socket {
        case .http: try listen(.http, number)
        case .socks: try listen(.socks, number)
        case .transparent: try listen(.transparent, number)
        case .published(let port):
            try listen(.published(port), number)
            let door = door
            try loop.submit { door.value.inside.isWanted = true }.wait()
        case .dnsDatagram:
            let names = names
            try loop.submit { try names.value.serve(datagrams: number) }.wait()
        case .dnsStream:
            let names = names
            try loop.submit { try names.value.serve(streams: number) }.wait()
        case .unconnected:
            try Listener.makeNonBlocking(number)
            let door = door
            try loop.submit { door.value.inside.add(number) }.wait()
        }
    }

    /// Asks for sockets inside, if there are published ports and few sockets.
    package func checkStock() throws {
        let door = door
        try loop.submit { door.value.inside.checkStock() }.wait()
    }

    private func listen(_ source: ClientHandler.Source, _ listener: CInt) throws {
        try RelayOptions.set(listener)
        let (loop, door) = (loop, door)
        try loop.submit {
            _ = try Listener(loop, listener) { socket, remote in
                door.value.accepted(socket, source, from: remote)
            }
        }.wait()
    }

    /// Puts other rules in force. The answer goes the way of the events.
    package func apply(_ rules: NetworkRules, number: UInt64) throws {
        // Away from the event loop: an index of many rules takes its time.
        let list = Allowlist(rules)
        let door = door
        try loop.submit { door.value.apply(list, rules, number: number) }.wait()
    }

    /// Says how much has moved. The answer goes the way of the events.
    package func reportTraffic() throws {
        let door = door
        try loop.submit { door.value.reportTraffic() }.wait()
    }

    /// Ends all connections, so that each allowed request has its last line in the log.
    package func logOpen() throws {
        let door = door
        try loop.submit { door.value.endAll() }.wait()
        // What it says about its tunnels is on the loop before the next task.
        relay.stop()
        try loop.submit { door.value.finishLog() }.wait()
    }

    /// Ends the event loop and all connections.
    package func stop() throws {
        relay.stop()
        loop.stop()
        try resolver.stop()
    }
}
