internal import CLinux
internal import Glibc

/// All tunnels of a loop, on its thread.
///
/// In each round every tunnel that can go on has one turn in each direction.
struct TunnelTable: ~Copyable {
    /// A tunnel and its place in the list. A place without a tunnel has the number 0.
    private struct Tunnel {
        var id = TunnelID(number: 0)
        var client: CInt = -1
        var upstream: CInt = -1
        var up = TunnelRelayFlow(counted: 0)
        var down = TunnelRelayFlow(counted: 0)
        var lastMoved: UInt64 = 0
        /// Nanoseconds that the tunnel may be quiet.
        var idle: UInt64 = 0
        var accounts: [ByteAccount] = []
        var onSlowed: (@Sendable () -> Void)?
        var onEnd: (@Sendable (TunnelRelay.End) -> Void)?
        /// Whose room for writing the kernel tells.
        var tellsRoom = (client: false, upstream: false)
        /// Who will never take another byte.
        var isGone = (client: false, upstream: false)
        /// It has a turn in the next round.
        var isDue = false
        /// It is in the list of those that a limit slows.
        var isPaused = false

        var moved: Int { up.bytes + down.bytes }

        /// When the first direction that a limit slows goes on.
        var resumesAt: UInt64 {
            let (up, down) = (up.pausedUntil, down.pausedUntil)
            if up == 0 || down == 0 { return max(up, down) }
            return min(up, down)
        }

        func ends(_ direction: ByteAccount.Direction) -> TunnelRelayFlow.Ends {
            switch direction {
            case .up: .init(source: client, destination: upstream, direction: .up, accounts: accounts)
            case .down: .init(source: upstream, destination: client, direction: .down, accounts: accounts)
            }
        }
    }

    /// Room for writing is asked for only where there was none: at first there always is, which needs no event.
    private static let events = BOX_EPOLLIN | BOX_EPOLLRDHUP | BOX_EPOLLET

    /// Times within this are looked at together.
    private static let tick: UInt64 = 20_000_000

    private let epoll: CInt
    private var buffers = TunnelRelayBuffers()
    private var tunnels: [Tunnel] = []
    private var free: [Int] = []
    private var places: [TunnelID: Int] = [:]
    /// Places of tunnels that have a turn.
    private var due: [Int] = []
    /// Those of the present round.
    private var round: [Int] = []
    /// Places of tunnels that a limit slows.
    private var paused: [Int] = []
    /// When the next tunnel may have been quiet for too long.
    private var nextIdle = UInt64.max
    private var now: UInt64 = 0
    private var isStopped = false

    /// - Parameter epoll: the loop's, which tells this table what concerns tunnels.
    init(_ epoll: CInt) { self.epoll = epoll }

    /// One turn for each tunnel that can go on.
    mutating func round(now: UInt64) {
        self.now = now
        resumePaused()
        giveTurns()
        if now >= nextIdle { endIdle() }
    }

    // MARK: Events

    /// When something has to be done without an event; the greatest number is never.
    func nextTime(now: UInt64) -> UInt64 {
        guard due.isEmpty else { return now }
        var next = nextIdle
        for place in paused { next = min(next, tunnels[place].resumesAt) }
        return next
    }

    /// A place and the side in the lower half, and in the upper half bits of the tunnel's number: an event may be
    /// about a tunnel that has ended since. The highest bit is for others.
    private static func data(_ id: TunnelID, _ place: Int, isUpstream: Bool) -> UInt64 {
        (id.number & 0x7FFF_FFFF) << 32 | UInt64(UInt32(place)) << 1 | (isUpstream ? 1 : 0)
    }

    /// Something happened to a socket of a tunnel.
    mutating func handle(_ event: box_ready) {
        let place = Int(UInt32(truncatingIfNeeded: event.data) >> 1)
        let isUpstream = event.data & 1 == 1
        guard tunnels[place].id.number != 0,
            TunnelTable.data(tunnels[place].id, place, isUpstream: isUpstream) == event.data
        else { return }
        let failed = event.events & (BOX_EPOLLERR | BOX_EPOLLHUP) != 0
        let isEnding = failed || event.events & BOX_EPOLLRDHUP != 0
        // With our output still open that is more than the end of its output: the side is gone.
        if failed {
            if isUpstream {
                tunnels[place].isGone.upstream = !tunnels[place].up.isDone
            } else {
                tunnels[place].isGone.client = !tunnels[place].down.isDone
            }
        }
        if isEnding || event.events & BOX_EPOLLIN != 0 {
            if isUpstream {
                tunnels[place].down.becameReadable(isEnding: isEnding)
            } else {
                tunnels[place].up.becameReadable(isEnding: isEnding)
            }
        }
        if failed || event.events & BOX_EPOLLOUT != 0 {
            if isUpstream { tunnels[place].up.becameWritable() } else { tunnels[place].down.becameWritable() }
        }
        makeDue(place)
    }

    private mutating func makeDue(_ place: Int) {
        guard !tunnels[place].isDue else { return }
        tunnels[place].isDue = true
        due.append(place)
    }

    // MARK: Tunnels

    /// Takes over a tunnel.
    mutating func add(_ newcomer: TunnelRelay.Newcomer, now: UInt64) {
        guard !isStopped else { return newcomer.refuse() }
        self.now = now
        let place: Int
        if let used = free.popLast() {
            place = used
        } else {
            place = tunnels.count
            tunnels.append(Tunnel())
        }
        places[newcomer.id] = place
        tunnels[place] = Tunnel(
            id: newcomer.id, client: newcomer.client, upstream: newcomer.upstream,
            up: TunnelRelayFlow(counted: newcomer.counted.up),
            down: TunnelRelayFlow(counted: newcomer.counted.down),
            lastMoved: now, idle: newcomer.idle, accounts: newcomer.accounts,
            onSlowed: newcomer.onSlowed, onEnd: newcomer.onEnd)
        nextIdle = min(nextIdle, now &+ newcomer.idle)
        let begun = tunnels[place].up.begin(with: newcomer.early, tunnels[place].ends(.up), &buffers, now)
        if case .exhausted(let limit, let scope) = begun { return exhausted(newcomer.id, limit, scope) }
        for isUpstream in [false, true] {
            let socket = isUpstream ? newcomer.upstream : newcomer.client
            let data = TunnelTable.data(newcomer.id, place, isUpstream: isUpstream)
            let events = TunnelTable.events
            let isKnown = isUpstream ? newcomer.isKnown.upstream : newcomer.isKnown.client
            let result =
                isKnown
                ? box_epoll_change(epoll, socket, events, data) : box_epoll_add(epoll, socket, events, data)
            guard result < 0 else { continue }
            let code = errno
            return end(newcomer.id, .broken(isUpstream ? .upstream : .client, code: code))
        }
        // What is there already makes an event of its own.
        if !newcomer.early.isEmpty { makeDue(place) }
    }

    /// Ends a tunnel, unless it has ended already.
    mutating func close(_ id: TunnelID) { end(id, .closed) }

    /// Ends all tunnels, and takes none any more.
    mutating func stop() {
        isStopped = true
        for id in Array(places.keys) { end(id, .closed) }
    }

    // MARK: Turns

    /// One turn for everything that is due now; what becomes due meanwhile has its turn in the next round.
    private mutating func giveTurns() {
        swap(&due, &round)
        for place in round where tunnels[place].id.number != 0 {
            tunnels[place].isDue = false
            giveTurn(place)
        }
        round.removeAll(keepingCapacity: true)
    }

    private mutating func giveTurn(_ place: Int) {
        let before = tunnels[place].moved
        let up = tunnels[place].up.turn(tunnels[place].ends(.up), &buffers, now)
        if endsTunnel(up, place, source: .client, destination: .upstream) { return }
        let down = tunnels[place].down.turn(tunnels[place].ends(.down), &buffers, now)
        if endsTunnel(down, place, source: .upstream, destination: .client) { return }
        if tunnels[place].moved != before { tunnels[place].lastMoved = now }
        if tunnels[place].up.isStuck, !tunnels[place].tellsRoom.upstream { waitForRoom(place, .upstream) }
        if tunnels[place].down.isStuck, !tunnels[place].tellsRoom.client { waitForRoom(place, .client) }
        if tunnels[place].up.isDone, tunnels[place].down.isDone {
            end(tunnels[place].id, .finished)
        } else if tunnels[place].up.isDone, tunnels[place].isGone.client {
            // All that it had sent was passed on; nothing else would ever tell.
            end(tunnels[place].id, .broken(.client, code: SocketEnd.error(of: tunnels[place].client)))
        } else if tunnels[place].down.isDone, tunnels[place].isGone.upstream {
            end(tunnels[place].id, .broken(.upstream, code: SocketEnd.error(of: tunnels[place].upstream)))
        }
    }

    /// This side takes no bytes now: from here on the kernel tells when it does.
    private mutating func waitForRoom(_ place: Int, _ side: TunnelRelay.Side) {
        let (socket, isUpstream): (CInt, Bool) =
            switch side {
            case .client: (tunnels[place].client, false)
            case .upstream: (tunnels[place].upstream, true)
            }
        if isUpstream {
            tunnels[place].tellsRoom.upstream = true
        } else {
            tunnels[place].tellsRoom.client = true
        }
        let data = TunnelTable.data(tunnels[place].id, place, isUpstream: isUpstream)
        guard box_epoll_change(epoll, socket, TunnelTable.events | BOX_EPOLLOUT, data) < 0 else { return }
        end(tunnels[place].id, .broken(side, code: errno))
    }

    /// Does what the result of a turn asks for, and says whether the tunnel is over.
    private mutating func endsTunnel(
        _ turn: TunnelRelayFlow.Turn, _ place: Int, source: TunnelRelay.Side, destination: TunnelRelay.Side
    ) -> Bool {
        let id = tunnels[place].id
        switch turn {
        case .waits, .done: return false
        case .goesOn: makeDue(place)
        case .paused: pause(place)
        case .exhausted(let limit, let scope):
            exhausted(id, limit, scope)
            return true
        case .readFailed(let code):
            end(id, .broken(source, code: code))
            return true
        case .writeFailed(let code):
            end(id, .broken(destination, code: code))
            return true
        }
        return false
    }

    // MARK: Limits and time

    private mutating func pause(_ place: Int) {
        tunnels[place].onSlowed?()
        tunnels[place].onSlowed = nil
        guard !tunnels[place].isPaused else { return }
        tunnels[place].isPaused = true
        paused.append(place)
    }

    private mutating func resumePaused() {
        guard !paused.isEmpty else { return }
        var still: [Int] = []
        for place in paused where tunnels[place].isPaused {
            if tunnels[place].resumesAt > now {
                still.append(place)
            } else {
                tunnels[place].isPaused = false
                makeDue(place)
            }
        }
        paused = still
    }

    /// A limit on all bytes of a scope ends every tunnel of that scope; a rate only the one that is too fast.
    private mutating func exhausted(_ id: TunnelID, _ limit: String, _ scope: ByteAccount) {
        end(id, .limit(limit))
        guard limit != "bytes_per_second" else { return }
        let others = tunnels.filter { $0.id.number != 0 && $0.accounts.contains { $0 === scope } }
        for other in others { end(other.id, .limit(limit)) }
    }

    private mutating func endIdle() {
        var next = UInt64.max
        for place in tunnels.indices where tunnels[place].id.number != 0 {
            let end = tunnels[place].lastMoved &+ tunnels[place].idle
            if end <= now { self.end(tunnels[place].id, .idle) } else { next = min(next, end) }
        }
        nextIdle = next == .max ? next : max(next, now + TunnelTable.tick)
    }

    // MARK: The end

    private mutating func end(_ id: TunnelID, _ reason: TunnelRelay.Reason) {
        guard let place = places.removeValue(forKey: id) else { return }
        tunnels[place].up.end(&buffers)
        tunnels[place].down.end(&buffers)
        let tunnel = tunnels[place]
        tunnels[place] = Tunnel()
        // A place in the lists of this round must not be used by a new tunnel before these are worked off.
        if tunnel.isPaused { paused.removeAll { $0 == place } }
        if tunnel.isDue { due.removeAll { $0 == place } }
        free.append(place)
        for socket in [tunnel.client, tunnel.upstream] {
            if reason == .finished { SocketEnd.close(socket) } else { SocketEnd.reset(socket) }
        }
        tunnel.onEnd?(
            TunnelRelay.End(bytesUp: tunnel.up.bytes, bytesDown: tunnel.down.bytes, reason: reason))
    }
}
