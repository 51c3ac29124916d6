import BoxAudit
import BoxPlan
import BoxTypes
import Foundation
import FoundationXML
import Testing

@testable import BoxSession

/// Reports of runs in which everything has the worst of names.
@Suite struct CIReportTests {
    /// Names as a program inside may ask for them, were there no check before the log.
    static let names = [
        "x\n::error::y", "##[error]z", "a|b", "`c`", "<d>&amp;", "]]>", "\"e'", "*f*_g_", "[h](i)",
        "\u{1B}[31m",
        "\u{FFFE}\u{FFFF}", "\u{0}\u{8}", "\u{202E}j", "k%0Al,m:n", "", String(repeating: "o", count: 5000),
        "www.p.example", "\u{1F600}", "q\r\n::error::r", "www.\u{301}s",
    ]

    /// A run that was refused all of these, and reached and was held back at them too.
    static func report(names: [String] = names, failsOnDenied: Bool = true) throws -> CIReport {
        var outcome = Outcome(status: 0)
        for name in names {
            let target = [Event.Field("host", .text(name)), Event.Field("port", .number(443))]
            outcome.receipt.count(Event(.netDeny, target + [Event.Field("reason", .text("host"))]))
            outcome.receipt.count(Event(.netAllow, target))
            outcome.receipt.count(Event(.netLimit, target + [Event.Field("limit", .text(name))]))
            outcome.receipt.count(Event(.exec, [Event.Field("path", .text(name))]))
        }
        var report = CIReport(
            command: ["make"] + names, started: "2026-01-01T00:00:00.000Z", failsOnDenied: failsOnDenied)
        report.take(outcome, isStaged: false, RemedySearch(NetworkRules()))
        report.notices = names
        report.protections = [
            Plan.ProtectionState(.seccomp, .enforced, detail: "on"),
            Plan.ProtectionState(.memoryLimit, .accepted, detail: names.joined(), fix: names.joined()),
        ]
        return report
    }

    @Test func `JUnit stays XML whatever the names are`() throws {
        let text = try CIReportTests.report().junit
        let parser = XMLParser(data: Data(text.utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        for scalar in text.unicodeScalars {
            let isCharacter =
                [0x9, 0xA, 0xD].contains(scalar.value) || (0x20...0xD7FF).contains(scalar.value)
                || (0xE000...0xFFFD).contains(scalar.value) || scalar.value >= 0x10000
            #expect(isCharacter, "\(scalar.value)")
        }
        #expect(text.contains("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"0\""))
    }

    @Test func `Markdown has text and character references in its cells, and nothing else`() throws {
        let text = try CIReportTests.report().markdown
        for line in text.split(separator: "\n") where line.hasPrefix("|") {
            let cells = line.dropFirst(2).dropLast(2).components(separatedBy: " | ")
            #expect((2...4).contains(cells.count), "\(line)")
            for cell in cells {
                let inner = cell.replacing("<code>", with: "").replacing("</code>", with: "")
                let plain = inner.replacing(/&#[0-9]+;/.matchingSemantics(.unicodeScalar), with: "")
                #expect(!plain.contains { "<>*_`[]\\!~@#|&\r\u{1B}".contains($0) }, "\(cell)")
            }
        }
        #expect(text.utf8.count < 100_000)
    }

    @Test func `no line of the log is a command but box's own`() throws {
        let report = try CIReportTests.report()
        let log = CILog(.github)
        let group = log.group("x", report.headline, report.lines, time: 0)
        let commands = group.split(separator: "\n").filter { line in
            line.drop { $0.isWhitespace }.hasPrefix("::") || line.contains("##[")
        }
        #expect(
            commands.count == 2 && commands.first?.hasPrefix("::group::") == true
                && commands.last == "::endgroup::")
        for finding in report.findings {
            let text = log.finding(finding.level, finding.title, finding.message)
            #expect(
                text.hasPrefix("::error title=") && text.hasSuffix("\n") && text.count { $0.isNewline } == 1,
                "\(text)")
        }
        // A runner shows ten of each kind.
        #expect(report.findings.count <= 10)
    }

    @Test func `a workflow command's value and property are escaped`() {
        #expect(CILog.data("a%b\r\nc:d,e") == "a%25b%0D%0Ac:d,e")
        #expect(CILog.property("a%b\r\nc:d,e") == "a%25b%0D%0Ac%3Ad%2Ce")
        #expect(CILog(.github).finding(.error, "a: b", "c\n::d::") == "::error title=a%3A b::c%0A::d::\n")
        #expect(CILog.harmless("  ::error::x") == "box:   ::error::x")
        #expect(CILog.harmless("x ##[error]y\r\n::z") == "x ##\\[error]y  ::z")
        // A mark that joins what is before it to one character.
        #expect(CILog.harmless("::\u{301}e::x").hasPrefix("box: "))
        #expect(CILog.harmless("##[\u{301}e]x").unicodeScalars.contains("\\"))
    }

    @Test func `lists are bounded and say so`() throws {
        let names = (0..<3000).map { "h\($0).example" }
        let report = try CIReportTests.report(names: names, failsOnDenied: false)
        guard case .object(let fields) = report.json,
            case .list(let refusals)? = fields.first(where: { $0.0 == "refusals" })?.1
        else {
            Issue.record("no list of refusals")
            return
        }
        #expect(refusals.count == 1000)
        #expect(
            report.json.line.contains(
                "\"omitted\":{\"hosts\":2000,\"refusals\":2000,\"limits\":2000,\"programs\":2000,\"files\":0}"
            ))
        #expect(report.markdown.utf8.count < 100_000 && report.markdown.contains("and 2950 more"))
        #expect(report.lines.count < 70 && report.findings.count <= 10)
    }

    @Test func `a run with refusals fails only if that is wanted, and only if it succeeded`() throws {
        #expect(try CIReportTests.report(failsOnDenied: false).exitStatus == 0)
        let denied = try CIReportTests.report()
        #expect(denied.exitStatus == 1 && denied.result == .denied && denied.commandStatus == 0)
        var refused = denied
        refused.refuse("why", status: 125)
        #expect(refused.exitStatus == 125 && refused.result == .refused)
    }

    @Test(arguments: [
        (["GITHUB_ACTIONS": "true"], CILogFormat.github), (["GITHUB_ACTIONS": "1"], .plain),
        (["GITLAB_CI": "true"], .gitlab), ([:], .plain), (["CI": "true"], .plain),
    ])
    func `the runner's variables say how the log is read`(
        _ variables: [String: String], _ format: CILogFormat
    ) {
        #expect(CILogFormat(environment: variables) == format)
    }
}
