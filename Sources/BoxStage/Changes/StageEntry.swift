internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// One path of a walk: what the agent started from there, and what is there now.
struct StageEntry {
    var path: BytePath
    /// What `base` has.
    var record: BaseRecord?
    /// The record's node, or what the host has.
    var old: Node?
    var oldTarget: [UInt8]?
    var new: Node?
    var newTarget: [UInt8]?
    /// The agent sees what the host has; only the record is there.
    var isUntouched = false
    /// A directory of the host that the agent does not see any more; all its names follow.
    var listsTree = false
    /// A new directory without anything in it.
    var isEmpty = false
    /// Why it is not known what the host has here, or what it has below here.
    var unknown: KernelError?

    init(path: BytePath) { self.path = path }

    /// A path that the agent did not touch, as far as can be seen.
    init(untouched record: BaseRecord) {
        self.init(path: record.path)
        self.record = record
        isUntouched = true
    }
}

/// The names of a tree that the policy hides from the agent.
struct HiddenNames {
    private let names: Set<BytePath>
    private let sorted: [BytePath]

    init(_ names: [BytePath]) {
        self.names = Set(names)
        sorted = names.sorted()
    }

    /// Whether this very path is such a name.
    func contains(_ path: BytePath) -> Bool { names.contains(path) }

    /// Whether a path is such a name or lies below one.
    func cover(_ path: BytePath) -> Bool {
        var at = path
        while !names.isEmpty, at != .root {
            if names.contains(at) { return true }
            at = at.parent
        }
        return false
    }

    /// Whether such a name lies below a directory.
    func haveSome(below path: BytePath) -> Bool {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < path { low = middle + 1 } else { high = middle }
        }
        // In the order of paths, what lies below a directory follows it.
        return low < sorted.count && sorted[low].isSame(orBelow: path)
    }
}

extension KernelError {
    /// Somebody removed or replaced what was there a moment ago.
    var isVanished: Bool { [ENOENT, ENOTDIR, ELOOP, ESTALE].contains(code) }
}

/// The overlay's own marks on a directory of its upper layer.
enum Opaqueness {
    /// Merged with the host's; hides the host's; merged, with whiteouts that are files with an attribute.
    case merged, opaque, attributes

    static func of(_ directory: borrowing Tree) throws(KernelError) -> Opaqueness {
        var value: [UInt8] = [0, 0]
        let length = unsafe box_get_attribute(
            directory.descriptor.number, "user.overlay.opaque", &value, value.count)
        // A file system without attributes has no marks.
        if length < 0, errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE { return .merged }
        try check("fgetxattr", length)
        guard length == 1 else { return .merged }
        return value[0] == UInt8(ascii: "y") ? .opaque : value[0] == UInt8(ascii: "x") ? .attributes : .merged
    }

    /// Whether an empty file says that its name is deleted.
    static func isWhiteout(_ name: [UInt8], in directory: borrowing Tree) throws(KernelError) -> Bool {
        var value: [UInt8] = [0, 0]
        let length = unsafe withCName(name) { text in
            unsafe box_get_attribute_at(
                directory.descriptor.number, text, "user.overlay.whiteout", &value, value.count)
        }
        if length < 0, errno == ENODATA || errno == EOPNOTSUPP || errno == ENOENT { return false }
        if length < 0, errno == ERANGE { return true }
        try check("lgetxattr", length, BytePath.escaped(name))
        return true
    }
}
