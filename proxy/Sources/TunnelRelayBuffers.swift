/// The memory of all tunnels of a relay: one large buffer that every read uses, and what a slow side has not taken
/// yet.
///
/// A read that can't be passed on at once keeps the large buffer, and the next read gets another one: no byte is
/// copied twice. There are at most `mostLarge` of these. When they are in use, reads are small, and a rest is
/// copied into memory of its own size; so the whole is bounded by the number of tunnels times `smallSize`.
@safe struct TunnelRelayBuffers: ~Copyable {
    /// Bytes that wait for a slow side, in memory of their own.
    @safe struct Parked {
        fileprivate let memory: UnsafeMutableRawBufferPointer
        fileprivate let isLarge: Bool
        private(set) var start: Int
        let end: Int

        fileprivate init(_ memory: UnsafeMutableRawBufferPointer, isLarge: Bool, _ range: Range<Int>) {
            unsafe self.memory = memory
            self.isLarge = isLarge
            start = range.lowerBound
            end = range.upperBound
        }

        var isEmpty: Bool { start == end }

        /// What waits. The pointer is good until the bytes are given back.
        var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: memory[start..<end]) }

        /// So many bytes are gone.
        mutating func drop(_ count: Int) { start += count }
    }

    /// Large buffers matter on loopback, where the kernel hands over as much as it is asked for.
    static let largeSize = 256 << 10
    /// Small enough for many stalled tunnels, large enough for the other end of a slow line.
    static let smallSize = 16 << 10
    /// Large buffers that may be parked at the same time: 16 MB.
    static let mostLarge = 64
    /// Free ones that are kept.
    private static let mostSpare = 4

    /// Where the next read goes.
    private(set) var current = unsafe TunnelRelayBuffers.allocate(largeSize)
    private var spare = unsafe [UnsafeMutableRawBufferPointer]()
    private var parkedLarge = 0

    init() {}

    deinit {
        unsafe current.deallocate()
        for place in unsafe spare.indices { unsafe spare[place].deallocate() }
    }

    private static func allocate(_ size: Int) -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: size, alignment: 4096)
    }

    /// How much a read may take now.
    var readSize: Int {
        parkedLarge < TunnelRelayBuffers.mostLarge
            ? TunnelRelayBuffers.largeSize : TunnelRelayBuffers.smallSize
    }

    /// Keeps these bytes of the current buffer.
    mutating func park(_ range: Range<Int>) -> Parked {
        guard range.upperBound > TunnelRelayBuffers.smallSize, parkedLarge < TunnelRelayBuffers.mostLarge
        else {
            return unsafe copy(UnsafeRawBufferPointer(rebasing: current[range]))
        }
        parkedLarge += 1
        let parked = unsafe Parked(current, isLarge: true, range)
        unsafe current = unsafe spare.popLast() ?? TunnelRelayBuffers.allocate(TunnelRelayBuffers.largeSize)
        return parked
    }

    /// Keeps a copy of bytes that are somewhere else.
    mutating func park(_ bytes: [UInt8]) -> Parked { unsafe bytes.withUnsafeBytes { unsafe copy($0) } }

    private func copy(_ bytes: UnsafeRawBufferPointer) -> Parked {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        unsafe memory.copyMemory(from: bytes)
        return unsafe Parked(memory, isLarge: false, 0..<bytes.count)
    }

    /// Takes the memory back.
    mutating func giveBack(_ parked: Parked) {
        if parked.isLarge { parkedLarge -= 1 }
        if parked.isLarge, unsafe spare.count < TunnelRelayBuffers.mostSpare {
            unsafe spare.append(parked.memory)
        } else {
            unsafe parked.memory.deallocate()
        }
    }
}
