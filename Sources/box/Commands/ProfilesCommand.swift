import ArgumentParser
import BoxPolicy
import BoxSession
import BoxTypes
import Profiles

/// `box profiles [show NAME]`: the agents that can be run by name, the user's own and the shipped ones.
struct ProfilesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profiles", abstract: "List the profiles, or show one.",
        discussion: """
            A file NAME.toml in ~/.config/box/profiles adds an agent, or takes the place of a shipped one; with \
            extends = "NAME" it builds on that.
            """,
        subcommands: [List.self, Show.self],
        defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the profiles.")

        @Flag(help: "Print JSON.")
        var json = false

        func run() throws {
            let places = try Profile.places()
            let names = Set(Shipped.agentNames + places.ownProfiles).sorted()
            var rows = [Profile(name: "base", summary: "the lowest layer of every policy")]
            var broken = false
            for name in names {
                do { rows.append(try Profile(name, places)) } catch let refusal as Refusal {
                    // One mistake does not hide the others.
                    Output.error(refusal.message)
                    broken = true
                }
            }
            if json {
                Output.data(JSONOutput.list(rows.map(\.json)).pretty + "\n")
            } else {
                let width = (rows.map(\.name.count).max() ?? 0) + 2
                for row in rows {
                    let own = row.source == "shipped" ? "" : " (\(row.source))"
                    let pad = String(repeating: " ", count: width - row.name.count)
                    Output.data("\(row.name)\(pad)\(row.summary)\(own)\n".escapedLine)
                }
            }
            if broken { throw CommandStatus(status: 1) }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print a profile with its comments.")

        @Argument(help: "The profile's name.")
        var name: String

        func run() throws {
            if name == "base" { return Output.data(String(decoding: Shipped.base, as: UTF8.self)) }
            let places = try Profile.places()
            do throws(SessionError) {
                if let found = try places.profile(name) {
                    return Output.data(String(decoding: found.bytes, as: UTF8.self))
                }
            } catch { throw Refusal(error) }
            let near =
                name.nearest(in: Shipped.agentNames + places.ownProfiles).map { " Did you mean \($0)?" } ?? ""
            throw Refusal("there is no profile \(name.escapedForTerminal).\(near) See box profiles")
        }
    }
}

/// A line of the list.
private struct Profile {
    let name: String
    var kind = "base"
    var command = ""
    let summary: String
    var source = "shipped"

    init(name: String, summary: String) {
        self.name = name
        self.summary = summary
    }

    /// Reads a profile with what it extends.
    init(_ name: String, _ places: PolicyPlaces) throws {
        var query = PolicySources.Query()
        query.agent = name
        let sources: PolicySources
        do throws(PolicySourceError) { sources = try PolicySources.load(query) } catch {
            throw Refusal(error)
        }
        let agent = sources.policy.agent
        self.name = name
        kind = "agent"
        command =
            agent?.script == nil ? agent?.command.joined(separator: " ") ?? "" : "(a script in the profile)"
        summary = agent?.summary ?? ""
        if places.ownProfiles.contains(name) {
            let path = "\(places.configuration.string)/profiles/\(name).toml"
            source = PolicyPlaces.shown(path, home: places.home)
        }
    }

    static func places() throws -> PolicyPlaces {
        do throws(SessionError) { return try PolicyPlaces() } catch { throw Refusal(error) }
    }

    var json: JSONOutput {
        .object([
            ("name", .text(name)), ("kind", .text(kind)), ("command", .text(command)),
            ("source", .text(source)),
        ])
    }
}

extension String {
    /// The text as one line that a terminal shows as it is.
    fileprivate var escapedLine: String {
        hasSuffix("\n") ? String(dropLast()).escapedForTerminal + "\n" : escapedForTerminal
    }
}
