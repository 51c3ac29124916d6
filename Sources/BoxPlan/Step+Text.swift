package import BoxTypes

/// What people and programs read of a step: its name and its fields, in order.
extension Step {
    /// The step's name in `box plan`.
    package var name: String {
        switch self {
        case .becomeUser: "become-user"
        case .makeMountsPrivate: "make-mounts-private"
        case .mountRoot: "mount-root"
        case .directory: "directory"
        case .link: "link"
        case .file: "file"
        case .temporary: "temporary"
        case .bind: "bind"
        case .overlay: "overlay"
        case .readOnly: "read-only"
        case .pin: "pin"
        case .mask: "mask"
        case .device: "device"
        case .pseudoterminals: "pseudoterminals"
        case .messageQueues: "message-queues"
        case .processes: "processes"
        case .enterRoot: "enter-root"
        case .setting: "setting"
        case .hostname: "hostname"
        case .loopback: "loopback"
        case .route: "route"
        case .listen: "listen"
        case .unconnected: "unconnected"
        case .substitute: "substitute"
        case .sealRoot: "seal-root"
        case .limit: "limit"
        case .dropCapabilities: "drop-capabilities"
        case .noNewPrivileges: "no-new-privileges"
        case .landlock: "landlock"
        case .seccomp: "seccomp"
        }
    }

    /// The step's fields.
    package var fields: [(String, JSONOutput)] {
        switch self {
        case .makeMountsPrivate, .pseudoterminals, .messageQueues, .processes, .enterRoot, .loopback,
            .sealRoot,
            .dropCapabilities, .noNewPrivileges:
            []
        case .becomeUser(let uid, let gid): [("uid", .number(Int(uid))), ("gid", .number(Int(gid)))]
        case .mountRoot(let bytes, let inodes): [("bytes", .number(bytes)), ("inodes", .number(inodes))]
        case .directory(let path, let mode): [("target", .text(path.string)), ("mode", Step.octal(mode))]
        case .link(let path, let target): [("target", .text(path.string)), ("to", .text(target))]
        case .file(let path, let content):
            [("target", .text(path.string)), ("bytes", .number(content.utf8.count))]
        case .temporary(let path, let bounds):
            [
                ("target", .text(path.string)), ("bytes", .number(bounds.bytes)),
                ("inodes", .number(bounds.inodes)), ("mode", Step.octal(bounds.mode)),
                ("executable", .bool(bounds.executable)),
            ]
        case .bind(let bind): bind.fields
        case .overlay(let overlay): overlay.fields
        case .readOnly(let path), .pin(let path), .mask(let path): [("target", .text(path.string))]
        case .device(let name, let major, let minor):
            [("target", .text("/dev/" + name)), ("number", .text("\(major):\(minor)"))]
        case .setting(let name, let value): [("name", .text(name)), ("value", .text(value))]
        case .hostname(let name): [("name", .text(name))]
        case .route(let network): [("local", .text(network.description))]
        case .listen(let listener):
            [
                ("for", .text(listener.kind.name)), ("address", .text(listener.address.description)),
                ("port", .number(Int(listener.port.number))),
            ]
        case .unconnected(let count): [("count", .number(count))]
        case .substitute(let path, let other): [("target", .text(path.string)), ("by", .text(other.string))]
        case .limit(let limit, let bounds):
            [
                ("name", .text(limit.rawValue)), ("soft", Step.bound(bounds.soft)),
                ("hard", Step.bound(bounds.hard)),
            ]
        case .landlock(let handled, let scopes, let rules):
            [
                ("handled", .texts(handled.names)), ("scopes", .texts(scopes.names)),
                (
                    "rules",
                    .list(
                        rules.map {
                            .object([
                                ("path", .text($0.path.string)), ("access", .texts($0.access.names)),
                            ])
                        })
                ),
            ]
        case .seccomp(let profile, _, let listens):
            [("profile", .text(profile)), ("listens", .texts(listens.names))]
        }
    }

    private static func octal(_ mode: UInt32) -> JSONOutput { .text("0" + String(mode, radix: 8)) }

    private static func bound(_ value: UInt64) -> JSONOutput {
        Int(exactly: value).map { .number($0) } ?? .text("unlimited")
    }
}

extension Step.Overlay {
    fileprivate var fields: [(String, JSONOutput)] {
        var all: [(String, JSONOutput)] = [("source", .text(lower.string))]
        if let owner { all.append(("owner", .text("\(owner.uid):\(owner.gid)"))) }
        all += [
            ("target", .text(target.string)), ("stage", .text(stage.string)), ("hides", .bool(hides)),
            ("executable", .bool(true)),
        ]
        return all
    }
}

extension Step.Bind {
    fileprivate var fields: [(String, JSONOutput)] {
        var all: [(String, JSONOutput)] = []
        switch source {
        case .path(let path): all.append(("source", .text(path.string)))
        case .prepared(let path, let uid, let gid):
            all.append(("source", .text(path.string)))
            all.append(("owner", .text("\(uid):\(gid)")))
        case .opened(let path): all.append(("source", .text(path.string)))
        }
        all.append(("target", .text(target.string)))
        all.append(("writable", .bool(writable)))
        all.append(("executable", .bool(executable)))
        return all
    }
}
