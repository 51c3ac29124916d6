import BoxPlan
import BoxSession
import BoxTypes
import Glibc
import Testing

/// The doctor's report, put together from answers.
struct DoctorTests {
    /// Every protection is enforced.
    static let enforced = Protection.allCases.map { Plan.ProtectionState($0, .enforced, detail: "how") }

    /// What a sandbox shows in which nothing works.
    static let inside: [Probe: ProbeAnswer] = Dictionary(
        uniqueKeysWithValues: ProbeTable.rows.map {
            ($0.probe, ProbeAnswer($0.probe, observed: $0.expected[0]))
        })

    /// What a host shows on which everything works.
    static let controls: [Probe: ProbeAnswer] = Dictionary(
        uniqueKeysWithValues: ProbeTable.rows.map { ($0.probe, ProbeAnswer($0.probe, observed: "succeeded")) }
    )

    static func verdict(
        _ probe: Probe, inside: ProbeAnswer?, control: ProbeAnswer?,
        protections: [Plan.ProtectionState] = enforced
    ) throws -> DoctorReport.ProbeResult.Verdict {
        var (inner, outer) = (Self.inside, Self.controls)
        inner[probe] = inside
        outer[probe] = control
        let results = DoctorReport.join(inside: inner, controls: outer, protections: protections)
        return try #require(results.first { $0.row.probe == probe }).verdict
    }

    // MARK: - The table

    @Test func `every probe has exactly one row`() {
        #expect(ProbeTable.rows.map(\.probe).count == Probe.allCases.count)
        #expect(Set(ProbeTable.rows.map(\.probe)) == Set(Probe.allCases))
        for row in ProbeTable.rows {
            #expect(!row.expected.isEmpty && !row.attempt.isEmpty)
            // What succeeded inside would else pass as refused.
            #expect(!row.expected.contains("succeeded"))
            #expect(row.id.split(separator: "-").count == 2)
        }
    }

    // MARK: - The verdicts

    @Test func `what is refused inside and works without box has passed`() {
        let results = DoctorReport.join(
            inside: Self.inside, controls: Self.controls, protections: Self.enforced)
        #expect(results.count == ProbeTable.rows.count)
        #expect(results.allSatisfy { $0.verdict == .passed })
    }

    @Test(arguments: Probe.allCases)
    func `what works inside has failed whatever the control says`(_ probe: Probe) throws {
        let worked = ProbeAnswer(probe, observed: "succeeded")
        for control in [
            ProbeAnswer(probe, observed: "succeeded"), ProbeAnswer(probe, observed: "EPERM"),
            ProbeAnswer(probe, observed: "unshare: EPERM", isBroken: true), nil,
        ] {
            #expect(try Self.verdict(probe, inside: worked, control: control) == .failed)
        }
    }

    @Test(arguments: Probe.allCases)
    func `another answer than the expected one has failed`(_ probe: Probe) throws {
        let control = ProbeAnswer(probe, observed: "succeeded")
        let other = ProbeAnswer(probe, observed: "ECHILD")
        #expect(try Self.verdict(probe, inside: other, control: control) == .failed)
        #expect(try Self.verdict(probe, inside: nil, control: control) == .failed)
        let expected = try #require(Self.inside[probe]).observed
        let broken = ProbeAnswer(probe, observed: expected, isBroken: true)
        #expect(try Self.verdict(probe, inside: broken, control: control) == .failed)
    }

    @Test(arguments: ProbeTable.rows.map(\.probe))
    func `without a control that works nothing is proven`(_ probe: Probe) throws {
        let good = Self.inside[probe]
        let same = try #require(good).observed
        let skipped: [(ProbeAnswer?, String)] = [
            (nil, "no control: it gave no answer"),
            (ProbeAnswer(probe, observed: "unshare: EPERM", isBroken: true), "no control: unshare: EPERM"),
            (ProbeAnswer(probe, observed: same), "no control: \(same) without box, too"),
        ]
        for (control, reason) in skipped {
            #expect(try Self.verdict(probe, inside: good, control: control) == .skipped(reason))
        }
    }

    @Test func `a call that must work outside is no control if it fails there in any way`() throws {
        let mount = ProbeAnswer(.mount, observed: "EBUSY")
        #expect(
            try Self.verdict(.mount, inside: Self.inside[.mount], control: mount)
                == .skipped("no control: EBUSY without box, too"))
        // Its arguments are bad on purpose: the kernel's own error shows that the filter was not in the way.
        let bpf = ProbeAnswer(.bpf, observed: "EINVAL")
        #expect(try Self.verdict(.bpf, inside: Self.inside[.bpf], control: bpf) == .passed)
    }

    @Test func `a probe of a missing protection is skipped by name`() throws {
        var protections = Self.enforced.filter { $0.protection != .landlockIoctl }
        let worked = ProbeAnswer(.landlockIoctl, observed: "succeeded")
        #expect(
            try Self.verdict(.landlockIoctl, inside: worked, control: worked, protections: protections)
                == .skipped("landlock-ioctl does not apply here"))
        protections.append(
            Plan.ProtectionState(.landlockIoctl, .accepted, detail: "old kernel", fix: "new one"))
        #expect(
            try Self.verdict(.landlockIoctl, inside: worked, control: worked, protections: protections)
                == .skipped("landlock-ioctl is missing"))
    }

    // MARK: - The whole

    @Test func `the report is in order only if nothing is missing unaccepted and nothing failed`() {
        let passed = DoctorReport.join(
            inside: Self.inside, controls: Self.controls, protections: Self.enforced)
        var inside = Self.inside
        inside[.bpf] = ProbeAnswer(.bpf, observed: "succeeded")
        let failed = DoctorReport.join(inside: inside, controls: Self.controls, protections: Self.enforced)
        let skipped = DoctorReport.join(inside: Self.inside, controls: [:], protections: Self.enforced)
        let missing = [Plan.ProtectionState(.seccomp, .missing, detail: "why", fix: "do")]
        let accepted = [Plan.ProtectionState(.seccomp, .accepted, detail: "why", fix: "do")]
        #expect(DoctorReport(protections: Self.enforced).ok)
        #expect(DoctorReport(protections: Self.enforced, probes: passed).ok)
        #expect(DoctorReport(protections: Self.enforced, probes: skipped).ok)
        #expect(DoctorReport(protections: accepted).ok)
        #expect(!DoctorReport(protections: missing).ok)
        #expect(!DoctorReport(protections: Self.enforced, probes: failed).ok)
        #expect(!DoctorReport(protections: Self.enforced, failure: "no sandbox").ok)
    }

    @Test func `the JSON has the fields that others rely on`() {
        let row = ProbeTable.rows[0]
        let report = DoctorReport(
            protections: [
                Plan.ProtectionState(.seccomp, .enforced, detail: "profile default"),
                Plan.ProtectionState(.memoryLimit, .accepted, detail: "why", fix: "do"),
            ],
            probes: [
                DoctorReport.ProbeResult(
                    row: row, observed: "the host's root", control: "more than one id", verdict: .failed),
                DoctorReport.ProbeResult(
                    row: row, observed: "x", control: "y", verdict: .skipped("no control: y")),
            ], notes: ["Linux 6.18"])
        let probe = #"{"id":"NS-01","attempt":"be an id of the host's root","expected":"one id, not root","#
        let parts = [
            #"{"ok":false,"protections":["#,
            #"{"name":"seccomp","state":"enforced","detail":"profile default","fix":"","accepted":false},"#,
            #"{"name":"memory-limit","state":"missing","detail":"why","fix":"do","accepted":true}],"#,
            #""probes":["#, probe,
            #""observed":"the host's root","passed":false,"control":"more than one id","skipped":null},"#,
            probe, #""observed":"x","passed":false,"control":"y","skipped":"no control: y"}],"#,
            #""failure":null,"notes":["Linux 6.18"]}"#,
        ]
        #expect(report.json.line == parts.joined())
    }

    @Test func `the text shows the fix below what is missing and escapes what it prints`() {
        let report = DoctorReport(
            protections: [
                Plan.ProtectionState(
                    .namespaces, .missing, detail: "why\u{1B}[31m", fix: "first line\nsecond\u{7}")
            ],
            probes: [
                DoctorReport.ProbeResult(
                    row: ProbeTable.rows[0], observed: "\u{1B}]52;c;x\u{7}", control: "a\nb", verdict: .failed
                )
            ])
        let plain = report.text(colour: false)
        let controls = plain.unicodeScalars.filter { $0.properties.generalCategory == .control && $0 != "\n" }
        #expect(controls.isEmpty)
        let lines = plain.split(separator: "\n").map(String.init)
        #expect(lines[1] == #"  MISSING  namespaces          why\x1b[31m"#)
        #expect(lines[2] == "             fix: first line")
        #expect(lines[3] == #"             fix: second\x07"#)
        #expect(
            lines.contains {
                $0.hasPrefix("✗ NS-01") && $0.contains(#"\x1b]52;c;x\x07"#) && $0.contains(#"a\nb"#)
            })
        #expect(lines.last == "0 protections enforced; 1 missing; 0 attempts refused, 1 not, 0 skipped")
        #expect(report.text(colour: true).contains("\u{1B}[31m"))
    }

    // MARK: - What the prover and the doctor say to each other

    @Test func `answers survive their line and other output is left out`() {
        let answers = [
            ProbeAnswer(.mount, observed: "EPERM"),
            ProbeAnswer(.home, observed: "a \"b\"\n\u{1B}", isBroken: true),
        ]
        let text =
            "warning: something\n{\"probe\":\"unknown\",\"observed\":\"x\",\"broken\":false}\n"
            + "{\"probe\":\"bpf\"}\n" + answers.map { $0.line + "\r\n" }.joined() + "{\"probe\":"
        let read = ProbeAnswer.read(Array(text.utf8))
        #expect(read == [.mount: answers[0], .home: answers[1]])
    }

    @Test func `targets survive the command line`() {
        var targets = ProbeTargets()
        targets.namespaces = ["user:[1]", "mnt:[2]"]
        targets.home = "/home/a=b c"
        targets.port = 65535
        targets.abstractSocket = "box-doctor-x"
        targets.file = "/tmp/f"
        targets.socket = "/tmp/s"
        #expect(ProbeTargets(words: targets.words) == targets)
        #expect(ProbeTargets(words: targets.words.dropLast()) == nil)
        #expect(ProbeTargets(words: targets.words + ["more=1"]) == nil)
        #expect(ProbeTargets(words: ["port"]) == nil)
    }
}
