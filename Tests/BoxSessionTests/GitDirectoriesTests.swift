import BoxKernel
import BoxSession
import BoxTypes
import Glibc
import Testing

/// A project's git directory that lies elsewhere, in repositories that git made.
struct GitDirectoriesTests {
    /// A scratch directory with a repository `main` in it.
    final class Scratch {
        let path: String

        init() throws {
            var template = Array("/var/tmp/box-gitdir-XXXXXX".utf8CString)
            let made = unsafe mkdtemp(&template) != nil
            try #require(made)
            path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            try run("git init -q main && cd main && echo a > a && git add a && git commit -qm one")
        }

        deinit { _ = unsafe system("rm -rf '\(path)'") }

        /// Runs a shell line there, with git and nobody's settings.
        func run(_ line: String) throws {
            let environment =
                "env -i PATH=/usr/bin:/bin HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a "
                + "GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_ALLOW_PROTOCOL=file "
            let status = unsafe system("cd '\(path)' && \(environment) sh -ec '\(line)' >/dev/null 2>&1")
            try #require(status == 0, "\(line)")
        }

        func at(_ name: String) throws -> AbsolutePath { try AbsolutePath("\(path)/\(name)") }

        func find(_ project: String) throws -> GitDirectories.Found {
            try GitDirectories.outside(project: at(project))
        }

        /// The project is refused, with a reason that has this in it.
        func isRefused(_ project: String, _ reason: String) throws {
            let found = try find(project)
            #expect(found.directories == [])
            let obstacle = try #require(found.obstacle)
            #expect(obstacle.contains(reason), "\(obstacle)")
            #expect(obstacle.hasSuffix("git does not work inside"))
        }
    }

    @Test func `an ordinary repository and a plain directory need nothing else`() throws {
        let scratch = try Scratch()
        try scratch.run("mkdir plain")
        #expect(try scratch.find("main") == GitDirectories.Found())
        #expect(try scratch.find("plain") == GitDirectories.Found())
    }

    @Test func `a linked worktree leads to its repository`() throws {
        let scratch = try Scratch()
        try scratch.run("cd main && git worktree add -q ../tree")
        #expect(try scratch.find("tree") == GitDirectories.Found(directories: [scratch.at("main/.git")]))
        // With a path that is relative, as newer versions of git write it.
        try scratch.run("echo \"gitdir: ../main/.git/worktrees/tree\" > tree/.git")
        try scratch.run("echo ../../../../tree/.git > main/.git/worktrees/tree/gitdir")
        #expect(try scratch.find("tree") == GitDirectories.Found(directories: [scratch.at("main/.git")]))
    }

    @Test func `a worktree of a bare repository leads to it`() throws {
        let scratch = try Scratch()
        try scratch.run("git clone -q --bare main bare.git && cd bare.git && git worktree add -q ../tree")
        #expect(try scratch.find("tree") == GitDirectories.Found(directories: [scratch.at("bare.git")]))
    }

    @Test func `a submodule leads to its git directory, and its worktree, too`() throws {
        let scratch = try Scratch()
        try scratch.run("git init -q lib && cd lib && git commit -q --allow-empty -m one")
        try scratch.run("cd main && git -c protocol.file.allow=always submodule add -q ../lib libs/lib")
        let directory = try scratch.at("main/.git/modules/libs/lib")
        #expect(try scratch.find("main/libs/lib") == GitDirectories.Found(directories: [directory]))
        try scratch.run("cd main/libs/lib && git worktree add -q ../../../tree")
        #expect(try scratch.find("tree") == GitDirectories.Found(directories: [directory]))
        // The key may stand in the worktree's own file.
        try scratch.run(
            "cd main/.git/modules/libs/lib && w=$(git config -f config core.worktree) && git config -f config "
                + "--unset core.worktree && git config -f config.worktree core.worktree $w")
        #expect(try scratch.find("main/libs/lib") == GitDirectories.Found(directories: [directory]))
    }

    @Test func `a repository with its git directory elsewhere leads to it, if it names the project`() throws {
        let scratch = try Scratch()
        try scratch.run("git init -q --separate-git-dir=apart project")
        try scratch.run("git -C project config core.worktree \(scratch.path)/project")
        #expect(try scratch.find("project") == GitDirectories.Found(directories: [scratch.at("apart")]))
        try scratch.run("git -C project config --unset core.worktree")
        try scratch.isRefused("project", "does not point back")
    }

    @Test func `a git directory that lies in the project needs nothing else`() throws {
        let scratch = try Scratch()
        try scratch.run("mkdir project && git init -q --separate-git-dir=project/.bare project")
        #expect(try scratch.find("project") == GitDirectories.Found())
        try scratch.run("cd project && echo \"gitdir: ./.bare\" > .git")
        #expect(try scratch.find("project") == GitDirectories.Found())
    }

    // MARK: - Hostile projects

    @Test(arguments: [
        "main/.git", "main", ".", "..", "/", "/etc", "/var/tmp", "main/.git/worktrees/tree",
        "main/.git/objects",
        "missing", "main/a", "main/.git/config",
    ])
    func `a project cannot name a directory of another one`(target: String) throws {
        let scratch = try Scratch()
        try scratch.run("cd main && git worktree add -q ../tree")
        let path = target.hasPrefix("/") ? target : "../\(target)"
        try scratch.run("mkdir evil && echo \"gitdir: \(path)\" > evil/.git")
        let found = try scratch.find("evil")
        #expect(found.directories == [] && found.obstacle != nil)
        #expect(try #require(found.obstacle) == (try #require(found.obstacle)).escapedForTerminal)
    }

    @Test(arguments: [
        "", "gitdir:", "gitdir: ", "gitdir: \\n", "main/.git", "GITDIR: ../main/.git", "gitdir: \\033[2J",
        "gitdir: \\377",
        "gitdir: ../main/.git\\0/x", "gitdir: ../../../../../../../../../..", "gitdir: ../main/.git\\nx",
    ])
    func `a file that is not git's is refused`(text: String) throws {
        let scratch = try Scratch()
        try scratch.run("mkdir evil && printf \"\(text)\" > evil/.git")
        let found = try scratch.find("evil")
        #expect(found.directories == [] && found.obstacle != nil)
    }

    @Test func `a link, a directory of links and a FIFO are refused`() throws {
        let scratch = try Scratch()
        try scratch.run("mkdir a b c && ln -s ../main/.git a/.git && mkfifo b/.git")
        try scratch.isRefused("a", "is a link")
        try scratch.isRefused("b", "neither")
        // A worktree that is reached through a link of the project's neighbour.
        try scratch.run("cd main && git worktree add -q ../tree && ln -s main ../alias")
        try scratch.run("echo \"gitdir: ../alias/.git/worktrees/tree\" > tree/.git")
        try scratch.isRefused("tree", "through a link")
    }

    @Test func `a made-up worktree in the project makes nothing else visible`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "mkdir -p evil/x/worktrees/w && cd evil/x/worktrees/w && echo ../../../../main/.git > commondir && "
                + "echo \(scratch.path)/evil/.git > gitdir && echo \"ref: refs/heads/main\" > HEAD && "
                + "echo \"gitdir: x/worktrees/w\" > ../../../.git")
        #expect(try scratch.find("evil") == GitDirectories.Found())
    }

    @Test func `a made-up worktree elsewhere names only what it is in`() throws {
        let scratch = try Scratch()
        // A place that the agent may write to beside the project.
        try scratch.run(
            "mkdir -p evil cache/worktrees/w && cd cache/worktrees/w && echo ../../../main/.git > commondir && "
                + "echo \(scratch.path)/evil/.git > gitdir && echo \"ref: refs/heads/main\" > HEAD && "
                + "echo \"gitdir: \(scratch.path)/cache/worktrees/w\" > ../../../evil/.git")
        try scratch.isRefused("evil", "no worktree of a repository")
        try scratch.run("echo ../.. > cache/worktrees/w/commondir")
        try scratch.isRefused("evil", "not a git directory")
        // The same with a link to the other repository in the way.
        try scratch.run(
            "git -C main worktree add -q ../w && rm -r cache/worktrees && ln -s ../main/.git/worktrees cache/worktrees"
        )
        try scratch.isRefused("evil", "reached through a link")
    }

    @Test func `another project's worktree does not belong to this one`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "cd main && git worktree add -q ../tree && mkdir ../evil && cp ../tree/.git ../evil/.git")
        try scratch.isRefused("evil", "does not point back")
        // Not even if it once did: the worktree was moved.
        try scratch.run("cd main && git worktree move ../tree ../moved && cp ../moved/.git ../evil/.git")
        try scratch.isRefused("evil", "does not point back")
        #expect(try scratch.find("moved").directories == [scratch.at("main/.git")])
    }

    @Test func `a git directory that holds the project is refused`() throws {
        let scratch = try Scratch()
        try scratch.run("cd main && git worktree add -q .git/inner")
        try scratch.isRefused("main/.git/inner", "in which the project itself lies")
    }

    @Test(.enabled(if: geteuid() == 0))
    func `another user's git directory is refused`() throws {
        let scratch = try Scratch()
        try scratch.run("cd main && git worktree add -q ../tree && chown -R 1234 .git")
        try scratch.isRefused("tree", "belongs to another user")
        // Root may work in a project of that very user.
        try scratch.run("chown -R 1234 tree")
        #expect(try scratch.find("tree").directories == [scratch.at("main/.git")])
    }

    @Test func `a configuration that git would refuse is not believed`() throws {
        let scratch = try Scratch()
        try scratch.run("git init -q --separate-git-dir=apart project")
        try scratch.run("printf \"[core]\\nworktree = \(scratch.path)/project\\n[oops\" >> apart/config")
        try scratch.isRefused("project", "cannot be read")
        // A key of a subsection is another key.
        try scratch.run("printf \"[core \\\"x\\\"]\\nworktree = \(scratch.path)/project\\n\" > apart/config")
        try scratch.isRefused("project", "does not point back")
    }
}
