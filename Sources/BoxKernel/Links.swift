package import BoxTypes
internal import CNetlink
internal import Glibc

/// The one owner of a route netlink socket; it belongs to the network namespace it was opened in.
@safe package struct RouteSocket: ~Copyable {
    private let socket: OpaquePointer

    /// Opens and connects the socket.
    package init() throws(KernelError) {
        guard let allocated = unsafe nl_socket_alloc() else {
            throw KernelError(call: "nl_socket_alloc", code: ENOMEM)
        }
        let result = unsafe nl_connect(allocated, NETLINK_ROUTE)
        guard result >= 0 else {
            unsafe nl_socket_free(allocated)
            throw netlinkError("nl_connect", result, "")
        }
        unsafe socket = allocated
    }

    deinit { unsafe nl_socket_free(socket) }

    /// Switches the loopback interface on; the kernel gives it 127.0.0.1 and ::1 by itself.
    ///
    /// It is one request and its acknowledgement: no list of links is asked for, because the loopback
    /// interface has index 1 in every network namespace (the kernel insists on it).
    package borrowing func bringUpLoopback() throws(KernelError) {
        guard let loopback = unsafe rtnl_link_alloc() else {
            throw KernelError(call: "rtnl_link_alloc", code: ENOMEM)
        }
        defer { unsafe rtnl_link_put(loopback) }
        guard let change = unsafe rtnl_link_alloc() else {
            throw KernelError(call: "rtnl_link_alloc", code: ENOMEM)
        }
        defer { unsafe rtnl_link_put(change) }
        unsafe rtnl_link_set_ifindex(loopback, 1)
        unsafe rtnl_link_set_flags(change, UInt32(IFF_UP))
        let result = unsafe rtnl_link_change(socket, loopback, change, 0)
        guard result >= 0 else { throw netlinkError("rtnl_link_change", result, "lo") }
    }

    /// Makes the kernel take every address of a network for one of its own: what is sent there arrives at the sockets
    /// of this network namespace. A route that is there already is no error.
    package borrowing func addLocalRoute(_ network: IPNetwork) throws(KernelError) {
        guard let route = unsafe rtnl_route_alloc(), let hop = unsafe rtnl_route_nh_alloc() else {
            throw KernelError(call: "rtnl_route_alloc", code: ENOMEM)
        }
        defer { unsafe rtnl_route_put(route) }
        let destination = try unsafe RouteSocket.address(network)
        defer { unsafe nl_addr_put(destination) }
        unsafe rtnl_route_nh_set_ifindex(hop, 1)
        // The route owns its hop from here on.
        unsafe rtnl_route_add_nexthop(route, hop)
        unsafe rtnl_route_set_table(route, UInt32(RT_TABLE_LOCAL.rawValue))
        unsafe rtnl_route_set_scope(route, UInt8(RT_SCOPE_HOST.rawValue))
        unsafe rtnl_route_set_protocol(route, UInt8(RTPROT_STATIC))
        var result = unsafe rtnl_route_set_type(route, UInt8(RTN_LOCAL))
        if result >= 0 { result = unsafe rtnl_route_set_dst(route, destination) }
        if result >= 0 { result = unsafe rtnl_route_add(socket, route, 0) }
        guard result >= 0 || result == -NLE_EXIST else {
            throw netlinkError("rtnl_route_add", result, network.description)
        }
    }

    private static func address(_ network: IPNetwork) throws(KernelError) -> OpaquePointer {
        let bytes: [UInt8]
        let family: CInt
        switch network.base {
        case .v4(let value):
            bytes = unsafe withUnsafeBytes(of: value.bigEndian) { unsafe Array($0) }
            family = AF_INET
        case .v6(let value):
            bytes = unsafe withUnsafeBytes(of: value.bigEndian) { unsafe Array($0) }
            family = AF_INET6
        }
        guard let address = unsafe nl_addr_build(family, bytes, bytes.count) else {
            throw KernelError(call: "nl_addr_build", code: ENOMEM)
        }
        unsafe nl_addr_set_prefixlen(address, CInt(network.length))
        return unsafe address
    }
}

/// libnl has errors of its own; its text goes along, and the errno is the nearest one.
private func netlinkError(_ call: String, _ result: CInt, _ object: String) -> KernelError {
    let text = unsafe String(cString: nl_geterror(result))
    let subject = object.isEmpty ? "(\(text))" : "\(object) (\(text))"
    return KernelError(call: call, code: errnoByLibnlError[-result] ?? EPROTO, subject: subject)
}

private let errnoByLibnlError: [CInt: CInt] = [
    NLE_PERM: EPERM, NLE_NOACCESS: EACCES, NLE_NODEV: ENODEV, NLE_OBJ_NOTFOUND: ENOENT, NLE_NOMEM: ENOMEM,
    NLE_INVAL: EINVAL, NLE_BUSY: EBUSY, NLE_EXIST: EEXIST, NLE_OPNOTSUPP: EOPNOTSUPP, NLE_AGAIN: EAGAIN,
    NLE_AF_NOSUPPORT: EAFNOSUPPORT, NLE_PROTO_MISMATCH: EPROTONOSUPPORT, NLE_BAD_SOCK: EBADF, NLE_INTR: EINTR,
]
