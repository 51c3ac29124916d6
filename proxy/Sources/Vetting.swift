package import BoxTypes

/// The judgement of all addresses that a lookup found. Private ones beside public ones are left out, not dialled.
package struct Vetting: Equatable, Sendable {
    /// More addresses than this are not looked at.
    package static let mostAddresses = 32

    /// What may be dialled, in the order of the answer.
    package let allowed: [IPAddress]
    /// Why nothing may be dialled; for people, without the address.
    package let explanation: String
    /// The same for the log, with the first address that was refused.
    package let detail: String

    /// - Parameter rule: one more rule beside the list.
    package init(
        _ target: HostTarget, _ lookup: Lookup, _ rules: Allowlist, with rule: HostRule? = nil
    ) {
        // The rule says localhost: that is this machine, and nothing else is asked.
        if target.host == .name(.localhost) {
            allowed = [.v4(0x7F00_0001), .v6(1)]
            explanation = ""
            detail = ""
            return
        }
        let isPrivate = rules.settings(of: target.host)?.isPrivate ?? false
        var good: [IPAddress] = []
        var refusal: (why: String, address: IPAddress)?
        for address in lookup.addresses.prefix(Vetting.mostAddresses) where !good.contains(address) {
            let decision = rules.vet(
                address, port: target.port, isPrivate: isPrivate, with: rule)
            if !decision.allowed {
                refusal = refusal ?? (decision.explanation, address)
            } else if lookup.own.contains(address), !rules.names(address, port: target.port, with: rule) {
                refusal = refusal ?? ("its address is one of this machine", address)
            } else {
                good.append(address)
            }
        }
        allowed = good
        explanation = refusal?.why ?? "its name has no address"
        detail = refusal.map { "\($0.address): \($0.why)" } ?? explanation
    }
}
