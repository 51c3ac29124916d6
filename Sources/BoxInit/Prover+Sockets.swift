internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

// Sockets and networks.
extension Attempt {
    /// Inside all families that exist. A control asks for few, since others make the kernel load modules.
    func families() throws(Broken) -> String {
        let known = [1: "UNIX", 2: "INET", 10: "INET6", 16: "NETLINK", 17: "PACKET", 38: "ALG", 40: "VSOCK"]
        var found: [String] = []
        for family in isControl ? [1, 2, 10, 16, 17] : Array(0...45) {
            // Stream, datagram, raw, packets in order.
            for type in [1, 2, 3, 5] {
                let answer = try SystemCall.answer("socket", [.number(family), .number(type), .number(0)])
                guard answer.result >= 0 else { continue }
                close(CInt(answer.result))
                found.append(known[family] ?? "family \(family)")
                break
            }
        }
        return found.joined(separator: " ")
    }

    func connectAbstract() throws(Broken) -> String {
        try connect(family: 1, type: 1, address: [0] + Array(targets.abstractSocket.utf8))
    }

    /// The doctor's own socket, and inside the usual places of services that give away the host.
    func connectServices() throws(Broken) -> String {
        let services = [
            "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
            "/run/crio/crio.sock",
            "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify",
            "/run/systemd/journal/socket", "/run/cups/cups.sock", "/run/avahi-daemon/socket",
            "/run/nscd/socket",
            "/run/snapd.socket", "/run/libvirt/libvirt-sock", "/run/tailscale/tailscaled.sock",
            "/run/user/\(getuid())/bus", "/run/user/\(getuid())/gnupg/S.gpg-agent",
            "/run/user/\(getuid())/wayland-0",
            "/run/user/\(getuid())/pipewire-0", "/tmp/.X11-unix/X0", "/var/run/docker.sock",
        ]
        var seen: [String] = []
        for path in [targets.socket] + (isControl ? [] : services) {
            let word = try connect(family: 1, type: 1, address: Array(path.utf8) + [0])
            if isControl { return word }
            if word != "ENOENT" { seen.append("\(path) \(word)") }
        }
        return seen.isEmpty ? "ENOENT" : seen.joined(separator: ", ")
    }

    func interfaces() throws(Broken) -> String {
        let lines = try ProcFile.read("/proc/self/net/dev").split(separator: "\n").dropFirst(2)
        return lines.compactMap { $0.split(separator: ":").first.map { String($0.drop { $0 == " " }) } }
            .sorted().joined(separator: " ")
    }

    /// A datagram socket's connect(2) asks for the route and sends nothing, so a control does that alone. The
    /// addresses are those of documentation (RFC 5737, RFC 3849).
    func connectDirectly() throws(Broken) -> String {
        // Port 443, address; port 443, flow, address, scope.
        let four: [UInt8] = [1, 187, 192, 0, 2, 1]
        let six: [UInt8] =
            [1, 187, 0, 0, 0, 0, 0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1, 0, 0, 0, 0]
        var words = [try connect(family: 2, type: 2, address: four + [UInt8](repeating: 0, count: 8))]
        words.append(try connect(family: 10, type: 2, address: six))
        if !isControl {
            words.append(try connect(family: 2, type: 1, address: four + [UInt8](repeating: 0, count: 8)))
            words.append(try connect(family: 10, type: 1, address: six))
        }
        return words.first { $0 != "ENETUNREACH" && $0 != "EAFNOSUPPORT" } ?? "ENETUNREACH"
    }

    func connectLoopback() throws(Broken) -> String {
        let port = targets.port
        let address: [UInt8] =
            [UInt8(port >> 8), UInt8(port & 255), 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)
        return try connect(family: 2, type: 1, address: address)
    }

    /// `address` is what follows the family in the socket address.
    private func connect(family: UInt16, type: Int, address: [UInt8]) throws(Broken) -> String {
        let socket = try SystemCall.answer("socket", [.number(Int(family)), .number(type), .number(0)])
        // Without IPv6 there is no way out by it.
        guard socket.result >= 0 else { return socket.word }
        defer { close(CInt(socket.result)) }
        let bytes = [UInt8](little: family) + address
        return try SystemCall.word(
            "connect", .number(socket.result), .bytes(bytes), .number(bytes.count))
    }
}
