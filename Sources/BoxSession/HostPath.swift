internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Looks at paths of the host: where they lead, and how a file begins. Nothing is run, and no FIFO is waited for.
enum HostPath {
    /// What a path leads to, links followed; nil if there is nothing, or if it cannot be looked at.
    static func kind(_ path: AbsolutePath) -> FileStatus.Kind? {
        do throws(KernelError) { return try FileStatus.of(path.string, following: true).kind } catch {
            return nil
        }
    }

    /// The real path of what a path leads to; nil if that cannot be found out.
    static func real(_ path: AbsolutePath) -> AbsolutePath? {
        let text: String?
        do throws(KernelError) {
            // Without reading it: what is no file is not opened by this.
            let place = try Descriptor.open(path.string, BOX_O_PATH)
            text = SmallFile.readLink("/proc/self/fd/\(place.number)")
        } catch { return nil }
        // A deleted file has a mark behind its path, and then it is not found there.
        guard let text, let real = parsed(text), exists(real) else { return nil }
        return real
    }

    private static func exists(_ path: AbsolutePath) -> Bool {
        do throws(KernelError) {
            _ = try FileStatus.of(path.string, following: false)
            return true
        } catch { return false }
    }

    /// Where a link leads, one step; nil if it is no link.
    static func linkTarget(_ path: AbsolutePath) -> AbsolutePath? {
        guard let text = SmallFile.readLink(path.string) else { return nil }
        // `..` is taken from where the link really lies.
        guard let parent = real(path.parent) else { return nil }
        return parsed(text.hasPrefix("/") ? text : parent.string + "/" + text)
    }

    static func parsed(_ text: String) -> AbsolutePath? {
        do throws(AbsolutePath.Refusal) { return try AbsolutePath(text) } catch { return nil }
    }

    /// What this user may execute.
    static func isExecutable(_ path: AbsolutePath) -> Bool {
        unsafe access(path.string, X_OK) == 0 && kind(path) == .file
    }

    /// The first 4 KiB of a file; nil if it may be executed and not read.
    static func head(_ path: AbsolutePath) throws(ProgramObstacle) -> [UInt8]? {
        do throws(KernelError) {
            let file = try Descriptor.open(path.string, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            // Whatever it was before, it is this now.
            guard try FileStatus.of(file.number).kind == .file else {
                throw KernelError(call: "open", code: EINVAL, subject: path.string)
            }
            return try file.read(upTo: 4096)
        } catch {
            if error.code == EACCES { return nil }
            throw ProgramObstacle(reason: "\(path) cannot be read: \(errorText(error.code))")
        }
    }

    /// A small text file's lines; none if it cannot be read.
    static func lines(_ path: AbsolutePath) -> [Substring] {
        guard kind(path) == .file, let text = SmallFile.read(path.string) else { return [] }
        return text.split(separator: "\n")
    }

    /// The names in a directory that do not begin with a dot, sorted.
    static func names(in directory: AbsolutePath) -> [String] {
        DirectoryListing.names(of: directory.string).filter { !$0.hasPrefix(".") }.sorted()
    }
}
