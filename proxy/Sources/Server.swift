package import BoxAudit
package import BoxTypes
internal import NIOCore
internal import NIOPosix

/// The event loop with its listeners.
package struct Server: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let door: NIOLoopBound<Door>
    private let resolver: Resolver

    /// Starts the event loop.
    ///
    /// - Parameter makeReport: called once on the loop; what it returns is called there with every event.
    package init(
        rules: Allowlist, makeReport: @escaping @Sendable () -> ((Event) -> Void)
    ) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        self.group = group
        self.loop = loop
        let resolver = Resolver()
        self.resolver = resolver
        door = try loop.submit {
            NIOLoopBound(Door(rules: rules, resolver: resolver, report: makeReport()), eventLoop: loop)
        }.wait()
    }

    /// Serves a listening socket, which becomes the server's own.
    package func serve(listener: CInt) throws {
        let door = door
        let bootstrap = ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ClientHandler(door: door.value))
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

    /// Ends all connections, so that each allowed request has its last line in the log.
    package func logOpen() throws {
        let door = door
        try loop.submit { door.value.endAll() }.wait()
    }

    /// Ends the event loop and all connections.
    package func stop() throws {
        try group.syncShutdownGracefully()
        try resolver.stop()
    }
}
