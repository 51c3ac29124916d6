package import BoxKernel
internal import CLinux
internal import Glibc

/// The lock of a session's directory: whoever holds it, the session's supervisor or a command that changes its stage,
/// is alone. It goes with its process, however that ends.
package enum SessionLock {
    /// How often it is tried, with pauses: 20 ms in all.
    private static let looks = 10

    /// Takes the lock; nil if another process has it.
    package static func take(_ directory: String) throws(SessionError) -> Descriptor? {
        do throws(KernelError) {
            let path = directory + "/lock"
            let file = try Descriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
            for _ in 0..<looks {
                if retry({ box_flock(file.number, LOCK_EX | LOCK_NB) }) == 0 { return file }
                guard errno == EWOULDBLOCK else {
                    throw KernelError(call: "flock", code: errno, subject: path)
                }
                // Whoever looks whether it is held (`isHeld`) holds it for a moment.
                _ = try poll([], timeout: 2)
            }
            return nil
        } catch { throw SessionError(step: "lock the session", error) }
    }
    /// Whether somebody holds it.
    static func isHeld(_ directory: String) -> Bool {
        do throws(KernelError) {
            let file = try Descriptor.open(directory + "/lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            return retry { box_flock(file.number, LOCK_SH | LOCK_NB) } < 0 && errno == EWOULDBLOCK
        } catch {
            // Where it cannot be known, nobody goes through an agent's files as if it had ended.
            return error.code != ENOENT
        }
    }
}
