package import BoxTypes
internal import Glibc
internal import Synchronization

/// Looks at every directory of a tree on several threads, in no particular order.
package enum ParallelWalk {
    /// What a look at one directory gave.
    package struct Step<Found: Sendable>: Sendable {
        package var found: [Found]
        /// The directories below that are looked at next.
        package var next: [BytePath]
        package init(found: [Found] = [], next: [BytePath] = []) {
            self.found = found
            self.next = next
        }
    }

    /// Calls `look` for the root and then for each directory that a look wants next; returns what was found.
    ///
    /// Never follows a link and never crosses into another mount: such a directory, and one that has vanished, is
    /// passed over. One that must not be read is an error, unless it is another user's and box is not root: then
    /// whoever runs as this user cannot read it either.
    package static func run<Found: Sendable>(
        _ root: consuming Tree, threads: Int = Crew.standardCount,
        _ look: @escaping @Sendable (BytePath, Listing) throws(KernelError) -> Step<Found>
    ) throws(KernelError) -> [Found] {
        let state = Walked<Found>(root)
        try Workers<BytePath, KernelError>.run(threads: threads) { path throws(KernelError) in
            guard let listing = try state.listing(path) else { return [] }
            let step = try look(path, listing)
            state.add(step.found)
            return step.next
        } feed: { add throws(KernelError) in
            _ = add(.root)
        }
        return state.all
    }
}

/// What the threads of one walk share.
private final class Walked<Found: Sendable>: Sendable {
    private let root: Tree
    private let found = Mutex<[Found]>([])

    init(_ root: consuming Tree) { self.root = root }

    var all: [Found] { found.withLock { $0 } }

    func add(_ more: [Found]) {
        if !more.isEmpty { found.withLock { $0 += more } }
    }

    /// What is in a directory; nil if it is not for this walk.
    func listing(_ path: BytePath) throws(KernelError) -> Listing? {
        var retry = RetryCount()
        do throws(KernelError) {
            return try retry.attempt { _ throws(KernelError) in try root.listing(path) }
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR, ELOOP, EXDEV: return nil
            case EACCES, EPERM:
                let owner = try root.node(path)?.uid
                guard geteuid() == 0 || owner == geteuid() else { return nil }
                throw KernelError(call: error.call, code: error.code, subject: path.escaped)
            default: throw KernelError(call: error.call, code: error.code, subject: path.escaped)
            }
        }
    }
}
