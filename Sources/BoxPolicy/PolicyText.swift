import BoxTypes

/// The text of a policy file, edited in place: comments, order and line endings survive.
///
/// Every edit is read back, and it is taken only if the policy is exactly the old one with (without) the
/// rule.
package struct PolicyText: Equatable, Sendable {
    package private(set) var bytes: [UInt8]
    /// What the text says.
    package private(set) var layer: PolicyLayer
    private let file: String
    private let isProject: Bool
    private let groups: HostGroups

    /// The lists of rules that can be edited.
    package enum List: String, Equatable, Sendable, CaseIterable { case allow, deny }

    /// What an edit did.
    package enum Change: Equatable, Sendable {
        case added
        /// Nothing is written: this rule or group of the list, canonically spelled, says as much or more.
        case presentAs(String)
        /// The texts that were taken out, as they were written.
        case removed([String])
        case absent
    }

    /// Reads a file's bytes, which may be none; what it refuses is what `PolicyReader` refuses.
    package init(
        _ bytes: [UInt8], file: String, isProject: Bool,
        groups: @escaping () throws(PolicyErrors) -> HostGroups
    ) throws(PolicyErrors) {
        self.bytes = bytes
        self.file = file
        self.isProject = isProject
        self.groups = try groups()
        layer = try PolicyText.read(bytes, file, isProject, self.groups)
    }

    private static func read(
        _ bytes: [UInt8], _ file: String, _ isProject: Bool, _ groups: HostGroups
    ) throws(PolicyErrors) -> PolicyLayer {
        try PolicyReader.read(bytes, file: file, isProject: isProject) { () throws(PolicyErrors) in groups }
    }
}

// MARK: - Edits

extension PolicyText {
    /// Adds a rule or a group (`@github`) to a list, canonically spelled; on failure nothing is changed.
    ///
    /// What one text of the list covers already is not written again.
    package mutating func add(_ text: String, to list: List) throws(PolicyEditError) -> Change {
        let new = try element(text)
        let present = layer.network.texts(of: list)
        if let same = present.first(where: { $0.says(new) }) { return .presentAs(same.canonical) }
        if let wider = present.first(where: { $0.covers(new, in: list) }) {
            return .presentAs(wider.canonical)
        }
        let wanted = PolicyEditError.Edit(verb: .add, text: new.canonical, list: list)
        let edited = try edit(wanted).inserting(new.canonical)
        try replace(by: edited, list, present + [new], wanted)
        return .added
    }

    /// Removes every spelling of a rule, or a group's name, from a list; on failure nothing is changed.
    ///
    /// What the list allows or denies by another, wider rule stays.
    package mutating func remove(_ text: String, from list: List) throws(PolicyEditError) -> Change {
        let old = try element(text)
        let wanted = PolicyEditError.Edit(verb: .remove, text: old.canonical, list: list)
        var edited = self
        var removed: [String] = []
        while let at = edited.layer.network.texts(of: list).firstIndex(where: { $0.says(old) }) {
            var remaining = edited.layer.network.texts(of: list)
            remaining.remove(at: at)
            let edit = try edited.edit(wanted)
            removed.append(edited.text(at: at, of: list) ?? old.canonical)
            try edited.replace(by: edit.removing(at: at), list, remaining, wanted)
        }
        guard !removed.isEmpty else { return .absent }
        self = edited
        return .removed(removed)
    }

    /// A rule or group as it is written in a file.
    package func canonical(_ text: String) throws(PolicyEditError) -> String { try element(text).canonical }

    /// What a text of the command line means.
    private func element(_ text: String) throws(PolicyEditError) -> PolicyLayer.RuleText {
        do throws(RuleRefusal) {
            return PolicyLayer.RuleText(
                index: 0, group: HostGroups.name(in: text), rules: try groups.rules(text))
        } catch { throw .rule(error) }
    }

    private func edit(_ wanted: PolicyEditError.Edit) throws(PolicyEditError) -> RuleListEdit {
        do throws(TOMLPositions.Stop) {
            return RuleListEdit(text: bytes, places: try TOMLPositions(bytes), list: wanted.list)
        } catch { throw byHand(wanted, error.message) }
    }

    /// The text of an element as it is written.
    private func text(at index: Int, of list: List) -> String? {
        let document: TOMLDocument
        do throws(PolicyError) { document = try TOMLDocument(bytes, file: file) } catch { return nil }
        guard case .table(let network)? = document.root["network"],
            case .array(let elements)? = network[list.rawValue], elements.indices.contains(index),
            case .string(let text) = elements[index]
        else { return nil }
        return text
    }

    /// Takes the edited text if it says what the old one says, with other texts in the one list.
    private mutating func replace(
        by edited: [UInt8], _ list: List, _ texts: [PolicyLayer.RuleText], _ wanted: PolicyEditError.Edit
    ) throws(PolicyEditError) {
        var expected = layer
        expected.network.replace(list, by: texts)
        expected.positions = [:]
        let now: PolicyLayer
        do throws(PolicyErrors) { now = try PolicyText.read(edited, file, isProject, groups) } catch {
            throw byHand(wanted, error.all.map(\.problem.description).joined(separator: "; "))
        }
        var said = now
        said.positions = [:]
        guard said == expected else { throw byHand(wanted, nil) }
        (bytes, layer) = (edited, now)
    }

    private func byHand(_ wanted: PolicyEditError.Edit, _ reason: String?) -> PolicyEditError {
        let position = layer.positions[wanted.list.path] ?? layer.positions[["network"]]
        return .byHand(wanted, file: file, position: position, reason: reason)
    }
}

/// Why a policy file was not edited.
package enum PolicyEditError: Error, Equatable, CustomStringConvertible {
    /// The text is no rule, or names no group.
    case rule(RuleRefusal)
    /// The text of the file is such that no edit says what it should; the user can do it.
    case byHand(Edit, file: String, position: SourcePosition?, reason: String?)

    /// What was to be done.
    package struct Edit: Equatable, Sendable {
        package enum Verb: String, Equatable, Sendable { case add, remove }
        package let verb: Verb
        /// The rule's canonical spelling.
        package let text: String
        package let list: PolicyText.List
    }

    package var description: String {
        switch self {
        case .rule(let refusal): refusal.description
        case .byHand(let wanted, let file, let position, let reason):
            "\(file.escapedForTerminal)\(position.map { ":\($0)" } ?? ""): cannot be edited safely"
                + (reason.map { " (\($0))" } ?? "") + "; by hand, \(wanted)"
        }
    }
}

extension PolicyEditError.Edit: CustomStringConvertible {
    /// `add "example.com" to the list allow of [network]`
    package var description: String {
        let preposition =
            switch verb {
            case .add: "to"
            case .remove: "from"
            }
        return "\(verb.rawValue) \"\(text)\" \(preposition) the list \(list.rawValue) of [network]"
    }
}

// MARK: - Lists of rules

extension PolicyText.List {
    /// The list's key.
    var path: [String] { ["network", rawValue] }

    /// The other one.
    var sibling: PolicyText.List {
        switch self {
        case .allow: .deny
        case .deny: .allow
        }
    }
}

extension PolicyLayer.Network {
    fileprivate func texts(of list: PolicyText.List) -> [PolicyLayer.RuleText] {
        switch list {
        case .allow: allowTexts
        case .deny: denyTexts
        }
    }

    fileprivate mutating func replace(_ list: PolicyText.List, by texts: [PolicyLayer.RuleText]) {
        let numbered = texts.enumerated().map {
            PolicyLayer.RuleText(index: $0.offset, group: $0.element.group, rules: $0.element.rules)
        }
        switch list {
        case .allow: (allowTexts, allow) = (numbered, numbered.flatMap(\.rules))
        case .deny: (denyTexts, deny) = (numbered, numbered.flatMap(\.rules))
        }
    }
}

extension PolicyLayer.RuleText {
    /// The one spelling that is written: `example.com`, `*.example.com:8443`, `@github`.
    package var canonical: String { group.map { "@\($0)" } ?? rules.map(\.short).joined(separator: " ") }

    /// Whether both name the same group or are the same rule.
    fileprivate func says(_ other: PolicyLayer.RuleText) -> Bool {
        group == other.group && (group != nil || rules == other.rules)
    }

    /// Whether all that the other one matches is matched by one rule of this one.
    fileprivate func covers(_ other: PolicyLayer.RuleText, in list: PolicyText.List) -> Bool {
        other.rules.allSatisfy { rule in
            switch list {
            case .allow: rules.contains { $0.opensAll(of: rule) }
            case .deny: rules.contains { $0.covers(rule) }
            }
        }
    }
}
