import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

@testable import BoxStage

extension StageFixture {
    /// Plans and applies; nil where the plan has conflicts, so that nothing was tried.
    @discardableResult
    func apply(
        _ places: [String] = [], _ resolution: ApplyRequest.Resolution = .refuse, branch: String? = nil,
        _ calls: TransactionCalls = TransactionCalls()
    ) throws -> (plan: ApplyPlan, outcome: Apply.Outcome?) {
        var request = ApplyRequest()
        request.places = try places.map { ApplyRequest.Place(tree: 0, path: try #require(BytePath($0))) }
        request.resolution = resolution
        request.branch = branch
        let plan = try ApplyPlan(stage, request)
        guard plan.conflicts.isEmpty, plan.movedRepositories.isEmpty else { return (plan, nil) }
        return (plan, try Apply.run(plan, calls))
    }

    func read(_ name: String) throws -> String {
        try String(
            decoding: Descriptor.open(host + "/" + name, O_RDONLY).readAll(limit: 1 << 20), as: UTF8.self)
    }

    /// What people would see: everything below the host's directory.
    func disk() throws -> DiskTree { try DiskTree(host) }
}

/// Applies of what an agent did in a real overlay.
@Suite(.enabled(if: StageFixture.canMount)) struct ApplyTests {
    static let project = """
        mkdir -p src/deep empty lib; printf 'one\\ntwo\\nthree\\nfour\\nfive\\n' > src/a; echo b > src/b; chmod 755 src/b
        echo deep > src/deep/f; ln -s a src/link; ln src/a src/twin; echo lib > lib/l; ln -s ../outside lib/out
        echo x > file; echo y > other; chmod 640 other; mkdir -p old/one/two; echo 1 > old/one/1; echo 2 > old/one/two/2
        touch -d '2020-01-02 03:04:05.678' src/a lib/l src/deep old/one old
        """

    static let scripts = [
        "echo new > file", "rm file", "rm -r src", "rm -r old/one", "rm file; mkdir file; echo in > file/f",
        "rm -r lib; echo file > lib", "rm -r lib; ln -s src lib", "rm src/link; echo real > src/link",
        "rm src/b; ln -s nowhere src/b", "chmod 700 src; chmod 600 src/b", "chmod 711 empty", "rmdir empty",
        "mkdir -p n/e/w; echo 1 > n/e/w/f; mkdir n/empty",
        "mkdir -p src/deep/er; touch src/deep/er/x; rm src/deep/f",
        "echo more >> src/a", "rm src/a", "echo 1 > a; echo 2 > z; echo 3 > src/zz", "mv file src/file",
        "rm -r old; mkdir old; echo again > old/one", "rm other; echo y > other; chmod 600 other",
        "printf 'x\\n' > \"$(printf 'odd\\n\\377')\"; ln -s 'a b' -- -l",
        "truncate -s 200M sparse; echo end >> sparse",
        "for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i; echo $i > d$i/f; ln d$i/f d$i/g; done",
        "mkdir -m 555 locked",
        "rm -r src/deep; mkdir src/deep; echo other > src/deep/f", "ln -sfn deep src/link",
    ]

    @Test(arguments: scripts)
    func `what an agent did is applied as it sees it, and undone exactly`(_ script: String) throws {
        let fixture = try StageFixture(host: ApplyTests.project)
        let before = try fixture.disk()
        let ran = try fixture.agent(script)
        #expect(ran.status == 0, "\(ran.output)")
        try fixture.record()
        let changes = try fixture.changes()
        #expect(!changes.isEmpty)
        let (plan, outcome) = try fixture.apply()
        #expect(plan.taken == changes.count)
        #expect(outcome == .applied(kept: []))
        #expect(try fixture.expected() == [], "the host is not what the agent sees")
        #expect(try fixture.changes() == [])
        #expect(try Undo.run(fixture.stage) == .undone(changes.count, kept: []))
        #expect(before.difference(to: try fixture.disk(), identity: true) == nil)
        #expect(try fixture.changes() == changes)
        // And once more: an undo is no change of the host's.
        #expect(try fixture.apply().outcome == .applied(kept: []))
        #expect(try fixture.expected() == [])
    }

    @Test func `all kinds at once are applied in parts, and each part is undone alone`() throws {
        let fixture = try StageFixture(host: ApplyTests.project)
        try fixture.agent(
            "echo 1 > src/a; echo 2 > src/new; rm -r old; mkdir src-evil; echo 3 > src-evil/f; chmod 600 file"
        )
        try fixture.record()
        let all = try fixture.changes()
        let (plan, outcome) = try fixture.apply(["src"])
        #expect(outcome == .applied(kept: []))
        #expect((plan.taken, plan.leftOut) == (2, all.count - 2))
        #expect(try fixture.changes() == all.filter { !$0.contains(" src/") })
        let second = try fixture.apply(["old/one/two"])
        #expect(second.plan.conflicts.map(\.reason) == [])
        #expect(second.outcome == .applied(kept: []))
        #expect(try fixture.run(["test", "-e", fixture.host + "/old/one/two"]).status == 1)
        #expect(try fixture.run(["test", "-e", fixture.host + "/old/one/1"]).status == 0)
        #expect(try Undo.run(fixture.stage) == .undone(1, kept: []))
        #expect(try Undo.run(fixture.stage) == .nothing)
        #expect(try fixture.read("src/a") == "1\n")
        #expect(try fixture.apply().outcome == .applied(kept: []))
        #expect(try fixture.expected() == [])
    }

    @Test func `a path without a change is unmatched`() throws {
        let fixture = try StageFixture(host: ApplyTests.project)
        try fixture.agent("echo new > src/new")
        #expect(
            try fixture.apply(["sr", "src", "src/*"]).plan.unmatched.map(\.path.escaped) == ["sr", "src/*"])
    }

    // MARK: - The host moved

    private static let conflicted = """
        printf 'one\\ntwo\\nthree\\nfour\\nFIVE\\n' > src/a; echo agent > file
        """

    private func conflicted(_ host: String) throws -> StageFixture {
        let fixture = try StageFixture(host: ApplyTests.project)
        try fixture.agent(ApplyTests.conflicted)
        try fixture.record()
        try fixture.shell(host, in: fixture.host)
        return fixture
    }

    @Test(arguments: [
        "echo host > file", "rm file", "rm file; mkdir file", "chmod 600 file", "rm file; ln -s x file",
        "printf 'x\\n' > src/a", "rm -r src",
    ])
    func `where the host changed the same path nothing is touched`(_ change: String) throws {
        let fixture = try conflicted(change)
        let before = try fixture.disk()
        let (plan, outcome) = try fixture.apply()
        #expect(outcome == nil)
        #expect(plan.conflicts.count == 1)
        #expect(before.difference(to: try fixture.disk(), identity: true) == nil)
    }

    @Test func `different lines are merged, and that is no change any more`() throws {
        let fixture = try conflicted("printf 'ONE\\ntwo\\nthree\\nfour\\nfive\\n' > src/a")
        let before = try fixture.disk()
        let (plan, outcome) = try fixture.apply([], .merge)
        #expect(outcome == .applied(kept: []))
        #expect(plan.merged == 1)
        #expect(try fixture.read("src/a") == "ONE\ntwo\nthree\nfour\nFIVE\n")
        #expect(try fixture.changes() == [])
        #expect(try Undo.run(fixture.stage) == .undone(2, kept: []))
        #expect(before.difference(to: try fixture.disk(), identity: true) == nil)
        // It is the conflict again that it was.
        #expect(try fixture.apply().plan.conflicts.count == 1)
    }

    @Test func `the same lines are not merged`() throws {
        let fixture = try conflicted("printf 'one\\ntwo\\nthree\\nfour\\nSIX\\n' > src/a")
        let (plan, outcome) = try fixture.apply([], .merge)
        #expect(outcome == nil)
        #expect(plan.conflicts.first?.reason.hasSuffix("one place was changed on both sides") == true)
    }

    @Test func `theirs takes the agent's version, and an undo brings the host's back`() throws {
        let fixture = try conflicted("echo host > file; rm src/a")
        let before = try fixture.disk()
        #expect(try fixture.apply([], .theirs).outcome == .applied(kept: []))
        #expect(try fixture.read("file") == "agent\n")
        #expect(try fixture.changes() == [])
        #expect(try Undo.run(fixture.stage) == .undone(2, kept: []))
        #expect(before.difference(to: try fixture.disk(), identity: true) == nil)
        #expect(try fixture.apply().plan.conflicts.count == 2)
    }

    @Test func `ours keeps the host's version and settles the agent's`() throws {
        let fixture = try conflicted("echo host > file")
        let (plan, outcome) = try fixture.apply([], .ours)
        #expect(outcome == .applied(kept: []))
        #expect((plan.taken, plan.settled) == (1, 1))
        #expect(try fixture.read("file") == "host\n")
        #expect(try fixture.changes() == [])
        #expect(try Undo.run(fixture.stage) == .undone(1, kept: []))
        #expect(try fixture.apply().plan.conflicts.map(\.change.path.escaped) == ["file"])
    }

    @Test func `an undo is refused where the user has worked since, and names it`() throws {
        for script in ["echo mine > src/a", "rm file", "chmod 700 file", "rm file; mkdir file"] {
            let fixture = try conflicted("true")
            try fixture.apply()
            try fixture.shell(script, in: fixture.host)
            let before = try fixture.disk()
            guard case .edited(let paths) = try Undo.run(fixture.stage) else {
                Issue.record("\(script) is overlooked")
                continue
            }
            #expect(paths.map(\.path.escaped) == [script.hasSuffix("src/a") ? "src/a" : "file"])
            #expect(before.difference(to: try fixture.disk(), identity: true) == nil)
        }
    }

    @Test func `an undo keeps files that the user put into a new directory`() throws {
        let fixture = try StageFixture(host: ApplyTests.project)
        try fixture.agent("mkdir -p n/m; echo 1 > n/m/f")
        try fixture.record()
        try fixture.apply()
        try fixture.shell("echo mine > n/mine", in: fixture.host)
        #expect(
            try Undo.run(fixture.stage)
                == .undone(1, kept: [Transaction.Location(tree: 0, path: try #require(BytePath("n")))]))
        #expect(try fixture.read("n/mine") == "mine\n")
        #expect(try fixture.run(["test", "-e", fixture.host + "/n/m"]).status == 1)
    }

    @Test func `the host that changes between preparing and any step loses nothing`() throws {
        // Before every call once: the host edits a file that is being replaced.
        for place in 1... {
            let fixture = try conflicted("true")
            var count = 0
            let (_, outcome) = try fixture.apply(
                [], .refuse,
                TransactionCalls { number, _ in
                    count = number
                    guard number == place else { return 0 }
                    do { try fixture.shell("echo mine > file", in: fixture.host) } catch { return EIO }
                    return 0
                })
            let text = try fixture.read("file")
            switch outcome {
            case .conflicts: #expect(text == "mine\n", "call \(place)")
            // It was edited after it was applied, or it was replaced before.
            case .applied: #expect(["mine\n", "agent\n"].contains(text), "call \(place)")
            case .stopped, nil: Issue.record("call \(place): \(String(describing: outcome))")
            }
            if text == "agent\n", count < place { break }
            #expect(text == "mine\n", "call \(place)")
        }
    }

    // MARK: - What may not be applied

    @Test func `special files, hidden names and set-id bits never reach the host`() throws {
        let hidden = try #require(BytePath("secret"))
        let fixture = try StageFixture(hidden: [hidden], host: "echo s > secret; echo f > f")
        try fixture.shell(
            "mkfifo fifo; echo fake > secret; echo s > suid; chmod 6755 suid; mkdir -m 2775 d",
            in: fixture.upper)
        try fixture.python(
            "import socket; socket.socket(socket.AF_UNIX).bind('sock')", in: fixture.upper)
        try fixture.record()
        let (plan, outcome) = try fixture.apply()
        #expect(outcome == .applied(kept: []))
        #expect(plan.impossible.map(\.change.path.escaped).sorted() == ["fifo", "secret", "sock"])
        #expect(try fixture.read("secret") == "s\n")
        let disk = try fixture.disk()
        #expect(disk.items[try #require(BytePath("suid"))]?.mode == 0o755)
        #expect(disk.items[try #require(BytePath("d"))]?.mode == 0o775)
        #expect(disk.items.keys.map(\.escaped).sorted() == ["", "d", "f", "secret", "suid"])
        // The bits are no change that is left.
        #expect(try fixture.changes().allSatisfy { !$0.hasSuffix("suid") && !$0.hasSuffix(" d") })
    }

    @Test func `what is blocked is left out unless it is named itself`() throws {
        let fixture = try StageFixture(host: "mkdir .git .git/hooks; echo ref > .git/HEAD; echo f > f")
        try fixture.agent(
            "echo run > .git/hooks/pre-commit; echo g > f; mkdir .vscode; echo 1 > .vscode/tasks.json")
        try fixture.record()
        let (plan, outcome) = try fixture.apply([".git", "f", ".vscode"])
        #expect(outcome == .applied(kept: []))
        #expect(plan.blocked.map(\.change.path.escaped) == [".git/hooks/pre-commit", ".vscode/tasks.json"])
        #expect(try fixture.run(["test", "-e", fixture.host + "/.vscode"]).status == 1)
        #expect(try fixture.changes().count == 2)
        #expect(try fixture.apply([".vscode/tasks.json"]).outcome == .applied(kept: []))
        #expect(try fixture.read(".vscode/tasks.json") == "1\n")
    }

    @Test func `a directory keeps hidden files when the agent removed it, and stays`() throws {
        let hidden = try #require(BytePath("d/.env"))
        let fixture = try StageFixture(
            hidden: [hidden], host: "mkdir d; echo s > d/.env; echo f > d/f; echo g > g")
        try fixture.shell("mknod d c 0 0; mknod g c 0 0", in: fixture.upper)
        try fixture.record()
        #expect(
            try fixture.apply().outcome
                == .applied(kept: [Transaction.Location(tree: 0, path: try #require(BytePath("d")))]))
        #expect(try fixture.read("d/.env") == "s\n")
        #expect(try fixture.disk().items.keys.map(\.escaped).sorted() == ["", "d", "d/.env"])
        #expect(try Undo.run(fixture.stage) == .undone(2, kept: []))
        #expect(try fixture.read("d/f") == "f\n")
    }

    // MARK: - Enemies of the host's own

    @Test func `an ancestor that is swapped with a link leads nowhere`() async throws {
        let fixture = try StageFixture(host: "mkdir d; for i in 1 2 3 4 5 6 7 8; do echo $i > d/f$i; done")
        try fixture.shell(
            "mkdir outside; ln -s ../outside trap; for i in 1 2 3 4 5 6 7 8; do echo o > outside/f$i; done",
            in: fixture.path)
        try fixture.agent("for i in 1 2 3 4 5 6 7 8; do echo new > d/f$i; done; rm d/f8; echo n > d/n")
        try fixture.record()
        let outside = try DiskTree(fixture.path + "/outside")
        let swapper = try fixture.startSwapping("\(fixture.host)/d", "\(fixture.path)/trap")
        defer { swapper.stop() }
        for _ in 0..<60 {
            do {
                _ = try fixture.apply()
                _ = try Undo.run(fixture.stage)
            } catch {
                // The way to the directory is a link at that moment: then it is refused, or finished later.
            }
            _ = try? Transaction.finish(fixture.stage, resuming: false)
            #expect(outside.difference(to: try DiskTree(fixture.path + "/outside"), identity: true) == nil)
        }
        swapper.stop()
        _ = try Transaction.finish(fixture.stage, resuming: false)
        #expect(try Transaction.state(of: fixture.stage) == nil)
        #expect(outside.difference(to: try DiskTree(fixture.path + "/outside"), identity: true) == nil)
    }

    @Test(.enabled(if: geteuid() == 0)) func `a full disk takes everything back`() throws {
        let fixture = try StageFixture(host: "true")
        let small = fixture.path + "/small"
        try fixture.shell(
            "mkdir small; mount -t tmpfs -o size=1m,mode=755 none small; echo f > small/f", in: fixture.path)
        defer { _ = try? fixture.run(["umount", "-l", small]) }
        let root = try FileStatus.of(small, following: false)
        fixture.stage.roots[0] = Stage.Root(
            host: try AbsolutePath(small), device: root.device, inode: root.inode)
        fixture.stage.started = .now()
        try fixture.shell(
            "echo g > f; for i in 1 2 3 4; do head -c 400000 /dev/urandom > big$i; done", in: fixture.upper)
        let before = try DiskTree(small)
        let error = #expect(throws: StageError.self) { try fixture.apply() }
        #expect(error?.hint == "The disk is full")
        #expect(error?.step.hasPrefix("apply big") == true)
        #expect(before.difference(to: try DiskTree(small), identity: true) == nil)
        #expect(try Transaction.state(of: fixture.stage) == nil)
    }

    // MARK: - Repositories

    private func repository() throws -> StageFixture {
        let fixture = try StageFixture(
            host: """
                export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
                git init -q -b main .; git config user.name n; git config user.email e@example.org
                echo one > file; git add .; git commit -qm one; git pack-refs --all
                """)
        try fixture.agent(
            "echo two > agents; git add .; git commit -qm two; echo three >> agents; git commit -qam three")
        try fixture.record()
        return fixture
    }

    @Test func `a repository is taken as a whole`() throws {
        let fixture = try repository()
        #expect(try fixture.apply().outcome == .applied(kept: []))
        #expect(
            try fixture.shell(
                "git fsck --full --strict 2>&1; git status --short; git log --format=%s", in: fixture.host
            )
            .split(separator: "\n").suffix(3) == ["three", "two", "one"])
        #expect(try Undo.run(fixture.stage) != .nothing)
        #expect(
            try fixture.shell("git fsck 2>&1; git status --short; git log --format=%s", in: fixture.host)
                == "one\n")
    }

    @Test func `where both moved the repository there is one conflict, and a branch is the way out`() throws {
        let fixture = try repository()
        try fixture.shell("echo mine > mine; git add .; git commit -qm mine", in: fixture.host)
        let (plan, outcome) = try fixture.apply()
        #expect(outcome == nil)
        #expect(plan.movedRepositories.map(\.change.path.escaped) == [".git"])
        #expect(plan.conflicts.isEmpty)
        #expect(try fixture.apply([], branch: "agent/work").outcome == .applied(kept: []))
        let log = try fixture.shell(
            "git fsck --full --strict 2>&1; git status --short; git log --format=%s; git log --format=%s agent/work",
            in: fixture.host)
        #expect(log == "mine\none\nthree\ntwo\none\n")
        #expect(throws: StageError.self) { try fixture.apply([], branch: "agent/work") }
        #expect(throws: StageError.self) { try fixture.apply([], branch: "agent") }
        #expect(throws: StageError.self) { try fixture.apply([], branch: "main") }
        #expect(throws: StageError.self) { try fixture.apply([], branch: "../x") }
        #expect(try Undo.run(fixture.stage) != .nothing)
        #expect(
            try fixture.shell("git branch --format='%(refname)'; git fsck 2>&1", in: fixture.host)
                == "refs/heads/main\n")
    }

    // MARK: - Much

    @Test func `four thousand changes are applied and undone`() throws {
        let fixture = try StageFixture(host: "true")
        try fixture.python(
            """
            for d in range(4):
                os.mkdir(f'd{d}')
                for i in range(1000): open(f'd{d}/{i}', 'w').write('x')
            """, in: fixture.upper)
        let (plan, outcome) = try fixture.apply()
        #expect(outcome == .applied(kept: []))
        #expect(plan.taken == 4000)
        #expect(try Undo.run(fixture.stage) == .undone(4000, kept: []))
        #expect(try fixture.disk().items.count == 1)
    }
}

/// A process that exchanges two names again and again.
final class Swapper {
    private var pid: CInt

    init(_ pid: CInt) { self.pid = pid }

    func stop() {
        guard pid > 0 else { return }
        kill(pid, SIGKILL)
        var status: CInt = 0
        unsafe waitpid(pid, &status, 0)
        pid = 0
    }
}

extension StageFixture {
    func startSwapping(_ one: String, _ other: String) throws -> Swapper {
        let script = """
            import ctypes, sys
            call = ctypes.CDLL(None, use_errno=True).renameat2
            a, b = sys.argv[1].encode(), sys.argv[2].encode()
            while True: call(-100, a, -100, b, 2)
            """
        let arguments = ["python3", "-c", script, one, other]
        var words = unsafe arguments.map { unsafe strdup($0) }
        unsafe words.append(nil)
        defer { unsafe words.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, "python3", nil, nil, words, environ)
        guard code == 0 else { throw KernelError(call: "posix_spawn", code: code) }
        return Swapper(pid)
    }
}
