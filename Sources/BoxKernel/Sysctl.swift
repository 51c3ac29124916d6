package import BoxTypes
internal import Glibc

/// Kernel settings that are one number in one file (`/proc/sys`, and files like it in cgroups).
package enum Sysctl {
    /// Writes a number. The file is never created, and a value that the kernel does not take is its errno
    /// (`EINVAL` out of range, `EACCES` or `EROFS` not permitted, `ENOENT` not in this kernel).
    package static func write(_ value: UInt64, to path: AbsolutePath) throws(KernelError) {
        let file = try Descriptor.open(path.string, O_WRONLY)
        do throws(KernelError) { try file.write(all: Array(String(value).utf8)) } catch {
            throw KernelError(call: error.call, code: error.code, subject: path.string)
        }
    }

    /// Reads a number; a file that holds something else is `EINVAL`.
    package static func read(_ path: AbsolutePath) throws(KernelError) -> UInt64 {
        let bytes = try Descriptor.open(path.string, O_RDONLY).readAll(limit: 4096)
        let text = String(decoding: bytes, as: UTF8.self)
        guard let value = UInt64(text.prefix { $0.isNumber }), text.drop(while: \.isNumber) == "\n" else {
            throw KernelError(call: "read", code: EINVAL, subject: path.string)
        }
        return value
    }
}
