import BoxKernel
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// `box run --learn`: everything stays refused as it is, and at the end box says which policy would have allowed it.
struct Learning {
    /// Where the proposal goes; nil for standard error alone.
    private let file: String?

    /// nil: nothing is to be learned. Refuses before anything runs what could not be done at the end.
    init?(_ options: OptionValues, hasNetwork: Bool) throws {
        guard options.learn || options.learnTo != nil else { return nil }
        guard hasNetwork else {
            throw Refusal("--learn is about the network, and there is none (--net none)")
        }
        file = options.learnTo
        if let file {
            guard !file.isEmpty else { throw Refusal("--learn-to: the path is empty") }
            guard unsafe access(file, F_OK) != 0 else { throw Refusal(Learning.exists(file)) }
        }
    }

    private static func exists(_ file: String) -> String {
        "--learn-to \(file.escapedForTerminal): the file is there already, and is not overwritten"
    }

    /// Says what would have opened what was refused in a session, by the policy that it ran with. The command's own
    /// status stays what it is, whatever goes wrong here.
    func tell(session: String, sources: PolicySources) {
        var requests = RefusedRequests()
        do throws(SessionError) { try requests.add(log: try RecordedSession.named(session).log) } catch {
            return Output.error("\(error)")
        }
        do throws(PolicyErrors) {
            let learned = LearnedPolicy(
                requests.all, sources.remedies, groups: try ShippedGroups.read())
            guard !learned.isEmpty else {
                return Output.error("nothing was refused that the policy does not allow")
            }
            let text = learned.text
            // What is proposed must be a policy.
            _ = try PolicyReader.read(
                Array(text.utf8), file: PolicySources.projectFileName, isProject: true,
                groups: ShippedGroups.read)
            give(text, learned)
        } catch { Output.error("no policy can be proposed: \(error)") }
    }

    private func give(_ text: String, _ learned: LearnedPolicy) {
        if let file, write(text, to: file) {
            Output.error(
                "what would have allowed it is in \(file.escapedForTerminal). Read it before you use it")
        } else {
            Output.error("what would have allowed it, as box.toml. Read it before you use it:")
            Output.raw("\n\(text)\n")
        }
        if !learned.rules.isEmpty, learned.rules.count <= 20 {
            let words = learned.rules.map(\.quotedForShell).joined(separator: " ")
            Output.error("to add it to the project's policy: box allow \(words)")
        }
        Output.error(
            "then run it again: what a program asks for after a refusal is not known yet. Two or three runs find most"
        )
    }

    /// Writes a new file; false where it has come into being meanwhile: then it is shown, so that nothing is lost.
    private func write(_ text: String, to file: String) -> Bool {
        do throws(KernelError) {
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            try Descriptor.open(file, flags, mode: 0o644).write(all: Array(text.utf8))
        } catch {
            let why = error.code == EEXIST ? Learning.exists(file) : "--learn-to: \(error)"
            Output.error(why)
            return false
        }
        return true
    }
}
