import Foundation
import Testing

/// Host and agent at work in one repository at the same time.
@Suite(.recorded("AP-09")) struct GitBothMoved {
    private static let start = "echo 1 > a; echo 2 > b; mkdir d; echo 3 > d/c"
    private static let commits =
        "echo agent >> a; git commit -qam agent-1; echo new > n; git add n; git commit -qm agent-2"

    /// What a user has of a repository, without what a look at it changes.
    private static let state = """
        export GIT_OPTIONAL_LOCKS=0
        git rev-parse HEAD main; git symbolic-ref HEAD; git status --porcelain; git ls-files -s; git reflog
        sha256sum .git/HEAD .git/index .git/refs/heads/main
        find . -path ./.git -prune -o -type f -print | sort
        """

    @Test(arguments: ["before the agent's first commit", "while the session runs", "after the session"])
    func `git status on the host, which writes the index anew, is no conflict`(_ when: String) throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        let index = try project.host("sha256sum < .git/index").text
        let look = "touch -d 2001-01-01 b d/c; git status >/dev/null"
        if when == "after the session" {
            try project.work(GitBothMoved.commits)
            try project.host(look)
        } else if when == "before the agent's first commit" {
            let session = try Conversation(project.box)
            try session.say("true")
            try project.host(look)
            try session.say(GitBothMoved.commits)
            try session.end()
        } else {
            try project.meanwhile(agent: GitBothMoved.commits, path: ".git/index", host: look)
        }
        #expect(
            try project.host("sha256sum < .git/index").text != index, "no control: the index was not written")
        #expect(try project.review().conflicts.isEmpty)
        try project.apply()
        let git = try project.host("git log --format=%s; git status --porcelain; git fsck 2>&1")
        #expect(git.lines == ["agent-2", "agent-1", "first"], "\(git)")
    }

    @Test func `an agent that only looks, and a host that commits, are no conflict`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        try project.meanwhile(
            agent: "git status; echo agent >> b; git status; git diff --stat", path: "b",
            host: "echo host >> a; git commit -qam host")
        try project.apply()
        let git = try project.host("git log --format=%s; git status --porcelain; git fsck 2>&1; cat a")
        #expect(git.lines == ["host", "first", " M b", "1", "host"], "\(git)")
    }

    @Test func `both made the same commit: nothing is left to do`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        let commit = """
            export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
            echo same >> a; git commit -qam same
            """
        try project.meanwhile(agent: commit, path: ".git/index", host: commit)
        try project.apply()
        let git = try project.host("git log --format=%s; git status --porcelain; git fsck 2>&1")
        #expect(git.lines == ["same", "first"], "\(git)")
    }

    @Test(arguments: ["loose", "packed"])
    func `both committed: one conflict, explained, and the way out is a branch`(_ objects: String) throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        let pack = objects == "packed" ? "; git gc -q --prune=now" : ""
        try project.meanwhile(
            agent: GitBothMoved.commits + pack, path: ".git/index",
            host: "echo host >> b; git commit -qam host; echo 1 > untracked")
        let (before, manifest) = (try project.look(GitBothMoved.state), try project.manifest())

        let refused = try project.command(["apply", "--yes"], status: 1)
        let told = refused.errors.split(separator: "\n").filter { $0.hasPrefix("  ") }
        #expect(told == ["  .git: you and the agent both moved the repository"], "\(refused)")
        #expect(refused.errors.contains("box apply --as-branch NAME"), "\(refused)")
        #expect(try project.manifest() == manifest)
        let json = try project.command(["apply", "--yes", "--json"], status: 1)
        #expect(json.text.contains("\"outcome\": \"conflict\"") && json.text.contains(".git"), "\(json)")

        let taken = try project.command(["apply", "--as-branch", "agent/work"])
        #expect(taken.errors.contains("made the branch agent/work"), "\(taken)")
        let log = try project.host("git log --format=%s agent/work; git show agent/work:n")
        #expect(log.lines == ["agent-2", "agent-1", "first", "new"], "\(log)")
        Lines.expectSame(try project.look(GitBothMoved.state), before, "the user's own side")
        let git = try project.host(
            "git fsck --full --strict 2>&1; git merge -q --no-edit agent/work; cat a b n")
        #expect(git.lines == ["1", "agent", "2", "host", "new"], "\(git)")
    }

    @Test func `the branch can be taken back`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        try project.meanwhile(
            agent: GitBothMoved.commits, path: ".git/index", host: "echo host >> b; git commit -qam host")
        let before = try project.manifest()
        try project.command(["apply", "--as-branch", "agent"])
        #expect(try project.host("git branch --list agent").answer == "agent")
        try project.command(["undo", "--yes"])
        Lines.expectSame(Lines.withoutDirectories(try project.manifest()), Lines.withoutDirectories(before))
        #expect(try project.host("git branch --list agent; git fsck 2>&1").answer.isEmpty)
    }

    @Test(arguments: ["main", "../evil", "-f", "a..b", "x.lock", "main/below", "HEAD", "", "a b"])
    func `a branch that is there, or of a bad name, is refused and nothing is touched`(_ name: String) throws
    {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        try project.work(GitBothMoved.commits)
        let before = try project.manifest()
        let refused = try project.box.call(["apply", "--as-branch=\(name)"])
        #expect([1, 125].contains(refused.status), "\(refused)")
        Lines.expectSame(try project.manifest(), before)
        // The control: the same with another name.
        try project.command(["apply", "--as-branch=fine"])
    }

    @Test func `theirs replaces the host's side, and the repository is whole`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitBothMoved.start)
        try project.meanwhile(
            agent: GitBothMoved.commits, path: ".git/index", host: "echo host >> d/c; git commit -qam host")
        try project.apply("--theirs")
        let git = try project.host(
            "git log --format=%s main; git fsck --full --strict 2>&1 | grep -v ^dangling; cat d/c")
        // The user's file stays as the user has it: the agent did not change it.
        #expect(git.lines == ["agent-2", "agent-1", "first", "3", "host"], "\(git)")
    }
}
