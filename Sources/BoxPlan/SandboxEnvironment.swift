package import BoxPolicy
package import BoxTypes

/// The environment inside, built from nothing: a fixed set of the user's harmless variables, what the sandbox
/// needs, and what the policy names.
package struct SandboxEnvironment: Equatable, Sendable {
    /// By name; the only place where values are kept.
    package let values: [String: String]
    /// Names whose value the policy took from the user's environment: keys and tokens, never to be shown.
    package let passed: Set<String>
    /// Names that the policy passes but the user's environment does not have.
    package let absent: [String]

    /// What the sandbox is like, as far as its environment tells.
    package struct Setting: Equatable, Sendable {
        package var home: AbsolutePath
        package var user: String
        package var shell: AbsolutePath
        /// Where programs are found inside, first one first.
        package var path: [AbsolutePath]
        /// The working directory inside.
        package var directory: AbsolutePath
        package var session: String
        /// The proxy's port on the loopback inside; nil if there is no network.
        package var proxyPort: UInt16?
        /// The certificates file inside, if there is one.
        package var certificates: AbsolutePath?
        /// Certificates that the user adds, alone and together with all others; both exist inside.
        package var extraCertificates: ExtraCertificates?
        /// Whether the command has a pty of box's; its size is then asked of the terminal.
        package var hasTerminal: Bool

        package init(
            home: AbsolutePath, user: String, shell: AbsolutePath, path: [AbsolutePath],
            directory: AbsolutePath, session: String, proxyPort: UInt16?, hasTerminal: Bool,
            certificates: AbsolutePath? = nil, extraCertificates: ExtraCertificates? = nil
        ) {
            self.home = home
            self.user = user
            self.shell = shell
            self.path = path
            self.directory = directory
            self.session = session
            self.proxyPort = proxyPort
            self.hasTerminal = hasTerminal
            self.certificates = certificates
            self.extraCertificates = extraCertificates
        }
    }

    /// Where the user's extra certificates are inside.
    package struct ExtraCertificates: Equatable, Sendable {
        package var alone: AbsolutePath
        package var bundle: AbsolutePath
        package init(alone: AbsolutePath, bundle: AbsolutePath) {
            self.alone = alone
            self.bundle = bundle
        }
    }

    /// Builds the environment; throws if the policy asks for a name that never gets in, or for too much.
    ///
    /// `PATH` is the setting's, whatever the user's is: a directory of the user's `PATH` that is not visible
    /// inside would only cost time. Of one name, the policy's `set` wins over its `pass`, and both over box's own.
    package init(
        user: [String: String], policy: Policy.Environment, setting: Setting
    ) throws(EnvironmentRefusal) {
        var values = SandboxEnvironment.taken(from: user, hasTerminal: setting.hasTerminal)
        values.merge(SandboxEnvironment.fixed(setting)) { _, fixed in fixed }
        values.merge(SandboxEnvironment.network(setting)) { _, fixed in fixed }
        if values["LANG"] == nil { values["LANG"] = "C.UTF-8" }
        var absent: [String] = []
        var passed: Set<String> = []
        for text in policy.pass where policy.set[text] == nil {
            let name = try EnvironmentName.passable(text).string
            guard let value = user[name] else {
                absent.append(name)
                continue
            }
            values[name] = value
            passed.insert(name)
        }
        for text in policy.set.keys.sorted() {
            values[try EnvironmentName.passable(text).string] = policy.set[text]
        }
        var total = 0
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            try EnvironmentRefusal.check(value: value, of: name)
            total += name.utf8.count + value.utf8.count + 2
        }
        guard total <= EnvironmentRefusal.largestEnvironment else { throw .tooLarge(bytes: total) }
        self.values = values
        self.passed = passed
        self.absent = absent
    }

    /// `NAME=value` for execve, sorted by name, so that equal plans have equal bytes.
    package var entries: [String] { values.keys.sorted().map { "\($0)=\(values[$0] ?? "")" } }

    // MARK: - Parts

    /// Terminal, language and time: names that carry no secret and without which programs look broken.
    private static func taken(from user: [String: String], hasTerminal: Bool) -> [String: String] {
        user.filter { name, value in
            // A value that could not be passed is no one's request, so it is left out and is no error.
            guard (try? EnvironmentRefusal.check(value: value, of: name)) != nil else { return false }
            if name.hasPrefix("LC_") { return localeCategories.contains(name) }
            if name == "COLUMNS" || name == "LINES" { return !hasTerminal }
            return harmless.contains(name)
        }
    }

    private static let harmless: Set<String> = [
        "TERM", "COLORTERM", "LANG", "TZ", "NO_COLOR", "CLICOLOR", "FORCE_COLOR",
    ]

    /// The categories that exist (locale(7)); any other name that begins with `LC_` is not one, and could be
    /// anything: ssh servers accept `LC_*`, so people smuggle tokens in it.
    private static let localeCategories: Set<String> = [
        "LC_ALL", "LC_ADDRESS", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT",
        "LC_MESSAGES",
        "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
    ]

    private static func fixed(_ setting: Setting) -> [String: String] {
        var values = [
            "HOME": setting.home.string, "USER": setting.user, "LOGNAME": setting.user,
            "SHELL": setting.shell.string, "PATH": setting.path.map(\.string).joined(separator: ":"),
            "PWD": setting.directory.string, "TMPDIR": "/tmp",
            "XDG_CONFIG_HOME": below(setting.home, ".config"),
            "XDG_CACHE_HOME": below(setting.home, ".cache"),
            "XDG_DATA_HOME": below(setting.home, ".local/share"),
            "XDG_STATE_HOME": below(setting.home, ".local/state"),
            "BOX": "1", "BOX_SESSION": setting.session,
            // Core dumps are locked off (RLIMIT_CORE), which the sanitizers' own attempt to do so takes for an error.
            "ASAN_OPTIONS": "disable_coredump=0", "TSAN_OPTIONS": "disable_coredump=0",
            "MSAN_OPTIONS": "disable_coredump=0",
            // Nobody can answer git's question for a password.
            "GIT_TERMINAL_PROMPT": "0",
        ]
        values["SSL_CERT_FILE"] = setting.certificates?.string
        if let extra = setting.extraCertificates {
            for name in SandboxEnvironment.bundleVariables { values[name] = extra.bundle.string }
            // These add to what the program trusts anyway.
            for name in ["NODE_EXTRA_CA_CERTS", "DENO_CERT"] { values[name] = extra.alone.string }
        }
        return values
    }

    /// Each names the one file of certificates that a program trusts: OpenSSL and Go, Python's requests, curl, git,
    /// the AWS tools, pip, cargo, and what uses gRPC.
    private static let bundleVariables = [
        "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
        "PIP_CERT", "CARGO_HTTP_CAINFO", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    ]

    private static func below(_ home: AbsolutePath, _ name: String) -> String {
        (home == .root ? "" : home.string) + "/" + name
    }

    /// Both spellings, because programs differ in which one they read; loopback is the sandbox's own.
    private static func network(_ setting: Setting) -> [String: String] {
        guard let port = setting.proxyPort else { return [:] }
        let proxy = "http://127.0.0.1:\(port)"
        var values: [String: String] = [:]
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            values[name] = proxy
            values[name.lowercased()] = proxy
        }
        for name in ["NO_PROXY", "no_proxy"] { values[name] = "localhost,127.0.0.1,::1" }
        // Node 24's fetch reads the proxy variables only if this is set.
        values["NODE_USE_ENV_PROXY"] = "1"
        return values
    }
}

/// The user's environment as a dictionary.
package enum UserEnvironment {
    /// Reads raw `NAME=value` entries as execve passes them.
    ///
    /// Entries that no program reads reliably are dropped: without `=`, with an empty or malformed name
    /// (`BASH_FUNC_x%%`), or not UTF-8. Of a name that appears twice the first counts, as for getenv(3).
    package static func parse(_ entries: [[UInt8]]) -> [String: String] {
        var values: [String: String] = [:]
        for entry in entries {
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")),
                let name = String(validating: entry[..<equals], as: UTF8.self),
                let value = String(validating: entry[(equals + 1)...], as: UTF8.self),
                (try? EnvironmentName(name)) != nil, values[name] == nil
            else { continue }
            values[name] = value
        }
        return values
    }
}
