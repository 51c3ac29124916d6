package import BoxTypes

/// Named groups of hosts, `@github` in a list of rules: shipped data, read from `groups.toml`.
package struct HostGroups: Equatable, Sendable {
    /// One group.
    package struct Group: Equatable, Sendable {
        /// Without the `@`.
        package let name: String
        /// One line for people.
        package let summary: String
        package let rules: [HostRule]

        package init(name: String, summary: String, rules: [HostRule]) {
            self.name = name
            self.summary = summary
            self.rules = rules
        }
    }

    /// By name, in alphabetical order.
    package let all: [Group]

    /// No groups at all.
    package static let none = HostGroups([])

    package init(_ groups: [Group]) { all = groups.sorted { $0.name < $1.name } }

    package subscript(name: String) -> Group? { all.first { $0.name == name } }

    /// The name in the text of a rule, `@NAME`; nil for a rule of any other kind.
    package static func name(in text: String) -> String? {
        text.hasPrefix("@") ? String(text.dropFirst()) : nil
    }
}

/// Why a text is no rule of a list.
package struct RuleRefusal: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

extension HostGroups {
    /// The rules that a text of a policy means: one, or those of a group.
    package func rules(_ text: String) throws(RuleRefusal) -> [HostRule] {
        guard let name = HostGroups.name(in: text) else {
            do throws(HostRefusal) { return [try HostRule(text)] } catch {
                throw RuleRefusal(error.description)
            }
        }
        if let group = self[name] { return group.rules }
        let near = name.nearest(in: all.map(\.name)).map { ". Did you mean @\($0)?" } ?? ""
        throw RuleRefusal(
            "there is no group @\(name.shortened.escapedForTerminal)\(near) (box policy groups lists them)")
    }

    /// Reads the shipped file: a table `[groups.NAME]` each, with `summary` and `hosts`; all errors together.
    package init(reading bytes: [UInt8], file: String) throws(PolicyErrors) {
        let document: TOMLDocument
        do throws(PolicyError) { document = try TOMLDocument(bytes, file: file) } catch {
            throw PolicyErrors(error)
        }
        guard case .table(let tables)? = document.root["groups"], document.root.count == 1 else {
            throw PolicyErrors(
                PolicyError(file: file, position: nil, problem: .missing("only [groups.NAME]")))
        }
        var reader = GroupReader(file: file, positions: document.positions)
        let groups = tables.sorted { $0.key < $1.key }.compactMap { reader.group($0.key, $0.value) }
        if let errors = PolicyErrors(reader.errors) { throw errors }
        self.init(groups)
    }
}

/// Reads groups and collects what is wrong with them.
private struct GroupReader {
    let file: String
    let positions: [[String]: SourcePosition]
    var errors: [PolicyError] = []

    private mutating func report(_ path: [String], _ text: String) {
        errors.append(
            PolicyError(
                file: file, position: positions[path],
                problem: .badValue(path.prefix(3).joined(separator: "."), text)))
    }

    /// One group; nil if it is not one.
    mutating func group(_ name: String, _ node: TOMLNode) -> HostGroups.Group? {
        let path = ["groups", name]
        guard case .table(let table) = node, case .string(let summary)? = table["summary"],
            case .array(let hosts)? = table["hosts"], table.count == 2, !hosts.isEmpty
        else {
            report(path, "a group has summary and hosts, and nothing else")
            return nil
        }
        if !HostGroups.isName(name) { report(path, "a group's name has only small letters, digits and -") }
        if summary.isEmpty || summary != summary.escapedForTerminal || summary.utf8.count > 200 {
            report(path + ["summary"], "must be one line of at most 200 bytes without control characters")
        }
        var rules: [HostRule] = []
        for (index, host) in hosts.enumerated() {
            let path = path + ["hosts", String(index)]
            guard let rule = rule(host, at: path) else { continue }
            if rules.contains(rule) { report(path, "\(rule.short) is there already") }
            rules.append(rule)
        }
        return HostGroups.Group(name: name, summary: summary, rules: rules)
    }

    private mutating func rule(_ node: TOMLNode, at path: [String]) -> HostRule? {
        guard case .string(let text) = node else {
            report(path, "must be a string, not \(node.kind)")
            return nil
        }
        do throws(HostRefusal) { return try HostRule(text) } catch {
            report(path, error.description)
            return nil
        }
    }
}

extension HostGroups {
    /// Whether a group can be called so: it is typed on the command line, and written without escapes.
    fileprivate static func isName(_ name: String) -> Bool {
        (1...40).contains(name.utf8.count) && !name.hasPrefix("-")
            && name.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte == UInt8(ascii: "-")
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            }
    }
}
