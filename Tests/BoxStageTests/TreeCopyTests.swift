import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

@Suite struct TreeCopies {
    @Test(arguments: 1...16)
    func `a copy has everything that the original has, whatever it is called`(_ seed: Int) throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        var tree = RandomCopyTree(seed: UInt64(seed), at: source, entries: 120)
        try tree.make()
        let made = try copy(source, to: scratch("copy"), threads: seed % 5)
        try expectSame(source, made)
    }

    @Test func `what is hidden is absent from the copy and from the records`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("cd \(source) && mkdir -p a/b .aws && touch .env .env2 a/.env a/b/k.pem .aws/x")
        let hidden = try [".env", "a/b", ".aws"].map { try #require(BytePath($0)) }
        let made = try copy(source, to: scratch("copy"), hidden: hidden)
        #expect(made.paths == [".env2", "a", "a/.env"])
        #expect(try seenTree(made.path).count == 4)
    }

    @Test func `only the parts that are named are copied, with the directories that lead to them`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell(
            "cd \(source) && mkdir -p a/b/c a/x z && touch a/f a/b/f a/b/c/f a/x/f z/f top && chmod 750 a")
        let made = try copy(source, to: scratch("copy"), only: ["a/b", "z/f"])
        #expect(made.paths == ["a", "a/b", "a/b/c", "a/b/c/f", "a/b/f", "z", "z/f"])
        #expect(try seenTree(made.path)[Array("a".utf8)]?.mode == 0o750)
    }

    @Test(arguments: [
        ("nothing", "cannot copy nothing: the project has no such file or directory"),
        ("link/f", "cannot copy link/f: the project has no such file or directory"),
        (
            "a/secret/x",
            "cannot copy a/secret/x: the policy hides a/secret. Take it out of [workspace] hide, or name another part"
        ),
    ])
    func `a part that is not there, or must not be seen, is refused by its name`(
        _ part: String, _ message: String
    ) throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("cd \(source) && mkdir -p a/secret && touch a/f a/secret/x && ln -s a link")
        let error = try #require(throws: StageError.self) {
            try copy(source, to: scratch("copy"), hidden: [try #require(BytePath("a/secret"))], only: [part])
        }
        #expect(error.description == message)
    }

    @Test func `FIFOs, sockets and devices are left out and counted`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("cd \(source) && mkfifo pipe && touch f && mkdir d && mkfifo d/pipe")
        let made = try copy(source, to: scratch("copy"))
        #expect(made.paths == ["d", "f"])
        #expect(made.report.specialFiles == 2)
    }

    @Test func `names of one file stay names of one file, and their record is what the copy became`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell(
            "cd \(source) && mkdir d && echo x > d/one && ln d/one two && ln -s l d/l && ln d/l l2 && ln d/one a"
        )
        let made = try copy(source, to: scratch("copy"))
        #expect(made.report.hardLinks == 3)
        #expect(made.report.progress.files == 1)
        try expectSame(source, made)
    }

    @Test func `holes stay where they are`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell(
            """
            cd \(source) && truncate -s 50M all && truncate -s 9M some && \
            dd if=/dev/urandom of=some bs=65536 seek=20 count=9 conv=notrunc && truncate -s 3000 little && \
            dd if=/dev/urandom of=end bs=65536 seek=300 count=3
            """)
        let made = try copy(source, to: scratch("copy"))
        let (original, copied) = (try seenTree(source), try seenTree(made.path))
        for name in ["all", "some", "little", "end"] {
            let entry = try #require(original[Array(name.utf8)])
            #expect(entry.dataSize < entry.content.count)
            #expect(copied[Array(name.utf8)] == entry)
        }
    }

    @Test func `a tree that is deeper than descriptors would allow is copied`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        let deep = String(repeating: "d/", count: 600)
        try copyShell("cd \(source) && mkdir -p '\(deep)' && echo x > '\(deep)f' && touch d/z")
        let made = try copy(source, to: scratch("copy"))
        #expect(made.records.count == 602)
        #expect(made.records.last?.path.text == "d/z")
    }

    @Test func `a path that is longer than the kernel takes ends the copy with its name`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        let make =
            "import os; os.chdir('\(source)'); [(os.mkdir('x' * 250), os.chdir('x' * 250)) for _ in range(17)]"
        try copyShell("python3 -c \"\(make)\"")
        let error = try #require(throws: StageError.self) { try copy(source, to: scratch("copy")) }
        #expect(error.step.hasPrefix("copy xxx"))
        #expect(error.reason.contains("ENAMETOOLONG"))
    }

    @Test func `a copy goes nowhere but into an empty directory`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("mkdir \(scratch("copy")) && touch \(scratch("copy"))/mine")
        let error = try #require(throws: StageError.self) { try copy(source, to: scratch("copy")) }
        #expect(error.reason.contains("ENOTEMPTY"))
    }

    @Test func `whoever hears of the progress can end the copy`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("cd \(source) && for i in 1 2 3 4 5 6 7 8; do mkdir $i; echo $i > $i/f; done")
        let error = try #require(throws: StageError.self) {
            try copy(source, to: scratch("copy")) { _ in false }
        }
        #expect(error.description == "cannot copy the project: it was interrupted")
    }

    @Test func `a record ends the copy when it cannot be kept`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("touch \(source)/f")
        let copy = try TreeCopy(from: try Tree.open(source), to: scratch("copy"))
        #expect(throws: StageError("keep", reason: "full")) {
            _ = try copy.run { _ throws(StageError) in throw StageError("keep", reason: "full") }
        }
    }

    @Test func `nothing but the copy is left beside it`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("touch \(source)/f; mkdir \(scratch("stage"))")
        _ = try copy(source, to: scratch("stage/upper"))
        #expect(try copyShell("ls -A \(scratch("stage"))") == "upper\n")
    }
}

/// What the host does while the copy is made; the first report of progress comes when the first batch of files is
/// handed out, and the root's names have been read by then.
@Suite struct TreeCopyRaces {
    /// Copies `a/f`, then what `meanwhile` has done to `z`, which was there as a file.
    private func race(_ make: String, _ meanwhile: String) throws -> (CopyScratch, MadeCopy) {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        try copyShell("cd \(source) && mkdir a && echo 1 > a/f && \(make) && echo secret > ../outside")
        var hasRun = false
        let made = try copy(source, to: scratch("copy"), threads: 2) { _ in
            if hasRun { return true }
            hasRun = true
            do { try copyShell("cd \(source) && \(meanwhile)") } catch { Issue.record(error) }
            return true
        }
        return (scratch, made)
    }

    @Test func `a file that is deleted before its turn is as if it had never been`() throws {
        let (_, made) = try race("echo 2 > z", "rm z")
        #expect(made.paths == ["a", "a/f"])
        #expect(made.report.vanished == 1)
        #expect(made.report.changedDirectories == 1)
    }

    @Test func `a file that is replaced before its turn is copied as it is then`() throws {
        let (scratch, made) = try race("echo 2 > z", "echo new > y && mv y z")
        #expect(made.paths == ["a", "a/f", "z"])
        #expect(try copyShell("cat \(scratch("copy/z"))") == "new\n")
    }

    @Test(arguments: [
        "rm z && ln -s ../outside z", "rm z && mkfifo z", "rm z && mkdir z",
    ])
    func `a file that becomes something else ends the copy with its name`(_ meanwhile: String) throws {
        let error = try #require(throws: StageError.self) { try race("echo 2 > z", meanwhile) }
        #expect(error.step == "copy z")
        #expect(error.reason == "changed while it was copied")
    }

    @Test(arguments: ["rmdir z && ln -s .. z", "rmdir z && echo x > z"])
    func `a directory that becomes something else ends the copy with its name`(_ meanwhile: String) throws {
        let error = try #require(throws: StageError.self) { try race("mkdir z", meanwhile) }
        #expect(error.step == "copy z")
        #expect(error.reason == "changed while it was copied")
    }

    @Test func `a file that never stands still ends the copy with its name, or is one state of it`() throws {
        let scratch = try CopyScratch()
        let source = try scratch.directory("source")
        // Each state is one letter, all over.
        let writer = """
            import mmap, os
            f = open('\(source)/busy', 'w+b'); f.write(b'a' * 4000000); f.flush(); print('ready', flush=True)
            for n in range(100000):
                os.pwrite(f.fileno(), bytes([97 + n % 26]) * 4000000, 0)
                if os.path.exists('\(scratch("stop"))'): break
            """
        try copyShell("cat > \(scratch("writer.py")) <<'END'\n\(writer)\nEND")
        guard let stream = unsafe popen("exec python3 \(scratch("writer.py"))", "r") else { return }
        var line = [CChar](repeating: 0, count: 64)
        #expect(unsafe fgets(&line, 64, stream) != nil)
        defer {
            do { try copyShell("touch \(scratch("stop"))") } catch { Issue.record(error) }
            unsafe pclose(stream)
        }
        do {
            let made = try copy(source, to: scratch("copy"))
            let content = try #require(try seenTree(made.path)[Array("busy".utf8)]).content
            #expect(content.count == 4_000_000 && content.allSatisfy { $0 == content[0] })
        } catch let error as StageError {
            #expect(error.step == "copy busy")
            #expect(error.reason == "changed while it was copied")
        }
    }
}

/// A copy that was made, with its records.
struct MadeCopy {
    let path: String
    let records: [BaseRecord]
    let report: CopyReport
    var paths: [String] { records.map { $0.path.escaped } }
}

@discardableResult
func copy(
    _ source: String, to target: String, hidden: [BytePath] = [], only: [String] = [], threads: Int = 4,
    progress: @escaping (CopyProgress) -> Bool = { _ in true }
) throws -> MadeCopy {
    var retry = RetryCount()
    let tree = try retry.attempt { _ throws(KernelError) in try Tree.open(source) }
    let only = try only.map { try #require(BytePath($0)) }
    let copy = try TreeCopy(from: tree, to: target, hidden: hidden, only: only, threads: threads)
    var records: [BaseRecord] = []
    let report = try copy.run(progress: progress) { record throws(StageError) in records.append(record) }
    return MadeCopy(path: target, records: records, report: report)
}

/// The copy is the same as the original but for special files, and the records say what both are.
func expectSame(_ source: String, _ made: MadeCopy, isShared: Bool = false) throws {
    let original = try seenTree(source, without: true)
    let copied = try seenTree(made.path)
    #expect(Set(original.keys) == Set(copied.keys))
    for (path, var entry) in original {
        var copy = try #require(copied[path])
        // Blocks of attributes count as the file's, so that a hole of that size can be overlooked.
        #expect(copy.dataSize <= entry.dataSize + 8192, "\(BytePath.escaped(path))")
        (copy.extents, entry.extents) = ([], [])
        #expect(copy == entry, "\(BytePath.escaped(path))")
    }
    #expect(made.records.map(\.path) == made.records.map(\.path).sorted())
    #expect(Set(made.records.map(\.path.bytes)) == Set(original.keys.filter { $0 != [UInt8(ascii: ".")] }))
    let from = try Tree.open(source)
    let to = try Tree.open(made.path)
    for record in made.records {
        let (old, new) = (try #require(try from.node(record.path)), try #require(try to.node(record.path)))
        var node = record.node
        // The original was seen through another file system.
        if isShared { node?.device = old.device }
        #expect(node == old, "\(record.path.escaped)")
        #expect(record.copy == (old.kind == .file ? BaseRecord.Stamp(new) : nil), "\(record.path.escaped)")
        #expect(record.target == (old.kind == .link ? original[record.path.bytes]?.content : nil))
    }
}
