import Glibc

/// A blocking socket on loopback. Every call fails after 20 seconds, so that nothing hangs a test.
struct Wire: Sendable {
    let number: CInt

    struct Failure: Error { let call: String, code: CInt }

    private static func make(_ kind: __socket_type = SOCK_STREAM) throws -> CInt {
        let number = socket(AF_INET, CInt(kind.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw Failure(call: "socket", code: errno) }
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            unsafe setsockopt(number, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        return number
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    /// Connects to a port of 127.0.0.1, by TCP or by datagrams.
    init(to port: UInt16, _ kind: __socket_type = SOCK_STREAM) throws {
        try self.init(unconnected: kind)
        try connect(to: port)
    }

    /// A socket that can connect later.
    init(unconnected kind: __socket_type) throws { number = try Wire.make(kind) }

    /// Connects to a port of 127.0.0.1.
    func connect(to port: UInt16) throws {
        var address = Wire.loopback(port)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(call: "connect", code: errno) }
    }

    private init(number: CInt) { self.number = number }

    /// A socket that was made elsewhere.
    init(owning number: CInt) { self.number = number }

    /// A listening socket on a free port of 127.0.0.1.
    static func listener(backlog: CInt = 128) throws -> Wire {
        let wire = try bound(SOCK_STREAM)
        guard listen(wire.number, backlog) == 0 else { throw Failure(call: "listen", code: errno) }
        return wire
    }

    /// A socket that is bound to a free port of 127.0.0.1.
    static func bound(_ kind: __socket_type) throws -> Wire {
        let wire = Wire(number: try make(kind))
        var address = loopback(0)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(wire.number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(call: "bind", code: errno) }
        return wire
    }

    var port: UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe getsockname(number, $0, &size)
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    func accept() throws -> Wire {
        let accepted = Glibc.accept(number, nil, nil)
        guard accepted >= 0 else { throw Failure(call: "accept", code: errno) }
        return Wire(number: accepted)
    }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(number, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(call: "send", code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// What comes next; empty at the end.
    func receive(_ most: Int = 1 << 16) throws -> [UInt8] {
        var code: CInt = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: most) { buffer, filled in
            let count = unsafe recv(number, buffer.baseAddress, most, 0)
            if count < 0 { code = errno }
            filled = max(count, 0)
        }
        guard code == 0 else { throw Failure(call: "recv", code: code) }
        return bytes
    }

    /// Everything up to the end.
    func receiveAll() throws -> String {
        var all: [UInt8] = []
        while true {
            let part = try receive()
            if part.isEmpty { return String(decoding: all, as: UTF8.self) }
            all += part
        }
    }

    /// Everything up to and including a text.
    func receive(until end: String) throws -> String {
        var all: [UInt8] = []
        while !String(decoding: all, as: UTF8.self).hasSuffix(end) {
            let byte = try receive(1)
            guard !byte.isEmpty else { throw Failure(call: "recv", code: 0) }
            all += byte
        }
        return String(decoding: all, as: UTF8.self)
    }

    func endOutput() { shutdown(number, CInt(SHUT_WR)) }
    func close() { Glibc.close(number) }

    /// Closes with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(number, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }
}

/// How many descriptors this process has open.
func openDescriptors() -> Int {
    (0..<4096).count { fcntl($0, F_GETFD) >= 0 }
}

/// A millisecond, between two looks at a condition that has no event of its own.
func nextLook() { usleep(1000) }
