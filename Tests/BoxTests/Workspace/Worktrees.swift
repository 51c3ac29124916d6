import Foundation
import Testing

/// Projects whose git directory lies elsewhere: linked worktrees and submodules. It is staged with them, if
/// it really belongs to them.
@Suite(.recorded("GT-03")) struct Worktrees {
    /// A linked worktree of `../main` as the project.
    private func linked() throws -> ReviewedProject {
        let project = try ReviewedProject()
        try project.host(
            """
            set -e; mkdir ../main; cd ../main
            \(ReviewedProject.repository); echo 1 > a; mkdir d; echo 2 > d/b; git add -A
            git commit -qm first; echo secret > not-of-the-worktree; git worktree add -q -b topic ../project
            """)
        return project
    }

    /// A submodule of the repository in the directory above as the project.
    private func submodule() throws -> ReviewedProject {
        let project = try ReviewedProject()
        try project.host(
            """
            set -e; mkdir ../upstream; cd ../upstream
            \(ReviewedProject.repository); echo 1 > a; mkdir d; echo 2 > d/b
            git add -A; git commit -qm first; cd ..; rmdir project
            \(ReviewedProject.repository); echo secret > top
            git add top; git -c protocol.file.allow=always submodule --quiet add ./upstream project
            git commit -qm super
            cd project; git config user.email a@b.invalid; git config user.name somebody
            """)
        return project
    }

    private static let work = """
        git status --short; echo agent >> a; git commit -qam agent-1; git mv d e; git commit -qm agent-2
        echo more >> a; git stash -q; git branch side HEAD~1
        """
    private static let report = """
        export GIT_OPTIONAL_LOCKS=0
        git log --format='%H %s'; git for-each-ref | grep -v refs/remotes; git status --porcelain=v2
        git stash list
        git fsck --full --strict --no-progress 2>&1; ls
        """

    @Test(arguments: ["worktree", "submodule"], ["overlay", "copy"])
    func `git works inside, and an apply takes commits to the real git directory`(
        _ kind: String, _ mode: String
    ) throws {
        guard has("git") else { return }
        var project = try kind == "worktree" ? linked() : submodule()
        project.box.options = ["--workspace", mode, "--net", "none"]
        let real = kind == "worktree" ? "../main/.git" : "../.git/modules/project"
        let before = try project.manifest() + Host.manifest(project.path + "/" + real)
        let inside = try project.workAndLook(Worktrees.work, look: Worktrees.report)
        #expect(
            inside.contains { $0.hasSuffix(" agent-2") } && inside.contains { $0.hasPrefix("stash@") },
            "\(inside)")
        Lines.expectSame(
            try project.manifest() + Host.manifest(project.path + "/" + real), before, "before the apply")
        let applied = try project.apply()
        #expect(!applied.errors.contains("left out"), "\(applied)")
        Lines.expectSame(try project.look(Worktrees.report), inside, "after the apply")
        #expect(
            try project.host(
                "git -C \(real) fsck --full 2>&1; git -C \(real) log -1 --format=%s topic -- 2>/dev/null || :"
            )
            .lines.allSatisfy { $0 == "agent-2" })
        // The other work tree is as clean as before.
        #expect(
            try project.host(
                "cd \(kind == "worktree" ? "../main" : ".."); GIT_OPTIONAL_LOCKS=0 git status --porcelain --ignore-submodules"
            )
            .lines.allSatisfy { $0.hasPrefix("??") })
        try project.command(["undo", "--yes"])
        let undone = try project.manifest() + Host.manifest(project.path + "/" + real)
        Lines.expectSame(Lines.withoutDirectories(undone), Lines.withoutDirectories(before), "after the undo")
    }

    @Test(arguments: ["worktree", "submodule"])
    func `only the git directory is there, nothing beside it`(_ kind: String) throws {
        guard has("git") else { return }
        let project = try kind == "worktree" ? linked() : submodule()
        let outcome = try project.work(
            "cat ../main/not-of-the-worktree ../main/a ../top ../upstream/a ../.git/config 2>/dev/null || :; ls -A ..; ls -A ../main 2>/dev/null || :"
        )
        let names = Set(outcome.lines)
        #expect(!names.contains("secret") && !names.contains("1"), "\(outcome)")
        #expect(names.isSubset(of: ["project", "main", ".git", "home"]), "\(outcome)")
        // The control: outside it is all there.
        let control = try project.host("cat ../main/not-of-the-worktree ../top 2>/dev/null; true")
        #expect(control.answer == "secret")
    }

    @Test func `host and agent both moved a linked worktree: the agent's commits as a branch`() throws {
        guard has("git") else { return }
        let project = try linked()
        try project.work("echo agent >> a; git commit -qam agent-1")
        try project.host("echo host >> d/b; git commit -qam host")
        let refused = try project.command(["apply", "--yes"], status: 1)
        #expect(refused.errors.contains("--as-branch"), "\(refused)")
        try project.command(["apply", "--as-branch", "agent"])
        let git = try project.host(
            "git log -1 --format=%s agent; git log -1 --format=%s topic; git status --porcelain; git fsck 2>&1"
        )
        #expect(git.lines == ["agent-1", "host"], "\(git)")
    }

    @Test func `worktrees elsewhere outlive a prune inside, where they cannot be seen`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject("echo 1 > a")
        try project.host(
            """
            git worktree add -q -b side ../tree; cd ../tree; echo side > s; git add s; git commit -qm side
            echo staged > t; git add t
            """)
        let outcome = try project.work(
            """
            git worktree list --porcelain | grep -c prunable; git worktree prune; git worktree list | wc -l
            echo 2 >> a; git commit -qam agent; git gc -q
            """)
        #expect(outcome.lines == ["1", "1"], "\(outcome)")
        let applied = try project.apply()
        #expect(applied.errors.contains(".git/worktrees/tree/HEAD: part of a git repository"), "\(applied)")
        let git = try project.host(
            """
            git log -1 --format=%s; git worktree list | wc -l; git fsck --full 2>&1 | grep -v dangling
            cd ../tree; git log -1 --format=%s; git status --porcelain; git show :t
            """)
        #expect(git.lines == ["agent", "2", "side", "A  t", "staged"], "\(git)")
    }

    @Test func `a worktree that is made inside stays out, the branch and its commits come`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject("echo 1 > a")
        try project.work(
            """
            git worktree add -q -b side tree; cd tree; echo side > s; git add s; git commit -qm side
            git status --short
            cd ..; git worktree list | wc -l
            """)
        let applied = try project.apply()
        #expect(applied.errors.contains("tree/.git"), "\(applied)")
        let git = try project.host(
            "git log -1 --format=%s side; git worktree list | wc -l; cat tree/s; git fsck --full 2>&1")
        #expect(git.lines == ["side", "1", "side"], "\(git)")
        // By name it comes, too, and is whole.
        try project.applyByName()
        let whole = try project.host(
            "git worktree list | wc -l; cd tree; git status --porcelain; git log -1 --format=%s")
        #expect(whole.lines == ["2", "side"], "\(whole)")
    }

    @Test func `commits in a submodule of the project, and in the project about it`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject(
            """
            git init -q -b main ../upstream; cd ../upstream; git config user.email a@b.invalid
            git config user.name u
            echo 1 > s; git add s; git commit -qm upstream; cd "$OLDPWD"; echo top > top
            git -c protocol.file.allow=always submodule --quiet add ../upstream sub
            git -C sub config user.email a@b.invalid; git -C sub config user.name somebody
            """)
        let report = """
            export GIT_OPTIONAL_LOCKS=0
            git submodule status; git log --format='%H %s'; git status --porcelain=v2; git fsck 2>&1
            cd sub; git log --all --format='%H %s'; git status --porcelain=v2; git fsck 2>&1
            """
        let inside = try project.workAndLook(
            """
            cd sub; git checkout -q -b work; echo 2 >> s; mkdir deep; echo 3 > deep/t; git add -A
            git commit -qm in-sub
            cd ..; git add sub; git commit -qm super-moves; git mv sub module
            """, look: report.replacingOccurrences(of: "cd sub", with: "cd module"))
        try project.applyByName()
        Lines.expectSame(
            try project.look(report.replacingOccurrences(of: "cd sub", with: "cd module")), inside)
    }

    // MARK: - Hostile

    /// `.git` files of a project, and what they want to make visible. `$SECRETS` is a repository of the
    /// user's.
    static let lies: [(name: String, make: String)] = [
        ("another repository", "echo \"gitdir: $SECRETS/.git\" > .git"),
        ("a relative way there", "echo 'gitdir: ../secrets/.git' > .git"),
        ("the whole repository", "echo \"gitdir: $SECRETS\" > .git"),
        ("the user's home", "echo \"gitdir: $HOME\" > .git"),
        ("everything", "echo 'gitdir: /' > .git"),
        ("the directory above", "echo 'gitdir: ..' > .git"),
        ("a link to it", "ln -s \"$SECRETS/.git\" .git"),
        ("a link in the project", "ln -s \"$SECRETS/.git\" real; echo 'gitdir: real' > .git"),
        (
            "a git directory of one's own with the other as its common one",
            """
            git init -q own; mkdir own/.git/worktrees own/.git/worktrees/x
            echo "$SECRETS/.git" > own/.git/worktrees/x/commondir
            echo "$PWD/.git" > own/.git/worktrees/x/gitdir
            echo 'ref: refs/heads/main' > own/.git/worktrees/x/HEAD
            echo 'gitdir: own/.git/worktrees/x' > .git
            """
        ),
        (
            "a worktree of the other that is somebody else's",
            """
            git -C "$SECRETS" worktree add -q ../theirs; echo "gitdir: $SECRETS/.git/worktrees/theirs" > .git
            """
        ),
    ]

    @Test(arguments: lies.indices)
    func `a git file that leads elsewhere shows nothing`(_ index: Int) throws {
        guard has("git") else { return }
        let lie = Worktrees.lies[index]
        let project = try ReviewedProject()
        let secrets = project.box.scratch.root + "/secrets"
        try project.host(
            """
            set -e; SECRETS='\(secrets)'; mkdir "$SECRETS"; cd "$SECRETS"
            \(ReviewedProject.repository); echo confidential > confidential-plan
            git add .; git commit -qm confidential; echo confidential > .git/description
            echo confidential > "$HOME/private"
            cd "$OLDPWD"; echo mine > mine
            \(lie.make)
            """)
        let look = """
            git log -1 --format=%s; git show HEAD:confidential-plan
            cat '\(secrets)/.git/description' '\(secrets)/confidential-plan' \
                '\(project.box.scratch.home)/private' real/description .git/description
            """
        let before = try Host.manifest(secrets)
        let outcome = try project.box.shell(
            "(\(look)) 2>/dev/null; (git fetch '\(secrets)'; git commit --allow-empty -m x) >/dev/null 2>&1; cat mine"
        )
        #expect(outcome.answer == "mine", "\(lie.name): \(outcome)")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try Host.manifest(secrets) == before)
        // The control: on the host the same words show it.
        let control = try project.host("(\(look)) 2>/dev/null; true")
        #expect(control.text.contains("confidential"), "no control: \(lie.name)")
    }

    @Test func `the card says why git does not work inside`() throws {
        guard has("git") else { return }
        let project = try ReviewedProject()
        try project.host("git init -q ../secrets; echo 'gitdir: ../secrets/.git' > .git")
        let outcome = try project.work("true", options: ["--card"])
        #expect(
            outcome.errors.contains("does not point back to this project; git does not work inside"),
            "\(outcome)")
    }
}
