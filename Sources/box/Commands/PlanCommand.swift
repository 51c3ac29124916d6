import ArgumentParser
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes

/// `box plan …`: what `box run` with the same arguments would do.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Print what box run with the same arguments would do. Starts nothing.",
        usage: "box plan [OPTIONS] AGENT [ARG…]\nbox plan [OPTIONS] -- COMMAND [ARG…]")

    @OptionGroup var options: SandboxOptions

    @Flag(help: "Print JSON.")
    var json = false

    /// The agent's name, or `--` and a command, with everything after it; not the parser's to understand.
    var words: [String] = []

    private enum CodingKeys: String, CodingKey { case options, json }

    func run() throws {
        let request = try Request(options.values, words: words, session: options.name ?? "SESSION")
        do throws(SessionError) {
            // A profile that cannot be loaded is a mistake of the plan, too.
            let profile = request.policy.syscalls.profile
            let source = try FilterCache.source(of: profile, home: request.facts.user.home)
            _ = try FilterCache.compile(
                source, name: profile, listens: request.plan.listens, kernel: request.facts.kernel)
        } catch { throw Refusal(error) }
        Output.data(json ? request.plan.json.pretty + "\n" : request.plan.text)
    }
}
