internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// A file that is written at the end of a run, whole or not at all.
///
/// Its directory is opened before the command runs, so that a path that cannot be written stops the run and not its report.
/// It may lie in a place that is not trusted: in the project, which belongs to somebody who sent a change, or where the
/// command may write. Below those no link is followed, neither before nor after, and what stands at the path is replaced,
/// never written.
package struct ReportFile: ~Copyable {
    private let path: String
    private let name: String
    private let directory: Descriptor
    private let step: String

    /// Opens the directory. `option` is what people wrote.
    package init(
        _ path: String, option: String, untrusted: [AbsolutePath], directory: String
    ) throws(SessionError) {
        let step = "write \(option) \(path.escapedForTerminal)"
        let whole = path.hasPrefix("/") ? path : directory + "/" + path
        var parts = whole.split(separator: "/").map(String.init)
        let name = parts.popLast() ?? ""
        guard !path.isEmpty, !path.hasSuffix("/"), !name.isEmpty, name != ".", name != ".." else {
            throw SessionError(step: step, reason: "it names no file")
        }
        let place: Descriptor
        do throws(KernelError) { place = try ReportFile.open(parts, untrusted) } catch {
            let reason =
                switch error.code {
                case ELOOP:
                    "the way to it leads through a symbolic link of a place that others write, which is not followed"
                case ENOENT: "there is no such directory. Make it before box starts"
                default: errorText(error.code)
                }
            throw SessionError(step: step, reason: reason)
        }
        if let reason = ReportFile.obstacle(to: name, in: place) {
            throw SessionError(step: step, reason: reason)
        }
        self.step = step
        self.path = whole
        self.name = name
        self.directory = place
    }

    /// Opens a directory; from an untrusted one on without following a link.
    private static func open(
        _ parts: [String], _ untrusted: [AbsolutePath]
    ) throws(KernelError) -> Descriptor {
        let places = Set(untrusted.map(\.string))
        for count in 0...parts.count {
            let prefix = "/" + parts[..<count].joined(separator: "/")
            guard let real = RealPath.of(prefix), places.contains(real) else { continue }
            let rest = parts[count...].joined(separator: "/")
            let base = try Descriptor.open(prefix, O_RDONLY | BOX_O_DIRECTORY)
            let flags = UInt64(UInt32(bitPattern: O_RDONLY | BOX_O_DIRECTORY | O_CLOEXEC))
            let number = retry {
                unsafe box_openat2(
                    base.number, rest.isEmpty ? "." : rest, flags, 0,
                    BOX_RESOLVE_NO_SYMLINKS | BOX_RESOLVE_NO_MAGICLINKS)
            }
            return Descriptor(owning: try check("openat2", number, rest))
        }
        return try Descriptor.open("/" + parts.joined(separator: "/"), O_RDONLY | BOX_O_DIRECTORY)
    }

    /// Why nothing could be written there, as far as that can be known beforehand; nil if it can.
    private static func obstacle(to name: String, in directory: borrowing Descriptor) -> String? {
        // Tried, because neither modes nor mount flags tell all: nobody can make a file in /proc.
        let trial = ReportFile.temporaryName()
        do throws(KernelError) {
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            _ = try Descriptor.open(trial, flags, mode: 0o600, at: directory.number)
            try check("unlink", unsafe unlinkat(directory.number, trial, 0))
        } catch { return "its directory cannot be written: \(errorText(error.code))" }
        var status = stat()
        guard unsafe fstatat(directory.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            let code = errno
            return code == ENOENT ? nil : errorText(code)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return nil
        case S_IFLNK: return "a symbolic link is there, which is not followed"
        default: return "what is there is no file"
        }
    }

    private static func temporaryName() -> String {
        ".box-report-" + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    }

    /// Puts a text there.
    package borrowing func write(_ text: String) throws(SessionError) {
        let temporary = ReportFile.temporaryName()
        do throws(KernelError) {
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            let file = try Descriptor.open(temporary, flags, mode: 0o644, at: directory.number)
            do throws(KernelError) {
                try file.write(all: Array(text.utf8))
                // Root's jobs work on what another user checked out, and removes again.
                let place = try FileStatus.of(directory.number)
                if geteuid() == 0 { try check("fchown", fchown(file.number, place.uid, place.gid)) }
                try check("fsync", fsync(file.number))
                let renamed = unsafe renameat(directory.number, temporary, directory.number, name)
                try check("rename", renamed)
            } catch {
                _ = unsafe unlinkat(directory.number, temporary, 0)
                throw error
            }
            // The command may have put another directory in this one's place.
            guard let there = try? FileStatus.of(path, following: true),
                there == (try FileStatus.of(file.number))
            else { throw KernelError(call: "stat", code: ESTALE) }
        } catch {
            guard error.code != ENOENT, error.code != ESTALE else {
                throw SessionError(
                    step: step,
                    reason: "the command moved or removed its directory. Choose one that it cannot write")
            }
            throw SessionError(step: step, reason: errorText(error.code))
        }
    }
}

/// The file of a job's page, which the runner makes and several steps append to.
package enum StepSummary {
    /// What GitHub shows of one step at most; a file with more is not shown at all.
    private static let largest = 1 << 20

    /// Appends a text. No link is followed, and the file stays within what is shown.
    package static func append(_ text: String, to path: String) throws(SessionError) {
        let step = "append to GITHUB_STEP_SUMMARY (\(path.escapedForTerminal))"
        do throws(KernelError) {
            let file = try Descriptor.open(
                path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode: 0o644)
            let status = try FileStatus.of(file.number)
            guard status.kind == .file else { throw KernelError(call: "open", code: EINVAL) }
            guard status.size + text.utf8.count < largest else {
                throw KernelError(call: "write", code: EFBIG)
            }
            try file.write(all: Array(((status.size > 0 ? "\n" : "") + text).utf8))
        } catch {
            let reason =
                switch error.code {
                case ELOOP: "it is a symbolic link"
                case EINVAL: "it is no regular file"
                case EFBIG: "the page has no more room"
                default: errorText(error.code)
                }
            throw SessionError(step: step, reason: reason)
        }
    }
}

/// Where a path leads, links followed.
enum RealPath {
    /// Nil if there is nothing, or if it cannot be looked at.
    static func of(_ path: String) -> String? {
        guard let text = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }
}
