import Foundation
import Testing

/// The network door, over the wire and in the pretended internet; as root and as an ordinary user in root's run.
@Suite(.serialized) struct Door {
    @Suite(.recorded("NT"), .serialized) struct World {
        @Test func `there is a pretended internet`() throws {
            guard Host.isRoot else { return skip("NT the pretended internet", "only root can make one") }
            let internet = try Internet.shared.get()
            for identity in Identity.all {
                let outcome = try internet.run(
                    ["curl", "-sS", "--cacert", internet.authority, "https://github.com/"], as: identity)
                #expect(outcome.status == 0 && outcome.text.contains("140.82.112.3"), "\(outcome)")
                let who = try internet.run(["id", "-u"], as: identity).answer
                #expect((who == "0") == (identity == .root), "\(who)")
            }
        }
    }
}
