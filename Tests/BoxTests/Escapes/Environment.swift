import Foundation
import Testing

/// Area EN: the environment.
@Suite(.recorded("EN")) struct Environment {
    /// Names that carry secrets or change what programs do.
    static let secrets: [String] = [
        "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "NPM_TOKEN",
        "PYPI_TOKEN",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
        "AZURE_CLIENT_SECRET",
        "GOOGLE_APPLICATION_CREDENTIALS", "GCP_KEY", "DIGITALOCEAN_TOKEN", "HEROKU_API_KEY",
        "CLOUDFLARE_API_TOKEN",
        "DATABASE_URL", "PGPASSWORD", "MYSQL_PWD", "REDIS_URL", "MONGO_URL", "SECRET_KEY", "SECRET_KEY_BASE",
        "JWT_SECRET", "SESSION_SECRET", "SLACK_TOKEN", "SLACK_WEBHOOK_URL", "STRIPE_SECRET_KEY",
        "TWILIO_AUTH_TOKEN",
        "SENDGRID_API_KEY", "HF_TOKEN", "WANDB_API_KEY", "VAULT_TOKEN", "KUBECONFIG", "DOCKER_PASSWORD",
        "DOCKER_HOST",
        "CI_JOB_TOKEN", "CIRCLE_TOKEN", "TRAVIS_TOKEN", "JENKINS_TOKEN", "SONAR_TOKEN", "CODECOV_TOKEN",
        "SENTRY_DSN",
        "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR",
        "DISPLAY",
        "WAYLAND_DISPLAY", "XAUTHORITY", "TMUX", "STY", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT",
        "GCONV_PATH",
        "BASH_ENV", "ENV", "PYTHONSTARTUP", "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "PROMPT_COMMAND", "IFS", "BASH_FUNC_ls%%", "GIT_SSH_COMMAND", "EDITOR", "PAGER",
        "CREDENTIALS_DIRECTORY",
    ]
    /// Everything a run may have (security.md 2.7), by the names themselves.
    static let allowed: Set<String> = [
        "TERM", "COLORTERM", "LANG", "TZ", "NO_COLOR", "CLICOLOR", "FORCE_COLOR", "COLUMNS", "LINES", "HOME",
        "USER",
        "LOGNAME", "SHELL", "PATH", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "PWD", "BOX", "BOX_SESSION", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy",
        "all_proxy",
        "NO_PROXY", "no_proxy", "GIT_TERMINAL_PROMPT", "SSL_CERT_FILE",
        "NODE_USE_ENV_PROXY", "ASAN_OPTIONS", "TSAN_OPTIONS", "MSAN_OPTIONS", "GOFLAGS",
    ]

    static func names(_ outcome: Outcome) -> [String: String] {
        var found: [String: String] = [:]
        for entry in outcome.text.split(separator: "\0") {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            found[String(parts[0])] = parts.count > 1 ? String(parts[1]) : ""
        }
        return found
    }

    @Test func `only allowlisted names get in`() throws {
        row("EN-01")
        let box = try Box()
        // LD_PRELOAD of a file that is not there would make the loader of the control complain, no more.
        let dirty = Dictionary(uniqueKeysWithValues: Environment.secrets.map { ($0, "canary-\($0)") })
        let control = Environment.names(try Host.run(["/usr/bin/env", "-0"], environment: dirty))
        #expect(control.values.contains("canary-GITHUB_TOKEN"), "no control")
        let inside = Environment.names(try box.run(["/usr/bin/env", "-0"], environment: dirty))
        let strange = inside.keys.filter { !Environment.allowed.contains($0) && !$0.hasPrefix("LC_") }
        #expect(strange.isEmpty, "\(strange.sorted())")
        #expect(!inside.values.contains { $0.contains("canary") }, "\(inside)")
        #expect(inside["BOX"] == "1" && inside["HOME"] != nil && inside["PATH"]?.contains("/usr/bin") == true)
        #expect(inside["BOX_SESSION"]?.isEmpty == false, "\(inside)")
    }

    @Test func `what is asked for gets in, and no more`() throws {
        row("EN-01")
        let box = try Box()
        let outcome = try box.run(
            ["/usr/bin/env", "-0"], options: ["--env", "WANTED", "--env", "GIVEN=a=b c", "--env", "EMPTY="],
            environment: ["WANTED": "yes", "OTHER": "no"])
        let inside = Environment.names(outcome)
        #expect(
            inside["WANTED"] == "yes" && inside["GIVEN"] == "a=b c" && inside["EMPTY"] == "", "\(outcome)")
        #expect(inside["OTHER"] == nil)
    }

    @Test(arguments: [
        "LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/x", "BASH_ENV=/x", "NODE_OPTIONS=-r/x", "SSH_AUTH_SOCK=/x",
        "DOCKER_HOST=x", "1BAD=x", "A B=x", "=x",
    ])
    func `a dangerous or malformed name is refused even if it is asked for`(_ variable: String) throws {
        row("EN-02")
        let outcome = try Box().run(["/usr/bin/env"], options: ["--env", variable])
        #expect(outcome.status == 125 && outcome.out.isEmpty, "\(outcome)")
    }

    @Test func `malformed entries of the user's environment do no harm`() throws {
        row("EN-03")
        let raw = [
            "raw:1": "no-equals-sign", "raw:2": "=empty-name", "raw:3": "TERM=first", "raw:4": "TERM=second",
            "raw:5": "BASH_FUNC_x%%=() { echo hacked; }", "raw:6": "NEW\nLINE=x", "raw:7": "LANG=a\nb",
            "raw:8": "HUGE=" + String(repeating: "x", count: 120_000), "raw:9": "TZ=\u{1b}[31m",
        ]
        let outcome = try Box().run(["/usr/bin/env", "-0"], environment: raw)
        #expect(outcome.status == 0, "\(outcome)")
        let inside = Environment.names(outcome)
        #expect(
            inside["HUGE"] == nil && inside["BASH_FUNC_x%%"] == nil && inside[""] == nil
                && inside["no-equals-sign"] == nil)
        #expect(
            outcome.text.components(separatedBy: "TERM=").count == 2, "TERM once")
    }

    @Test func `secrets do not come in by other doors`() throws {
        row("EN-04")
        let box = try Box()
        let secret = "canary-\(UInt64.random(in: 0...UInt64.max))"
        let outcome = try box.shell(
            """
            cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/auxv \
            /proc/[0-9]*/task/*/environ 2>/dev/null | tr '\\0' '\\n'; ls /run/credentials /run/user \
            /run/secrets 2>/dev/null
            """,
            environment: ["MY_SECRET": secret])
        #expect(!outcome.text.contains(secret) && !outcome.text.isEmpty, "\(outcome)")
        #expect(!outcome.text.contains(box.scratch.state), "\(outcome)")
    }

    @Test func `the proxy's variables are set and going round them leads nowhere`() throws {
        row("EN-05")
        guard has("curl") else { return }
        row("EN-05")
        let box = try Box()
        let inside = Environment.names(try box.run(["/usr/bin/env", "-0"]))
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            #expect(inside[name] == "http://127.0.0.1:3128", "\(name)=\(inside[name] ?? "")")
        }
        #expect(Set((inside["NO_PROXY"] ?? "").split(separator: ",")) == ["localhost", "127.0.0.1", "::1"])
        let around = try box.shell(
            """
            curl -sS -m 5 --noproxy '*' http://192.0.2.1/; echo $?; env -i curl -sS -m 5 \
            http://example.com/; echo $?
            """
        )
        #expect(around.lines == ["7", "6"] || around.lines == ["7", "7"], "\(around)")
        let none = Environment.names(try box.run(["/usr/bin/env", "-0"], options: ["--net", "none"]))
        #expect(none["HTTP_PROXY"] == nil && none["https_proxy"] == nil, "\(none)")
    }
}
