import Foundation
import Testing

/// Real programs at work in a staged view; the project is as they left it after the apply.
@Suite(.recorded("AP-01")) struct RealWork {
    /// A program's work, and what must be there afterwards.
    struct Work: Sendable, CustomTestStringConvertible {
        var name: String
        var programs: [String]
        var before = "echo text > README"
        var script: String
        /// Run inside after the work, and on the host after the apply: the same must come out.
        var question: String
        var testDescription: String { name }
    }

    static let works = [
        Work(
            name: "sqlite", programs: ["python3"],
            before:
                "python3 -c 'import sqlite3; c = sqlite3.connect(\"old.db\"); c.execute(\"create table t (n, s)\"); c.commit()'",
            script: """
                python3 - <<'PY'
                import sqlite3
                for name, mode in [("old.db", "delete"), ("wal.db", "wal")]:
                    c = sqlite3.connect(name); c.execute("pragma journal_mode=" + mode)
                    c.execute("create table if not exists t (n, s)")
                    for n in range(3000): c.execute("insert into t values (?, ?)", (n, "x" * (n % 97)))
                    c.commit(); c.execute("delete from t where n % 3 = 0"); c.commit(); c.execute("vacuum")
                    c.close()
                c = sqlite3.connect("open.db"); c.execute("create table t (n)")
                c.execute("insert into t values (1)"); c.commit()
                PY
                """,
            question: """
                python3 -c 'import sqlite3
                for name in ["old.db", "wal.db"]:
                    c = sqlite3.connect(name)
                    print(c.execute("select count(*), sum(n), sum(length(s)) from t").fetchall(), c.execute("pragma integrity_check").fetchall())'
                """),
        Work(
            name: "an editor that saves by rename", programs: ["python3"],
            before: "for n in 1 2 3; do seq 50 > f$n; chmod 64$n f$n; done; ln f1 other",
            script: """
                python3 - <<'PY'
                import os, tempfile
                for n in "123":
                    name = "f" + n; lines = open(name).read().splitlines(); lines[10] = "edited"
                    fd, temp = tempfile.mkstemp(dir="."); os.write(fd, "\\n".join(lines).encode() + b"\\n")
                    os.fsync(fd)
                    os.fchmod(fd, os.stat(name).st_mode & 0o777); os.close(fd); os.rename(name, name + "~")
                    os.rename(temp, name)
                PY
                """, question: "cat f1 f2 f3 other f1~; stat -c %a f1 f2 f3"),
        Work(
            name: "vim", programs: ["vim"], before: "seq 50 > f1; seq 60 > f2; chmod 600 f2",
            script: """
                vim -Nu NONE -es -c '%s/7/seven/g' -c 'wq' f1
                vim -Nu NONE -es -c 'set backup backupcopy=no' -c '2d' -c 'wq' f2
                vim -Nu NONE -es -c 'normal ihello' -c 'wq' new
                """, question: "cat f1 f2 new; stat -c %a f1 f2; ls -A"),
        Work(
            name: "cc and make", programs: ["make", "cc"],
            before: """
                mkdir src
                for n in 1 2 3 4; do printf 'int f%d(void) { return %d; }\\n' $n $n > src/f$n.c; done
                printf 'int f1(void); int f4(void); int printf(const char *, ...);\\nint main(void) { printf("%%d\\\\n", f1() + f4()); }\\n' > src/main.c
                printf 'prog: $(patsubst %%.c,%%.o,$(wildcard src/*.c))\\n\\tcc -o $@ $^\\n' > Makefile
                """,
            script: "make -s -j2; sed -i s/4\\;/40\\;/ src/f4.c; make -s -j2",
            question: "./prog; make -q && echo done"),
        Work(
            name: "cp -a, tar and rsync", programs: ["tar"],
            before:
                "mkdir -p a/b; echo 1 > a/f; ln -s f a/link; ln a/f a/hard; chmod 750 a/b; touch -d 2001-02-03 a/f; truncate -s 3000000 a/sparse; echo end >> a/sparse",
            script: """
                cp -a a copy; tar cf a.tar a; mkdir out; tar xf a.tar -C out; cp -r a plain
                cp --sparse=always a/sparse sparse
                command -v rsync >/dev/null && rsync -a a/ synced/ && rsync -a --delete a/b/ synced/ || :
                rm -r a/b; mv out/a a2; gzip -k a.tar
                """,
            question:
                "tar tvf a.tar | wc -l; stat -c '%Y %a' copy/f a2/f; cat copy/link; gunzip -c a.tar.gz | sha256sum"
        ),
        Work(
            name: "a python environment", programs: ["python3"],
            script: """
                python3 -m venv --without-pip env; mkdir pkg; echo 'def f(): return 42' > pkg/__init__.py
                env/bin/python -c 'import pkg; print(pkg.f())' >&2; env/bin/python -m compileall -q pkg
                """,
            question:
                "ls pkg pkg/__pycache__ | wc -l; python3 -c 'import pkg; print(pkg.f())'; cat env/pyvenv.cfg"),
        Work(
            name: "logs, appends, truncations and holes", programs: ["python3"],
            before: "seq 1000 > log; seq 1000 > cut; head -c 300000 /dev/zero | tr '\\0' z > block",
            script: """
                for n in 1 2 3; do echo more >> log; done; truncate -s 100 cut; truncate -s 9000000 grown
                python3 - <<'PY'
                import os, mmap
                f = open("block", "r+b"); m = mmap.mmap(f.fileno(), 0); m[1000:1005] = b"12345"; m.flush()
                f.close()
                fd = os.open("holes", os.O_RDWR | os.O_CREAT); os.pwrite(fd, b"x", 5 << 20)
                os.ftruncate(fd, 50 << 20)
                PY
                """,
            question:
                "sha256sum log cut block grown holes; du -k holes | cut -f1 | sed 's/^[0-9]$/small/;s/^[0-9][0-9]$/small/'"
        ),
        Work(
            name: "names of every kind", programs: ["python3"],
            script: """
                python3 - <<'PY'
                import os
                names = [b"\\xff\\xfe", b"new\\nline", b"tab\\t", b"esc\\x1b[31m", "\\u202eevil".encode(), b"-rf", b"'q\\"", b"$(x)", b" lead", b"trail ",
                    b"a" * 255, "e\\u0301".encode(), b"*", b"?", b"\\\\", b"~", b"#", b".dot."]
                for n in names:
                    open(n, "wb").write(n); os.makedirs(b"dir/" + n)
                    open(b"dir/" + n + b"/" + n, "wb").write(n)
                PY
                """,
            question:
                "python3 -c 'import os; print(sorted((a, sorted(d), sorted(f)) for a, d, f in os.walk(b\".\")))'"
        ),
    ]

    @Test(arguments: works)
    func `what a program makes is on the host after the apply, as it was inside`(_ work: Work) throws {
        for program in work.programs { guard has(program) else { return } }
        let project = try ReviewedProject(work.before, repository: false)
        let before = try project.manifest()
        let look = "\(work.question)\necho '<all>'\n\(ReviewedProject.listing)"
        let inside = try project.workAndLook(work.script, look: look)
        Lines.expectSame(try project.manifest(), before, "before the apply")
        // Nothing of it is held back, but links that leave the project, as a python environment has one.
        let review = try project.review()
        let outside = review.paths("blocked")
        #expect(outside.allSatisfy { $0.hasPrefix("env/") }, "\(outside)")
        try project.applyByName()
        Lines.expectSame(try project.look(look), inside, "after the apply")
        try project.command(["undo", "--yes"])
        Lines.expectSame(
            Lines.withoutDirectories(try project.manifest()), Lines.withoutDirectories(before),
            "after the undo")
    }

    @Test func `times of changed files are the agent's, owners the user's`() throws {
        row("AP-15")
        let project = try ReviewedProject("echo 1 > a; echo 2 > b", repository: false)
        try project.work(
            "touch -d '2011-12-13 14:15:16.123456789' a; echo x > n; touch -d '2010-01-01 00:00:00.5' n; echo 3 > b"
        )
        try project.apply()
        let found = try project.host("TZ=UTC stat -c '%n %y %u %g' n; id -u; id -g").lines
        #expect(
            found.count == 3 && found[0] == "n 2010-01-01 00:00:00.500000000 +0000 \(found[1]) \(found[2])",
            "\(found)")
        // Only touched is not changed.
        #expect(try !project.host("stat -c %y a").text.contains("2011"))
    }

    @Test func `an installation of 5,000 files, and its removal`() throws {
        guard has("python3") else { return }
        let project = try ReviewedProject(
            "echo '{}' > package.json; echo node_modules > .gitignore; mkdir src; echo 1 > src/a.js")
        let install = """
            python3 - <<'PY'
            import os
            made = 0
            for p in range(200):
                at = "node_modules/" + ("@scope%d/" % (p % 7) if p % 3 == 0 else "") + "package-%d" % p
                os.makedirs("node_modules/.staging/x%d/lib/deep" % p)
                for n in range(23):
                    with open("node_modules/.staging/x%d/%s" % (p, ["f%d.js", "lib/f%d.js", "lib/deep/f%d.d.ts"][n % 3] % n), "w") as f:
                        f.write("module.exports = %d\\n" % n * (n * p % 50 + 1))
                with open("node_modules/.staging/x%d/package.json" % p, "w") as f: f.write('{"name": "p%d", "version": "1.0.0"}' % p)
                with open("node_modules/.staging/x%d/README.md" % p, "w") as f: f.write("# %d" % p)
                os.makedirs(os.path.dirname(at), exist_ok=True)
                os.rename("node_modules/.staging/x%d" % p, at)
                made += 25
            os.rmdir("node_modules/.staging"); os.mkdir("node_modules/.bin")
            for p in range(0, 200, 9): os.symlink("../package-%d/f0.js" % p, "node_modules/.bin/b%d" % p)
            print(made)
            PY
            """
        let inside = try project.workAndLook(install)
        let review = try project.command(["diff", "--stat"])
        #expect(review.text.contains("5023 files changed"), "\(review.text.suffix(200))")
        try project.apply()
        Lines.expectSame(try project.look(), inside, "after the installation")
        #expect(try project.host("git status --porcelain").text.isEmpty)
        // Away with it, and a part anew.
        let after = try project.workAndLook(
            "rm -r node_modules; mkdir -p node_modules/one; echo 1 > node_modules/one/a")
        try project.apply()
        Lines.expectSame(try project.look(), after, "after the removal")
        try project.command(["undo", "--yes"])
        Lines.expectSame(try project.look(), inside, "after the undo of the removal")
    }

    @Test func `a clone that is made inside: its files come, its repository by name`() throws {
        row("GT-06")
        guard has("git", "python3") else { return }
        let project = try ReviewedProject("echo 1 > a", repository: false)
        try project.host(
            """
            set -e; mkdir ../origin; cd ../origin; \(ReviewedProject.repository)
            python3 - <<'PY'
            import os
            for n in range(400):
                at = "src/mod%d/c%d" % (n % 17, n % 5); os.makedirs(at, exist_ok=True)
                with open("%s/f%d.c" % (at, n), "w") as f: f.write("int f%d(void) { return %d; }\\n" % (n, n) * (n % 40 + 1))
            PY
            git add -A; git commit -qm one; git mv src/mod0 src/first; git commit -qm two
            git checkout -q -b topic
            echo 1 > on-topic; git add -A; git commit -qm three; git checkout -q main; git gc -q
            echo loose > loose; git add -A
            git commit -qm four
            """)
        let report =
            "cd copy; export GIT_OPTIONAL_LOCKS=0; git log --all --format='%H %s'; git status --porcelain=v2; git fsck 2>&1"
        let origin = project.box.scratch.root + "/origin"
        let inside = try project.workAndLook(
            "git clone -q '\(origin)' copy; cd copy; git config user.email a@b.invalid; git config user.name s; git checkout -q topic; git rebase -q origin/main",
            options: ["--read", origin], look: report)
        #expect(inside.count == 5, "\(inside)")
        let applied = try project.apply()
        #expect(applied.errors.contains("git repository made inside"), "\(applied)")
        #expect(project.exists("copy/src/first/c0/f0.c") && !project.exists("copy/.git"))
        try project.applyByName()
        Lines.expectSame(try project.look(report), inside, "by name")
    }

    @Test func `swift builds a package`() throws {
        guard let swift = Host.program("swift") else {
            return skip("program swift", "swift is not installed")
        }
        let folder = URL(filePath: swift).deletingLastPathComponent()
        let isOwn = !swift.hasPrefix("/usr/")
        let options =
            isOwn ? ["--read", folder.deletingLastPathComponent().deletingLastPathComponent().path] : []
        let project = try ReviewedProject(
            "mkdir -p Sources/hello; echo .build > .gitignore", repository: false)
        try project.box.scratch.write(
            """
            // swift-tools-version: 6.0
            import PackageDescription
            let package = Package(name: "hello", targets: [.executableTarget(name: "hello")])

            """, to: project.path + "/Package.swift")
        let inside = try project.workAndLook(
            """
            export PATH=\(folder.path):$PATH; echo 'print("hello from swift")' > Sources/hello/main.swift
            swift build > log 2>&1 || tail -20 log >&2
            """, options: options, look: ".build/debug/hello; find .build -type f | wc -l")
        #expect(inside.first == "hello from swift", "\(inside)")
        try project.applyByName()
        #expect(try project.look(".build/debug/hello; find .build -type f | wc -l") == inside)
    }
}
