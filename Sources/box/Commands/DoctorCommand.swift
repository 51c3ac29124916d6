import ArgumentParser
import BoxInit
import BoxPolicy
import BoxSession
import BoxTypes

/// `box doctor [--prove]`: what this host can enforce.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this host can enforce; --prove really tries the forbidden things.")

    @Flag(help: "Really try the forbidden things, inside a sandbox and as a control without one.")
    var prove = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let policy: Policy
        do throws(PolicySourceError) { policy = try PolicySources.base() } catch { throw Refusal(error) }
        let report: DoctorReport
        do throws(SessionError) {
            let doctor = try Doctor(policy: policy, entry: Init.entry)
            report = prove ? try doctor.prove() : try doctor.examine()
        } catch { throw Refusal(error) }
        Output.data(json ? report.json.pretty + "\n" : report.text(colour: Output.hasColour(1)))
        if !report.ok { throw CommandStatus(status: 1) }
    }
}
