import BoxPolicy
import BoxSession
import BoxTypes

/// What `box run` says of a project's file that is not trusted: two lines, and it runs without the widening.
enum TrustNotice {
    static func tell(_ sources: PolicySources) {
        guard case .missing(let widenings) = sources.trust else { return }
        let shown = widenings.prefix(3).map(\.text).joined(separator: "; ").escapedForTerminal
        let more = widenings.count > 3 ? "; and \(widenings.count - 3) more" : ""
        Output.error(
            "\(PolicySources.projectFileName) of this project wants to widen the policy: \(shown)\(more)")
        Output.error("you did not agree to that, so only what tightens holds. To see it and agree: box trust")
    }
}
