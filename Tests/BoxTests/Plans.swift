import Foundation
import Testing

/// `box plan` and `box doctor`: they tell, and do nothing.
@Suite(.recorded("plan")) struct Plans {
    @Test func `a plan is JSON with the documented keys`() throws {
        let box = try Box()
        let outcome = try box.call(["plan", "--json"] + box.options + ["--", "true", "a b"])
        #expect(outcome.status == 0, "\(outcome)")
        let plan = try #require(try JSONSerialization.jsonObject(with: Data(outcome.out)) as? [String: Any])
        #expect(
            Set(plan.keys).isSuperset(of: [
                "command", "namespaces", "identity", "steps", "proxy", "protections",
            ]), "\(plan.keys)")
        #expect(plan["command"] as? [String] == ["true", "a b"])
        #expect((plan["namespaces"] as? [String])?.count == 7, "\(plan["namespaces"] ?? "")")
        let steps = try #require(plan["steps"] as? [[String: Any]])
        #expect(steps.count > 10 && steps.allSatisfy { $0["step"] is String })
        let names = steps.compactMap { $0["step"] as? String }
        let seccomp = try #require(names.firstIndex { $0.contains("seccomp") })
        let landlock = try #require(names.firstIndex { $0.contains("landlock") })
        #expect(landlock < seccomp, "\(names)")
        let protections = try #require(plan["protections"] as? [[String: Any]])
        let states: Set = ["enforced", "missing", "accepted"]
        #expect(
            protections.count > 8 && protections.allSatisfy { states.contains($0["state"] as? String ?? "") })
        let keys = Plans.keys(plan)
        #expect(keys.allSatisfy { $0 == $0.lowercased() }, "\(keys.filter { $0 != $0.lowercased() })")
    }

    /// All keys at any depth, but for the names of variables.
    static func keys(_ value: Any) -> [String] {
        if let list = value as? [Any] { return list.flatMap(keys) }
        guard let object = value as? [String: Any] else { return [] }
        return object.flatMap { [$0.key] + ($0.key == "environment" ? [] : keys($0.value)) }
    }

    @Test func `a plan starts nothing and writes nothing`() throws {
        let box = try Box()
        let mark = box.scratch.project + "/mark"
        let before = try Host.manifest(box.scratch.root)
        for arguments in [["plan", "--", "/bin/touch", mark], ["plan", "--json", "--", "/bin/touch", mark]] {
            let outcome = try box.call(arguments)
            #expect(outcome.status == 0 && !outcome.out.isEmpty, "\(outcome)")
        }
        #expect(try Host.manifest(box.scratch.root) == before)
        // No privilege and no namespace is needed for it.
        let rig = [
            try Tools.rig.get(), "--deny", "clone3=1", "--deny", "unshare=1", "--deny", "mount=1", "--",
        ]
        #expect(try box.call(["plan", "--json", "--", "true"], rig: rig).status == 0)
    }

    @Test func `the same arguments give the same plan`() throws {
        let box = try Box()
        let once = try box.call(["plan", "--", "true"]).text,
            again = try box.call(["plan", "--", "true"]).text
        #expect(once == again && once.count > 500)
        #expect(try box.call(["plan", "--net", "none", "--", "true"]).text != once)
    }

    @Test func `the doctor names every protection and what to do about the missing`() throws {
        let doctor = try Doctor.read(try Box())
        let names = Set(doctor.protections.map(\.name))
        #expect(
            names.isSuperset(of: [
                "namespaces", "identity", "seccomp", "landlock", "memory-limit", "process-limit", "network",
            ]), "\(names)")
        for protection in doctor.protections {
            #expect(["enforced", "missing"].contains(protection.state), "\(protection)")
            if protection.state == "missing" { #expect(protection.fix?.isEmpty == false, "\(protection)") }
        }
        let text = try Box().call(["doctor"])
        #expect(text.text.contains("seccomp") && text.text.contains("landlock"), "\(text)")
    }

    @Test func `the doctor proves what it says`() throws {
        let doctor = try Doctor.read(try Box(), ["--prove"])
        let probes = try #require(doctor.probes)
        #expect(probes.count >= 20, "\(probes.count)")
        #expect(Set(probes.map(\.id)).count >= 15)
        // What a scratch home has nothing of cannot be missed inside.
        for probe in probes where !["FS-03", "EN-01"].contains(probe.id) || probe.skipped == nil {
            #expect(probe.passed, "\(probe)")
        }
    }
}
