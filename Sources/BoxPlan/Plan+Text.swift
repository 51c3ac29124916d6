package import BoxTypes

// A plan for people (`box plan`, golden tests) and for programs (`box plan --json`).
extension Plan {
    /// The format of `box plan --json`.
    package var json: JSONOutput {
        .object([
            ("command", .texts(command)),
            ("working_directory", .text(workingDirectory.string)),
            ("environment", .object(environment.map { ($0.name, .text($0.shown)) })),
            ("namespaces", .texts(Plan.namespaces)),
            (
                "identity",
                .object([
                    ("name", .text(identity.name)),
                    ("uid", .number(Int(identity.insideUID))), ("gid", .number(Int(identity.insideGID))),
                    ("outside_uid", .number(Int(identity.outsideUID))),
                    ("outside_gid", .number(Int(identity.outsideGID))),
                ])
            ),
            ("steps", .list(steps.map { .object([("step", .text($0.name))] + $0.fields) })),
            ("placeholders", .texts(placeholders.map(\.path.string))),
            ("proxy", proxy?.json ?? .null),
            ("control_group", controlGroup.map(Plan.json) ?? .null),
            ("timeout", timeout.map { .number($0) } ?? .null),
            ("audit", .text(audit.rawValue)),
            ("on_exceeded", .text(pausesWhenExceeded ? "pause" : "end")),
            ("protections", .list(protections.map(\.json))),
        ])
    }

    private static func json(_ limits: ControlGroupLimits) -> JSONOutput {
        func number(_ value: UInt64?) -> JSONOutput { value.map { .number(Int(clamping: $0)) } ?? .null }
        return .object([
            ("memory", number(limits.memoryBytes)), ("processes", number(limits.processes)),
            ("cpu_thousandths", number(limits.milliCPUs)), ("cpu_weight", number(limits.cpuWeight)),
        ])
    }

    /// The plan as lines of text; the order of the steps is the order in which they are carried out.
    package var text: String {
        var lines = ["command     " + command.map(\.escapedForTerminal).joined(separator: " ")]
        lines.append("directory   \(workingDirectory)")
        lines.append(
            "identity    \(identity.name) \(identity.insideUID):\(identity.insideGID) "
                + "(outside \(identity.outsideUID):\(identity.outsideGID))")
        lines.append("namespaces  " + Plan.namespaces.joined(separator: " "))
        if let proxy {
            lines += proxy.lines
        } else {
            lines.append("network     none")
        }
        if let timeout { lines.append("timeout     \(timeout)s") }
        lines.append("audit       \(audit.rawValue)")
        if pausesWhenExceeded { lines.append("exceeded    pause") }
        lines.append("environment")
        lines += environment.map { "  \($0.name)=\($0.shown.escapedForTerminal)" }
        lines.append("steps")
        lines += steps.map { "  " + $0.line }
        for placeholder in placeholders { lines.append("  placeholder \(placeholder.path)") }
        lines.append("protections")
        lines += protections.map { "  \($0.protection.rawValue): \($0.state.rawValue), \($0.detail)" }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Step {
    fileprivate var line: String {
        let fields = fields.map { name, value in
            switch value {
            case .text(let text): "\(name)=\(text.escapedForTerminal)"
            default: "\(name)=\(value.line)"
            }
        }
        return ([name] + fields).joined(separator: " ")
    }
}

extension Plan.EnvironmentEntry {
    /// The value as a plan shows it: a variable of the user's, which may be a key, is not shown.
    fileprivate var shown: String { isSecret ? "(from your environment)" : value }
}

extension Plan.ProtectionState {
    package var json: JSONOutput {
        .object([
            ("name", .text(protection.rawValue)), ("state", .text(state.rawValue)), ("detail", .text(detail)),
            ("fix", .text(fix)),
        ])
    }
}
