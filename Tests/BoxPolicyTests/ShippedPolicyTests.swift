import BoxPolicy
import BoxTypes
import Profiles
import Testing

/// The policies that ship in the binary.
struct ShippedPolicyTests {
    private func base() throws -> PolicyLayer { try PolicyReader.read(Shipped.base, file: "base.toml") }

    @Test func `the base policy opens no host, no path and passes no variable`() throws {
        let policy = Policy(merging: [try base()])
        #expect(policy.network.allow.isEmpty)
        #expect(policy.files == Policy.Files())
        #expect(policy.environment == Policy.Environment())
        #expect(policy.agent == nil)
    }

    @Test func `the base policy bounds what can be bounded`() throws {
        let limits = Policy(merging: [try base()]).limits
        #expect(limits.memory == .percentOfRAM(75))
        #expect(limits.processes == 4096)
        #expect(limits.temporary == ByteSize(bytes: 4_000_000_000))
        #expect(limits.openFiles == 65536)
        #expect(limits.fileSize == ByteSize(bytes: 8 << 30))
    }

    @Test func `the base policy accepts only what an ordinary laptop may lack`() throws {
        #expect(
            try base().protections.acceptMissing == [
                .memoryLimit, .cpuLimit, .landlockRefer, .landlockTruncate, .landlockIoctl, .landlockScope,
            ])
    }

    @Test(arguments: Shipped.agentNames)
    func `a shipped agent's profile is whole and bears its name`(name: String) throws {
        let bytes = try #require(Shipped.agent(name))
        let profile = try PolicyReader.read(bytes, file: "\(name).toml")
        let chain = try profile.chain(base: try base()) { _ throws(PolicyErrors) in nil }
        let agent = try #require(Policy(merging: chain).agent)
        #expect(agent.name == name)
        #expect(!agent.summary.isEmpty)
        #expect((agent.script == nil) == !agent.command.isEmpty)
    }

    @Test func `the demonstration needs no door, no path and no variable`() throws {
        let profile = try PolicyReader.read(try #require(Shipped.agent("demo")), file: "demo.toml")
        var policy = Policy(merging: [try base(), profile])
        policy.agent = nil
        #expect(policy == Policy(merging: [try base()]))
    }

    @Test func `an unknown agent is not shipped`() { #expect(Shipped.agent("nobody") == nil) }
}
