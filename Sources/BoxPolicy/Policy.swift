package import BoxTypes

/// What people write, with every default spelled out: nothing is allowed.
///
/// The layers (shipped base < agent profile < command line) are merged into one of these before planning.
package struct Policy: Equatable, Sendable {
    package var network = Network()
    package var workspace = Workspace()
    package var files = Files()
    package var environment = Environment()
    package var limits = Limits()
    package var syscalls = Syscalls()
    package var protections = Protections()
    package var audit = Audit()
    package var agent: Agent?

    package init() {}

    /// `[network]`: where the sandbox may connect to.
    package struct Network: Equatable, Sendable {
        /// Whether there is a network door at all.
        package enum Mode: String, Equatable, Sendable, CaseIterable { case proxy, none }
        package var mode = Mode.proxy
        package var allow: [HostRule] = []
        package var deny: [HostRule] = []
        /// `[network.limits]`: what bounds the whole session.
        package var limits = NetworkLimits()
        /// `[network.hosts."NAME"]`, the more exact patterns first; one entry a pattern.
        package var hosts: [HostSettings] = []
        /// Seconds that a refused connection waits for a rule that allows it; 0 for none.
        package var hold = 0
        /// The proxy through which the user's own network is left.
        package var upstreamProxy: UpstreamProxy?
        /// A file of certificates that are trusted inside besides the host's own. A text, like those of `Files`.
        package var certificates: String?
        /// Ports inside that the host may connect to.
        package var publish: [PublishedPort] = []
        package var onProxyFailure = ProxyFailure.continue

        /// What becomes of a session whose proxy has died; its network is closed in either case.
        package enum ProxyFailure: String, Equatable, Sendable, CaseIterable { case `continue`, end }

        package init() {}
    }

    /// `[workspace]`: how the project appears inside.
    package struct Workspace: Equatable, Sendable {
        /// `overlay`: a copy-on-write view of the project. `direct`: the project itself, control files read-only.
        /// `copy`: a real copy. `none`: an empty scratch directory.
        package enum Mode: String, Equatable, Sendable, CaseIterable { case overlay, direct, copy, none }
        package var mode = Mode.direct
        /// Names of the project that do not exist inside; the last one that matches decides.
        package var hide: [HidePattern] = []
        /// The parts of the project that a copy has; nil is all of it.
        package var only: [BytePath]?
        package init() {}
    }

    /// `[files]`: host paths beside the project; `~` is the user's home. Texts, since the home is not known here.
    package struct Files: Equatable, Sendable {
        package var read: [String] = []
        package var write: [String] = []
        package init() {}
    }

    /// `[environment]`: what gets in besides the fixed variables.
    package struct Environment: Equatable, Sendable {
        /// Names whose value is taken from the user's environment.
        package var pass: [String] = []
        /// Names with a value.
        package var set: [String: String] = [:]
        /// Names whose value box gets when a session starts, and nobody else sees.
        package var from: [String: SecretSource] = [:]
        package init() {}
    }

    /// `[environment.from]`: where a variable's value comes from.
    package enum SecretSource: Equatable, Sendable {
        /// What a command of the user's prints, run by `sh -c` on the host.
        case command(String)
        /// A file's content. A text, like those of `Files`.
        case file(String)
        /// Another variable of the user's environment.
        case variable(String)
    }

    /// `[limits]`; nil is unlimited.
    package struct Limits: Equatable, Sendable {
        package var memory: MemoryLimit?
        package var processes: Int?
        /// CPUs' worth of time, e.g. 1.5, in thousandths.
        package var milliCPUs: Int?
        /// Wall-clock seconds.
        package var time: Duration?
        /// Size of /tmp inside.
        package var temporary: ByteSize?
        package var openFiles: Int?
        package var fileSize: ByteSize?
        /// What the session may write to the stage.
        package var disk: ByteSize?
        /// What becomes of a session that has used up its time or its disk; nil is `end`.
        package var onExceeded: Exceeded?

        /// What becomes of a session that has used up what it may use.
        package enum Exceeded: String, Equatable, Sendable, CaseIterable { case end, pause }

        package init() {}
    }

    /// `[syscalls]`.
    package struct Syscalls: Equatable, Sendable {
        /// `default`, `strict`, `nested`, or a path to a file in the OCI seccomp format.
        package var profile = "default"
        package init() {}
    }

    /// `[audit]`.
    package struct Audit: Equatable, Sendable {
        package var level = AuditLevel.full
        package init() {}
    }

    /// `[protections]`.
    package struct Protections: Equatable, Sendable {
        /// Protections that may be missing on this host, named one by one.
        package var acceptMissing: Set<Protection> = []
        package init() {}
    }

    /// `[agent]` of an agent profile: what `box run NAME` starts.
    package struct Agent: Equatable, Sendable {
        package var name = ""
        /// One line for `box profiles`.
        package var summary = ""
        /// The program and its fixed arguments; the user's arguments follow.
        package var command: [String] = []
        /// A script that is shipped in the binary and run as `sh -c SCRIPT NAME ARG…` in place of `command`.
        package var script: String?
        /// A home of its own that lasts from session to session; nil for an empty one each time.
        package var home: Home?
        package init() {}

        /// `[agent.home]`. All paths are relative to the home.
        package struct Home: Equatable, Sendable {
            /// The files of the user's home that carry the login, as far as they exist.
            package var login: [String] = []
            /// What the agent may not change after the set-up; a `/` at the end means a directory.
            package var secured: [String] = []
            /// Files that are made if they are absent, with their content.
            package var seed: [String: String] = [:]
            package init() {}
        }
    }
}
