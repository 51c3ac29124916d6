package import BoxTypes
internal import Glibc
internal import NIOCore
internal import NIOPosix

/// The event loop with its listeners.
package struct Server: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
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
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        self.group = group
        self.loop = loop
        let resolver = Resolver()
        self.resolver = resolver
        let relay = try TunnelRelay()
        self.relay = relay
        let door = try loop.submit {
            NIOLoopBound(
                Door(configuration, loop: loop, resolver: resolver, relay: relay, send: makeSender()),
                eventLoop: loop)
        }.wait()
        self.door = door
        names = try loop.submit {
            NIOLoopBound(DNSService { [door = door.value] in door.answer($0) }, eventLoop: loop)
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
        case .dnsDatagram: _ = try DNSService.serve(datagrams: number, names).wait()
        case .dnsStream: _ = try DNSService.serve(streams: number, names).wait()
        case .unconnected:
            let flags = fcntl(number, F_GETFL)
            guard flags >= 0, fcntl(number, F_SETFL, flags | O_NONBLOCK) == 0 else {
                throw IOError(errnoCode: errno, reason: "fcntl")
            }
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
        let door = door
        let bootstrap = ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ClientHandler(door: door.value, source: source))
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.writeBufferWaterMark, value: RelayOptions.waterMark)
            .childChannelOption(.recvAllocator, value: RelayOptions.allocator)
        let complete = RelayOptions.flags.reduce(bootstrap) {
            $0.childChannelOption($1.option, value: $1.value)
        }
        _ = try complete.withBoundSocket(listener).wait()
    }

    /// Puts other rules in force. The answer goes the way of the events.
    package func apply(_ rules: NetworkRules, number: UInt64) throws {
        // Away from the event loop: an index of many rules takes its time.
        let list = Allowlist(rules)
        let door = door
        try loop.submit { door.value.apply(list, rules, number: number) }.wait()
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
        try group.syncShutdownGracefully()
        try resolver.stop()
    }
}
