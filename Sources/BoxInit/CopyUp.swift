internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The overlays that this process sees, and when their upper layers were made.
struct Stages {
    /// By the overlay's device number.
    let made: [UInt64: Node.Time]

    init() throws(KernelError) {
        var made: [UInt64: Node.Time] = [:]
        let list = try Descriptor.open("/proc/self/mountinfo", O_RDONLY).readAll(limit: 1 << 24)
        for line in list.split(separator: UInt8(ascii: "\n")) {
            // The place is the fifth field, the type the first one after a lonely dash (proc_pid_mountinfo(5)).
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard let dash = fields.dropFirst(6).firstIndex(where: { $0.elementsEqual("-".utf8) }),
                fields.count > dash + 1, fields[dash + 1].elementsEqual("overlay".utf8)
            else { continue }
            let place = Stages.unescaped(fields[4])
            let number = unsafe withCName(place) { unsafe Glibc.open($0, BOX_O_PATH | BOX_O_CLOEXEC) }
            // Another mount may hide it; then nothing in it is renamed.
            if number < 0 { continue }
            let root = Descriptor(owning: number)
            // The root of an overlay is as old as its upper layer.
            made[try Node.of(root.number).device] = try Node.Time.birth(of: root.number)
        }
        self.made = made
    }

    /// A place as it is: the kernel writes blanks and backslashes as octal numbers.
    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = field
        while let first = rest.popFirst() {
            guard first == UInt8(ascii: "\\"), let text = String(validating: rest.prefix(3), as: UTF8.self),
                let byte = UInt8(text, radix: 8)
            else {
                result.append(first)
                continue
            }
            result.append(byte)
            rest = rest.dropFirst(3)
        }
        return result
    }
}

/// Gives files of an overlay's lower layer an upper one, where they are.
///
/// The kernel would do it when a file is moved, but it waits for the disk at each (fsync). So a file that certainly lies
/// in the lower layer alone is replaced by a copy, which has its content, mode, time and attributes. Names of one file
/// stay together, which the kernel would part.
struct CopyUp {
    /// A file to be copied.
    struct File {
        let name: [UInt8]
        let node: Node
        /// Its path below the directory that is moved.
        let path: BytePath
    }

    /// Which file it is.
    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64

        init(_ node: Node) {
            device = node.device
            inode = node.inode
        }
    }

    /// Where a file that was copied is, and what it is now.
    private struct Copied {
        let path: BytePath
        let identity: Identity
    }

    /// What was made before that lies in the lower layer; nil: nobody knows.
    private let stageMade: Node.Time?
    /// Files with several names, by what they were in the lower layer.
    private var copied: [Identity: Copied] = [:]
    private let rename = UnaskedRename()
    /// A copy's name while it is made: no file of the sandbox's has it.
    private let temporary: [UInt8]
    private static let mostAttempts = 10

    init(stageMade: Node.Time?, temporary: [UInt8]) {
        self.stageMade = stageMade
        self.temporary = temporary
    }

    /// Removes what an attempt has left that was killed.
    func clear(_ scratch: borrowing Tree) { remove(temporary, in: scratch) }

    /// Gives a file an upper layer, or makes it a link to the copy of its other name. `scratch` is a directory of the
    /// upper layer that is nobody else's.
    mutating func copyUp(
        _ file: File, _ place: borrowing Descriptor, in tree: borrowing Tree, below top: borrowing Tree,
        by scratch: borrowing Tree
    ) throws(KernelError) {
        let node = file.node
        if node.links > 1, let other = copied[Identity(node)],
            try link(file, in: tree, to: other, below: top, by: scratch)
        {
            return
        }
        var now: Identity?
        if let stageMade, let made = try Node.Time.birth(of: place.number), made < stageMade {
            now = try replace(file, place, made, in: tree, by: scratch)
        }
        if now == nil {
            // A change that changes nothing has the kernel copy the file up.
            try Mover.setMode(node.mode, of: place)
            now = Identity(try Node.of(place.number))
        }
        if node.links > 1, let now, now != Identity(node) {
            copied[Identity(node)] = Copied(path: file.path, identity: now)
        }
    }

    /// Replaces a file by a copy; nil if the kernel has to do it.
    private func replace(
        _ file: File, _ place: borrowing Descriptor, _ made: Node.Time, in tree: borrowing Tree,
        by scratch: borrowing Tree
    ) throws(KernelError) -> Identity? {
        defer { remove(temporary, in: scratch) }
        var (node, made) = (file.node, made)
        var present = Identity(node)
        for attempt in 0..<CopyUp.mostAttempts {
            guard let new = try copy(node, place, to: scratch) else { return attempt > 0 ? present : nil }
            // Somebody may have written to it meanwhile, or put another one in its place.
            guard let found = try tree.child(file.name), Identity(found) == present,
                attempt > 0 || found.isUnchanged(since: node), try Node.Time.birth(of: place.number) == made
            else { return attempt > 0 ? present : nil }
            let code = rename(
                temporary, scratch.descriptor.number, to: file.name, tree.descriptor.number)
            guard code == 0 else { throw KernelError(call: "renameat2", code: code) }
            // Opened for writing since that look it has got an upper layer: what was written goes into a new copy.
            guard let birth = try Node.Time.birth(of: place.number), birth != made else { return new }
            (made, node, present) = (birth, try Node.of(place.number), new)
        }
        return present
    }

    /// Copies a file into the scratch directory; nil if it cannot be read. The copy is the sandbox's own, also where the
    /// file has an owner or group that the sandbox does not know; the kernel would not copy that one at all.
    private func copy(
        _ node: Node, _ place: borrowing Descriptor, to scratch: borrowing Tree
    ) throws(KernelError) -> Identity? {
        let number = unsafe Glibc.open("/proc/self/fd/\(place.number)", O_RDONLY | BOX_O_CLOEXEC)
        if number < 0 { return nil }
        let source = Descriptor(owning: number)
        remove(temporary, in: scratch)
        let new = try scratch.open(
            BytePath.root.appending(temporary), O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        var retry = RetryCount()
        try FileCopy.copy(
            from: source.number, to: new.number, size: node.size, isOnFUSE: false, retry: &retry)
        try Mover.copyAttributes(of: source.number, to: new.number)
        try check("fchmod", fchmod(new.number, node.mode))
        try Mover.setTime(node.modified, of: new.number)
        return Identity(try Node.of(new.number))
    }

    /// Replaces a name by a link to the copy of the same file, unless one of them is another file by now.
    private func link(
        _ file: File, in tree: borrowing Tree, to other: Copied, below top: borrowing Tree,
        by scratch: borrowing Tree
    ) throws(KernelError) -> Bool {
        let directory = scratch.descriptor.number
        let made = unsafe other.path.withCString { old in
            unsafe withCName(temporary) { unsafe linkat(top.descriptor.number, old, directory, $0, 0) }
        }
        if made < 0 { return false }
        if let new = try scratch.child(temporary), Identity(new) == other.identity,
            let present = try tree.child(file.name), Identity(present) == Identity(file.node),
            rename(temporary, directory, to: file.name, tree.descriptor.number) == 0
        {
            return true
        }
        remove(temporary, in: scratch)
        return false
    }

    private func remove(_ name: [UInt8], in tree: borrowing Tree) {
        _ = unsafe withCName(name) { unsafe unlinkat(tree.descriptor.number, $0, 0) }
    }
}
