internal import Glibc

/// A system call that failed: which, with what errno, on what object.
package struct KernelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The call as in its man page.
    package let call: String
    /// The errno.
    package let code: CInt
    /// The path, interface or limit that it was about; may be empty.
    package var subject: String

    package init(call: String, code: CInt, subject: String = "") {
        self.call = call
        self.code = code
        self.subject = subject
    }

    package var description: String {
        let object = subject.isEmpty ? "" : " \(subject)"
        return "\(call)\(object): \(errorText(code))"
    }
}

/// The system's text for an errno, e.g. `Permission denied (EACCES)`.
package func errorText(_ code: CInt) -> String {
    let text = unsafe String(cString: strerror(code))
    guard let name = errorNames[code] else { return "\(text) (errno \(code))" }
    return "\(text) (\(name))"
}

/// The errno's symbolic name, e.g. `EPERM`; the number where the name is not in the table.
package func errorName(_ code: CInt) -> String { errorNames[code] ?? String(code) }

private let errorNames: [CInt: String] = [
    EPERM: "EPERM", ENOENT: "ENOENT", EINTR: "EINTR", EIO: "EIO", ENXIO: "ENXIO", E2BIG: "E2BIG",
    ENOEXEC: "ENOEXEC", EBADF: "EBADF", ECHILD: "ECHILD", EAGAIN: "EAGAIN", ENOMEM: "ENOMEM",
    EACCES: "EACCES", EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST", EXDEV: "EXDEV", ENODEV: "ENODEV",
    ENOTDIR: "ENOTDIR", EISDIR: "EISDIR", EINVAL: "EINVAL", ENFILE: "ENFILE", EMFILE: "EMFILE",
    ENOTTY: "ENOTTY", EFBIG: "EFBIG", ENOSPC: "ENOSPC", ESPIPE: "ESPIPE", EROFS: "EROFS", EMLINK: "EMLINK",
    EPIPE: "EPIPE", ERANGE: "ERANGE", ENAMETOOLONG: "ENAMETOOLONG", ENOSYS: "ENOSYS", ENOTEMPTY: "ENOTEMPTY",
    ELOOP: "ELOOP", EPROTO: "EPROTO", EOVERFLOW: "EOVERFLOW", EUSERS: "EUSERS", EMSGSIZE: "EMSGSIZE",
    EPROTONOSUPPORT: "EPROTONOSUPPORT", EOPNOTSUPP: "EOPNOTSUPP", EAFNOSUPPORT: "EAFNOSUPPORT",
    EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL", ENETUNREACH: "ENETUNREACH",
    ECONNRESET: "ECONNRESET", ETIMEDOUT: "ETIMEDOUT", ECONNREFUSED: "ECONNREFUSED",
    EHOSTUNREACH: "EHOSTUNREACH",
    ESTALE: "ESTALE", EDQUOT: "EDQUOT", ESRCH: "ESRCH", EDEADLK: "EDEADLK", ENODATA: "ENODATA",
    ECANCELED: "ECANCELED",
]

/// Turns a negative result into a `KernelError` with the errno of the call just made.
@discardableResult
package func check(
    _ call: String, _ result: CInt, _ subject: @autoclosure () -> String = ""
) throws(KernelError) -> CInt {
    guard result >= 0 else { throw KernelError(call: call, code: errno, subject: subject()) }
    return result
}

/// The same for calls that return a size.
@discardableResult
package func check(
    _ call: String, _ result: Int, _ subject: @autoclosure () -> String = ""
) throws(KernelError) -> Int {
    guard result >= 0 else { throw KernelError(call: call, code: errno, subject: subject()) }
    return result
}

/// Repeats a call while it is interrupted by a signal.
package func retry<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
