/// The data that ships inside the binary: the base policy, agent profiles and system call profiles.
package enum Shipped {
    /// `base.toml`, the lowest layer of every policy.
    package static var base: [UInt8] { PackageResources.base_toml }

    /// `groups.toml`, the groups of hosts that a policy can name.
    package static var groups: [UInt8] { PackageResources.groups_toml }
}

extension Shipped {
    /// The agents whose profile ships in the binary, in alphabetical order.
    package static var agentNames: [String] {
        [
            "aider", "amp", "claude", "codex", "copilot", "crush", "cursor-agent", "demo",
            "droid", "gemini", "goose", "openclaw", "opencode", "pi", "qwen",
        ]
    }

    /// The profile of a shipped agent; nil for any other name.
    package static func agent(_ name: String) -> [UInt8]? {
        switch name {
        case "aider": PackageResources.aider_toml
        case "amp": PackageResources.amp_toml
        case "claude": PackageResources.claude_toml
        case "codex": PackageResources.codex_toml
        case "copilot": PackageResources.copilot_toml
        case "crush": PackageResources.crush_toml
        case "cursor-agent": PackageResources.cursor_agent_toml
        case "demo": PackageResources.demo_toml
        case "droid": PackageResources.droid_toml
        case "gemini": PackageResources.gemini_toml
        case "goose": PackageResources.goose_toml
        case "openclaw": PackageResources.openclaw_toml
        case "opencode": PackageResources.opencode_toml
        case "pi": PackageResources.pi_toml
        case "qwen": PackageResources.qwen_toml
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
