import BoxPlan
import BoxPolicy
import BoxTypes
import Testing

/// What of the user's environment gets in, and what is put there instead.
struct SandboxEnvironmentTests {
    private func setting(port: UInt16? = 3128, terminal: Bool = true) throws -> SandboxEnvironment.Setting {
        SandboxEnvironment.Setting(
            home: try AbsolutePath("/home/ann"), user: "ann", shell: try AbsolutePath("/bin/bash"),
            path: [try AbsolutePath("/usr/local/bin"), try AbsolutePath("/usr/bin")],
            directory: try AbsolutePath("/home/ann/work"), session: "demo-7f3k", proxyPort: port,
            hasTerminal: terminal)
    }

    private func environment(
        _ user: [String: String], pass: [String] = [], set: [String: String] = [:], port: UInt16? = 3128,
        terminal: Bool = true
    ) throws -> SandboxEnvironment {
        var policy = Policy.Environment()
        policy.pass = pass
        policy.set = set
        return try SandboxEnvironment(
            user: user, policy: policy, setting: setting(port: port, terminal: terminal))
    }

    @Test func `an empty environment outside gives the whole environment inside`() throws {
        #expect(
            try environment([:], port: nil).entries == [
                "ASAN_OPTIONS=disable_coredump=0", "BOX=1", "BOX_SESSION=demo-7f3k", "GIT_TERMINAL_PROMPT=0",
                "HOME=/home/ann", "LANG=C.UTF-8", "LOGNAME=ann", "MSAN_OPTIONS=disable_coredump=0",
                "PATH=/usr/local/bin:/usr/bin", "PWD=/home/ann/work", "SHELL=/bin/bash",
                "TMPDIR=/tmp", "TSAN_OPTIONS=disable_coredump=0", "USER=ann",
                "XDG_CACHE_HOME=/home/ann/.cache",
                "XDG_CONFIG_HOME=/home/ann/.config", "XDG_DATA_HOME=/home/ann/.local/share",
                "XDG_STATE_HOME=/home/ann/.local/state",
            ])
    }

    /// EN-01
    @Test func `no secret of the user gets in`() throws {
        #expect(secrets.count >= 60)
        let user = Dictionary(uniqueKeysWithValues: secrets.map { ($0, "s3cr3t-\($0)") })
        let inside = try environment(user)
        #expect(inside == (try environment([:])))
        #expect(!inside.entries.joined().contains("s3cr3t"))
    }

    @Test func `a secret that is passed by name gets in and is marked`() throws {
        let user = Dictionary(uniqueKeysWithValues: secrets.map { ($0, "s3cr3t-\($0)") })
        let inside = try environment(user, pass: ["ANTHROPIC_API_KEY", "NOT_SET"])
        #expect(inside.values["ANTHROPIC_API_KEY"] == "s3cr3t-ANTHROPIC_API_KEY")
        #expect(inside.passed == ["ANTHROPIC_API_KEY"])
        #expect(inside.absent == ["NOT_SET"])
        #expect(inside.entries.count { $0.contains("s3cr3t") } == 1)
    }

    @Test func `terminal, language and time get in`() throws {
        let user = [
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "de_DE.UTF-8", "LC_ALL": "C",
            "LC_TIME": "en_GB.UTF-8", "TZ": "Europe/Berlin", "NO_COLOR": "1", "CLICOLOR": "0",
            "FORCE_COLOR": "3",
        ]
        let inside = try environment(user)
        for (name, value) in user { #expect(inside.values[name] == value, "\(name)") }
        #expect(inside.passed.isEmpty)
    }

    @Test func `a name that only looks like a locale category stays out`() throws {
        #expect(try environment(["LC_SECRET_TOKEN": "x"]).values["LC_SECRET_TOKEN"] == nil)
    }

    @Test func `the window's size gets in only without a terminal of box's own`() throws {
        let user = ["COLUMNS": "80", "LINES": "24"]
        #expect(try environment(user, terminal: true).values["COLUMNS"] == nil)
        #expect(try environment(user, terminal: false).values["COLUMNS"] == "80")
        #expect(try environment(user, terminal: false).values["LINES"] == "24")
    }

    @Test func `the user's own values of what box sets stay out`() throws {
        let user = [
            "HOME": "/root", "PATH": "/evil", "PWD": "/evil", "SHELL": "/evil", "TMPDIR": "/evil", "BOX": "0",
            "HTTP_PROXY": "http://user:password@evil", "no_proxy": "*", "XDG_CONFIG_HOME": "/evil",
            "GIT_TERMINAL_PROMPT": "1", "XDG_RUNTIME_DIR": "/run/user/1000",
        ]
        #expect(try environment(user) == environment([:]))
    }

    /// EN-05
    @Test func `with a proxy both spellings name it, and without one none does`() throws {
        let with = try environment([:], port: 3128).values
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            #expect(with[name] == "http://127.0.0.1:3128", "\(name)")
        }
        #expect(with["NO_PROXY"] == "localhost,127.0.0.1,::1" && with["no_proxy"] == with["NO_PROXY"])
        #expect(with["NODE_USE_ENV_PROXY"] == "1")
        let without = try environment([:], port: nil).values
        #expect(!without.keys.contains { $0.lowercased().contains("proxy") })
    }

    @Test func `the certificates file is named if there is one`() throws {
        var setting = try setting()
        setting.certificates = try AbsolutePath("/etc/ssl/certs/ca-certificates.crt")
        let inside = try SandboxEnvironment(user: [:], policy: Policy.Environment(), setting: setting)
        #expect(inside.values["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt")
        #expect(try environment([:]).values["SSL_CERT_FILE"] == nil)
    }

    @Test func `set wins over pass, and both over box's own`() throws {
        let user = ["LANG": "de_DE.UTF-8", "EDITOR": "vi", "PATH": "/user/bin"]
        let inside = try environment(
            user, pass: ["EDITOR", "LANG", "PATH"], set: ["LANG": "fr_FR.UTF-8", "GIT_TERMINAL_PROMPT": "1"])
        #expect(inside.values["LANG"] == "fr_FR.UTF-8")
        #expect(inside.values["EDITOR"] == "vi")
        #expect(inside.values["PATH"] == "/user/bin")
        #expect(inside.values["GIT_TERMINAL_PROMPT"] == "1")
        #expect(inside.passed == ["EDITOR", "PATH"])
    }

    @Test(arguments: [
        "LD_PRELOAD", "NODE_OPTIONS", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "HTTP_PROXY", "BOX",
    ])
    func `a name that never gets in is refused, passed or set`(name: String) throws {
        let refusal = try #require(try EnvironmentName(name).refusal)
        #expect(throws: refusal) { try environment([name: "x"], pass: [name]) }
        #expect(throws: refusal) { try environment([:], set: [name: "x"]) }
    }

    @Test func `a malformed name is refused`() throws {
        #expect(throws: EnvironmentRefusal.malformed("A=B")) { try environment([:], set: ["A=B": "x"]) }
        #expect(throws: EnvironmentRefusal.malformed("A\n")) { try environment(["A\n": "x"], pass: ["A\n"]) }
        #expect(throws: EnvironmentRefusal.empty) { try environment([:], pass: [""]) }
    }

    @Test func `values are bounded and have no NUL`() throws {
        let most = EnvironmentRefusal.longestValue - 3
        let long = String(repeating: "x", count: most)
        #expect(try environment([:], set: ["A": String(long.dropLast())]).values["A"]?.count == most - 1)
        #expect(throws: EnvironmentRefusal.tooLong("A", bytes: most + 1)) {
            try environment([:], set: ["A": long + "x"])
        }
        #expect(throws: EnvironmentRefusal.containsNul("A")) { try environment([:], set: ["A": "x\u{0}y"]) }
        let half = String(repeating: "x", count: 100 * 1024)
        #expect(throws: EnvironmentRefusal.self) {
            try environment([:], set: ["A": half, "B": half, "C": half])
        }
    }

    /// EN-03: nobody asked for it by name, so it is left out and stops nothing.
    @Test func `a huge value of a harmless name is left out`() throws {
        let huge = String(repeating: "x", count: 2 << 20)
        #expect(try environment(["TERM": huge, "LANG": huge]) == environment([:]))
    }

    /// EN-03
    @Test func `control characters and any Unicode pass byte for byte`() throws {
        let value = "a\nb\t\u{1b}[31m\u{7f}\r é \u{202e} \u{FEFF}\u{10FFFF} e\u{301}"
        let inside = try environment(["KEY": value, "TERM": value], pass: ["KEY"])
        #expect(inside.values["KEY"].map { Array($0.utf8) } == Array(value.utf8))
        #expect(inside.entries.contains { Array($0.utf8) == Array("TERM=\(value)".utf8) })
    }

    /// EN-03
    @Test func `malformed entries of the user's environment are dropped`() {
        let entries: [[UInt8]] =
            [
                "GOOD=1", "NOEQUALS", "=empty", "BASH_FUNC_x%%=() { :; }", "A B=2", "TWICE=first",
                "TWICE=second",
                "EMPTY=", "EQUALS=a=b=c", "", "1X=1", "NEW\nLINE=1", "VALUE=a\nb",
            ].map { Array($0.utf8) } + [[0x42, 0x3D, 0xFF, 0xFE], [0xFF, 0x3D, 0x31]]
        #expect(
            UserEnvironment.parse(entries) == [
                "GOOD": "1", "TWICE": "first", "EMPTY": "", "EQUALS": "a=b=c", "VALUE": "a\nb",
            ])
    }

    @Test func `equal inputs give equal bytes`() throws {
        let user = Dictionary(uniqueKeysWithValues: (0..<200).map { ("N\($0)", "\($0)") })
        let names = user.keys.sorted()
        let first = try environment(user, pass: names).entries
        let second = try environment(user, pass: names.reversed()).entries
        #expect(first == second)
        #expect(first == first.sorted { $0.prefix { $0 != "=" } < $1.prefix { $0 != "=" } })
    }
}

/// Names that hold secrets on developers' machines, in build services and in clouds.
private let secrets = [
    "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY",
    "GROQ_API_KEY",
    "OPENROUTER_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
    "BITBUCKET_TOKEN", "NPM_TOKEN", "NODE_AUTH_TOKEN", "PYPI_TOKEN", "TWINE_PASSWORD", "CARGO_REGISTRY_TOKEN",
    "RUBYGEMS_API_KEY", "GEM_HOST_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_ACCESS_TOKEN", "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID", "ARM_CLIENT_SECRET", "DIGITALOCEAN_ACCESS_TOKEN", "HCLOUD_TOKEN", "FLY_API_TOKEN",
    "HEROKU_API_KEY", "VERCEL_TOKEN", "NETLIFY_AUTH_TOKEN", "CLOUDFLARE_API_TOKEN", "DATABASE_URL",
    "POSTGRES_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "REDIS_URL", "MONGODB_URI", "AMQP_URL",
    "SENTRY_AUTH_TOKEN",
    "SENTRY_DSN", "DATADOG_API_KEY", "NEW_RELIC_LICENSE_KEY", "SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL",
    "DISCORD_TOKEN", "TELEGRAM_BOT_TOKEN", "STRIPE_SECRET_KEY", "TWILIO_AUTH_TOKEN", "SENDGRID_API_KEY",
    "JWT_SECRET", "SECRET_KEY_BASE", "DJANGO_SECRET_KEY", "ENCRYPTION_KEY", "SSH_AUTH_SOCK", "SSH_CONNECTION",
    "GPG_AGENT_INFO", "GPG_TTY", "KUBECONFIG", "VAULT_TOKEN", "CONSUL_HTTP_TOKEN", "DOCKER_AUTH_CONFIG",
    "DOCKER_PASSWORD", "CI_JOB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "BUILDKITE_AGENT_ACCESS_TOKEN", "CIRCLE_TOKEN", "TRAVIS_TOKEN", "JENKINS_API_TOKEN", "SONAR_TOKEN",
    "CODECOV_TOKEN", "SNYK_TOKEN", "OP_SESSION_my", "OP_SERVICE_ACCOUNT_TOKEN", "BW_SESSION", "SUDO_ASKPASS",
    "KRB5CCNAME", "DBUS_SESSION_BUS_ADDRESS", "XAUTHORITY", "PASSWORD", "HISTFILE", "MAIL",
]
