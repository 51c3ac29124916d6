#if DEBUG
    import BoxKernel
    import BoxPlan
    import BoxTypes

    /// The plan of a debug build with one layer of protection taken out (`--drop-layer`).
    enum Mutant {
        static let layers = [
            "seccomp", "landlock", "capabilities", "no-new-privileges", "masks", "readonly", "devices",
            "limits",
            "pidns-limit", "environment", "descriptors", "control-files", "terminal-filter", "proxy-check",
        ]

        /// Tells box's processes, of which the first starts soon; a name that is none of the layers is refused.
        static func announce(_ layer: String) throws {
            guard layers.contains(layer) else {
                throw Refusal("--drop-layer \(layer): there is no such layer")
            }
            Mutation.drop(layer)
        }

        /// Takes the layer out of a plan.
        static func apply(_ layer: String, to plan: inout Plan, facts: HostFacts) {
            let project = facts.project.path
            func isControl(_ step: Step) -> Bool {
                guard let target = step.target, target.isSame(orBelow: project) else { return false }
                switch step {
                case .readOnly, .pin: return true
                default: return false
                }
            }
            switch layer {
            case "seccomp": plan.remove { if case .seccomp = $0 { true } else { false } }
            case "landlock": plan.remove { if case .landlock = $0 { true } else { false } }
            case "capabilities": plan.remove { $0 == .dropCapabilities }
            // Without it, only a process with capabilities may install a filter.
            case "no-new-privileges": plan.remove { $0 == .noNewPrivileges || $0 == .dropCapabilities }
            case "masks": plan.remove { if case .mask = $0 { true } else { false } }
            case "readonly":
                plan.remove { $0 == .sealRoot }
                plan.map { step in
                    guard case .bind(var bind) = step else { return step }
                    bind.writable = true
                    return .bind(bind)
                }
            case "devices": plan.add([.device(name: "kmsg", major: 1, minor: 11)])
            case "limits": plan.remove { if case .limit = $0 { true } else { false } }
            case "pidns-limit":
                plan.remove { step in
                    switch step {
                    case .limit(.processes, _): true
                    case .setting("kernel/pid_max", _): true
                    default: false
                    }
                }
            case "environment":
                for (name, value) in facts.environment { plan.environment.append(.init(name, value)) }
            case "control-files":
                plan.remove(where: isControl)
                plan.placeholders = []
            default: break
            }
        }
    }
#endif
