import BoxPolicy
import BoxTypes
import Glibc
import Profiles
import Testing

/// The agent profiles that ship in the binary: what each of them may never say.
struct ShippedAgentsTests {
    /// All but the demonstration, which is a script.
    static let names = Shipped.agentNames.filter { $0 != "demo" }

    private func profile(_ name: String) throws -> PolicyLayer {
        try PolicyReader.read(try #require(Shipped.agent(name)), file: "\(name).toml")
    }

    private func home(_ name: String) throws -> Policy.Agent.Home {
        try #require(try profile(name).agent?.home)
    }

    @Test func `every file in the folder of agents ships, in alphabetical order`() throws {
        let parts = #filePath.split(separator: "/").dropLast(3)
        let folder = parts.reduce("") { "\($0)/\($1)" } + "/profiles/agents"
        guard let found = unsafe opendir(folder) else { throw Fixture.Missing(path: folder) }
        defer { _ = unsafe closedir(found) }
        var files: [String] = []
        while let entry = unsafe readdir(found) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name.hasSuffix(".toml") { files.append(String(name.dropLast(5))) }
        }
        #expect(files.sorted() == Shipped.agentNames)
    }

    @Test(arguments: names)
    func `a profile builds on base and starts a program of its own`(name: String) throws {
        let layer = try profile(name)
        #expect(layer.extends == "base")
        let agent = try #require(layer.agent)
        #expect(agent.name == name)
        #expect(agent.command?.first == name)
        #expect(agent.script == nil)
        #expect(agent.summary?.isEmpty == false)
    }

    @Test(arguments: names)
    func `a profile says nothing but its agent, hosts and variables`(name: String) throws {
        let base = try PolicyReader.read(Shipped.base, file: "base.toml")
        let layer = try profile(name)
        #expect(layer.environment.from.isEmpty)
        var policy = Policy(merging: [base, layer])
        #expect(!policy.network.allow.isEmpty)
        (policy.network.allow, policy.environment, policy.agent) = ([], Policy.Environment(), nil)
        #expect(policy == Policy(merging: [base]))
    }

    /// Below these names anybody can have a name.
    private static let shared: Set<String> = [
        "amazonaws.com", "azure.com", "azurewebsites.net", "cloudflare.com", "cloudfront.net", "fly.dev",
        "github.io",
        "githubusercontent.com", "google.com", "googleapis.com", "netlify.app", "ngrok.io", "onrender.com",
        "pages.dev",
        "run.app", "supabase.co", "vercel.app", "workers.dev", "co.uk", "com.cn", "com.au", "co.jp",
        "github.com",
    ]

    @Test(arguments: names)
    func `hosts are names on port 443, and a star stands only below one party's name`(name: String) throws {
        for rule in try profile(name).network.allow {
            #expect(rule.port == .https, "\(rule)")
            switch rule.pattern {
            case .name: break
            case .subdomains(of: let parent):
                #expect("\(parent)".split(separator: ".").count >= 2, "\(rule)")
                #expect(!Self.shared.contains("\(parent)"), "\(rule)")
            case .address, .network: Issue.record("\(rule) is no name")
            }
        }
    }

    /// Where usage data and crash reports go, and where packages are uploaded or anything can be put.
    private static let unwanted = [
        "statsig.com", "api.statsig.com", "featureassets.org", "sentry.io", "o1.ingest.sentry.io",
        "segment.io",
        "api.segment.io", "us.i.posthog.com", "app.posthog.com", "api.mixpanel.com", "api2.amplitude.com",
        "browser-intake-datadoghq.com", "http-intake.logs.us5.datadoghq.com", "play.googleapis.com",
        "ab.chatgpt.com", "api3.cursor.sh", "data.charm.land", "telemetry.enterprise.githubcopilot.com",
        "default.exp-tas.com", "gist.github.com", "uploads.github.com", "storage.googleapis.com",
        "s3.amazonaws.com", "raw.githubusercontent.com", "localhost",
    ]

    @Test(arguments: names)
    func `no host of usage data, uploads or packages is allowed`(name: String) throws {
        let rules = try profile(name).network.allow
        for text in Self.unwanted {
            let target = HostTarget(host: .name(try HostName(text)), port: .https)
            #expect(!rules.contains { $0.matches(target) }, "\(text)")
        }
    }

    @Test(arguments: names)
    func `the login can be refreshed: nothing of it is secured`(name: String) throws {
        let home = try home(name)
        #expect(!home.login.isEmpty)
        for login in home.login {
            #expect(!login.hasSuffix("/"), "\(login): logins are files")
            let path = try #require(BytePath(login))
            for secured in home.secured {
                let other = try #require(
                    BytePath(secured.hasSuffix("/") ? String(secured.dropLast()) : secured))
                #expect(!path.isSame(orBelow: other), "\(login) in \(secured)")
                #expect(!other.isSame(orBelow: path), "\(secured) in \(login)")
            }
        }
    }

    @Test(arguments: names)
    func `a secured file exists from the start, so that it cannot be made later`(name: String) throws {
        let home = try home(name)
        #expect(!home.secured.isEmpty)
        #expect(Set(home.secured).count == home.secured.count)
        for path in home.secured where !path.hasSuffix("/") { #expect(home.seed[path] != nil, "\(path)") }
        // One below another would be secured twice.
        for directory in home.secured where directory.hasSuffix("/") {
            #expect(!home.secured.contains { $0 != directory && $0.hasPrefix(directory) }, "\(directory)")
        }
    }

    @Test(arguments: names)
    func `a seed is what its file's name says`(name: String) throws {
        for (path, content) in try home(name).seed {
            let bytes = Array(content.utf8)
            if path.hasSuffix(".json") || path.hasSuffix(".jsonc") {
                #expect(throws: Never.self, "\(path)") { try JSONValue(parsing: bytes) }
            } else if path.hasSuffix(".toml") {
                // Another schema, but the reader says whether it is TOML at all.
                let error = #expect(throws: PolicyErrors.self) { try PolicyReader.read(bytes, file: path) }
                for problem in error?.all.map(\.problem) ?? [] {
                    switch problem {
                    case .unknownKey, .unknownTable: break
                    case .tooLarge, .byteOrderMark, .nul, .notUTF8, .syntax, .wrongType, .badValue,
                        .unknownWord,
                        .missing, .contradiction, .extendsItself, .unknownParent:
                        Issue.record("\(path): \(problem)")
                    }
                }
            } else if path.hasSuffix(".yml") || path.hasSuffix(".yaml") {
                for line in content.split(separator: "\n") {
                    #expect(line.contains(": ") && !line.hasPrefix(" "), "\(path): \(line)")
                }
            } else {
                #expect(content.isEmpty, "\(path)")
            }
        }
    }

    /// They open more than the agent's model, or change what programs load.
    private static let tooMuch: Set<String> = [
        "GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "NPM_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET",
        "KUBECONFIG",
        "DATABASE_URL", "SSH_AUTH_SOCK", "HTTPS_PROXY", "HOME", "PATH", "SHELL", "USER", "TMPDIR",
    ]

    @Test(arguments: names)
    func `only the agent's own keys are passed`(name: String) throws {
        let environment = try profile(name).environment
        #expect(!environment.pass.isEmpty)
        for variable in environment.pass + environment.set.keys {
            #expect(try EnvironmentName(variable).refusal == nil, "\(variable)")
            #expect(!Self.tooMuch.contains(variable), "\(variable)")
            #expect(!variable.hasPrefix("XDG_"), "\(variable)")
        }
        // A profile is public.
        for (variable, value) in environment.set {
            #expect(!variable.hasSuffix("_KEY") && !variable.hasSuffix("_TOKEN"), "\(variable)")
            #expect(value.utf8.count < 200, "\(variable)")
        }
    }

    @Test(arguments: names)
    func `the file begins with what it is for, and its sections say why`(name: String) throws {
        let text = String(decoding: try #require(Shipped.agent(name)), as: UTF8.self)
        #expect(text.hasPrefix("# "))
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count { $0.contains("# ") } >= 15)
        for line in lines { #expect(line.utf8.count <= 300, "\(line)") }
    }
}
