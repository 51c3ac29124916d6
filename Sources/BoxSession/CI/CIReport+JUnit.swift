internal import BoxPlan
internal import BoxTypes

extension CIReport {
    /// The report as JUnit's XML, one test case for each class of findings: `command`, `network`, `limits` and
    /// `protections`. Valid XML whatever the names in it are.
    package var junit: String {
        let cases = [commandCase, networkCase, limitCase, protectionCase]
        func count(_ kind: Verdict.Kind) -> Int { cases.count { $0.verdict?.kind == kind } }
        let counts =
            "tests=\"\(cases.count)\" failures=\"\(count(.failure))\" errors=\"\(count(.error))\" "
            + "skipped=\"\(count(.skipped))\" time=\"\(CIReport.seconds(run.milliseconds))\""
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"box ci\" \(counts)>\n"
        text += "  <testsuite name=\"box ci\" \(counts) timestamp=\"\(CIReport.xml(run.started))\">\n"
        for one in cases { text += one.text }
        return text + "  </testsuite>\n</testsuites>\n"
    }

    /// What became of a test case that did not simply pass.
    private struct Verdict {
        enum Kind: String { case failure, error, skipped }
        let kind: Kind
        let message: String
    }

    private struct Case {
        let name: String
        var milliseconds = 0
        var verdict: Verdict?
        var lines: [String] = []

        var text: String {
            let seconds = CIReport.seconds(milliseconds)
            let head =
                "    <testcase classname=\"box\" name=\"\(CIReport.xml(name))\" time=\"\(seconds)\""
            guard verdict != nil || !lines.isEmpty else { return head + "/>\n" }
            var text = head + ">\n"
            let body = lines.map { CIReport.xml($0) }.joined(separator: "\n")
            if let verdict {
                let message = CIReport.xml(verdict.message)
                // Only these have a body by the format.
                let isSkipped = verdict.kind == .skipped
                text +=
                    isSkipped
                    ? "      <skipped message=\"\(message)\"/>\n"
                    : "      <\(verdict.kind.rawValue) type=\"box\" message=\"\(message)\">\(body)</\(verdict.kind.rawValue)>\n"
                if isSkipped, !lines.isEmpty { text += "      <system-out>\(body)</system-out>\n" }
            } else {
                text += "      <system-out>\(body)</system-out>\n"
            }
            return text + "    </testcase>\n"
        }
    }

    private var commandCase: Case {
        var one = Case(name: "command: " + run.commandText.cut(to: 200), milliseconds: run.milliseconds)
        if result == .refused {
            one.verdict =
                protections.contains { $0.state == .missing }
                ? Verdict(kind: .skipped, message: "a protection is missing")
                : Verdict(kind: .error, message: run.message ?? "box refused")
        } else if let commandStatus, commandStatus != 0 {
            one.verdict = Verdict(kind: .failure, message: run.message ?? "exit status \(commandStatus)")
        }
        if let files = run.files, files.count > 0 { one.lines.append("changed: \(run.fileLine(files))") }
        let most = 50
        one.lines += run.programs.prefix(most).map { "ran \($0.path), \(RunReport.times($0.count))" }
        if run.programs.count > most {
            one.lines.append("and \(run.programs.count - most) more programs")
        }
        return one
    }

    private var networkCase: Case {
        var one = Case(name: "network refusals")
        let most = 200
        let refused = run.refused
        one.lines = refused.prefix(most).map {
            "\(RunReport.label($0.target)), \(RunReport.times($0.count)) (\($0.reason)). \($0.advice(run.means))"
        }
        let more = max(0, refused.count - most) + run.refusedBeyond
        if more > 0 { one.lines.append("and \(more) more") }
        if commandStatus == nil {
            one.verdict = Verdict(kind: .skipped, message: "the command never ran")
        } else if !refused.isEmpty, failsOnDenied {
            one.verdict = Verdict(
                kind: .failure, message: "refused: \(RunReport.count(refused.count, "host"))")
        }
        return one
    }

    private var limitCase: Case {
        var one = Case(name: "limits")
        let most = 200
        let limits = run.limits
        one.lines = limits.prefix(most).map { "\($0.name), \(RunReport.times($0.count)): \($0.detail)" }
        if limits.count > most { one.lines.append("and \(limits.count - most) more") }
        if commandStatus == nil {
            one.verdict = Verdict(kind: .skipped, message: "the command never ran")
        } else if limits.contains(where: { $0.target == nil || failsOnDenied }) {
            one.verdict = Verdict(
                kind: .failure, message: "reached: \(RunReport.count(limits.count, "limit"))")
        }
        return one
    }

    private var protectionCase: Case {
        var one = Case(name: "protections")
        let missing = protections.filter { $0.state == .missing }
        one.lines = protections.filter { $0.state != .enforced }.map {
            "\($0.protection.rawValue) is \($0.state.rawValue): \($0.detail). \($0.fix)"
        }
        if !missing.isEmpty {
            let names = missing.map(\.protection.rawValue).joined(separator: ", ")
            one.verdict = Verdict(kind: .failure, message: "missing: \(names)")
        } else if protections.isEmpty {
            one.verdict = Verdict(kind: .skipped, message: "box refused before it looked")
        }
        return one
    }

    private static func seconds(_ milliseconds: Int) -> String {
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }

    /// Text for an element or an attribute; what XML 1.0 has no character for is written as an escape.
    static func xml(_ text: String) -> String {
        var out = ""
        for scalar in text.escapedForTerminal.unicodeScalars {
            switch scalar.value {
            case 0x26: out += "&amp;"
            case 0x3C: out += "&lt;"
            case 0x3E: out += "&gt;"
            case 0x22: out += "&quot;"
            case 0x27: out += "&apos;"
            // Not characters at all; the only ones of them that XML forbids.
            case 0xFFFE, 0xFFFF: out += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
