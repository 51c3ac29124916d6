import Foundation
import Testing

/// Git in a staged view: the agent's commits, index and references are the host's after an apply, and the
/// repository is whole.
@Suite(.recorded("GT-06")) struct GitInside {
    /// What git says of a repository, its work tree and its health. It writes nothing: the index stays as it
    /// is.
    static let report = """
        export GIT_OPTIONAL_LOCKS=0
        git log --all --graph --format='%H %s'; git for-each-ref; git status --porcelain=v2; git stash list
        git ls-files -s | sha256sum; git reflog | sha256sum; git fsck --full --strict --no-progress 2>&1
        """

    /// Something that agents do with a repository.
    struct Work: Sendable, CustomTestStringConvertible {
        var name: String
        var script: String
        var testDescription: String { name }
        init(_ name: String, _ script: String) { (self.name, self.script) = (name, script) }
    }

    /// A repository with a few files, a branch that is behind and one that can be rebased.
    static let start = """
        mkdir -p src/deep docs
        for n in 1 2 3 4 5 6 7 8; do echo "line $n" > src/f$n; echo "$n" > src/deep/g$n; done
        echo text > docs/a; echo readme > README; ln -s README link; echo '*.o' > .gitignore; echo x > out.o
        git add -A; git commit -qm zero
        git branch behind; git checkout -qb topic; echo topic >> src/f1; git commit -qam topic-1
        echo topic > new-on-topic; git add new-on-topic; git commit -qm topic-2
        git checkout -q main; echo main >> src/f2; git commit -qam main-1; git tag v1; echo more > docs/more
        """

    static let works = [
        Work(
            "commits", "echo 1 >> README; git commit -qam one; echo 2 > two; git add two; git commit -qm two"),
        Work(
            "amends, tags and removes a branch",
            """
            echo 1 >> README; git commit -qa --amend -m amended; git tag -a v2 -m two; git branch -D behind
            """),
        Work("rebases", "git rebase -q main topic; git checkout -q main; git merge -q --ff-only topic"),
        Work(
            "leaves a rebase in the middle",
            """
            echo other > src/f1; git commit -qam other; git checkout -q topic
            git rebase main >/dev/null 2>&1 || git status | head -3
            """),
        Work("merges", "git merge -q --no-edit topic"),
        Work(
            "leaves a merge with conflicts",
            """
            echo other > src/f1; git commit -qam other; git merge topic || git status --short
            """),
        Work(
            "stashes",
            "echo 1 >> README; echo 2 >> src/f3; git stash -q; echo 3 >> src/f4; git stash -q; git stash pop -q"
        ),
        Work(
            "cherry-picks, reverts and resets",
            """
            git cherry-pick topic~1 >/dev/null; git revert --no-edit HEAD >/dev/null
            git reset -q --hard HEAD~1; git clean -qfd
            """),
        Work(
            "moves directories and commits", "git mv src lib; git mv lib/deep docs/deep; git commit -qm moved"
        ),
        Work("moves directories and stages that", "git mv docs papers; git mv src/deep deep"),
        Work(
            "moves a directory and back",
            "git mv src lib; git commit -qm away; git mv lib src; git commit -qm back"),
        Work("packs everything", "echo 1 >> README; git commit -qam one; git gc -q --aggressive --prune=now"),
        Work(
            "packs references, repacks and expires",
            """
            git pack-refs --all; git branch -d behind; git repack -adq; git reflog expire --expire=now --all
            git prune
            """),
        Work("bisects", "git bisect start -q HEAD HEAD~1 >/dev/null; git bisect log >/dev/null"),
        Work("checks out another branch", "git checkout -q topic; echo 1 > untracked; git add -N untracked"),
        Work(
            "makes an empty directory of a branch",
            "git checkout -qb deep/er/branch; git commit -qm e --allow-empty"),
    ]

    @Test(arguments: works)
    func `after an apply the repository is as the agent left it, and after an undo as it was`(
        _ work: Work
    ) throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitInside.start)
        let before = try project.manifest()
        let inside = try project.workAndLook(
            work.script, look: GitInside.report + "\n" + ReviewedProject.listing)
        Lines.expectSame(try project.manifest(), before, "the project changed before the apply")
        let applied = try project.apply()
        #expect(!applied.errors.contains("left out"), "\(applied)")
        let after = try project.look(GitInside.report + "\n" + ReviewedProject.listing)
        Lines.expectSame(after, inside, "after the apply")
        try project.command(["undo", "--yes"])
        let undone = try project.manifest()
        Lines.expectSame(Lines.withoutDirectories(undone), Lines.withoutDirectories(before), "after the undo")
    }

    @Test func `a large pack comes over whole`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject("echo 1 > a")
        let inside = try project.workAndLook(
            """
            head -c 12000000 /dev/urandom > large; head -c 3000000 /dev/zero > zeros
            for n in $(seq 300); do echo "file $n" > f$n; done; git add -A; git commit -qm large; git gc -q
            ls .git/objects/pack
            """, look: GitInside.report)
        try project.apply()
        #expect(try project.look(GitInside.report) == inside)
        let packs = try project.host("cd .git/objects/pack; ls | wc -l; cat *.pack | wc -c").lines.compactMap(
            Int.init)
        #expect(packs.count == 2 && packs[0] >= 2 && packs[1] > 12_000_000, "\(packs)")
    }

    @Test func `an agent that only looks with git changes nothing`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitInside.start)
        // The control: git writes the index when it looks, because of a time, and for root of all owners.
        let outcome = try project.work(
            "sha256sum < .git/index; touch -d 2001-01-01 src/f1; git status --short; git diff; sha256sum < .git/index"
        )
        #expect(outcome.lines.first != outcome.lines.last, "no control: \(outcome)")
        #expect(try project.stages().isEmpty, "\(outcome)")
        // And with a change of a file it is this one file.
        try project.work("echo 1 >> README; git status --short")
        #expect(try project.review().paths == ["README"])
    }

    @Test func `commits inside are the user's, and the project's own setting is stronger`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject("echo 1 > a")
        try project.host("git config --unset user.name; git config --unset user.email")
        // The control: without any setting nobody can commit.
        try project.work("git commit -q --allow-empty -m none", status: 128)
        let odd = "Quinn \\\"Q\\\" O'Neil"
        try "[user]\n\tname = \(odd)\n\temail = quinn@example.com\n[core]\n\tpager = false\n".write(
            toFile: project.box.scratch.home + "/.gitconfig", atomically: true, encoding: .utf8)
        let own = try project.work(
            "git config core.pager || echo none; git commit -q --allow-empty -m one; git log -1 --format='%an <%ae>'"
        )
        #expect(own.lines == ["none", "Quinn \"Q\" O'Neil <quinn@example.com>"])
        try project.host("git config user.email else@example.com")
        let other = try project.work("git commit -q --allow-empty -m two; git log -1 --format='%ae %cn'")
        #expect(other.lines == ["else@example.com Quinn \"Q\" O'Neil"])
    }

    @Test func `the user's git status between an apply and its undo is no work of his`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(GitInside.start)
        try project.work("echo 1 >> README; git commit -qam one; rm src/f5")
        try project.apply()
        let index = try project.host("sha256sum < .git/index").text
        try project.host("touch -d 2001-01-01 src/f1; git status --short")
        #expect(try project.host("sha256sum < .git/index").text != index, "no control")
        try project.command(["undo", "--yes"])
        let git = try project.host("git status --porcelain; git log -1 --format=%s; git fsck 2>&1")
        #expect(git.lines == ["first"], "\(git)")
    }

    @Test func `settings that the agent makes stay out, with their reason, and the rest comes`() throws {
        row("GT-01")
        guard has("git") else { return }
        let project = try ReviewedProject(GitInside.start)
        let settings = try project.text(".git/config")
        try project.work(
            """
            git config core.fsmonitor ./evil; git config alias.st '!./evil'
            git branch -q --set-upstream-to=main topic
            echo '*.c filter=evil' > .git/info/attributes; echo 1 >> README; git commit -qam one
            """)
        let review = try project.review()
        #expect(review.paths("blocked").sorted() == [".git/config", ".git/info/attributes"])
        let applied = try project.apply()
        #expect(applied.errors.contains(".git/config: git obeys these settings"), "\(applied)")
        #expect(try project.text(".git/config") == settings)
        #expect(try project.host("git log -1 --format=%s; git fsck 2>&1").lines == ["one"])
        #expect(!project.exists(".git/info/attributes"))
    }
}
