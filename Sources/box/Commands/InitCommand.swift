import ArgumentParser
import BoxKernel
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// `box init`: writes a commented `box.toml` for the project's language.
struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Write a commented box.toml for this project.")

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    func run() throws {
        let place = try PolicyProject(try project ?? WorkingDirectory.required())
        let languages = ProjectTemplate.Language.detect(names: Set(place.names()))
        let text = Array(ProjectTemplate.text(for: languages).utf8)
        do throws(SessionError) {
            let lock = try PolicyLock(state: place.places.state)
            // Also a link that leads nowhere is something of the user's.
            guard unsafe faccessat(AT_FDCWD, place.file, F_OK, AT_SYMLINK_NOFOLLOW) != 0 else {
                throw SessionError(
                    step: "write \(PolicySources.projectFileName)",
                    reason: "it exists. box allow and an editor change it; box policy show says what holds")
            }
            try PolicyFile.write(
                text, to: place.file, replacing: nil, inPlace: false, name: PolicySources.projectFileName)
            var store = try TrustStore.read(state: place.places.state)
            // What box wrote at the user's word is the user's.
            store[place.path].digest = PolicyFile.digest(of: text)
            try store.write(state: place.places.state)
            lock.release()
        } catch { throw Refusal(error) }
        place.tellSessions()
        let found =
            languages.isEmpty
            ? "no language was recognised" : languages.map(\.rawValue).joined(separator: ", ")
        Output.data("\(PolicySources.projectFileName) written (\(found))\n")
    }
}
