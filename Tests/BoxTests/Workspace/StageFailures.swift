import Foundation
import Testing

/// What goes wrong around a stage takes nothing of it away, and nothing weaker takes its place.
@Suite(.recorded("AP-23")) struct StageFailures {
    private func project(_ script: String = "echo 1 > a") throws -> ReviewedProject {
        try ReviewedProject(script, repository: false)
    }

    // MARK: - After the command ran

    @Test func `a last look that fails loses nothing`() throws {
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; echo ready; read line; exit 3"], options: ["--name", "work"],
            streams: .openInput)
        try running.expect("ready")
        try project.waitUntilKept(Data("1\n".utf8), in: "work")
        // The notes about what the host had cannot be written any more.
        let base = project.sessions + "/work/stage/0/base"
        try project.host("rm -rf '\(base)'; mkdir '\(base)'; echo x > '\(base)/in-the-way'")
        try running.send("\n")
        let outcome = try running.wait()
        #expect(outcome.status == 3, "\(outcome)")
        #expect(outcome.errors.contains("What was changed is kept: box diff -s work"), "\(outcome)")
        #expect(try project.stages() == ["work"])
        #expect(try project.text("a") == "1\n")
        try project.host("rm -r '\(base)'")
        #expect(try project.review("-s", "work").paths == ["a"])
    }

    @Test func `a record that cannot be written at the end loses nothing`() throws {
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; echo ready; read line"], options: ["--name", "work"],
            streams: .openInput)
        try running.expect("ready")
        let record = project.sessions + "/work/session.json.new"
        try project.host("mkdir '\(record)'; echo x > '\(record)/in-the-way'")
        try running.send("\n")
        let outcome = try running.wait()
        #expect(outcome.status == 125, "\(outcome)")
        #expect(outcome.errors.contains("What was changed is kept: box diff -s work"), "\(outcome)")
        try project.host("rm -r '\(record)'")
        #expect(try project.stages() == ["work"])
        #expect(try project.review("-s", "work").paths == ["a"])
    }

    @Test func `a start that fails leaves no stage, and a continued stage as it was`() throws {
        let project = try project()
        try project.work("echo more >> a", options: ["--name", "work"])
        let hidden = try project.box.run(["/nonexistent/program"], options: ["--continue"])
        #expect(hidden.status == 127, "\(hidden)")
        #expect(try project.review("-s", "work").paths == ["a"])
        let fresh = try project.box.run(["/nonexistent/program"])
        #expect(fresh.status == 127, "\(fresh)")
        #expect(try project.stages() == ["work"])
    }

    @Test func `going on and changing nothing does not lose the undo`() throws {
        let project = try project()
        try project.work("echo more >> a", options: ["--name", "work"])
        try project.apply()
        try project.work("cat a", options: ["--continue", "-s", "work"])
        #expect(try project.text("a") == "1\nmore\n")
        try project.command(["undo", "--yes", "-s", "work"])
        #expect(try project.text("a") == "1\n")
    }

    // MARK: - An apply that was interrupted

    @Test(.enabled(if: Box.mutant != nil))
    func `nobody works in a stage whose apply was interrupted`() throws {
        var project = try project("echo 1 > a; echo 1 > b; echo 1 > c")
        try project.work("for f in a b c; do echo more >> $f; done", options: ["--name", "work"])
        let release = project.box.executable
        var number = 0
        var asked: Outcome
        repeat {
            number += 1
            project.box.executable = try #require(Box.mutant)
            let killed = try project.box.call(
                ["apply", "--yes"], environment: ["BOX_APPLY_KILL": "\(number)"])
            project.box.executable = release
            #expect(killed.status == 128 + SIGKILL, "\(number): \(killed)")
            asked = try project.box.call(["undo", "--yes"])
        } while !asked.errors.contains("interrupted") && number < 100
        let refused = try project.box.shell("echo ran", options: ["--continue"])
        #expect(refused.status == 125 && refused.text.isEmpty, "\(refused)")
        #expect(refused.errors.contains("box apply -s work --resume, or --rollback"), "\(refused)")
        try project.command(["apply", "--rollback"])
        #expect(try project.work("cat a", options: ["--continue"]).lines == ["1", "more"])
    }

    // MARK: - The disk

    @Test(arguments: ["overlay", "copy"])
    func `what is in closed directories counts, whatever else the disk gains`(_ mode: String) throws {
        var project = try project()
        project.box.options = ["--workspace", mode, "--net", "none"]
        let other = project.box.scratch.root + "/ballast"
        try project.host("dd if=/dev/zero of=\"\(other)\" bs=1M count=100 conv=fsync 2>&1")
        let script = """
            echo begun; read line; mkdir closed; chmod 300 closed; cd closed
            for n in $(seq 60); do head -c 1000000 /dev/zero | tr '\\0' x > f$n; done
            chmod 000 .; echo written; read line; echo over
            """
        let running = try project.box.start(
            ["/bin/sh", "-c", script], options: ["--disk", "20MB"], streams: .openInput)
        try running.expect("begun")
        try project.host("rm \"\(other)\"")
        try running.send("\n")
        try running.expect("written", within: 60)
        let outcome = try running.wait(within: 60)
        #expect(outcome.status == 143 && !outcome.text.contains("over"), "\(outcome)")
        #expect(outcome.errors.contains("more than its limit (20 MB)"), "\(outcome)")
    }

    // MARK: - File systems that cannot be an overlay's

    /// The state directory on an overlay of the test's own, as in most containers.
    @Test(.enabled(if: Host.isRoot)) func `an overlay that cannot be made is no direct write`() throws {
        let project = try project()
        let place = project.box.scratch.root + "/nested"
        try project.host(
            """
            set -e; mkdir -p '\(place)'; mount -t tmpfs tmpfs '\(place)'; cd '\(place)'; mkdir lower upper work merged
            mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
            chmod 777 merged
            """)
        defer { _ = try? Host.shell("umount '\(place)/merged' '\(place)'") }
        let elsewhere = ["XDG_STATE_HOME": place + "/merged"]
        let control = try project.box.shell(
            "echo x > new; cat new", options: ["--workspace", "none"], environment: elsewhere)
        #expect(control.status == 0, "the place itself is good: \(control)")
        let refused = try project.box.shell("echo ran; echo x > a", environment: elsewhere)
        #expect(refused.status == 125 && refused.text.isEmpty, "\(refused)")
        for words in ["XDG_STATE_HOME", "--workspace"] {
            #expect(refused.errors.contains(words), "\(refused)")
        }
        #expect(try project.text("a") == "1\n")
        #expect(try Host.shell("ls -d '\(place)'/merged/box/sessions/*/stage").lines.isEmpty)
    }
}
