import Foundation
import Testing

/// `--disk`: a session that writes too much is ended with a clear message, and nothing of what it wrote is
/// lost.
@Suite(.recorded("FS-23"), .serialized) struct DiskLimit {
    /// Writes 40 files of a megabyte, says so, and waits for ever.
    private static let script = """
        for n in $(seq 40); do head -c 1000000 /dev/zero | tr '\\0' x > f$n; done; echo written; read line
        echo over
        """

    @Test(arguments: ["overlay", "copy"])
    func `the session ends, says why, and what it wrote is there to be reviewed`(_ mode: String) throws {
        let project = try ReviewedProject("echo 1 > a", repository: false, ["--workspace", mode])
        let running = try project.box.start(
            ["/bin/sh", "-c", DiskLimit.script], options: ["--disk", "20MB"], streams: .openInput)
        try running.expect("written", within: 60)
        let outcome = try running.wait(within: 60)
        // As after a SIGTERM.
        #expect(outcome.status == 143 && !outcome.timedOut && !outcome.text.contains("over"), "\(outcome)")
        #expect(outcome.errors.contains("more than its limit (20 MB). Nothing of them is lost"), "\(outcome)")
        #expect(outcome.errors.contains("--disk SIZE"), "\(outcome)")
        #expect(outcome.errors.contains("40 files changed"), "\(outcome)")
        let review = try project.review()
        #expect(review.paths.sorted() == (1...40).map { "f\($0)" }.sorted())
        try project.apply()
        #expect(try project.host("cat f* | wc -c; cat f* | tr -d x | wc -c").lines == ["40000000", "0"])
    }

    @Test func `below its limit it goes on`() throws {
        let project = try ReviewedProject("echo 1 > a", repository: false)
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo changed > a; " + DiskLimit.script],
            options: ["--disk", "200MB", "--name", "small"],
            streams: .openInput)
        try running.expect("written", within: 60)
        // Box has looked, and found nothing wrong.
        try project.waitUntilKept(Data("1\n".utf8), in: "small")
        running.closeInput()
        let outcome = try running.wait(within: 60)
        #expect(outcome.status == 0 && outcome.text.contains("over"), "\(outcome)")
        #expect(outcome.errors.contains("41 files changed"), "\(outcome)")
    }

    @Test func `with more room it goes on where it was`() throws {
        let project = try ReviewedProject("echo 1 > a", repository: false)
        let running = try project.box.start(
            ["/bin/sh", "-c", DiskLimit.script], options: ["--disk", "20MB"], streams: .openInput)
        #expect(try running.wait(within: 60).status == 143)
        let outcome = try project.work("ls | wc -l; rm f*", options: ["--continue", "--disk", "1GB"])
        #expect(outcome.answer == "41", "\(outcome)")
    }
}
