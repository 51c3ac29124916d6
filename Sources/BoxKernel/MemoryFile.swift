internal import CLinux
internal import Glibc

/// Files without a name, in memory.
package enum MemoryFile {
    /// A file with this content that nobody can change any more, at its start.
    package static func sealed(_ bytes: [UInt8], name: String) throws(KernelError) -> Descriptor {
        let flags: UInt32 = 1 | 2  // MFD_CLOEXEC | MFD_ALLOW_SEALING
        let file = Descriptor(owning: try check("memfd_create", unsafe box_memfd_create(name, flags)))
        try file.write(all: bytes)
        try check("fcntl(F_ADD_SEALS)", box_seal(file.number))
        try check("lseek", lseek(file.number, 0, SEEK_SET))
        return file
    }
}
