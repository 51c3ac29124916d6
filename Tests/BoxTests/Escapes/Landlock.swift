import Foundation
import Testing

/// Area LL: Landlock.
@Suite(.recorded("LL")) struct Landlock {
    static let table: [Attempt] = [
        Attempt(
            "LL-10", "further layers", "layers",
            .answer("1 to 15, then E2BIG") { $0.word == "E2BIG" && (1...15).contains($0.result ?? 0) },
            .outside),
        Attempt(
            "LL-03", "truncation of a read-only file", "call,truncate,@{readable}/file,0", "EACCES", "EROFS",
            control: .outside),
        Attempt(
            "LL-03", "O_TRUNC of a read-only file", "open,{readable}/file,t", "EACCES", "EROFS",
            control: .outside),
        Attempt(
            "LL-05", "an ioctl of a device outside the list", "call,ioctl,%/dev/urandom,0x80045200,*8",
            "EACCES",
            control: .outside),
        Attempt("LL-05", "the size of one's own terminal", "pty-ioctl,0x5413,0", .works, .outside),
        Attempt("LL-09", "mount of a tmpfs", "call,mount,@none,@/tmp,@tmpfs,0,0", "EPERM"),
    ]
    static let sweep = Sweep(
        table, options: { ["--read", $0["readable"] ?? "/"] },
        prepare: { scratch in
            try scratch.write("content", to: scratch.root + "/readable/file", mode: 0o666)
            return ["readable": scratch.root + "/readable"]
        })

    @Test(arguments: table)
    func `Landlock repeats what the mounts say`(_ attempt: Attempt) throws {
        try Landlock.sweep.check(attempt)
    }

    static func abi() throws -> Int {
        let act = "call,landlock_create_ruleset,0,0,1"
        return try Answer.parse(try Host.run([try Tools.probe.get(), act]), acts: [act])[act]?.result ?? 0
    }

    @Test func `the doctor reports the kernel's Landlock`() throws {
        row("LL-01")
        let abi = try Landlock.abi()
        let doctor = try Doctor.read(try Box())
        for (name, least) in [
            ("landlock", 1), ("landlock-refer", 2), ("landlock-truncate", 3), ("landlock-ioctl", 5),
            ("landlock-scope", 6),
        ] {
            let protection = try #require(
                doctor.protections.first { $0.name == name }, "\(name) is not reported")
            #expect(protection.state == (abi >= least ? "enforced" : "missing"), "\(name) at ABI \(abi)")
        }
    }

    @Test(arguments: ["38", "95"])
    func `without Landlock nothing runs unless the policy accepts it by name`(_ error: String) throws {
        row("LL-01")
        let box = try Box()
        let rig = [try Tools.rig.get(), "--deny", "landlock_create_ruleset=\(error)", "--"]
        let mark = box.scratch.project + "/started"
        let refused = try box.run(["/bin/sh", "-c", "echo started > \(mark)"], rig: rig)
        #expect(refused.status == 125, "\(refused)")
        #expect(refused.errors.lowercased().contains("landlock"), "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: mark))
        let names = ["landlock", "landlock-refer", "landlock-truncate", "landlock-ioctl", "landlock-scope"]
        let accepted = try box.run(
            ["/bin/sh", "-c", "echo started > \(mark)"], options: names.flatMap { ["--accept", $0] }, rig: rig
        )
        #expect(accepted.status == 0, "\(accepted)")
        #expect(FileManager.default.fileExists(atPath: mark))
    }
}

/// `box doctor --json`.
struct Doctor: Decodable {
    struct Protection: Decodable {
        var name: String
        var state: String
        var detail: String?
        var fix: String?
    }
    struct Probe: Decodable {
        var id: String
        var attempt: String
        var expected: String
        var observed: String
        var passed: Bool
        /// Why it proves nothing here, if so.
        var skipped: String?
    }
    var ok: Bool
    var protections: [Protection]
    var probes: [Probe]?

    static func read(_ box: Box, _ more: [String] = []) throws -> Doctor {
        let outcome = try box.call(["doctor", "--json"] + more)
        do {
            return try JSONDecoder().decode(Doctor.self, from: Data(outcome.out))
        } catch {
            throw HarnessError(description: "doctor: \(error); \(outcome)")
        }
    }

    func enforces(_ name: String) -> Bool {
        protections.contains { $0.name == name && $0.state == "enforced" }
    }
}
