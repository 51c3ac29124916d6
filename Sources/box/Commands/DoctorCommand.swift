import ArgumentParser

/// `box doctor [--prove]`: what this host can enforce.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this host can enforce; --prove really tries the forbidden things.")
}
