/// The data that ships inside the binary: the base policy, agent profiles and system call profiles.
package enum Shipped {
    /// `base.toml`, the lowest layer of every policy.
    package static var base: [UInt8] { PackageResources.base_toml }

    /// `groups.toml`, the groups of hosts that a policy can name.
    package static var groups: [UInt8] { PackageResources.groups_toml }
}

extension Shipped {
    /// The agents whose profile ships in the binary.
    package static var agentNames: [String] { ["demo"] }

    /// The profile of a shipped agent; nil for any other name.
    package static func agent(_ name: String) -> [UInt8]? {
        switch name {
        case "demo": PackageResources.demo_toml
        default: nil
        }
    }
}

extension Shipped {
    /// The system call profiles that ship in the binary.
    package static var syscallProfileNames: [String] { ["default", "nested", "strict"] }

    /// A shipped system call profile, JSON in the OCI format; nil for any other name.
    package static func syscallProfile(_ name: String) -> [UInt8]? {
        switch name {
        case "default": PackageResources.default_json
        case "nested": PackageResources.nested_json
        case "strict": PackageResources.strict_json
        default: nil
        }
    }
}
