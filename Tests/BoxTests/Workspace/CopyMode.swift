import Foundation
import Testing

/// `--workspace copy`: a real copy, where an overlay cannot be had.
@Suite(.recorded("AP-01")) struct CopyMode {
    private static let start = """
        mkdir -p src/deep empty; echo 1 > src/a; echo 2 > src/deep/b; echo 3 > gone
        printf '#!/bin/sh\\n' > tool; chmod 755 tool
        ln -s src/a link; ln src/a hard; truncate -s 5000000 sparse; echo end >> sparse; chmod 600 gone
        : > zero
        printf 'x' > "name with
        newline"; touch -d '2001-02-03 04:05:06.789' src/deep/b
        """

    private func project(_ options: [String] = []) throws -> ReviewedProject {
        try ReviewedProject(CopyMode.start, repository: false, ["--workspace", "copy"] + options)
    }

    @Test func `the copy is exact, and all of diff, apply and undo works with it`() throws {
        let project = try project()
        let before = try project.manifest()
        let times = "find . -type f -printf '%p %T@ %n\\n' | sort; find . -type d -printf '%p %T@\\n' | sort"
        let copied = try project.workAndLook(":", look: ReviewedProject.listing + "\n" + times)
        Lines.expectSame(copied, try project.look(ReviewedProject.listing + "\n" + times), "the copy")
        #expect(try project.stages().isEmpty)

        let inside = try project.workAndLook(
            """
            echo more >> src/a; rm gone; mv src/deep moved; chmod 644 tool; rm link; ln -s zero link
            mkdir empty/new
            echo new > empty/new/file; rm zero; mkdir zero; echo x > zero/x
            """)
        Lines.expectSame(try project.manifest(), before, "before the apply")
        let review = try project.review()
        let kinds = Dictionary(uniqueKeysWithValues: review.changes.map { ($0.path, $0.kind) })
        #expect(
            kinds == [
                "src/a": "modified", "hard": "modified", "gone": "deleted", "src/deep/b": "deleted",
                "moved/b": "added",
                "tool": "mode_changed", "link": "modified", "empty/new/file": "added", "zero": "type_changed",
                "zero/x": "added",
            ] || kinds["zero"] == "deleted", "\(kinds)")
        #expect(review["moved/b"]?.movedFrom == "src/deep/b")
        try project.apply()
        Lines.expectSame(try project.look(), inside, "after the apply")
        try project.command(["undo", "--yes"])
        Lines.expectSame(
            Lines.withoutDirectories(try project.manifest()), Lines.withoutDirectories(before),
            "after the undo")
    }

    @Test func `a session goes on in its copy`() throws {
        let project = try project()
        try project.work("echo first > new")
        try project.host("echo host > later")
        let outcome = try project.work("cat new; ls later 2>/dev/null || echo none", options: ["--continue"])
        #expect(outcome.lines == ["first", "none"], "\(outcome)")
    }

    @Test func `only a part is copied, and what is beside it is not overwritten`() throws {
        let project = try project(["--only", "src"])
        let before = try project.manifest()
        let outcome = try project.work("ls -A; echo 9 > src/a; echo mine > gone; rm -r src/deep")
        #expect(outcome.lines == ["src"], "\(outcome)")
        // What the agent did not see and made anew is in the host's way.
        let refused = try project.command(["apply", "--yes"], status: 1)
        #expect(refused.errors.contains("gone: created on the host"), "\(refused)")
        #expect(try project.manifest() == before)
        try project.apply("src")
        #expect(try project.host("cat src/a gone hard; ls src").lines == ["9", "3", "1", "a"])
        // Nothing outside of the part counts as deleted.
        #expect(try project.review().paths == ["gone"])
    }

    @Test func `a part can only be had as a copy`() throws {
        let project = try project()
        var box = project.box
        box.options = ["--workspace", "overlay", "--net", "none", "--only", "src"]
        let refused = try box.shell("ls -A")
        #expect(refused.status == 125 && refused.errors.contains("--workspace copy"), "\(refused)")
    }

    @Test func `a file that changes while it is copied stops the run with its name`() throws {
        let project = try ReviewedProject("echo 1 > quiet", repository: false, ["--workspace", "copy"])
        // To copy so much takes longer than any of these writers, as fast as they can, waits for a processor.
        try project.host("head -c 200M /dev/zero > restless")
        let writers = try (0..<4).map { _ in
            try Running(
                ["/bin/sh", "-c", "echo ready; while :; do echo x; done >> restless"],
                environment: ["PATH": Host.path],
                directory: project.path, streams: .pipes(input: nil))
        }
        for writer in writers { try writer.expect("ready") }
        let refused = try project.box.shell("echo never")
        for writer in writers {
            writer.signal(SIGKILL)
            _ = try writer.wait()
        }
        #expect(refused.status == 125 && !refused.text.contains("never"), "\(refused)")
        #expect(refused.errors.contains("copy restless: changed while it was copied"), "\(refused)")
        #expect(try project.stages().isEmpty)
        // The control: when it is quiet it is copied.
        #expect(try project.work("cat quiet").answer == "1")
    }

    @Test func `a file that cannot be read stops the run with its name`() throws {
        guard !Host.isRoot else {
            return skip("a file that cannot be read, in copy mode", "root reads every file")
        }
        let project = try project()
        try project.host("chmod 000 src/deep/b")
        let refused = try project.box.shell("echo never")
        #expect(refused.status == 125 && !refused.text.contains("never"), "\(refused)")
        #expect(refused.errors.contains("src/deep/b") && refused.errors.contains("ermission"), "\(refused)")
        #expect(try project.stages().isEmpty)
        let part = try project.work("cat tool >/dev/null; ls", options: ["--only", "tool"])
        #expect(part.lines == ["tool"], "\(part)")
    }

    @Test func `what is no file, directory or link is left out`() throws {
        let project = try project()
        try project.host(
            "mkfifo fifo; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")' 2>/dev/null || :"
        )
        let before = try project.manifest()
        let outcome = try project.work("ls fifo socket 2>/dev/null || echo none; echo 5 > src/a")
        #expect(outcome.answer == "none", "\(outcome)")
        #expect(try project.review().paths.sorted() == ["hard", "src/a"])
        #expect(try project.manifest() == before)
    }
}
