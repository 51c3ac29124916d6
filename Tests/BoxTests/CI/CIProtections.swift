import Foundation
import Testing

/// A runner that lacks a protection: nothing runs until the pipeline names it.
@Suite(.recorded("ci")) struct CIProtections {
    /// A host without control groups that box may write.
    private func withoutGroups() throws -> [String] {
        [try Tools.rig.get(), "--ro", "/sys/fs/cgroup", "--"]
    }

    @Test func `what box run may lack on a laptop has to be named in a pipeline`() throws {
        row("CF-12")
        let pipeline = try Pipeline()
        let rig = try withoutGroups()
        let control = try pipeline.box.run(["/bin/echo", "ran"], rig: rig)
        #expect(control.status == 0 && control.text == "ran\n", "\(control)")
        var bare = pipeline
        bare = try bare.accepting([])
        let refused = try bare.run(["/bin/echo", "ran"], rig: rig)
        #expect(refused.status == 125 && refused.out.isEmpty, "\(refused)")
        #expect(refused.errors.contains("--accept memory-limit"), "\(refused)")
        let accepted = try bare.run(["/bin/echo", "ran"], ["--accept", "memory-limit"], rig: rig)
        #expect(accepted.status == 0 && accepted.text == "ran\n", "\(accepted)")
        #expect(accepted.errors.contains("MISSING   memory-limit"), "\(accepted)")
    }

    @Test func `a policy file of the pipeline's may name it, the project's own may not`() throws {
        let pipeline = try Pipeline().accepting([])
        let rig = try withoutGroups()
        let text = "[protections]\naccept_missing = [\"memory-limit\"]\n"
        try pipeline.box.scratch.write(text, to: pipeline.project + "/box.toml")
        let untrusted = try pipeline.run(["/bin/echo", "ran"], rig: rig)
        #expect(untrusted.status == 125 && untrusted.out.isEmpty, "\(untrusted)")
        let named = try pipeline.run(["/bin/echo", "ran"], ["--policy", "box.toml"], rig: rig)
        #expect(named.status == 0 && named.text == "ran\n", "\(named)")
    }

    @Test func `several are named in one line, to be copied`() throws {
        let pipeline = try Pipeline().accepting([])
        let refused = try pipeline.run(
            ["/bin/echo", "ran"], ["--cpus", "1", "--memory", "1GB"], rig: try withoutGroups())
        #expect(refused.status == 125 && refused.out.isEmpty, "\(refused)")
        let line = "To run without them: --accept memory-limit --accept cpu-limit"
        #expect(refused.errors.contains(line), "\(refused)")
    }

    @Test func `the reports say which protection is missing`() throws {
        let pipeline = try Pipeline()
        let rig = [try Tools.rig.get(), "--deny", "landlock_create_ruleset=38", "--"]
        let files = ["--report", "r.json", "--summary", "s.md", "--junit", "j.xml"]
        let refused = try pipeline.shell("echo ran; touch ran", files, rig: rig)
        #expect(refused.status == 125 && refused.out.isEmpty, "\(refused)")
        #expect(refused.errors.contains("--accept landlock"), "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: pipeline.project + "/ran"))
        let report = try pipeline.report("r.json")
        #expect(report.result == "refused" && report.exit_status == 125 && report.command_status == nil)
        #expect(report.protections.contains { $0.name == "landlock" && $0.state == "missing" })
        #expect(report.message?.contains("--accept landlock") == true)
        #expect(try Host.text(pipeline.project + "/s.md").contains("| landlock | missing |"))
        let cases = try JUnit.read(pipeline, "j.xml").cases
        #expect(cases.map(\.verdict) == ["skipped", "skipped", "skipped", "failure"], "\(cases)")
        let accepted = try pipeline.run(["/bin/echo", "ran"], ["--accept", "landlock"] + files, rig: rig)
        #expect(accepted.status == 0 && accepted.text == "ran\n", "\(accepted)")
        #expect(
            try pipeline.report("r.json").protections.contains {
                $0.name == "landlock" && $0.state == "accepted"
            })
    }

    @Test func `what nothing can replace cannot be accepted away`() throws {
        let pipeline = try Pipeline()
        let rig = [try Tools.rig.get(), "--max-user-namespaces", "0", "--"]
        let refused = try pipeline.run(
            ["/bin/echo", "ran"], ["--accept", "namespaces", "--report", "r.json"], rig: rig)
        #expect(
            refused.status == 125 && refused.out.isEmpty && !refused.errors.contains("To run without"),
            "\(refused)")
        #expect(try pipeline.report("r.json").result == "refused")
    }
}

extension Pipeline {
    /// The same with other protections accepted: of those that this machine lacks, all but the control group's.
    func accepting(_ more: [String]) throws -> Pipeline {
        let rest = accepted.filter { $0 != "--accept" && !["memory-limit", "cpu-limit"].contains($0) } + more
        return Pipeline(box: box, accepted: rest.flatMap { ["--accept", $0] })
    }
}

/// A JUnit report as Python's parser reads it.
struct JUnit: Decodable {
    struct Case: Decodable {
        var name: String
        /// `failure`, `error`, `skipped`, or empty.
        var verdict: String
        var message: String
        var text: String
    }
    var tests: Int
    var failures: Int
    var errors: Int
    var skipped: Int
    var cases: [Case]

    static func read(_ pipeline: Pipeline, _ path: String) throws -> JUnit {
        let script = """
            import json, sys, xml.etree.ElementTree as tree
            root = tree.parse(sys.argv[1]).getroot()
            assert root.tag == 'testsuites' and [c.tag for c in root] == ['testsuite'], root
            cases = []
            for one in root[0]:
                assert one.tag == 'testcase' and float(one.get('time')) >= 0 and one.get('classname')
                kinds = [c for c in one if c.tag != 'system-out']
                assert len(kinds) <= 1, kinds
                verdict = kinds[0] if kinds else None
                cases.append({'name': one.get('name'), 'verdict': verdict.tag if verdict is not None else '',
                    'message': verdict.get('message') if verdict is not None else '',
                    'text': ''.join(one.itertext())})
            numbers = {k: int(root.get(k)) for k in ('tests', 'failures', 'errors', 'skipped')}
            assert all(root[0].get(k) == root.get(k) for k in numbers)
            print(json.dumps(numbers | {'cases': cases}))
            """
        guard let text = try pipeline.python(script, [path]) else {
            throw HarnessError(description: "python3 is not installed")
        }
        let junit = try JSONDecoder().decode(JUnit.self, from: Data(text.utf8))
        #expect(junit.tests == junit.cases.count)
        #expect(junit.failures == junit.cases.count { $0.verdict == "failure" })
        #expect(junit.errors == junit.cases.count { $0.verdict == "error" })
        #expect(junit.skipped == junit.cases.count { $0.verdict == "skipped" })
        return junit
    }
}
