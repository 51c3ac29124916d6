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
