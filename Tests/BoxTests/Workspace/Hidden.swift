import Foundation
import Testing

/// What the policy hides of a project: absent inside by every path, and never touched by an apply.
@Suite(.recorded("FS-07")) struct Hidden {
    private static let value = "the-hidden-value-7c1f"
    private static let secrets = [
        ".env", ".env.local", ".env.production", "server.pem", "tls.key", "store.p12", "id_rsa",
        "id_ed25519.old",
        ".netrc", ".ssh/config", "credentials.json", "terraform.tfstate",
    ]
    private static let shown = [
        ".env.example", ".env.sample", ".env.template", ".env.test", "id_rsa.pub", "README", "deep/.env",
        "environment",
    ]

    /// A project with both, everywhere the same value.
    private func project(_ options: [String]) throws -> ReviewedProject {
        let project = try ReviewedProject(options)
        for name in Hidden.secrets + Hidden.shown {
            try project.box.scratch.write(Hidden.value + "\n", to: project.path + "/" + name)
        }
        return project
    }

    /// The digest of what is hidden, and of where it lies.
    private func evidence(_ project: ReviewedProject, _ names: [String] = secrets) throws -> [String] {
        try project.host(
            "sha256sum \(names.joined(separator: " ")); stat -c '%n %a %i %y %s' \(names.joined(separator: " "))"
        )
        .lines
    }

    @Test(arguments: ["overlay", "copy", "direct"])
    func `secrets at the project's root are absent by every path, what looks like them is there`(
        _ mode: String
    ) throws {
        let project = try project(["--workspace", mode])
        let before = try evidence(project)
        let ways = [
            "", "./", "$PWD/", "/$PWD//", "deep/../", "/proc/self/cwd/", "/proc/self/root$PWD/",
            "/proc/thread-self/cwd/",
        ]
        let reads = Hidden.secrets.flatMap { name in ways.map { "cat \"\($0)\(name)\"" } }
        // All that is there with that value, by whatever name; the value is not in the words of the search.
        let search = """
            cd /; grep -rlsI --exclude-dir=proc --exclude-dir=usr --exclude-dir=opt the-hidden-valu[e] . |
                sed "s:^.$PROJECT/::" | sort
            """
        let read = reads.joined(separator: "\n")
        let script = read + "\nls -A; echo '<search>'; PROJECT=$PWD; \(search)"
        let inside = try project.box.shell(script + "; true", options: ["--card"])
        #expect(!inside.text.contains(Hidden.value), "\(inside)")
        let marks = inside.text.components(separatedBy: "<search>\n")
        #expect(
            marks.count == 2 && marks[1].split(separator: "\n").map(String.init) == Hidden.shown.sorted(),
            "\(inside)")
        if mode != "direct" {
            // In the project itself only an empty thing can be seen in their place.
            let names = Set(marks[0].split(separator: "\n").map(String.init))
            #expect(names.isDisjoint(with: Hidden.secrets + [".ssh"]), "\(names)")
            #expect(
                inside.errors.components(separatedBy: "No such file or directory").count == reads.count + 1,
                "\(inside)")
        }
        // The card says which; a long list ends with how many more.
        #expect(inside.errors.contains("hidden    .env .env.local"), "\(inside)")
        #expect(try evidence(project) == before)
        // The control.
        let control = try project.host(read)
        #expect(control.lines.count == reads.count, "no control")
    }

    @Test(arguments: ["overlay", "copy", "direct"])
    func `patterns for the whole tree hide at any depth`(_ mode: String) throws {
        let names = ["secret.txt", "a/secret.txt", "a/b/c/secret.txt", "vault/one", "vault/deep/two"]
        let project = try ReviewedProject([
            "--workspace", mode, "--hide", "**/secret.txt", "--hide", "vault/",
        ])
        for name in names { try project.box.scratch.write(Hidden.value, to: project.path + "/" + name) }
        try project.host(
            "echo 1 > a/b/c/other; mkdir src; echo 2 > src/secret.txt.md; mkdir src/vault; echo 3 > src/vault/x"
        )
        let before = try evidence(project, names)
        let reads = names.map { "cat \($0)" }.joined(separator: "; ")
        let inside = try project.box.shell("cat a/b/c/other src/secret.txt.md src/vault/x; \(reads); true")
        #expect(inside.lines == ["1", "2", "3"], "\(inside)")
        #expect(try evidence(project, names) == before)
    }

    @Test(arguments: ["overlay", "copy"])
    func `an agent's own file of that name is its own: shown as held back, and never applied`(_ mode: String)
        throws
    {
        let project = try project(["--workspace", mode])
        let before = try evidence(project)
        let made = try project.work(
            "echo mine > .env; mkdir .ssh; echo x > .ssh/config; echo y > .ssh/new; cat .env; echo z > new")
        #expect(made.answer == "mine")
        let review = try project.review()
        #expect(review.paths("blocked").sorted() == [".env", ".ssh/config", ".ssh/new"])
        #expect(review[".env"]?.reason.contains("the policy hides") == true)
        // By name, and with what decides conflicts, too.
        for words in [
            [], [".env"], [".env", ".ssh", ".ssh/config", ".ssh/new"], ["--theirs", ".env"],
            ["--merge", ".env"],
        ] {
            let outcome = try project.command(["apply", "--yes"] + words)
            #expect(
                outcome.errors.contains("the policy hides what the host has here"), "\(words): \(outcome)")
        }
        try project.applyByName()
        #expect(try evidence(project) == before)
        #expect(project.exists("new") && !project.exists(".ssh/new"))
        // A difference shows nothing of the host's file.
        let diff = try project.command(["diff", "--raw"])
        #expect(!diff.text.contains(Hidden.value) && diff.text.contains("+mine"), "\(diff)")
    }

    @Test(arguments: ["overlay", "copy"])
    func `a directory with something hidden in it is moved or deleted without it`(_ mode: String) throws {
        let project = try ReviewedProject(["--workspace", mode, "--hide", "**/secret.txt"])
        let names = ["conf/secret.txt", "gone/deep/secret.txt"]
        for name in names { try project.box.scratch.write(Hidden.value, to: project.path + "/" + name) }
        try project.host("echo 1 > conf/keep; echo 2 > gone/deep/x")
        let before = try evidence(project, names)
        let inside = try project.workAndLook(
            "mv conf settings; rm -r gone; mkdir conf; echo 3 > conf/new; ls")
        try project.apply()
        #expect(try evidence(project, names) == before)
        let files = try project.host("find . -type f | sort").lines
        #expect(
            files == ["./conf/new", "./conf/secret.txt", "./gone/deep/secret.txt", "./settings/keep"],
            "\(inside)")
        try project.command(["undo", "--yes"])
        #expect(try evidence(project, names) == before)
        #expect(
            try project.host("cat conf/keep gone/deep/x; ls -d settings 2>/dev/null || :").lines == [
                "1", "2",
            ])
    }

    @Test(arguments: ["overlay", "copy"])
    func `nothing of what is hidden is copied into box's state`(_ mode: String) throws {
        let project = try project(["--workspace", mode])
        try project.host("rm -r \(Hidden.shown.joined(separator: " ")); echo 1 > README")
        try project.work("echo mine > .env; echo 2 > README")
        for words in [["diff"], ["apply", "--yes"], ["undo", "--yes"], ["apply", "--yes"]] {
            try project.command(words)
        }
        let found = try project.host("grep -rl \(Hidden.value) '\(project.box.scratch.state)' || :")
        #expect(found.answer.isEmpty, "\(found)")
    }

    @Test func `the user may show a name again, and the last word counts`() throws {
        let project = try project(["--workspace", "overlay"])
        let shown = try project.box.shell("cat .env; cat .env.local || true", options: ["--hide", "!.env"])
        #expect(shown.answer == Hidden.value, "\(shown)")
        let hidden = try project.box.shell("cat .env || true", options: ["--hide", "!.env", "--hide", ".e*"])
        #expect(hidden.text.isEmpty && hidden.status == 0, "\(hidden)")
        let refused = try project.box.shell("echo ran", options: ["--hide", "a/../b"])
        #expect(refused.status == 125 && refused.text.isEmpty, "\(refused)")
    }
}
