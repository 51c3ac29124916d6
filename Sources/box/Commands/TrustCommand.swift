import ArgumentParser
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// `box trust`: approve the project's `box.toml`, after showing what it widens.
struct TrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust", abstract: "Agree to what this project's box.toml widens, as it is now.",
        discussion: """
            It shows what the file would open, and asks. The agreement is for this directory and this content: a file that \
            changes is not trusted any more. Exit status: 0 agreed, or nothing to agree to; 1 if you said no.
            """)

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Flag(help: "Take the agreement back.")
    var revoke = false

    @Flag(name: .shortAndLong, help: "Ask nothing.")
    var yes = false

    @Flag(help: "Print what it widens as JSON; changes nothing without --yes or --revoke.")
    var json = false

    func run() throws {
        let directory = try project ?? WorkingDirectory.required()
        let place = try PolicyProject(directory)
        if revoke { return try revokeTrust(place) }
        let sources = try place.sources()
        guard let file = sources.projectFile else {
            throw Refusal(
                "there is no \(PolicySources.projectFileName) in \(place.path.string.escapedForTerminal). box init writes one"
            )
        }
        let isTrusted = if case .missing = sources.trust { false } else { true }
        if json {
            show(sources, isTrusted: isTrusted || yes)
        } else if isTrusted {
            Output.error(
                sources.wishes.isEmpty
                    ? "it widens nothing, so there is nothing to agree to" : "it is trusted already")
        }
        guard !isTrusted else { return }
        if !json { tell(sources) }
        if !yes {
            if json { return }
            guard isatty(0) == 1, isatty(2) == 1 else {
                throw Refusal("there is no terminal to ask on. To agree: box trust --yes")
            }
            Output.raw("box: agree to this? [y/N] ")
            guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else {
                throw CommandStatus(status: 1)
            }
        }
        try place.locked { store throws(SessionError) in
            // What was shown is what is agreed to, whatever became of the file meanwhile.
            store[place.path].digest = file.digest
        }
        place.tellSessions(quiet: json)
        if !json { Output.error("trusted, as it is now. To take it back: box trust --revoke") }
    }

    private func revokeTrust(_ place: PolicyProject) throws {
        var had = false
        try place.locked { store throws(SessionError) in
            had = store[place.path].digest != nil || !store[place.path].own.isEmpty
            store[place.path] = TrustStore.Entry(project: place.path.string)
        }
        place.tellSessions(quiet: json)
        Output.error(had ? "not trusted any more" : "it was not trusted")
    }

    /// The widening as a diff: each line would be added to what holds now.
    private func tell(_ sources: PolicySources) {
        let green = Output.hasColour(1)
        Output.data("\(PolicySources.projectFileName) would add to the policy:\n")
        for wish in sources.wishes {
            let line = wish.position.map { "\($0.line)" } ?? "-"
            // What it extends is said by another file.
            let isOwn = wish.source == PolicySources.projectFileName
            let place = isOwn ? line : "\(wish.source.escapedForTerminal):\(line)"
            let text = "+ \(wish.text)".escapedForTerminal
            let shown = green ? "\u{1B}[32m\(text)\u{1B}[0m" : text
            Output.data("  \(place)\t\(shown)\n")
        }
    }

    private func show(_ sources: PolicySources, isTrusted: Bool) {
        let list = sources.wishes.map { wish in
            JSONOutput.object([
                ("text", .text(wish.text)), ("key", .text(wish.path.joined(separator: "."))),
                ("line", wish.position.map { .number($0.line) } ?? .null), ("source", .text(wish.source)),
            ])
        }
        Output.data(
            JSONOutput.object([
                ("trusted", .bool(isTrusted)), ("digest", .optional(sources.projectFile?.digest)),
                ("widens", .list(list)),
            ]).pretty + "\n")
    }
}
