import BoxPolicy
import BoxTypes
import Testing

@testable import BoxPlan

@Suite struct PlannerTests {
    private func plan(
        _ facts: HostFacts, _ change: (inout Policy) -> Void = { _ in }
    ) throws(PlanError) -> Plan {
        var policy = Policy()
        policy.limits.processes = 100
        change(&policy)
        return try Planner.plan(
            policy: policy, facts: facts, request: Planner.Request(command: ["true"], session: "s"))
    }

    private func at(_ path: String) throws -> HostFacts {
        var facts = InventedHost.laptop.facts
        facts.project.path = try AbsolutePath(path)
        return facts
    }

    @Test(arguments: [
        "/", "/home", "/home/quinn", "/proc", "/proc/self", "/dev/shm/x", "/sys", "/tmp", "/etc", "/usr",
        "/var",
        "/home/quinn/.local/state/box", "/home/quinn/.local/state/box/sessions", "/home/quinn/.local",
    ])
    func `a place that is no project is refused with the reason`(path: String) throws {
        let facts = try at(path)
        #expect { try plan(facts) } throws: { error in
            if case .project(let refused, let why)? = error as? PlanError {
                refused.string == path && !why.isEmpty
            } else {
                false
            }
        }
    }

    @Test(arguments: ["/home/quinn/x", "/tmp/x", "/srv/x", "/usr/src/x", "/opt/x/y", "/home/quinn2"])
    func `an ordinary directory is taken`(path: String) throws {
        #expect(try plan(at(path)).workingDirectory.string == path)
    }

    @Test(arguments: [
        "/", "~", "/home", "/home/quinn", "~/.ssh", "~/.ssh/id_ed25519", "~/.gnupg", "~/.aws/credentials",
        "/proc",
        "/sys/fs", "/dev", "/etc", "/var", "/run", "/usr", "/tmp", "/root", "/boot", "/run/docker.sock",
        "~/.local/state/box", "~/.local/state", "~/.config/box", "relative", "", "/a/../..", "/new\nline",
    ])
    func `a path that would give the sandbox away is not granted`(path: String) {
        var facts = InventedHost.laptop.facts
        let node = HostFacts.Node(kind: .directory, uid: 1000, gid: 1000, device: 1, inode: 1)
        if let expanded = try? Planner.expand(path, home: facts.user.home) { facts.nodes[expanded] = node }
        #expect(throws: PlanError.self) { try plan(facts) { $0.files.read = [path] } }
        #expect(throws: PlanError.self) { try plan(facts) { $0.files.write = [path] } }
    }

    @Test func `a granted path is bound as it was asked for, and Landlock says the same`() throws {
        var facts = InventedHost.laptop.facts
        let path = AbsolutePath(literal: "/home/quinn/.cache/pip")
        facts.nodes[path] = HostFacts.Node(kind: .directory, uid: 1000, gid: 1000, device: 1, inode: 1)
        for writable in [false, true] {
            let plan = try plan(facts) { policy in
                if writable {
                    policy.files.write = ["~/.cache/pip"]
                } else {
                    policy.files.read = ["~/.cache/pip"]
                }
            }
            let bind = plan.steps.compactMap {
                if case .bind(let bind) = $0, bind.target == path { bind } else { nil }
            }
            #expect(bind.map(\.writable) == [writable])
            let access = plan.steps.compactMap { step -> LandlockAccess? in
                guard case .landlock(_, _, let rules) = step else { return nil }
                return rules.first { $0.path == path }?.access
            }
            #expect(access.map { $0.contains(.writeFile) } == [writable])
        }
    }

    @Test(arguments: InventedHost.allCases)
    func `the steps are in the order of their ranks`(host: InventedHost) throws {
        let ranks = try plan(host.facts) { $0.protections.acceptMissing = Set(Protection.allCases) }.steps
            .map(\.rank)
        #expect(ranks == ranks.sorted())
    }

    @Test(arguments: InventedHost.allCases)
    func `no plan maps an id that is 0 outside`(host: InventedHost) throws {
        let plan = try plan(host.facts) { $0.protections.acceptMissing = Set(Protection.allCases) }
        #expect(plan.identity.outsideUID != 0 && plan.identity.outsideGID != 0)
        #expect(plan.identity.insideUID != 0 && plan.identity.insideGID != 0)
    }

    @Test func `root without an unprivileged id to give is refused`() {
        var facts = InventedHost.server.facts
        facts.unprivilegedID = nil
        #expect(throws: PlanError.self) {
            try plan(facts) { $0.protections.acceptMissing = Set(Protection.allCases) }
        }
    }

    @Test func `a missing protection stops the run unless it is accepted by name`() throws {
        var facts = InventedHost.laptop.facts
        facts.landlock = .notBuilt
        #expect {
            try plan(facts)
        } throws: { error in
            if case .missing(let states)? = error as? PlanError {
                states.map(\.protection) == [.landlock]
            } else {
                false
            }
        }
        let accepted = try plan(facts) { $0.protections.acceptMissing = [.landlock] }
        #expect(accepted.protections.contains { $0.protection == .landlock && $0.state == .accepted })
        #expect(!accepted.steps.contains { if case .landlock = $0 { true } else { false } })
    }

    @Test func `every protected name is read-only, and has a placeholder where it does not exist`() throws {
        let plan = try plan(InventedHost.laptop.facts)
        let readOnly = Set(
            plan.steps.compactMap { if case .readOnly(let path) = $0 { path.string } else { nil } })
        let project = "/home/quinn/code/app/"
        for name in ControlFiles.atRoot { #expect(readOnly.contains(project + name)) }
        for name in ["config", "hooks", "info", "commondir", "config.worktree"] {
            #expect(readOnly.contains(project + ".git/" + name))
            #expect(name == "config" || readOnly.contains(project + ".git/modules/lib/" + name))
        }
        let placeholders = Set(plan.placeholders.map(\.path.string))
        #expect(!placeholders.contains(project + ".vscode") && !placeholders.contains(project + ".git/hooks"))
        #expect(
            placeholders.contains(project + "box.toml") && placeholders.contains(project + ".git/commondir"))
        #expect(placeholders.allSatisfy(readOnly.contains))
    }

    @Test func `directories that hold protected names cannot be renamed away`() throws {
        let plan = try plan(InventedHost.laptop.facts)
        let pinned = plan.steps.compactMap { if case .pin(let path) = $0 { path.string } else { nil } }
        let project = "/home/quinn/code/app/"
        #expect(pinned == [".git", ".git/modules", ".git/modules/lib"].map { project + $0 })
    }

    @Test func `a secret of the user's environment gets in by name only, and no plan shows it`() throws {
        let without = try plan(InventedHost.laptop.facts)
        #expect(!without.environment.contains { $0.name == "AWS_SECRET_ACCESS_KEY" })
        let with = try plan(InventedHost.laptop.facts) { $0.environment.pass = ["AWS_SECRET_ACCESS_KEY"] }
        #expect(with.environment.contains { $0.name == "AWS_SECRET_ACCESS_KEY" && $0.value == "secret" })
        #expect(!with.text.contains("secret\n") && !with.json.pretty.contains("\"secret\""))
    }
}
