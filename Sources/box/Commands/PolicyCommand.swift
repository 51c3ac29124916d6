import ArgumentParser
import BoxPolicy
import BoxSession
import BoxTypes

/// `box policy show|check|explain|groups`: the policy in force, and where it comes from.
struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Show, check and explain the policy that holds here.",
        subcommands: [Show.self, Check.self, ExplainCommand.self, Groups.self], defaultSubcommand: Show.self)

    /// What the subcommands are about.
    struct Subject: ParsableArguments {
        @Option(help: ArgumentHelp("With this agent's profile.", valueName: "name"))
        var agent: String?

        @Option(
            name: [.customShort("C"), .long],
            help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
        var project: String?

        @Option(help: ArgumentHelp("With this policy file of yours above the project's.", valueName: "file"))
        var policy: String?

        @Flag(help: "Print JSON.")
        var json = false

        func place() throws -> PolicyProject { try PolicyProject(try project ?? WorkingDirectory.required()) }

        func sources() throws -> PolicySources {
            var options = OptionValues()
            options.policy = policy
            return try place().sources(agent: agent, options: options)
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print each line that holds, and the file that says it.")

        @OptionGroup var subject: Subject

        func run() throws {
            let sources = try subject.sources()
            let entries = sources.listing.sorted
            if subject.json {
                let list = entries.map { entry in
                    JSONOutput.object([
                        ("key", .text(entry.key)), ("value", .text(entry.value)),
                        ("source", .text(entry.source)),
                        ("line", entry.position.map { .number($0.line) } ?? .null),
                    ])
                }
                let refused: [JSONOutput] =
                    if case .missing(let wishes) = sources.trust { wishes.map { .text($0.text) } } else { [] }
                Output.data(
                    JSONOutput.object([
                        ("digest", .text(sources.digest)), ("lines", .list(list)),
                        ("untrusted", .list(refused)),
                    ]).pretty + "\n")
                return
            }
            let texts = entries.map { "\($0.key) = \($0.value)".escapedForTerminal }
            let width = min(60, texts.map(\.count).max() ?? 0)
            for (entry, text) in zip(entries, texts) {
                let pad = String(repeating: " ", count: max(1, width - text.count + 2))
                Output.data("\(text)\(pad)# \(entry.place.escapedForTerminal)\n")
            }
            TrustNotice.tell(sources)
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Look for mistakes in the policy files, all at once.",
            discussion: "Exit status: 0 if there are none, 1 otherwise.")

        @OptionGroup var subject: Subject

        @Argument(help: ArgumentHelp("Files to check; those that hold here otherwise.", valueName: "file"))
        var files: [String] = []

        func run() throws {
            let place = try subject.place()
            let all = files.isEmpty ? [place.places.userFile, place.file] + place.ownProfiles : files
            var found: [(file: String, errors: [String])] = []
            for file in all {
                let isProject =
                    file == place.file || file.hasSuffix("/" + PolicySources.projectFileName)
                    || file == PolicySources.projectFileName
                guard let errors = place.errors(in: file, isProject: isProject) else {
                    guard files.isEmpty else { throw Refusal("there is no file \(file.escapedForTerminal)") }
                    continue
                }
                found.append((file, errors))
            }
            if files.isEmpty, !found.isEmpty, found.allSatisfy(\.errors.isEmpty) {
                checkParents(&found, place)
            }
            try show(found, place)
        }

        /// Each file may be good, and what it extends not.
        private func checkParents(_ found: inout [(file: String, errors: [String])], _ place: PolicyProject) {
            func errors(_ load: () throws -> PolicySources) -> [String] {
                do {
                    _ = try load()
                    return []
                } catch { return [(error as? Refusal)?.message ?? "\(error)"] }
            }
            let here = errors(subject.sources)
            if let error = here.first {
                let blamed = found.firstIndex { error.hasPrefix(place.name(of: $0.file)) }
                found[blamed ?? 0].errors = here
                return
            }
            for (name, file) in zip(place.places.ownProfiles, place.ownProfiles) {
                guard let index = found.firstIndex(where: { $0.file == file }) else { continue }
                found[index].errors = errors { try place.sources(agent: name) }
            }
        }

        private func show(_ found: [(file: String, errors: [String])], _ place: PolicyProject) throws {
            let bad = found.filter { !$0.errors.isEmpty }
            if subject.json {
                let list = found.map { file, errors in
                    JSONOutput.object([("file", .text(file)), ("errors", .texts(errors))])
                }
                Output.data(JSONOutput.list(list).pretty + "\n")
            } else {
                for (_, errors) in bad { for error in errors { Output.error(error) } }
                for (file, errors) in found where errors.isEmpty {
                    Output.data(
                        "\(PolicyPlaces.shown(file, home: place.places.home).escapedForTerminal): good\n")
                }
                if found.isEmpty { Output.data("there is no policy file here: the shipped policy holds\n") }
            }
            if !bad.isEmpty { throw CommandStatus(status: 1) }
        }
    }

    struct Groups: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "groups", abstract: "List the groups of hosts that box allow @NAME knows.")

        @Flag(help: "Print JSON.")
        var json = false

        @Argument(help: ArgumentHelp("Only these groups, with their hosts.", valueName: "name"))
        var names: [String] = []

        func run() throws {
            let groups: HostGroups
            do throws(PolicyErrors) { groups = try ShippedGroups.read() } catch { throw Refusal(error) }
            let wanted = try names.map { name in
                let plain = HostGroups.name(in: name) ?? name
                guard let group = groups[plain] else {
                    let near = plain.nearest(in: groups.all.map(\.name)).map { " Did you mean @\($0)?" } ?? ""
                    throw Refusal("there is no group @\(plain.escapedForTerminal).\(near)")
                }
                return group
            }
            let shown = names.isEmpty ? groups.all : wanted
            if json {
                let list = shown.map { group in
                    JSONOutput.object([
                        ("name", .text(group.name)), ("summary", .text(group.summary)),
                        ("hosts", .texts(group.rules.map(\.short))),
                    ])
                }
                Output.data(JSONOutput.list(list).pretty + "\n")
                return
            }
            let width = (shown.map(\.name.count).max() ?? 0) + 3
            for group in shown {
                let pad = String(repeating: " ", count: width - group.name.count)
                Output.data("@\(group.name)\(pad)\(group.summary)\n")
                guard !names.isEmpty else { continue }
                for rule in group.rules { Output.data("    \(rule.short)\n") }
            }
        }
    }
}

extension PolicyProject {
    /// The names in the project's directory.
    func names() -> [String] { DirectoryListing.names(of: path.string) }

    /// The paths of the user's own profiles.
    var ownProfiles: [String] {
        places.ownProfiles.map { "\(places.configuration.string)/profiles/\($0).toml" }
    }

    /// What messages call a policy file.
    func name(of path: String) -> String {
        path == file ? PolicySources.projectFileName : PolicyPlaces.shown(path, home: places.home)
    }

    /// What is wrong with a file, each with its place; nil if there is none.
    func errors(in file: String, isProject: Bool) -> [String]? {
        let name = isProject ? PolicySources.projectFileName : name(of: file)
        do throws(SessionError) {
            let kind: PolicyFile.Kind = isProject ? .project(owner: try places.owner(of: path)) : .user
            guard let found = try PolicyFile.read(file, name: name, kind: kind) else { return nil }
            do throws(PolicyErrors) {
                _ = try PolicyReader.read(
                    found.bytes, file: name, isProject: isProject, groups: ShippedGroups.read)
                return []
            } catch { return error.all.map(\.description) }
        } catch { return [error.description] }
    }
}
