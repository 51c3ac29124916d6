internal import BoxTypes

/// One thing that a layer would permit and the policy below it does not.
package struct Widening: Hashable, Sendable {
    /// The key, as in a layer's entries: with the element's index, and with a host as rules are shown.
    package let path: [String]
    /// Where the layer says it: the element, or else its list or table; nil for a layer that is no file.
    package let position: SourcePosition?
    /// What it would do, for people: `allow api.example.com`, `limits.memory 8GB (now 4GB)`.
    package let text: String
    /// The file that says it, where that is not plain: a project's policy may extend others.
    package var source = ""
}

// What permits more than what: each key has an order, and a policy is at most as wide as another one if it is
// in every key. Where two values cannot be compared, neither is at most the other, so that in doubt nothing
// is taken.
extension Policy {
    /// Takes from a layer that is not trusted only what tightens; gives back the rest, in the order of its
    /// text.
    ///
    /// What is left here is what holds, also if nothing is given back: what is permitted already is not taken
    /// again. A path below one that is granted may be a link by the time that it is mounted.
    ///
    /// Again with the same layer it changes nothing and gives back the same, but for what a host's table
    /// opens by being more exact than the one that counted so far: it is there then, with the old limits. Two
    /// layers may come in either order, but for tables of hosts of which one's pattern lies within the
    /// other's (the more exact one counts alone, so it matters which was there), and for `only` lists that
    /// have nothing in common (there is no way to say nothing, so the first one stays). `extends` is not
    /// looked at: the layers that it names come one by one.
    ///
    /// - Parameter ram: the machine's memory in bytes, to compare sizes with shares; without it they cannot be.
    package mutating func narrow(by layer: PolicyLayer, ram: Int? = nil) -> [Widening] {
        var wishes = Wishes(positions: layer.positions, isWhole: false)
        network.narrowValues(by: layer.network, &wishes)
        network.narrowRules(by: layer.network, &wishes)
        network.narrowHosts(by: layer.network.hosts, &wishes)
        workspace.narrow(by: layer.workspace, &wishes)
        files.compare(with: layer.files, &wishes)
        environment.compare(with: layer.environment, &wishes)
        limits.narrow(by: layer.limits, ram: ram, &wishes)
        syscalls.narrow(by: layer.syscalls, &wishes)
        protections.compare(with: layer.protections, &wishes)
        audit.narrow(by: layer.audit, &wishes)
        if let agent = layer.agent {
            wishes.note(["agent"], "define the agent \(agent.name ?? "that it names")")
        }
        return wishes.inOrder
    }

    /// What this policy permits that another one does not; empty if it is at most as wide. No positions, and
    /// paths of keys without an element's index.
    ///
    /// Some policies that mean the same are not seen to: a rule that several others cover together, a pattern
    /// of `hide` that others match as well, a path from `~/` and the same one written out.
    package func widenings(over lower: Policy, ram: Int? = nil) -> [Widening] {
        var wishes = Wishes(positions: [:], isWhole: true)
        var lower = lower
        let own = PolicyLayer(allOf: self)
        lower.network.narrowValues(by: own.network, &wishes)
        network.compareRules(over: lower.network, &wishes)
        network.compareHosts(over: lower.network, &wishes)
        lower.workspace.narrowMode(by: own.workspace, &wishes)
        lower.workspace.narrowParts(by: own.workspace, &wishes)
        workspace.compareHidden(over: lower.workspace, &wishes)
        files.compare(over: lower.files, &wishes)
        lower.environment.compare(with: environment, &wishes)
        lower.limits.narrow(by: limits, ram: ram, &wishes)
        lower.syscalls.narrow(by: own.syscalls, &wishes)
        lower.protections.compare(with: protections, &wishes)
        lower.audit.narrow(by: own.audit, &wishes)
        if let agent, agent != lower.agent { wishes.note(["agent"], "define the agent \(agent.name)") }
        return wishes.inOrder
    }
}

extension PolicyLayer {
    /// The single values of a policy as a layer that says them all; `only` without parts is the whole
    /// project.
    fileprivate init(allOf policy: Policy) {
        self.init(name: "policy")
        network.mode = policy.network.mode
        network.limits = policy.network.limits
        network.hold = policy.network.hold
        network.upstreamProxy = policy.network.upstreamProxy
        network.certificates = policy.network.certificates
        network.publish = policy.network.publish
        network.onProxyFailure = policy.network.onProxyFailure
        workspace.mode = policy.workspace.mode
        workspace.only = policy.workspace.only ?? []
        syscalls.profile = policy.syscalls.profile
        audit.level = policy.audit.level
    }
}

/// What is wanted beyond what there is.
struct Wishes {
    private let positions: [[String]: SourcePosition]
    /// A whole policy is compared: what it does not say is not limited, and its lists have no places.
    let isWhole: Bool
    /// How a text names the hosts of its tables, by their names as rules are shown.
    private var hostNames: [String: String] = [:]
    private var found: [Widening] = []

    init(positions: [[String]: SourcePosition], isWhole: Bool) {
        self.positions = positions
        self.isWhole = isWhole
        for path in positions.keys where path.count == 3 && path.starts(with: ["network", "hosts"]) {
            // The reader took it, so it is a host; a layer made otherwise has no positions.
            guard let rule = try? Policy.Network.hostPattern(path[2]) else { continue }
            hostNames[rule.short] = path[2]
        }
    }

    /// Notes what a key would do; `place` is where the text says it, if not at the key.
    mutating func note(_ path: [String], _ text: String, place: [String]? = nil) {
        let wish = Widening(
            path: path, position: position(place ?? path), text: text.escapedForTerminal)
        if !found.contains(wish) { found.append(wish) }
    }

    /// Notes what an element of a list would do.
    mutating func note(_ path: [String], element: Int, _ text: String) {
        note(isWhole ? path : path + [String(element)], text)
    }

    /// The place of a path, or of the nearest one around it that has one.
    private func position(_ path: [String]) -> SourcePosition? {
        var path = path
        if path.count >= 3, path.starts(with: ["network", "hosts"]) {
            path[2] = hostNames[path[2]] ?? path[2]
        }
        while !path.isEmpty {
            if let position = positions[path] { return position }
            path.removeLast()
        }
        return nil
    }

    /// All of them, in the order of the text; what has no place comes last.
    var inOrder: [Widening] {
        found.enumerated().sorted { left, right in
            switch (left.element.position, right.element.position) {
            case (let one?, let two?) where one != two: one < two
            case (_?, nil): true
            case (nil, _?): false
            case (_?, _?), (nil, nil): left.offset < right.offset
            }
        }.map(\.element)
    }

    /// Takes a value that is said, if it permits no more than the one that there is.
    mutating func take<Value>(
        _ wanted: Value?, _ present: inout Value, _ path: [String],
        isAtMost: (Value, Value) -> Bool, text: (Value) -> String
    ) {
        guard let wanted else { return }
        if isAtMost(wanted, present) {
            present = wanted
        } else {
            note(path, "\(Wishes.key(path)) \(text(wanted)) (now \(text(present)))")
        }
    }

    /// The same for a limit, of which nil is none. With `isComplete` one that is not said is wanted to be
    /// none.
    mutating func limit<Value>(
        _ wanted: Value?, _ present: inout Value?, _ path: [String], isComplete: Bool,
        isAtMost: (Value, Value) -> Bool, text: (Value) -> String = { "\($0)" }
    ) {
        guard wanted != nil || isComplete else { return }
        take(
            Optional(wanted), &present, path,
            isAtMost: { wanted, present in
                guard let present else { return true }
                return wanted.map { isAtMost($0, present) } ?? false
            },
            text: { $0.map(text) ?? "unlimited" })
    }

    /// The path as a dotted key.
    private static func key(_ path: [String]) -> String {
        path.map { part in
            let isBare = part.allSatisfy {
                $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-")
            }
            return isBare ? part : "\"\(part)\""
        }.joined(separator: ".")
    }
}
