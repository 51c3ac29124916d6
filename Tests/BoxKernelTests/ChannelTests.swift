import BoxKernel
import Glibc
import Testing

/// The socket between box and the processes that it starts.
struct ChannelTests {
    @Test func `the last words of an end that was closed with a message unread arrive`() throws {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try check("socketpair", unsafe socketpair(AF_UNIX, kind, 0, &ends))
        let near = Channel(Descriptor(owning: ends[0]))
        do {
            let far = Channel(Descriptor(owning: ends[1]))
            try far.send([1, 2, 3])
            try far.send([4])
            try near.send([9])
        }
        #expect(try near.receive()?.bytes == [1, 2, 3])
        #expect(try near.receive()?.bytes == [4])
        #expect(try near.receive() == nil)
    }
}
