internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// Tells a running session that a file of its policy has changed, and reads the rules of its network anew.
///
/// Only the network's rules follow at once; everything else of a policy is for the next session.
package struct PolicyWatch: ~Copyable {
    /// Reads the whole policy as a new session would.
    private let load: () throws(SessionError) -> NetworkRules
    private let files: [String]
    /// The files as they were when the session began.
    private let before: [Look?]
    /// When they are watched, until they are.
    private var begins: Int?
    private var notifier: Descriptor?
    /// The names that count, by the watched directory's number.
    private var names: [CInt: Set<String>] = [:]

    /// The kernel takes 10 ms to end a watch: commands that end sooner than this, in milliseconds, do without. What
    /// changes until then is seen then.
    private static let patience = 250

    /// Watches the files of a policy. Directories that do not exist are not watched: who makes a file there by a
    /// command of box's tells the sessions.
    package init(files: [String], load: @escaping () throws(SessionError) -> NetworkRules) {
        self.files = files
        self.load = load
        before = PolicyWatch.look(files)
        begins = Clock.milliseconds() + PolicyWatch.patience
    }

    /// What shows that a file was written, or is another one.
    private struct Look: Equatable {
        let device: UInt64
        let inode: UInt64
        let size: Int
        let modified: Node.Time
    }

    /// The files as they are; nil for one that is not there.
    private static func look(_ files: [String]) -> [Look?] {
        files.map { file in
            Node.at(file.utf8).map {
                Look(device: $0.device, inode: $0.inode, size: $0.size, modified: $0.modified)
            }
        }
    }

    private mutating func begin() throws(SessionError) -> Bool {
        do throws(KernelError) {
            let (number, names) = try PolicyWatch.watch(files)
            notifier = Descriptor(owning: number)
            self.names = names
        } catch { throw SessionError(step: "watch the policy", error) }
        return PolicyWatch.look(files) != before
    }

    private static func watch(_ files: [String]) throws(KernelError) -> (CInt, [CInt: Set<String>]) {
        let notifier = Descriptor(
            owning: try check("inotify_init1", inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))))
        var names: [CInt: Set<String>] = [:]
        for file in files {
            guard let slash = file.lastIndex(of: "/") else { continue }
            let mask = UInt32(IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM) | UInt32(IN_ONLYDIR)
            let number = unsafe inotify_add_watch(notifier.number, String(file[..<slash]), mask)
            if number < 0, [ENOENT, ENOTDIR, EACCES].contains(errno) { continue }
            try check("inotify_add_watch", number, file)
            names[number, default: []].insert(String(file[file.index(after: slash)...]))
        }
        return (notifier.release(), names)
    }

    /// What to wait for.
    var entries: [PollEntry] {
        switch notifier {
        case .some(let notifier): [PollEntry(notifier.number, .read)]
        case .none: []
        }
    }

    /// When `hasChanged` is to be called although there is nothing to read; nil if it need not.
    var nextTime: Int? { begins }

    /// Whether a file of the policy has changed. `hasNews`: there is something to read.
    mutating func hasChanged(hasNews: Bool) throws(SessionError) -> Bool {
        if let begins, begins <= Clock.milliseconds() {
            self.begins = nil
            return try begin()
        }
        switch notifier {
        case .some(let notifier) where hasNews: return try hasChanged(notifier)
        default: return false
        }
    }

    private borrowing func hasChanged(_ notifier: borrowing Descriptor) throws(SessionError) -> Bool {
        var changed = false
        while true {
            var code: CInt = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, filled in
                let got = unsafe read(notifier.number, buffer.baseAddress, buffer.count)
                if got < 0 { code = errno }
                filled = max(0, got)
            }
            if code == EINTR { continue }
            guard code == 0 || code == EAGAIN else {
                throw SessionError(step: "watch the policy", KernelError(call: "read", code: code))
            }
            if bytes.isEmpty { return changed }
            changed = concerns(bytes) || changed
        }
    }

    /// Events are a watch's number, a mask, a cookie and the length of the name that follows (inotify(7)).
    private borrowing func concerns(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        func number(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(rest[rest.startIndex + offset + $1]) << (8 * UInt32($1)) }
        }
        while rest.count >= 16 {
            let watch = CInt(bitPattern: number(0))
            let mask = number(4)
            let length = Int(number(12))
            guard rest.count >= 16 + length else { return true }
            let name = rest.dropFirst(16).prefix(length).prefix { $0 != 0 }
            rest = rest.dropFirst(16 + length)
            // Events were lost: one of them may have been ours.
            if mask & UInt32(IN_Q_OVERFLOW) != 0 { return true }
            if names[watch]?.contains(String(decoding: name, as: UTF8.self)) == true { return true }
        }
        return false
    }

    /// The rules as the files say now.
    borrowing func rules() throws(SessionError) -> NetworkRules { try load() }
}
