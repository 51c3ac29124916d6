import BoxKernel
import BoxTypes
import Testing

@testable import BoxStage

/// What of a git directory may reach the host.
struct RiskGitTests {
    typealias Case = RiskRulesTests.Case

    private func check(_ one: Case) throws {
        let verdict = try RiskRulesTests.verdict(one)
        #expect(verdict.risk == one.risk, "\(one.testDescription): \(verdict.reason)")
    }

    @Test(arguments: [
        "HEAD", "index", "packed-refs", "ORIG_HEAD", "FETCH_HEAD", "COMMIT_EDITMSG", "refs/heads/main",
        "refs/heads/config", "refs/heads/hooks/x", "refs/heads/Makefile", "refs/tags/box",
        "refs/remotes/origin/HEAD",
        "logs/HEAD", "logs/refs/heads/info/a", "objects/ab/cdef0123", "objects/pack/pack-1.pack",
        "objects/info/packs", "objects/info/commit-graph", "info/refs", "shallow", "description",
        "sequencer/todo",
        "rebase-merge/done", "lfs/objects/a/b", "gc.log",
    ])
    func `what git keeps as data is normal`(name: String) throws {
        for one in [
            Case(".git/" + name, .normal).inRepository, Case(".git/" + name, .normal).inRepository.modified,
        ] { try check(one) }
        try check(Case(name, .normal).inTree(1).on("HEAD", "objects", "refs"))
    }

    @Test(arguments: [
        "config", "config.worktree", "config.lock", "Config", "CONFIG", "hooks/pre-commit", "hooks/a/b",
        "Hooks/post-checkout",
        "hooks", "info/exclude", "info/attributes", "info/sparse-checkout", "info/grafts", "info",
        "commondir",
        "gitdir", "remotes/origin", "branches/x", "objects/info/alternates", "objects/info/http-alternates",
        "hooks./pre-commit", "co\u{AD}nfig", "ho\u{200C}oks/pre-commit",
    ])
    func `what git obeys is blocked, added, changed and deleted`(name: String) throws {
        let one = Case(".git/" + name, .blocked).inRepository
        for one in [one, one.modified, one.deleted, one.link(to: "x")] { try check(one) }
        let inner = Case("libs/a/.git/" + name, .blocked).on("libs/a/.git/HEAD")
        for one in [inner, inner.modified] { try check(one) }
        try check(Case(name, .blocked).inTree(1).on("HEAD", "objects", "refs"))
    }

    @Test(arguments: [
        Case(".git", .blocked), Case(".git", .blocked).modified, Case(".git", .blocked).link(to: "x"),
        Case("sub/.git", .blocked), Case(".git", .blocked).kind(.directory),
        Case("sub/.git", .blocked).deleted, Case(".git", .blocked).inRepository.deleted,
    ])
    func `a .git that is a file or link is blocked`(one: Case) throws { try check(one) }

    @Test(arguments: ["HEAD", "objects/ab/c", "refs/heads/main", "config", "description", "x"])
    func `a repository that was made inside is blocked as a whole`(name: String) throws {
        let one = Case("sub/.git/" + name, .blocked)
        try check(one)
        #expect(try RiskRulesTests.verdict(one).reason.hasPrefix("part of a git repository made inside"))
        try check(one.inRepository)
    }

    @Test(arguments: ["HEAD", "objects/ab/c", "refs/heads/main", "config"])
    func `a repository that was removed inside stays on the host as a whole`(name: String) throws {
        let one = Case(".git/" + name, .blocked).inRepository.but(".git/HEAD").deleted
        try check(one)
        #expect(try RiskRulesTests.verdict(one).reason.contains("removed inside"))
    }

    @Test(arguments: [
        ".GIT/config", ".Git/hooks/x", "git~1/config", "GIT~1/config", "git~2/x", ".git /config",
        ".git./config",
        ".git. . /config", ".g\u{200C}it/config", ".gi\u{200D}t/config", "\u{FEFF}.git/config",
        ".git\u{202E}/config",
        ".g\u{206A}it/config", ".git::$INDEX_ALLOCATION/config", ".git:x", ".git\\config",
        "a\\.git\\hooks\\x",
        ".git\\", "\\.git", "sub/.gIt/HEAD", ".GIT", "git~1", ".gi\u{AD}t/x", ".g\u{131}t/x",
    ])
    func `names that some file system takes for .git are blocked`(path: String) throws {
        try check(Case(path, .blocked))
        try check(Case(path, .blocked).inRepository)
    }

    @Test(arguments: [
        "HEAD", "objects/x/y", "refs/heads/main", "config", "hooks/post-checkout", "info/attributes",
    ])
    func `a plain directory that becomes a repository is blocked`(name: String) throws {
        let whole = Case("lib/" + name, .blocked).on("lib/readme").and(
            "lib/HEAD", "lib/objects", "lib/refs", "lib/config")
        try check(whole)
        // With the settings of a file that was harmless until now.
        try check(whole.on("lib/config"))
        // At the project's root, too.
        try check(Case(name, .blocked).and("HEAD", "objects", "refs"))
        // In other spellings.
        try check(Case("lib/" + name, .blocked).and("lib/head", "lib/Objects", "lib/REFS"))
        // And with objects elsewhere.
        try check(Case("lib/" + name, .blocked).and("lib/HEAD", "lib/commondir"))
    }

    @Test(arguments: [
        "lib/hEAD", "lib/oBJECTS/x", "lib/rEFs/x", "lib/HE\u{200C}AD", "lib/hOOKS/x", "lib/config.",
    ])
    func `a spelling that only hides a git name is blocked`(path: String) throws {
        try check(Case(path, .blocked))
    }

    @Test func `a bare repository that the host has is treated as a git directory`() throws {
        let names = ["fixture/HEAD", "fixture/objects", "fixture/refs", "fixture/config"]
        func one(_ path: String, _ risk: Risk) -> Case { Case(path, risk).with { $0.host = Set(names) } }
        try check(one("fixture/config", .blocked).modified)
        try check(one("fixture/hooks/update", .blocked))
        try check(one("fixture/refs/heads/x", .normal))
        try check(one("fixture/objects/ab/c", .normal))
        try check(one("fixture/HEAD", .normal).modified)
        try check(one("fixture/readme", .normal))
    }

    @Test func `a submodule's git directory is one`() throws {
        let names = ["HEAD", "objects", "refs"].map { ".git/modules/libs/a/" + $0 }
        func one(_ path: String, _ risk: Risk) -> Case {
            Case(path, risk).inRepository.with { $0.host.formUnion(names) }
        }
        try check(one(".git/modules/libs/a/config", .blocked).modified)
        try check(one(".git/modules/libs/a/hooks/x", .blocked))
        try check(one(".git/modules/libs/a/refs/heads/hooks/x", .normal))
        try check(one(".git/modules/libs/a/index", .normal).modified)
        // A second one that was made inside, whole: also what would be data.
        let made = one(".git/modules/b/ORIG_HEAD", .blocked).and(
            ".git/modules/b/HEAD", ".git/modules/b/objects", ".git/modules/b/refs")
        try check(made)
        // One whose name lies in another's refs.
        let inner = one(".git/modules/libs/a/refs/hooks/x", .blocked).and(
            ".git/modules/libs/a/refs/HEAD", ".git/modules/libs/a/refs/objects",
            ".git/modules/libs/a/refs/refs")
        try check(inner)
    }

    @Test func `a linked worktree's own directory is one`() throws {
        let known = Case(".git/worktrees/w/gitdir", .blocked).inRepository.on(".git/worktrees/w/HEAD")
        try check(known)
        try check(known.with { $0.path = Array(".git/worktrees/w/config.worktree".utf8) })
        for name in ["HEAD", "index", "logs/HEAD", "refs/bisect/x"] {
            try check(
                known.with {
                    $0.path = Array(".git/worktrees/w/\(name)".utf8)
                    $0.risk = .normal
                })
            // A worktree that was added inside leads nowhere on the host.
            try check(Case(".git/worktrees/new/\(name)", .blocked).inRepository)
            try check(Case("worktrees/new/\(name)", .blocked).inTree(1).on("HEAD", "objects", "refs"))
        }
    }

    @Test func `a rebase that is under way may run what it lists`() throws {
        let one = Case(".git/rebase-merge/git-rebase-todo", .confirm).inRepository
        try check(one)
        #expect(try RiskRulesTests.verdict(one).reason.contains("rebase --continue"))
    }

    @Test func `a pack may be large, and a link never lies in a git directory`() throws {
        try check(
            Case(".git/objects/pack/p.pack", .normal).inRepository.with { $0.new?.size = 1 << 30 })
        try check(Case(".git/refs/heads/x", .blocked).inRepository.link(to: "main"))
        try check(Case(".git/objects/x", .confirm).inRepository.mode(0o755))
    }
}
