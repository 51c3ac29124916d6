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
            "there is no group @\(name.escapedForTerminal)\(near) (box policy groups lists them)")
    }

    /// Reads the shipped file: a table `[groups.NAME]` each, with `summary` and `hosts`.
    package init(reading bytes: [UInt8], file: String) throws(PolicyErrors) {
        let document: TOMLDocument
        do throws(PolicyError) { document = try TOMLDocument(bytes, file: file) } catch {
            throw PolicyErrors(error)
        }
        var errors: [PolicyError] = []
        var groups: [Group] = []
        func report(_ text: String, _ path: [String]) {
            errors.append(
                PolicyError(file: file, position: document.positions[path], problem: .missing(text)))
        }
        guard case .table(let tables)? = document.root["groups"], document.root.count == 1 else {
            throw PolicyErrors(
                PolicyError(file: file, position: nil, problem: .missing("only [groups.NAME]")))
        }
        for (name, node) in tables.sorted(by: { $0.key < $1.key }) {
            let path = ["groups", name]
            guard case .table(let table) = node, case .string(let summary)? = table["summary"],
                case .array(let hosts)? = table["hosts"], table.count == 2
            else {
                report("[groups.\(name)] has summary and hosts", path)
                continue
            }
            var rules: [HostRule] = []
            for (index, host) in hosts.enumerated() {
                do throws(HostRefusal) {
                    guard case .string(let text) = host else { continue }
                    rules.append(try HostRule(text))
                } catch { report(error.description, path + ["hosts", String(index)]) }
            }
            if rules.count != hosts.count { report("hosts are texts", path) }
            groups.append(Group(name: name, summary: summary, rules: rules))
        }
        if let errors = PolicyErrors(errors) { throw errors }
        self.init(groups)
    }
}
