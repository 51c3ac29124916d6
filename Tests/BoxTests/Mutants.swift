import Foundation
import Testing

/// The suite is worth what it notices: with any one layer taken away, at least one of its probes goes red.
///
/// Needs `BOX_MUTANT_BIN`, a build of the same sources in which `run --drop-layer NAME` leaves a layer out.
@Suite(.recorded("mutants"), .serialized, .enabled(if: Box.mutant != nil)) struct Mutants {
    /// A layer and the probe that must see that it is gone.
    struct Layer: Sendable, CustomTestStringConvertible {
        let name: String
        /// True while the layer holds; run with no layer dropped first.
        let holds: @Sendable (Box) throws -> Bool
        var testDescription: String { name }
    }

    /// Whether the rows are answered inside as the suite expects.
    private static func rows(_ attempts: [Attempt]) -> @Sendable (Box) throws -> Bool {
        { box in
            let acts = attempts.map { $0.act.replacingOccurrences(of: "{here}", with: box.scratch.project) }
            let answers = try box.probe(acts)
            return zip(attempts, acts).allSatisfy { attempt, act in answers[act].map(attempt.accepts) ?? false
            }
        }
    }

    private static func shell(_ script: String, _ holds: @escaping @Sendable (Outcome) -> Bool)
        -> @Sendable (Box) throws -> Bool
    {
        { box in holds(try box.shell(script)) }
    }

    static let layers: [Layer] = [
        Layer(
            name: "seccomp",
            holds: rows(
                Syscalls.denied.filter { $0.what.hasPrefix("keyctl") || $0.what.hasPrefix("userfaultfd 1") }
                    + Syscalls.io)),
        Layer(name: "landlock", holds: rows(Landlock.table.filter { $0.what == "further layers" })),
        Layer(
            name: "capabilities",
            holds: shell("grep ^Cap /proc/self/status") {
                $0.lines.count == 5 && $0.lines.allSatisfy { $0.hasSuffix("\t0000000000000000") }
            }),
        Layer(
            name: "no-new-privileges",
            holds: shell("grep NoNewPrivs /proc/self/status") { $0.text.hasSuffix("\t1\n") }),
        Layer(
            name: "masks",
            holds: rows(
                Proc.masks.filter {
                    ["/proc/interrupts", "/proc/softirqs", "/proc/kallsyms", "/proc/modules"].contains(
                        $0.what)
                })),
        Layer(
            name: "readonly",
            holds: shell("cat /proc/self/mountinfo") { outcome in
                let mounts = outcome.lines.compactMap(Files.Mount.init)
                return ["/", "/usr"].allSatisfy { target in
                    mounts.last { $0.target == target }?.options.contains("ro") == true
                }
            }),
        Layer(
            name: "devices",
            holds: { box in
                let act = "devices,/dev"
                guard let detail = try box.probe([act])[act]?.detail else { return false }
                return detail.split(separator: " ").allSatisfy {
                    Devices.known.contains(String($0)) || $0.contains("ptmx")
                }
                    && Devices.known.allSatisfy { detail.contains($0) }
            }),
        Layer(
            name: "limits",
            holds: shell("grep -E 'core file' /proc/self/limits; ulimit -Hn; ulimit -Hf") { outcome in
                let words = outcome.lines.first?.split(separator: " ").map(String.init) ?? []
                return words.count > 5 && ["0", "1"].contains(words[5]) && outcome.lines.last != "unlimited"
            }),
        Layer(
            name: "pidns-limit",
            holds: { box in
                let act = "forks,1500"
                return try box.probe([act], options: ["--pids", "400"])[act]?.word == "EAGAIN"
            }),
        Layer(
            name: "environment",
            holds: { box in
                !(try box.run(["/usr/bin/env"], environment: ["GITHUB_TOKEN": "canary"])).text.contains(
                    "canary")
            }),
        Layer(
            name: "descriptors",
            holds: { box in
                let rig = [try Tools.rig.get(), "--descriptor", "77", "--"]
                let outcome = try box.call(
                    ["run"] + box.options + ["--", "/bin/ls", "/proc/self/fd"], rig: rig)
                return outcome.lines == ["0", "1", "2", "3"]
            }),
        Layer(
            name: "control-files",
            holds: { box in
                try box.scratch.write("# policy\n", to: box.scratch.project + "/box.toml")
                try box.scratch.write("[core]\n", to: box.scratch.project + "/.git/config")
                let outcome = try box.shell(
                    "echo x >> box.toml || echo x >> .git/config || echo x > .envrc || echo held")
                return outcome.answer == "held"
            }),
        Layer(
            name: "terminal-filter",
            holds: { box in
                let outcome = try box.start(
                    ["/usr/bin/printf", "\u{1b}]52;c;aGVsbG8=\u{7}end"], options: ["--quiet"],
                    streams: .terminal(rows: 24, columns: 80)
                ).wait()
                return outcome.text.contains("end") && !outcome.text.contains("]52;")
            }),
        Layer(
            name: "proxy-check",
            holds: { box in
                let outcome = try box.shell(
                    "curl -sS -m 10 -o /dev/null -w '%{http_connect}\\n' https://blocked.invalid/")
                return outcome.answer == "403"
            }),
    ]

    @Test(arguments: layers)
    func `a probe goes red when the layer is gone`(_ layer: Layer) throws {
        var box = try Box()
        box.executable = try #require(Box.mutant)
        #expect(try layer.holds(box), "\(layer.name): red with nothing dropped")
        var dropped = try Box()
        dropped.executable = box.executable
        dropped.options += ["--drop-layer", layer.name]
        // The mutant must run: a start that fails would look like a layer that is gone.
        let start = try dropped.run(["/bin/echo", "started"])
        #expect(start.status == 0 && start.text == "started\n", "\(layer.name): \(start)")
        #expect(try !layer.holds(dropped), "\(layer.name) is gone and no probe noticed")
    }
}
