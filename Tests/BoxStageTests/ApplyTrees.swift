import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

@testable import BoxStage

/// A tree of files as a value: what a test wants on the host, or the agent to have.
struct ModelTree: Equatable {
    struct Item: Equatable {
        enum Kind: Equatable {
            case file([UInt8])
            case link([UInt8])
            case directory
        }
        var kind: Kind
        var mode: UInt32
        var modified: Node.Time
        /// Files of one group are hard links of each other.
        var group: Int?
        var attribute: [UInt8]?

        var isDirectory: Bool { kind == .directory }
    }

    var items: [BytePath: Item] = [:]
    var paths: [BytePath] { items.keys.sorted() }

    func children(_ path: BytePath) -> [BytePath] {
        items.keys.filter { $0 != .root && $0.parent == path }.sorted()
    }

    mutating func remove(_ path: BytePath) {
        for below in items.keys where below.isSame(orBelow: path) { items[below] = nil }
    }

    // MARK: - Random ones

    private static let names: [[UInt8]] = [
        Array("a".utf8), Array("b".utf8), Array("c d".utf8), Array("-".utf8), [0xFF, 0x0A], Array("a.b".utf8),
        Array("é".utf8),
    ]
    private static let fileModes: [UInt32] = [0o644, 0o600, 0o755, 0o444, 0o400]
    private static let directoryModes: [UInt32] = [0o755, 0o700, 0o555, 0o500, 0o750]

    static func time(_ numbers: inout SeededNumbers) -> Node.Time {
        Node.Time(
            seconds: 1_400_000_000 + numbers.below(100_000_000), nanoseconds: numbers.below(1_000_000_000))
    }

    private static func item(_ numbers: inout SeededNumbers) -> Item {
        let modified = time(&numbers)
        switch numbers.below(10) {
        case 0..<3:
            return Item(kind: .directory, mode: numbers.pick(directoryModes), modified: modified)
        case 3:
            let target = numbers.pick(["../../outside", "a", "/etc/passwd", "b/c", "loop"])
            return Item(kind: .link(Array(target.utf8)), mode: 0o777, modified: modified)
        default:
            let size = numbers.below(numbers.below(8) == 0 ? 5000 : 20)
            let text = (0..<size).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
            return Item(kind: .file(text), mode: numbers.pick(fileModes), modified: modified)
        }
    }

    private mutating func add(_ numbers: inout SeededNumbers) {
        let places = [.root] + paths.filter { items[$0]?.isDirectory ?? false && $0.components.count < 4 }
        let path = numbers.pick(places).appending(numbers.pick(ModelTree.names))
        if items[path] == nil { items[path] = ModelTree.item(&numbers) }
    }

    static func random(_ numbers: inout SeededNumbers) -> ModelTree {
        var tree = ModelTree()
        for _ in 0..<(2 + numbers.below(14)) { tree.add(&numbers) }
        for path in tree.paths {
            guard case .file = tree.items[path]?.kind else { continue }
            if numbers.below(4) == 0 { tree.items[path]?.attribute = [UInt8(numbers.below(200)), 0] }
        }
        let files = tree.paths.filter { if case .file = tree.items[$0]?.kind { true } else { false } }
        if files.count > 2, numbers.below(2) == 0 {
            let (first, second) = (numbers.pick(files), numbers.pick(files))
            tree.items[first]?.group = 1
            tree.items[second] = tree.items[first]
        }
        return tree
    }

    /// What an agent may make of it.
    func changed(_ numbers: inout SeededNumbers) -> ModelTree {
        var tree = self
        for path in tree.paths { tree.items[path]?.attribute = nil }
        for _ in 0..<(1 + numbers.below(8)) {
            guard let path = tree.paths.randomElement(using: &numbers), numbers.below(5) > 0 else {
                tree.add(&numbers)
                continue
            }
            let old = tree.items[path]
            switch numbers.below(4) {
            case 0: tree.remove(path)
            case 1:
                tree.items[path]?.mode = numbers.pick(
                    old?.isDirectory ?? false ? ModelTree.directoryModes : ModelTree.fileModes)
            default:
                tree.remove(path)
                var new = ModelTree.item(&numbers)
                if case .file = new.kind, case .file = old?.kind, numbers.below(3) == 0, let old {
                    new.mode = old.mode
                }
                tree.items[path] = new
                tree.add(&numbers)
            }
        }
        for path in tree.paths { tree.items[path]?.group = nil }
        for path in tree.paths {
            if case .link = tree.items[path]?.kind { tree.items[path]?.mode = 0o777 }
        }
        return tree
    }

    /// The changes as a review lists them.
    func changes(to new: ModelTree) -> [BytePath] {
        Set(items.keys).union(new.items.keys).sorted().filter { path in
            switch (items[path], new.items[path]) {
            case (nil, nil): false
            case (nil, let item?): !item.isDirectory || new.children(path).isEmpty
            case (let item?, nil): !item.isDirectory || children(path).isEmpty
            case (let item?, let other?): item.kind != other.kind || item.mode != other.mode
            }
        }
    }

    // MARK: - On disk

    /// Makes the tree below an empty directory.
    func make(_ root: String) throws {
        var made: [Int: [UInt8]] = [:]
        for path in paths {
            guard let item = items[path] else { continue }
            let name = Array(root.utf8) + [UInt8(ascii: "/")] + path.bytes
            switch item.kind {
            case .directory:
                try check("mkdir", unsafe withCName(name) { unsafe mkdir($0, 0o700) })
            case .link(let target):
                try check(
                    "symlink",
                    unsafe withCName(target) { target in
                        unsafe withCName(name) { unsafe symlink(target, $0) }
                    })
            case .file(let content):
                if let group = item.group, let other = made[group] {
                    try check(
                        "link",
                        unsafe withCName(other) { other in unsafe withCName(name) { unsafe link(other, $0) } }
                    )
                    continue
                }
                if let group = item.group { made[group] = name }
                let number = unsafe withCName(name) { unsafe open($0, O_WRONLY | O_CREAT | O_EXCL, 0o600) }
                let file = Descriptor(owning: try check("open", number))
                try file.write(all: content)
                if let value = item.attribute {
                    try check("fsetxattr", unsafe box_set_xattr(file.number, "user.test", value, value.count))
                }
            }
        }
        for path in paths.reversed() {
            guard let item = items[path] else { continue }
            let name = Array(root.utf8) + [UInt8(ascii: "/")] + path.bytes
            let result = unsafe withCName(name) { name in
                unsafe box_set_times(
                    AT_FDCWD, name, Int64(item.modified.seconds), Int64(item.modified.nanoseconds))
            }
            try check("utimensat", result)
            if case .link = item.kind { continue }
            try check("chmod", unsafe withCName(name) { unsafe chmod($0, item.mode) })
        }
    }
}

/// What is on disk: one line for each path with everything that counts.
struct DiskTree: Equatable {
    struct Item: Equatable, CustomStringConvertible {
        var kind: Node.Kind
        var mode: UInt32
        var uid: UInt32
        var modified: Node.Time
        var inode: UInt64
        var links: UInt64
        var content: [UInt8]
        var attributes: [UInt8]

        mutating func forgetIdentity() {
            inode = 0
            links = 0
        }

        var description: String {
            "\(kind) \(String(mode, radix: 8)) uid \(uid) time \(modified.seconds).\(modified.nanoseconds) inode \(inode) "
                + "links \(links) \(content.prefix(8))\(attributes)"
        }
    }

    var items: [BytePath: Item] = [:]

    init(_ root: String) throws {
        try read(try Tree.open(root), .root)
        items[.root] = try DiskTree.item(try Tree.open(root), .root, [UInt8(ascii: ".")])
    }

    private mutating func read(_ tree: borrowing Tree, _ path: BytePath) throws {
        for name in try tree.names() {
            let below = path.appending(name)
            guard let item = try DiskTree.item(tree, below, name) else { continue }
            items[below] = item
            if item.kind == .directory {
                try read(try tree.directory(BytePath.root.appending(name)), below)
            }
        }
    }

    private static func item(_ tree: borrowing Tree, _ path: BytePath, _ name: [UInt8]) throws -> Item? {
        guard let node = try tree.child(name) else { return nil }
        var content: [UInt8] = []
        var attributes: [UInt8] = []
        switch node.kind {
        case .link: content = try tree.linkTarget(name)
        case .file:
            let file = try tree.open(BytePath.root.appending(name), O_RDONLY)
            content = try file.readAll(limit: 1 << 30)
            var value = [UInt8](repeating: 0, count: 256)
            let got = unsafe box_get_xattr(file.number, "user.test", &value, value.count)
            if got >= 0 { attributes = [1] + value.prefix(got) }
        default: break
        }
        let links = node.kind == .directory ? 0 : node.links
        return Item(
            kind: node.kind, mode: node.mode, uid: node.uid, modified: node.modified, inode: node.inode,
            links: links, content: content, attributes: attributes)
    }

    /// The first difference to another tree; without `identity`, what a copy does not keep does not count.
    func difference(to other: DiskTree, identity: Bool) -> String? {
        for path in Set(items.keys).union(other.items.keys).sorted() {
            var (mine, others) = (items[path], other.items[path])
            if !identity {
                mine?.forgetIdentity()
                others?.forgetIdentity()
            }
            if mine != others {
                return
                    "\(path.escaped): \(mine?.description ?? "nothing") is \(others?.description ?? "nothing")"
            }
        }
        return nil
    }

    /// The first difference to what an apply of `new` must make of this tree; nil if it is exactly that.
    func difference(afterApplying new: ModelTree, changes: [BytePath], _ now: DiskTree) -> String? {
        let wanted = Set(new.items.keys).union([.root])
        for path in now.items.keys where !wanted.contains(path) { return "\(path.escaped) is too much" }
        for path in wanted.subtracting([.root]) {
            guard let item = now.items[path], let model = new.items[path] else {
                return "\(path.escaped) is missing"
            }
            if case .link = model.kind {
            } else if item.mode != model.mode {
                return "\(path.escaped) has the mode \(String(item.mode, radix: 8))"
            }
            if let old = items[path], !changes.contains(path), old.kind == item.kind {
                var same = old
                // Names may have gone, and other things come into a directory.
                same.links = item.links
                if item.kind == .directory { same.modified = item.modified }
                if same != item { return "\(path.escaped) was touched: \(old) is \(item)" }
                continue
            }
            switch model.kind {
            case .directory:
                if item.kind != .directory { return "\(path.escaped) is no directory" }
                if items[path]?.kind != .directory, item.modified != model.modified {
                    return "\(path.escaped) has another time"
                }
            case .link(let target), .file(let target):
                if item.content != target { return "\(path.escaped) has another content" }
                if item.modified != model.modified { return "\(path.escaped) has another time" }
                if !item.attributes.isEmpty { return "\(path.escaped) has attributes" }
            }
        }
        return nil
    }
}
