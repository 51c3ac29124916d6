/// Linux errno names and numbers (the same on x86_64 and aarch64), for texts from outside.
package enum ErrnoTable {
    /// The highest errno that a filter can return (seccomp(2)).
    package static let highest: UInt64 = 4095

    /// The number of a name such as `EPERM`; nil for a name that Linux does not have.
    package static func number(_ name: String) -> UInt16? { numbers[name] }

    /// Every name, in order, for suggestions.
    package static var names: [String] { numbers.keys.sorted() }

    /// Two numbers have no name in Linux: 41 and 58.
    private static let numbers: [String: UInt16] = {
        var all: [String: UInt16] = ["EWOULDBLOCK": 11, "EDEADLOCK": 35, "ENOTSUP": 95]
        for (index, name) in inOrder.split(whereSeparator: { $0 == " " || $0 == "\n" }).enumerated()
        where name != "-" {
            all[String(name)] = UInt16(index + 1)
        }
        return all
    }()

    /// From 1 up.
    private static let inOrder = """
        EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY
        EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK
        EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT
        EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA
        ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW
        ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK
        EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT
        EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS
        EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS
        ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED
        EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON
        """
}
