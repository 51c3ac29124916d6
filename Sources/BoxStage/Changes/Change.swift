package import BoxKernel
package import BoxTypes

/// What an agent did to one file, link or directory of a staged tree.
package struct Change: Equatable, Sendable {
    /// The raw values are the format's names.
    package enum Kind: String, Sendable, CaseIterable {
        case added, modified, deleted
        case typeChanged = "type_changed"
        case modeChanged = "mode_changed"
    }

    /// Which staged tree: 0 is the project, the others are git directories that it belongs to.
    package var tree: Int
    package var path: BytePath
    package var kind: Kind
    /// What the agent started from; nil where there was nothing.
    package var old: Node?
    /// What is there now; nil where it is deleted.
    package var new: Node?
    /// Where links point, as bytes.
    package var oldTarget: [UInt8]?
    package var newTarget: [UInt8]?
    /// An added file or directory that is a deleted one under another name.
    package var movedFrom: BytePath?

    package init(
        tree: Int = 0, path: BytePath, kind: Kind, old: Node? = nil, new: Node? = nil,
        oldTarget: [UInt8]? = nil, newTarget: [UInt8]? = nil, movedFrom: BytePath? = nil
    ) {
        self.tree = tree
        self.path = path
        self.kind = kind
        self.old = old
        self.new = new
        self.oldTarget = oldTarget
        self.newTarget = newTarget
        self.movedFrom = movedFrom
    }
}

/// How much attention a change needs before it reaches the host.
package enum Risk: Int, Sendable, Comparable {
    case normal, confirm, blocked

    /// The format's name.
    package var name: String {
        switch self {
        case .normal: "normal"
        case .confirm: "confirm"
        case .blocked: "blocked"
        }
    }

    package static func < (left: Risk, right: Risk) -> Bool { left.rawValue < right.rawValue }
}

/// A risk with the reason for people; the reason of `normal` is empty.
package struct Verdict: Equatable, Sendable {
    package var risk: Risk
    package var reason: String
    /// Never applied, not even by name: devices, FIFOs and sockets.
    package var isUnappliable: Bool
    package init(_ risk: Risk, _ reason: String = "", isUnappliable: Bool = false) {
        self.risk = risk
        self.reason = reason
        self.isUnappliable = isUnappliable
    }
    package static let normal = Verdict(.normal)
}
