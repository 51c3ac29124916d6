internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Crypto
internal import Glibc

/// A policy file as it is on disk, read once and whole.
///
/// It is opened once, without following a link and without waiting (a FIFO would), and everything is asked of what was
/// opened: what a path names may change at any time.
package struct PolicyFile: Equatable, Sendable {
    package let bytes: [UInt8]
    /// SHA-256 of the content, hexadecimal.
    package let digest: String
    let uid: UInt32
    let gid: UInt32
    let mode: UInt32

    /// Whose file it may be.
    package enum Kind: Equatable, Sendable {
        /// The user's own configuration: nobody else may be able to write it.
        case user
        /// A project's: also that of whoever owns the project, and of a group; what it says is taken only to tighten,
        /// or as it was when the user agreed to it.
        case project(owner: UInt32)
    }

    /// The largest policy, in bytes; the reader has the same bound.
    private static let largest = 1 << 20

    /// Reads a file; nil if there is none. `name` is what people call it.
    package static func read(
        _ path: String, name: String, kind: Kind
    ) throws(SessionError) -> PolicyFile? {
        let step = "read \(name.escapedForTerminal)"
        func refusal(_ why: String) -> SessionError { SessionError(step: step, reason: why) }
        let file: Descriptor
        do throws(KernelError) {
            file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        } catch {
            switch error.code {
            case ENOENT: return nil
            case ELOOP: throw refusal("it is a symbolic link. Put the file itself there")
            // A socket: what keeps the name free while a session works in the project itself.
            case ENXIO where isPlaceholder(path): return nil
            case ENXIO: throw refusal("it is a socket and no file")
            default: throw SessionError(step: step, error)
            }
        }
        let before = try status(of: file, step)
        guard before.st_mode & S_IFMT == S_IFREG else {
            throw refusal("it is no regular file (\(kindName(before.st_mode)))")
        }
        try checkOwner(before, kind, step)
        guard before.st_size <= largest else {
            throw refusal("it has \(before.st_size) bytes; a policy has at most \(largest) (1 MiB)")
        }
        let bytes: [UInt8]
        do throws(KernelError) { bytes = try file.readAll(limit: largest) } catch {
            throw SessionError(step: step, error)
        }
        let after = try status(of: file, step)
        guard after.st_size == before.st_size, after.st_size == bytes.count,
            after.st_mtim.tv_sec == before.st_mtim.tv_sec, after.st_mtim.tv_nsec == before.st_mtim.tv_nsec
        else { throw refusal("it was changed while it was read. Try again") }
        return PolicyFile(bytes, after)
    }

    private init(_ bytes: [UInt8], _ status: stat) {
        self.bytes = bytes
        digest = PolicyFile.digest(of: bytes)
        uid = status.st_uid
        gid = status.st_gid
        mode = status.st_mode & 0o7777
    }

    /// SHA-256, hexadecimal.
    package static func digest(of bytes: [UInt8]) -> String {
        SHA256.hash(data: bytes).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    private static func status(
        of file: borrowing Descriptor, _ step: String
    ) throws(SessionError) -> stat {
        var status = stat()
        guard unsafe fstat(file.number, &status) == 0 else {
            throw SessionError(step: step, KernelError(call: "fstat", code: errno))
        }
        return status
    }

    private static func checkOwner(_ status: stat, _ kind: Kind, _ step: String) throws(SessionError) {
        let (owners, foreign): ([UInt32], UInt32) =
            switch kind {
            case .user: ([getuid(), 0], 0o022)
            case .project(let owner): ([getuid(), 0, owner], 0o002)
            }
        guard owners.contains(status.st_uid) else {
            throw SessionError(
                step: step,
                reason: "it belongs to another user (uid \(status.st_uid)). Make it yours, or remove it")
        }
        guard status.st_mode & foreign == 0 else {
            throw SessionError(
                step: step,
                reason:
                    "others may write to it (mode \(String(status.st_mode & 0o7777, radix: 8))). Look at what is in "
                    + "it, then chmod \(kind == .user ? "go-w" : "o-w")")
        }
    }

    private static func isPlaceholder(_ path: String) -> Bool {
        guard let status = try? FileStatus.of(path, following: false) else { return false }
        return Placeholders.isPlaceholder(path, status)
    }

    private static func kindName(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a directory"
        case S_IFIFO: "a FIFO"
        case S_IFCHR, S_IFBLK: "a device"
        case S_IFSOCK: "a socket"
        default: "something else"
        }
    }
}

// MARK: - Writing

extension PolicyFile {
    /// Puts a text in the place of a file, whole or not at all; owner and mode stay, a new file is the directory's owner's.
    ///
    /// With `inPlace` an existing file itself is written: another one would uncover the mount that protects it in a
    /// session that works in the project itself.
    package static func write(
        _ bytes: [UInt8], to path: String, replacing old: PolicyFile?, inPlace: Bool, name: String,
        mode: UInt32 = 0o644
    ) throws(SessionError) {
        do throws(KernelError) {
            if inPlace, old != nil {
                let file = try Descriptor.open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK)
                try check("fstat", try FileStatus.of(file.number).kind == .file ? 0 : -1, name)
                // One write, and a shorter text with empty lines behind it: whoever is killed before the next call
                // leaves a text that says the same.
                let rest = max(0, (old?.bytes.count ?? 0) - bytes.count)
                try file.write(all: bytes + [UInt8](repeating: UInt8(ascii: "\n"), count: rest))
                try check("ftruncate", ftruncate(file.number, bytes.count), name)
                try check("fsync", fsync(file.number), name)
                return
            }
            let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
            removeLeftovers(of: path, in: directory)
            let temporary = path + ".new-\(getpid())"
            let file = try Descriptor.open(
                temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            do throws(KernelError) {
                try file.write(all: bytes)
                let place = try FileStatus.of(directory, following: true)
                let (uid, gid) = (old?.uid ?? place.uid, old?.gid ?? place.gid)
                if geteuid() == 0 { try check("fchown", fchown(file.number, uid, gid), name) }
                try check("fchmod", fchmod(file.number, mode_t(old?.mode ?? mode) & 0o755), name)
                try check("fsync", fsync(file.number), name)
                try check("rename", unsafe rename(temporary, path), name)
            } catch {
                _ = unsafe unlink(temporary)
                throw error
            }
            let place = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
            try check("fsync", fsync(place.number), name)
        } catch { throw SessionError(step: "write \(name.escapedForTerminal)", error) }
    }
}

extension PolicyFile {
    /// Takes away what commands left that were killed while they wrote.
    private static func removeLeftovers(of path: String, in directory: String) {
        let beginning = String(path[directory.endIndex...].dropFirst()) + ".new-"
        for name in DirectoryListing.names(of: directory) where name.hasPrefix(beginning) {
            guard let pid = pid_t(name.dropFirst(beginning.count)), pid > 0, kill(pid, 0) != 0, errno == ESRCH
            else { continue }
            // One that cannot be taken away hinders nobody.
            _ = unsafe unlink(directory + "/" + name)
        }
    }
}

/// The user's own configuration: `~/.config/box`.
package enum ConfigurationDirectory {
    /// Its path by the XDG rules.
    package static func place(
        environment: [String: String], home: AbsolutePath
    ) throws(SessionError) -> AbsolutePath {
        do throws(AbsolutePath.Refusal) {
            if let text = environment["XDG_CONFIG_HOME"], text.hasPrefix("/") {
                return try AbsolutePath(text).appending("box")
            }
            return try home.appending(".config/box")
        } catch { throw SessionError(step: "find the configuration directory", reason: "\(error)") }
    }
}
