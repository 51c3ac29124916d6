/// What a session's log has besides its begin and end, changes of the policy and limits.
///
/// Each level has what the ones before have. `network`: decisions of the network door. `full`: every program that starts.
package enum AuditLevel: String, Equatable, Sendable, CaseIterable { case off, network, full }
