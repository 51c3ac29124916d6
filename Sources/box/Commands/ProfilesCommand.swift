import ArgumentParser
import BoxPolicy
import BoxTypes
import Profiles

/// `box profiles [show NAME]`: the shipped profiles.
struct ProfilesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profiles", abstract: "List the profiles, or show one.",
        subcommands: [List.self, Show.self],
        defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the profiles.")

        @Flag(help: "Print JSON.")
        var json = false

        func run() throws {
            var rows: [(name: String, kind: String, command: String, summary: String)] = [
                ("base", "base", "", "the lowest layer of every policy")
            ]
            for name in Shipped.agentNames {
                guard let bytes = Shipped.agent(name) else { continue }
                let layer: PolicyLayer
                do throws(PolicyErrors) { layer = try PolicyReader.read(bytes, file: "\(name).toml") } catch {
                    throw Refusal(error)
                }
                let command = layer.agent?.command?.joined(separator: " ") ?? "(a script in the profile)"
                rows.append((name, "agent", command, layer.agent?.summary ?? ""))
            }
            guard json else {
                for row in rows {
                    let pad = String(repeating: " ", count: max(1, 12 - row.name.count))
                    Output.data("\(row.name)\(pad)\(row.summary)\n")
                }
                return
            }
            let list = rows.map { row in
                JSONOutput.object([
                    ("name", .text(row.name)), ("kind", .text(row.kind)), ("command", .text(row.command)),
                    ("source", .text("shipped")),
                ])
            }
            Output.data(JSONOutput.list(list).pretty + "\n")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print a profile with its comments.")

        @Argument(help: "The profile's name.")
        var name: String

        func run() throws {
            guard let bytes = name == "base" ? Shipped.base : Shipped.agent(name) else {
                throw Refusal("there is no profile \(name.escapedForTerminal). See box profiles")
            }
            Output.data(String(decoding: bytes, as: UTF8.self))
        }
    }
}
