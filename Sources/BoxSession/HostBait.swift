internal import BoxKernel
internal import BoxPlan
internal import Glibc

/// What lies on the host for the probes to look for: a file and a socket in `/tmp`, an abstract socket and a port on
/// 127.0.0.1. It goes with this value.
struct HostBait: ~Copyable {
    private let directory: String
    private let sockets: [CInt]
    /// Where it is, for the prover.
    let targets: ProbeTargets

    /// Lays everything.
    static func lay() throws(SessionError) -> HostBait {
        do throws(KernelError) { return try HostBait() } catch {
            throw SessionError(step: "prepare the proof", error)
        }
    }

    private init() throws(KernelError) {
        var template = Array("/tmp/box-doctor-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw KernelError(call: "mkdtemp", code: errno, subject: "/tmp")
        }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var targets = ProbeTargets()
        targets.file = path + "/file"
        targets.socket = path + "/socket"
        // The random part of the directory's name makes this one unique, too.
        targets.abstractSocket = String(path.dropFirst(5))
        var opened: [CInt] = []
        do throws(KernelError) {
            try Descriptor.open(targets.file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600).close()
            opened.append(try HostBait.listen(Array(targets.socket.utf8)).release())
            opened.append(try HostBait.listen([0] + Array(targets.abstractSocket.utf8)).release())
            let loopback = try Listener.open(loopbackPort: 0)
            targets.port = try HostBait.port(of: loopback)
            opened.append(loopback.release())
        } catch {
            HostBait.remove(path, opened)
            throw error
        }
        directory = path
        sockets = opened
        self.targets = targets
    }

    deinit { HostBait.remove(directory, sockets) }

    private static func remove(_ directory: String, _ sockets: [CInt]) {
        for socket in sockets { close(socket) }
        for name in ["/file", "/socket"] { unsafe unlink(directory + name) }
        unsafe rmdir(directory)
    }

    /// Listens on a UNIX socket; a name that begins with NUL is abstract (unix(7)).
    private static func listen(_ name: [UInt8]) throws(KernelError) -> Descriptor {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let socket = Descriptor(owning: try check("socket", Glibc.socket(AF_UNIX, type, 0)))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let length = 2 + name.count
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw KernelError(call: "bind", code: ENAMETOOLONG)
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket.number, $0, socklen_t(length))
            }
        }
        try check("bind", result, "UNIX socket")
        try check("listen", Glibc.listen(socket.number, 16))
        return socket
    }

    private static func port(of socket: borrowing Descriptor) throws(KernelError) -> UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let number = socket.number
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(number, $0, &length)
            }
        }
        try check("getsockname", result)
        return UInt16(bigEndian: address.sin_port)
    }
}
