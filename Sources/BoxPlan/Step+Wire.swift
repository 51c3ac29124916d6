package import BoxTypes

// The tag of a case is its place in this file; both ends are the same build.
extension Step {
    /// Writes the step for the sandbox's first process.
    package func write(to writer: inout WireWriter) {
        switch self {
        case .becomeUser(let uid, let gid):
            writer.write(UInt8(0))
            writer.write(Int(uid))
            writer.write(Int(gid))
        case .makeMountsPrivate: writer.write(UInt8(1))
        case .mountRoot(let bytes, let inodes):
            writer.write(UInt8(2))
            writer.write(bytes)
            writer.write(inodes)
        case .directory(let path, let mode):
            writer.write(UInt8(3), path)
            writer.write(Int(mode))
        case .link(let path, let target):
            writer.write(UInt8(4), path)
            writer.write(target)
        case .file(let path, let content):
            writer.write(UInt8(5), path)
            writer.write(content)
        case .temporary(let path, let temporary):
            writer.write(UInt8(6), path)
            temporary.write(to: &writer)
        case .bind(let bind):
            writer.write(UInt8(7))
            bind.write(to: &writer)
        case .readOnly(let path): writer.write(UInt8(8), path)
        case .pin(let path): writer.write(UInt8(9), path)
        case .mask(let path): writer.write(UInt8(10), path)
        case .device(let name, let major, let minor):
            writer.write(UInt8(11))
            writer.write(name)
            writer.write(Int(major))
            writer.write(Int(minor))
        case .pseudoterminals: writer.write(UInt8(12))
        case .messageQueues: writer.write(UInt8(13))
        case .processes: writer.write(UInt8(14))
        case .enterRoot: writer.write(UInt8(15))
        case .setting(let name, let value):
            writer.write(UInt8(16))
            writer.write(name)
            writer.write(value)
        case .hostname(let name):
            writer.write(UInt8(17))
            writer.write(name)
        case .loopback: writer.write(UInt8(18))
        case .listen(let listener):
            writer.write(UInt8(19))
            listener.write(to: &writer)
        case .sealRoot: writer.write(UInt8(20))
        case .limit(let limit, let bounds):
            writer.write(UInt8(21))
            writer.write(limit.rawValue)
            writer.write(bounds.soft)
            writer.write(bounds.hard)
        case .dropCapabilities: writer.write(UInt8(22))
        case .noNewPrivileges: writer.write(UInt8(23))
        case .landlock(let handled, let scopes, let rules):
            writer.write(UInt8(24))
            writer.write(handled.rawValue)
            writer.write(scopes.rawValue)
            writer.write(rules) { writer, rule in
                writer.write(rule.path.string)
                writer.write(rule.access.rawValue)
            }
        case .seccomp(let profile, let program, let listens):
            writer.write(UInt8(25))
            writer.write(profile)
            writer.write(program)
            writer.write(listens.rawValue)
        case .route(let network):
            writer.write(UInt8(26))
            writer.write(network)
        case .unconnected(let count):
            writer.write(UInt8(27))
            writer.write(count)
        case .substitute(let path, let other):
            writer.write(UInt8(28), path)
            writer.write(other.string)
        case .overlay(let overlay):
            writer.write(UInt8(29))
            overlay.write(to: &writer)
        }
    }

    /// Reads a step; throws on anything that no writer makes.
    package init(from reader: inout WireReader) throws(WireError) {
        let tag = try reader.byte()
        switch tag {
        case 0: self = .becomeUser(uid: try reader.uint32(), gid: try reader.uint32())
        case 1: self = .makeMountsPrivate
        case 2: self = .mountRoot(bytes: try reader.int(), inodes: try reader.int())
        case 3: self = .directory(try reader.path(), mode: try reader.uint32())
        case 4: self = .link(try reader.path(), to: try reader.string())
        case 5: self = .file(try reader.path(), content: try reader.string())
        case 6: self = .temporary(try reader.path(), try Temporary(from: &reader))
        case 7: self = .bind(try Bind(from: &reader))
        case 8: self = .readOnly(try reader.path())
        case 9: self = .pin(try reader.path())
        case 10: self = .mask(try reader.path())
        case 11:
            self = .device(
                name: try reader.string(), major: try reader.uint32(), minor: try reader.uint32())
        case 12: self = .pseudoterminals
        case 13: self = .messageQueues
        case 14: self = .processes
        default: self = try Step.late(tag, from: &reader)
        }
    }

    private static func late(_ tag: UInt8, from reader: inout WireReader) throws(WireError) -> Step {
        switch tag {
        case 15: return .enterRoot
        case 16: return .setting(try reader.string(), value: try reader.string())
        case 17: return .hostname(try reader.string())
        case 18: return .loopback
        case 19: return .listen(try DoorListener(from: &reader))
        case 20: return .sealRoot
        case 21:
            let name = try reader.string()
            guard let limit = ResourceLimit(rawValue: name) else { throw reader.malformed("limit \(name)") }
            return .limit(
                limit, ResourceBounds(soft: try reader.unsigned(), hard: try reader.unsigned()))
        case 22: return .dropCapabilities
        case 23: return .noNewPrivileges
        case 24:
            return .landlock(
                handled: LandlockAccess(rawValue: try reader.unsigned()),
                scopes: LandlockScope(rawValue: try reader.unsigned()),
                rules: try reader.list { (reader: inout WireReader) throws(WireError) -> LandlockRule in
                    LandlockRule(
                        path: try reader.path(), access: LandlockAccess(rawValue: try reader.unsigned()))
                })
        case 25:
            return .seccomp(
                profile: try reader.string(), program: try reader.data(),
                listens: ListenedCalls(rawValue: try reader.byte()))
        case 26: return .route(try reader.network())
        case 27:
            let count = try reader.int()
            guard (0...DoorOpening.mostUnconnected).contains(count) else { throw reader.malformed("count") }
            return .unconnected(count: count)
        case 28: return .substitute(try reader.path(), by: try reader.path())
        case 29: return .overlay(try Overlay(from: &reader))
        default: throw reader.malformed("step \(tag)")
        }
    }
}

extension WireWriter {
    fileprivate mutating func write(_ tag: UInt8, _ path: AbsolutePath) {
        write(tag)
        write(path.string)
    }
}

extension WireReader {
    /// Reads a path; one that is not absolute and normal is malformed.
    package mutating func path() throws(WireError) -> AbsolutePath {
        let text = try string()
        do throws(AbsolutePath.Refusal) { return try AbsolutePath(text) } catch { throw malformed("path") }
    }
}

extension Step.Temporary {
    fileprivate func write(to writer: inout WireWriter) {
        writer.write(bytes)
        writer.write(inodes)
        writer.write(Int(mode))
        writer.write(executable)
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        bytes = try reader.int()
        inodes = try reader.int()
        mode = try reader.uint32()
        executable = try reader.bool()
    }
}

extension Step.Overlay {
    fileprivate func write(to writer: inout WireWriter) {
        for path in [target, lower, stage] { writer.write(path.string) }
        writer.write(identity.device)
        writer.write(identity.inode)
        writer.write(hides)
        writer.write(owner) { writer, owner in
            writer.write(Int(owner.uid))
            writer.write(Int(owner.gid))
        }
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        target = try reader.path()
        lower = try reader.path()
        stage = try reader.path()
        identity = Step.Identity(device: try reader.unsigned(), inode: try reader.unsigned())
        hides = try reader.bool()
        owner = try reader.optional { (reader: inout WireReader) throws(WireError) -> Step.Owner in
            Step.Owner(uid: try reader.uint32(), gid: try reader.uint32())
        }
    }
}

extension Step.Bind {
    fileprivate func write(to writer: inout WireWriter) {
        switch source {
        case .path(let path):
            writer.write(UInt8(0))
            writer.write(path.string)
        case .prepared(let path, let uid, let gid):
            writer.write(UInt8(1))
            writer.write(path.string)
            writer.write(Int(uid))
            writer.write(Int(gid))
        case .opened(let path):
            writer.write(UInt8(2))
            writer.write(path.string)
        }
        writer.write(target.string)
        writer.write(writable)
        writer.write(executable)
        writer.write(isDirectory)
        writer.write(identity) { writer, identity in
            writer.write(identity.device)
            writer.write(identity.inode)
        }
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        switch try reader.byte() {
        case 0: source = .path(try reader.path())
        case 1:
            source = .prepared(
                try reader.path(), ownerUID: try reader.uint32(), ownerGID: try reader.uint32())
        case 2: source = .opened(try reader.path())
        default: throw reader.malformed("bind source")
        }
        target = try reader.path()
        writable = try reader.bool()
        executable = try reader.bool()
        isDirectory = try reader.bool()
        identity = try reader.optional { (reader: inout WireReader) throws(WireError) -> Step.Identity in
            Step.Identity(device: try reader.unsigned(), inode: try reader.unsigned())
        }
    }
}
