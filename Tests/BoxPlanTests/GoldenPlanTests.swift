import BoxPolicy
import BoxTypes
import Foundation
import Profiles
import Testing

@testable import BoxPlan

/// Every shipped profile, and the base with every workspace, on every invented host has a plan in `Tests/Fixtures/plans`: a change in what is protected
/// shows as a difference in review. To write them anew: `BOX_RECORD_PLANS=1 swift test --filter GoldenPlans`.
@Suite struct GoldenPlans {
    static let cases = InventedHost.allCases.flatMap { host in
        (["base", "direct", "copy"] + Shipped.agentNames).map { (host, $0) }
    }

    @Test(arguments: cases)
    func `a shipped profile's plan is the one that was reviewed`(host: InventedHost, profile: String) throws {
        let plan = try plan(host, profile)
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Fixtures/plans/\(host.rawValue)-\(profile).txt")
        if ProcessInfo.processInfo.environment["BOX_RECORD_PLANS"] != nil {
            try plan.text.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == plan.text)
    }

    @Test(arguments: cases)
    func `a plan arrives in the sandbox as it was made`(host: InventedHost, profile: String) throws {
        let plan = try plan(host, profile)
        let launch = Launch(plan: plan, streams: .terminal(rows: 24, columns: 80, separateError: true))
        let arrived = try Launch(wire: launch.wire)
        #expect(arrived.streams == launch.streams)
        #expect(arrived.plan.steps == plan.steps)
        #expect(arrived.plan.command == plan.command)
        #expect(arrived.plan.environment.map(\.name) == plan.environment.map(\.name))
        #expect(arrived.plan.environment.map(\.value) == plan.environment.map(\.value))
    }

    @Test(arguments: cases)
    func `a plan that was cut short is an error and never a crash`(host: InventedHost, profile: String) throws
    {
        let wire = Launch(plan: try plan(host, profile), streams: .pipes).wire
        for length in stride(from: 0, to: wire.count, by: 7) {
            #expect(throws: WireError.self) { try Launch(wire: Array(wire.prefix(length))) }
        }
    }

    private func plan(_ host: InventedHost, _ profile: String) throws -> Plan {
        var layers = [try PolicyReader.read(Shipped.base, file: "base.toml")]
        if let mode = Policy.Workspace.Mode(rawValue: profile) { layers[0].workspace.mode = mode }
        if let agent = Shipped.agent(profile) { layers.append(try PolicyReader.read(agent, file: profile)) }
        let request = Planner.Request(command: ["true"], session: "test-1")
        return try Planner.plan(policy: Policy(merging: layers), facts: host.facts, request: request)
    }
}
