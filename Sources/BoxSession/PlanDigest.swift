package import BoxPlan
internal import BoxTypes
internal import Crypto

/// What identifies a plan in the log: equal plans have equal digests.
package enum PlanDigest {
    /// SHA-256 of the plan's wire form, in hexadecimal.
    package static func of(_ plan: Plan) -> String {
        var writer = WireWriter()
        plan.write(to: &writer)
        return SHA256.hash(data: writer.bytes).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }
}
