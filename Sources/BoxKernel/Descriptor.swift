internal import CLinux
internal import Glibc

/// The one owner of an open file descriptor; it is closed when the owner goes.
package struct Descriptor: ~Copyable {
    /// The descriptor's number, for calls; it stays this value's property.
    package let number: CInt

    /// Takes ownership of an open descriptor.
    package init(owning number: CInt) { self.number = number }

    deinit { _ = Glibc.close(number) }

    /// Closes now and reports what `close(2)` says.
    package consuming func close() throws(KernelError) {
        let number = number
        discard self
        try check("close", Glibc.close(number))
    }

    /// Gives the number away; the caller closes it.
    package consuming func release() -> CInt {
        let number = number
        discard self
        return number
    }

    /// `AT_FDCWD`: relative paths start at the working directory.
    package static let workingDirectory: CInt = AT_FDCWD

    /// Opens a path, always close-on-exec. `mode` counts only with `O_CREAT`.
    package static func open(
        _ path: String, _ flags: CInt, mode: UInt32 = 0, at directory: CInt = Descriptor.workingDirectory
    ) throws(KernelError) -> Descriptor {
        let number = retry { unsafe openat(directory, path, flags | O_CLOEXEC, mode) }
        return Descriptor(owning: try check("open", number, path))
    }

    /// A second descriptor for the same open file.
    package borrowing func duplicate() throws(KernelError) -> Descriptor {
        Descriptor(owning: try check("fcntl(F_DUPFD_CLOEXEC)", box_fcntl_dupfd_cloexec(number, 0)))
    }

    /// The same open file under one of the numbers 0, 1 and 2, which stays open over `exec`.
    package borrowing func duplicate(asStandardStream number: CInt) throws(KernelError) {
        try check("dup3", box_dup3(self.number, number, 0))
    }

    /// Closes everything but the standard streams and this.
    package borrowing func closeOthers() throws(KernelError) {
        if number > 3 { try check("close_range", box_close_range(3, UInt32(number - 1), 0)) }
        try check("close_range", box_close_range(UInt32(max(number + 1, 3)), UInt32.max, 0))
    }

    /// Reads at most `count` bytes; an empty result is the end of the file.
    package borrowing func read(upTo count: Int) throws(KernelError) -> [UInt8] {
        var code: CInt = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let got = retry { unsafe Glibc.read(number, buffer.baseAddress, count) }
            if got < 0 { code = errno }
            filled = max(got, 0)
        }
        guard code == 0 else { throw KernelError(call: "read", code: code) }
        return bytes
    }

    /// Reads at an offset; an empty result is the end of the file.
    package borrowing func read(at offset: Int, upTo count: Int) throws(KernelError) -> [UInt8] {
        var code: CInt = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let got = retry { unsafe pread(number, buffer.baseAddress, count, offset) }
            if got < 0 { code = errno }
            filled = max(got, 0)
        }
        guard code == 0 else { throw KernelError(call: "pread", code: code) }
        return bytes
    }

    /// Reads to the end of the file; more than `limit` bytes is `EFBIG`.
    package borrowing func readAll(limit: Int) throws(KernelError) -> [UInt8] {
        // One more than the size, so that the end is seen by the second read at the latest.
        let size = try FileStatus.of(number).size
        var all: [UInt8] = []
        while true {
            let wanted = max(4096, min(1 << 20, size + 1 - all.count))
            let piece = try read(upTo: min(wanted, limit + 1 - all.count))
            if piece.isEmpty { return all }
            all += piece
            guard all.count <= limit else { throw KernelError(call: "read", code: EFBIG) }
        }
    }

    /// Writes what the kernel takes at once and returns how many bytes that was.
    package borrowing func write(some bytes: ArraySlice<UInt8>) throws(KernelError) -> Int {
        let wrote = unsafe bytes.withUnsafeBytes { raw in
            retry { unsafe Glibc.write(number, raw.baseAddress, raw.count) }
        }
        return try check("write", wrote)
    }

    /// Writes everything.
    package borrowing func write(all bytes: [UInt8]) throws(KernelError) {
        var rest = bytes[...]
        while !rest.isEmpty { rest = rest.dropFirst(try write(some: rest)) }
    }

    /// Switches `O_NONBLOCK`.
    package borrowing func setNonBlocking(_ on: Bool) throws(KernelError) {
        let flags = try check("fcntl(F_GETFL)", box_fcntl_getfl(number))
        try check("fcntl(F_SETFL)", box_fcntl_setfl(number, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
    }
}

/// Both ends of a pipe, close-on-exec.
package struct Pipe: ~Copyable {
    package var read: Descriptor
    package var write: Descriptor

    package init() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        try unsafe check("pipe2", box_pipe2(&ends, O_CLOEXEC))
        read = Descriptor(owning: ends[0])
        write = Descriptor(owning: ends[1])
    }

    /// Keeps the reading end and closes the other.
    package consuming func keepRead() -> Descriptor { read }

    /// Keeps the writing end and closes the other.
    package consuming func keepWrite() -> Descriptor { write }

    /// Gives both ends away by number; the caller closes them.
    package consuming func numbers() -> (read: CInt, write: CInt) { (read.release(), write.release()) }
}

/// A connected pair of packet sockets, close-on-exec: `near` stays, `far` goes to another process.
package struct ChannelPair: ~Copyable {
    package var near: Channel
    package var far: Descriptor

    package init() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        try unsafe check("socketpair", box_socketpair_seqpacket(&ends))
        near = Channel(Descriptor(owning: ends[0]))
        far = Descriptor(owning: ends[1])
    }

    /// Keeps the near end and closes the other.
    package consuming func keepNear() -> Channel { near }
}

/// One end of a packet socket that carries messages and descriptors.
package struct Channel: ~Copyable {
    package let descriptor: Descriptor
    /// The longest message; a longer one is an error at both ends.
    package static let longest = 1 << 16

    package init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// Sends one message with descriptors attached; they stay the caller's.
    package borrowing func send(_ bytes: [UInt8], descriptors: [CInt] = []) throws(KernelError) {
        let sent = unsafe box_send_with_fds(
            descriptor.number, bytes, bytes.count, descriptors, CInt(descriptors.count))
        try check("sendmsg", sent)
    }

    /// Receives one message; nil at the end of file. The descriptors are the caller's to close.
    package borrowing func receive() throws(KernelError) -> (bytes: [UInt8], descriptors: [CInt])? {
        do throws(KernelError) { return try take() } catch {
            guard error.code == ECONNRESET else { throw error }
        }
        // The other end was closed with our message unread. That is told once, and before what it had sent: its last words
        // are still there.
        do throws(KernelError) { return try take() } catch {
            guard error.code == ECONNRESET else { throw error }
            return nil
        }
    }

    /// Receives one message if it is there already: `isOpen` is false at the end of file. The descriptors are the caller's
    /// to close.
    package borrowing func receivePresent() throws(KernelError) -> (
        message: (bytes: [UInt8], descriptors: [CInt])?, isOpen: Bool
    ) {
        do throws(KernelError) {
            let message = try take(waits: false)
            return (message, message != nil)
        } catch {
            switch error.code {
            case EAGAIN: return (nil, true)
            // As above: the last words come after this.
            case ECONNRESET: return (nil, true)
            default: throw error
            }
        }
    }

    private borrowing func take(
        waits: Bool = true
    ) throws(KernelError) -> (bytes: [UInt8], descriptors: [CInt])? {
        var descriptors = [CInt](repeating: -1, count: 200)
        var count = CInt(descriptors.count)
        var code: CInt = 0
        var bytes = unsafe [UInt8](unsafeUninitializedCapacity: Channel.longest) { buffer, filled in
            let got = unsafe box_recv_with_fds(
                descriptor.number, buffer.baseAddress, buffer.count, &descriptors, &count, waits ? 1 : 0)
            if got < 0 { code = errno }
            filled = max(got, 0)
        }
        guard code == 0 else { throw KernelError(call: "recvmsg", code: code) }
        if bytes.isEmpty { return nil }
        bytes.reserveCapacity(0)
        return (bytes, Array(descriptors.prefix(Int(count))))
    }
}
