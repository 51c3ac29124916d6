import BoxKernel
import BoxStage
import BoxTypes
import CLinux
import Glibc
import Testing

/// A file system that fails as shares do under load: `Tests/tools/flaky-fs.c`, mounted for one test.
@safe private final class FlakyShare {
    let path: String
    private let source: String
    private let stream: UnsafeMutablePointer<FILE>
    private var isMounted = true

    /// Whether this machine can have one.
    static let isPossible =
        unsafe access("/dev/fuse", R_OK | W_OK) == 0 && succeeds("pkg-config --exists fuse3 && command -v cc")

    private static let tool = Result { () throws -> String in
        let file = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
        let directory = try copyShell("mktemp -d /var/tmp/box-copy-tool-XXXXXX").dropLast()
        unsafe setenv("BOX_COPY_TOOL", String(directory), 1)
        atexit(removeFlakyTool)
        try copyShell(
            "cc -O1 -o '\(directory)/flaky-fs' '\(file)/tools/flaky-fs.c' $(pkg-config --cflags --libs fuse3)"
        )
        return "\(directory)/flaky-fs"
    }

    private static func succeeds(_ line: String) -> Bool {
        do {
            try copyShell(line)
            return true
        } catch { return false }
    }

    init(_ source: String, at path: String, _ options: String) throws {
        self.path = path
        self.source = source
        try copyShell("mkdir -p '\(path)'")
        let line =
            "exec '\(try FlakyShare.tool.get())' '\(source)' '\(path)' \(options) --report '\(source).report' 2>'\(source).log'"
        guard let stream = unsafe popen(line, "r") else { throw CopyScratchError(description: line) }
        unsafe self.stream = stream
        var answer = [CChar](repeating: 0, count: 64)
        guard unsafe fgets(&answer, 64, stream) != nil else {
            throw CopyScratchError(description: "no mount: \(line)")
        }
    }

    /// Unmounts, and returns what the file system did: by the report's words.
    func end() throws -> [String: Int] {
        try unmount()
        var report: [String: Int] = [:]
        for line in try copyShell("cat '\(source).report'").split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2 { report[String(words[0])] = Int(words[1]) }
        }
        return report
    }

    private func unmount() throws {
        guard isMounted else { return }
        isMounted = false
        try copyShell("umount '\(path)' || fusermount3 -u '\(path)'")
        unsafe pclose(stream)
    }

    deinit {
        do { try unmount() } catch { Issue.record(error) }
    }
}

/// Runs at the end of the process, when only C is left.
private func removeFlakyTool() {
    guard let path = unsafe getenv("BOX_COPY_TOOL") else { return }
    unsafe unlink(String(cString: path) + "/flaky-fs")
    unsafe rmdir(path)
}

@Suite(.serialized, .enabled(if: FlakyShare.isPossible, "FUSE or its development files are missing"))
struct TreeCopyShares {
    /// 80 files of up to 700 kB, deep and with everything that a share can have.
    private func makeSource(_ scratch: CopyScratch, seed: Int) throws -> String {
        let source = try scratch.directory("source")
        var tree = RandomCopyTree(seed: UInt64(seed), at: source, entries: 80)
        try tree.make()
        try copyShell(
            """
            cd \(source) && find . \\( -type p -o -type s \\) -delete && mkdir big && \
            for n in 1 2 3 4; do head -c $((n * 173333)) /dev/urandom > big/$n; done
            """)
        return source
    }

    @Test(arguments: [1, 2, 3, 4], ["", "--cached"])
    func `sixteen readers get an exact copy from a share that fails every tenth time`(
        _ seed: Int, _ mode: String
    ) throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: seed)
        let share = try FlakyShare(
            source, at: scratch("share"),
            "--seed \(seed) --fail 35:40 --fail 11:40 --fail 116:10 --fail 4:10 --short 300 \(mode)")
        let made = try copy(share.path, to: scratch("copy"), threads: 16)
        let report = try share.end()
        try expectSame(source, made, isShared: true)
        // It was the share that was copied, it did fail, and that was counted.
        #expect(try #require(report["35"]) > 0 && (try #require(report["116"])) > 0)
        #expect(try #require(report["short"]) > 0)
        #expect(made.report.progress.retries > 0)
    }

    /// Without care, some of these files have zeros in their copies: the kernel fills up what is short.
    @Test(arguments: [1, 2, 3])
    func `short reads behind the kernel's cache leave no zeros in the copy`(_ seed: Int) throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell(
            "cd \(source) && for n in 1 2 3 4 5 6 7 8 9; do head -c 3000$n$n$n /dev/urandom > $n; done")
        let share = try FlakyShare(
            source, at: scratch("share"), "--seed \(seed) --fail 35:30 --fail 11:30 --short 400 --cached")
        let made = try copy(share.path, to: scratch("copy"), threads: 8)
        #expect(try #require(try share.end()["short"]) > 10)
        try copyShell("cd \(source) && for n in *; do cmp $n \(made.path)/$n; done")
    }

    @Test(arguments: [1, 2, 3])
    func `a share that loses data ends the copy with the name of a file, or the copy is exact`(
        _ seed: Int
    ) throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: seed)
        let share = try FlakyShare(source, at: scratch("share"), "--seed \(seed) --fail 5:3 --fail 11:20")
        do {
            let made = try copy(share.path, to: scratch("copy"), threads: 16)
            // An error where nobody looks (when a file is closed, say) took nothing of the copy away.
            _ = try share.end()
            try expectSame(source, made, isShared: true)
        } catch let error as StageError {
            #expect(error.step.hasPrefix("copy ") || error.step.hasPrefix("make the copy"))
            #expect(error.reason.contains("EIO"))
            #expect(try #require(try share.end()["5"]) > 0)
        }
    }

    @Test(arguments: ["", "--cached"])
    func `a file that changes while it is read is copied again, whole`(_ mode: String) throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: 9)
        let share = try FlakyShare(source, at: scratch("share"), "--change big/4:2 \(mode)")
        let made = try copy(share.path, to: scratch("copy"), threads: 16)
        #expect(try share.end()["changed"] == 2)
        try expectSame(source, made, isShared: true)
    }

    @Test(arguments: ["", "--cached"])
    func `a file that changes at each reading ends the copy with its name`(_ mode: String) throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: 9)
        let share = try FlakyShare(source, at: scratch("share"), "--change big/4:1000 \(mode)")
        let error = try #require(throws: StageError.self) { try copy(share.path, to: scratch("copy")) }
        #expect(error.step == "copy big/4")
        #expect(error.reason == "changed while it was copied")
    }

    @Test(arguments: [(EACCES, "EACCES"), (EPERM, "EPERM"), (EIO, "EIO")])
    func `a file that cannot be read ends the copy with its name`(_ code: CInt, _ word: String) throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: 9)
        let share = try FlakyShare(source, at: scratch("share"), "--deny big/2:\(code)")
        let error = try #require(throws: StageError.self) { try copy(share.path, to: scratch("copy")) }
        #expect(error.step == "copy big/2")
        #expect(error.reason.contains(word))
    }

    @Test func `a file that fails for the moment for ever ends the copy after ten seconds`() throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: 9)
        let share = try FlakyShare(source, at: scratch("share"), "--deny big/2:35")
        let started = Node.Time.now().seconds
        let error = try #require(throws: StageError.self) { try copy(share.path, to: scratch("copy")) }
        #expect(error.step == "copy big/2")
        #expect(error.reason.contains("EDEADLK"))
        #expect(Node.Time.now().seconds - started >= 9)
    }

    @Test func `whoever hears of the progress can end a copy that waits for a share`() throws {
        let scratch = try CopyScratch()
        let source = try makeSource(scratch, seed: 9)
        let share = try FlakyShare(source, at: scratch("share"), "--deny big/2:35")
        var asked = 0
        let started = Node.Time.now().seconds
        let error = try #require(throws: StageError.self) {
            try copy(share.path, to: scratch("copy")) { _ in
                asked += 1
                return asked < 5
            }
        }
        #expect(error.reason == "it was interrupted")
        #expect(Node.Time.now().seconds - started < 8)
    }

    @Test func `what is mounted below is left out and counted`() throws {
        let scratch = try CopyScratch()
        let other = try scratch.directory("other")
        let project = try scratch.directory("project")
        try copyShell("echo x > \(other)/inside; touch \(project)/f; mkdir \(project)/z")
        let share = try FlakyShare(other, at: project + "/d", "")
        let made = try copy(project, to: scratch("copy"))
        #expect(made.paths == ["f", "z"])
        #expect(made.report.otherMounts == 1)
        _ = try share.end()
    }
}
