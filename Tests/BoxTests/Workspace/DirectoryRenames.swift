import Foundation
import Testing

/// Directories that programs rename in a staged view: what is reviewed and applied afterwards. That every way
/// to rename one works, `RenamedDirectories` shows.
@Suite(.recorded("FS-18")) struct DirectoryRenames {
    private static let start = """
        mkdir -p src/deep/er docs empty
        for n in 1 2 3 4 5 6 7 8 9; do echo "file $n" > src/f$n; echo "deep $n" > src/deep/g$n; done
        echo x > src/deep/er/x; ln -s ../f1 src/deep/link; printf '#!/bin/sh\\n' > src/tool
        chmod 755 src/tool; chmod 600 src/f2
        ln src/f1 src/hard; echo doc > docs/readme; touch -d '2001-02-03 04:05:06.789' src/f3 src/deep
        chmod 700 src/deep
        mkfifo src/fifo; printf y > 'src/odd
        name'
        """

    /// How programs move directories, and where a file of the first is afterwards.
    static let moves: [(name: String, script: String, from: String, to: String)] = [
        ("mv", "mv src lib", "src/deep/g1", "lib/deep/g1"),
        ("mv into another", "mv src docs/", "src/f1", "docs/src/f1"),
        ("mv over an empty one", "mv -T src empty", "src/f1", "empty/f1"),
        ("python", "python3 -c 'import os; os.rename(\"src/deep\", \"out\")'", "src/deep/g1", "out/g1"),
        (
            "shutil", "python3 -c 'import shutil; shutil.move(\"src\", \"docs/lib\")'", "src/deep/g1",
            "docs/lib/deep/g1"
        ),
        ("perl", "perl -e 'rename(\"src\", \"lib\") or die $!'", "src/f1", "lib/f1"),
        ("node", "node -e 'require(\"fs\").renameSync(\"src\", \"lib\")'", "src/f1", "lib/f1"),
        ("one after the other", "mv src a; mv a/deep b; mv b a/c; mv a z", "src/deep/g1", "z/c/g1"),
        ("an old name anew", "mv src lib; mkdir src; echo new > src/f1", "src/deep/g1", "lib/deep/g1"),
        (
            "changed on the way", "echo more >> src/f2; rm src/f4; mv src lib; echo more >> lib/f5", "src/f1",
            "lib/f1"
        ),
        (
            "exchanged",
            """
            python3 -c 'import ctypes; l = ctypes.CDLL(None, use_errno=True)
            assert l.renameat2(-100, b"src", -100, b"docs", 2) == 0'
            """, "src/deep/g1", "docs/deep/g1"
        ),
        ("copied and removed", "cp -a src docs/lib; rm -r src", "src/f1", "docs/lib/f1"),
    ]

    @Test(arguments: moves.indices)
    func `a moved directory is reviewed as moved, applied whole, and taken back`(_ index: Int) throws {
        try check(DirectoryRenames.moves[index], "overlay")
    }

    @Test(arguments: [0, 7, 8, 9, 10])
    func `in a copy it is the same`(_ index: Int) throws { try check(DirectoryRenames.moves[index], "copy") }

    private func check(_ move: (name: String, script: String, from: String, to: String), _ mode: String)
        throws
    {
        for tool in ["python3", "perl", "node"] where move.script.hasPrefix(tool) {
            guard has(tool) else { return }
        }
        let project = try ReviewedProject(DirectoryRenames.start, repository: false, ["--workspace", mode])
        let before = try project.manifest()
        let inside = try project.workAndLook(move.script)
        Lines.expectSame(try project.manifest(), before, "before the apply")
        let review = try project.review()
        #expect(review[move.from]?.kind == "deleted" || move.name == "exchanged", "\(review.paths)")
        #expect(review[move.to]?.movedFrom == move.from, "\(String(describing: review[move.to]))")
        let shown = try project.command(["diff", "--color", "never"])
        #expect(shown.text.contains("rename from \(move.from)\nrename to \(move.to)\n"), "\(shown)")
        try project.apply()
        // A FIFO is never applied: the old one keeps its directory.
        let wanted = inside.filter { !$0.contains("fifo") }
        let found = try project.look().filter {
            !$0.contains("fifo") && !$0.hasPrefix("./src d") || wanted.contains($0)
        }
        Lines.expectSame(found, wanted, "after the apply")
        try project.command(["undo", "--yes"])
        Lines.expectSame(
            Lines.withoutDirectories(try project.manifest()), Lines.withoutDirectories(before),
            "after the undo")
    }

    @Test func `between trees it is as between file systems, and programs copy`() throws {
        guard has("python3") else { return }
        let project = try ReviewedProject(DirectoryRenames.start, repository: false)
        let outcome = try project.work(
            """
            python3 - <<'PY'
            import os, errno
            for target in ["/tmp/out", os.path.expanduser("~/out"), "/dev/shm/out"]:
                try: os.rename("src", target); print("moved")
                except OSError as e: print(errno.errorcode[e.errno])
            PY
            mv src /tmp/out; ls /tmp/out/deep | wc -l; mv /tmp/out back
            """)
        #expect(outcome.lines == ["EXDEV", "EXDEV", "EXDEV", "11"], "\(outcome)")
        #expect(try project.review()["back/f3"]?.movedFrom == "src/f3")
    }

    @Test func `what may not be renamed is not`() throws {
        guard has("python3") else { return }
        let project = try ReviewedProject(
            DirectoryRenames.start + "\necho '# policy' > docs/../box.toml", repository: false)
        let before = try project.manifest()
        let outcome = try project.work(
            """
            python3 - <<'PY'
            import os, errno
            here = os.getcwd()
            for source, target in [("src", "src/deep/in"), (here, here + "2"), ("/usr", "/usr2"), ("/tmp", "x"), ("src", "/etc/src"),
                    ("/etc", "y"), ("src", "docs"), ("src", "box.toml"), ("src", "none/x"), ("..", "z"), (".", "z")]:
                try: os.rename(source, target); print("moved", source, target)
                except OSError as e: print(errno.errorcode[e.errno])
            PY
            """)
        #expect(outcome.lines.count == 11 && !outcome.text.contains("moved"), "\(outcome)")
        #expect(outcome.lines.first == "EINVAL" && outcome.lines[6] == "ENOTEMPTY", "\(outcome)")
        #expect(try project.stages().isEmpty && project.manifest() == before)
    }
}
