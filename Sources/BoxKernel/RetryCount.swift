internal import Glibc

/// How often the calls for one file were made again because a shared file system (FUSE, virtiofs, NFS) failed for the
/// moment, and how long they may be: 1 ms to 500 ms between two of them, ten seconds in all.
package struct RetryCount: Sendable {
    /// Calls that were repeated, and reads that gave less than was there.
    package private(set) var count = 0
    /// Asked before a wait and between the pieces of a long copy: true ends it with `ECANCELED`.
    private let isStopped: (@Sendable () -> Bool)?
    private let limit: Int
    private var waited = 0
    private var pause = RetryCount.shortest

    // Microseconds.
    private static let shortest = 1000
    private static let longest = 500_000

    /// Starts a count for one file.
    package init(milliseconds limit: Int = 10_000, isStopped: (@Sendable () -> Bool)? = nil) {
        self.limit = limit * 1000
        self.isStopped = isStopped
    }

    /// Whether an errno says that the same call may succeed later. 35 is `EDEADLK`, which shares answer under load.
    package static func isTransient(_ code: CInt) -> Bool {
        code == EAGAIN || code == EDEADLK || code == EINTR || code == ESTALE
    }

    /// Waits, so that the call can be made again; throws the error itself when that has been done for long enough.
    package mutating func wait(after error: KernelError) throws(KernelError) {
        try checkStop()
        guard waited < limit else { throw error }
        count += 1
        // A signal ends the pause early: then the next one comes sooner.
        usleep(UInt32(pause))
        waited += pause
        pause = min(pause * 2, RetryCount.longest)
    }

    /// A call went well: the next pause is short again.
    package mutating func succeeded() { pause = RetryCount.shortest }

    package mutating func countShortRead() { count += 1 }

    /// Ends the work if that is wanted.
    package func checkStop() throws(KernelError) {
        if let isStopped, isStopped() { throw KernelError(call: "copy", code: ECANCELED) }
    }

    /// Makes a call until it does not fail for the moment only. `ESTALE` is thrown at once: what it is about has to
    /// be opened again.
    @discardableResult
    package mutating func call<Result: SignedInteger>(
        _ name: String, _ body: () -> Result
    ) throws(KernelError) -> Result {
        while true {
            let result = body()
            if result >= 0 {
                succeeded()
                return result
            }
            let error = KernelError(call: name, code: errno)
            guard error.code != ESTALE, RetryCount.isTransient(error.code) else { throw error }
            try wait(after: error)
        }
    }

    /// What an open file is; errors as for `call`.
    package mutating func node(of file: CInt) throws(KernelError) -> Node {
        while true {
            do throws(KernelError) { return try Node.of(file) } catch {
                guard error.code != ESTALE, RetryCount.isTransient(error.code) else { throw error }
                try wait(after: error)
            }
        }
    }

    /// Does work that opens by itself what it needs until it does not fail for the moment only, `ESTALE` included.
    /// The work gets this very count, for its own calls.
    package mutating func attempt<Result: ~Copyable>(
        _ body: (inout RetryCount) throws(KernelError) -> Result
    ) throws(KernelError) -> Result {
        while true {
            do throws(KernelError) {
                let result = try body(&self)
                succeeded()
                return result
            } catch {
                guard RetryCount.isTransient(error.code) else { throw error }
                try wait(after: error)
            }
        }
    }
}
