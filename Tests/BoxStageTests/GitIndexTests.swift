import Glibc
import Testing

@testable import BoxStage

/// Git's index, in files that git made.
struct GitIndexTests {
    /// A repository of git's own making, in a directory of its own.
    final class Repository {
        struct Missing: Error {}
        let path: String

        init(_ options: String = "") throws {
            var template = Array("/var/tmp/box-index-XXXXXX".utf8CString)
            let made = unsafe mkdtemp(&template) != nil
            try #require(made)
            path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            try git("init -q \(options) .")
            try shell(
                "mkdir -p a/b; for n in 1 2 3 4 5 6 7 8 9; do echo $n > a/b/file$n; echo $n > name-$n; done")
            try git("add .")
        }

        deinit { _ = unsafe system("rm -rf '\(path)'") }

        func shell(_ command: String) throws {
            let status = unsafe system("cd '\(path)' && { \(command); } >/dev/null 2>&1")
            try #require(status == 0, "\(command)")
        }

        /// Runs git without anybody's settings.
        ///
        /// With `fails` it must fail, as git says by 1: there is something for the user to do.
        func git(_ arguments: String, fails: Bool = false) throws {
            try shell(
                (fails ? "! " : "") + "env -i PATH=/usr/bin:/bin HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 "
                    + "git -c user.name=a -c user.email=a@b -c init.defaultBranch=main \(arguments)")
        }

        func index() throws -> [UInt8] {
            guard let file = unsafe fopen(path + "/.git/index", "r") else { throw Missing() }
            defer { _ = unsafe fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            let count = unsafe fread(&bytes, 1, bytes.count, file)
            return Array(bytes.prefix(count))
        }
    }

    private func version(_ index: [UInt8]) -> UInt8? { index.dropFirst(7).first }

    @Test(arguments: ["--object-format=sha1", "--object-format=sha256"], [2, 3, 4])
    func `refreshed times are no difference, changed entries are`(format: String, version: Int) throws {
        let repository = try Repository(format)
        try repository.git("update-index --index-version \(version)")
        // Git writes version 3 only where an entry needs its flags.
        if version == 3 { try repository.shell("echo x > later"); try repository.git("add -N later") }
        let before = try repository.index()
        #expect(self.version(before) == UInt8(version))
        try repository.shell("touch -d @1000000000 a/b/file1 name-3")
        // Git says by 1 that a file that was only announced is to be added.
        try repository.git("update-index --refresh", fails: version == 3)
        let refreshed = try repository.index()
        #expect(refreshed != before)
        #expect(GitIndex.hasSameEntries(before, refreshed) == true)
        try repository.shell("echo other > name-3")
        try repository.git("add name-3")
        #expect(GitIndex.hasSameEntries(before, try repository.index()) == false)
    }

    @Test(arguments: [
        "git rm -q --cached name-1", "chmod +x name-1 && git add name-1", "git mv name-1 name-10",
        "git update-index --assume-unchanged name-1", "git update-index --skip-worktree name-1",
        "echo y > new && git add -N new", "rm name-1 && ln -s name-2 name-1 && git add name-1",
    ])
    func `each thing that an entry says is a difference`(change: String) throws {
        let repository = try Repository()
        let before = try repository.index()
        try repository.shell("export HOME=/nonexistent; \(change)")
        let after = try repository.index()
        #expect(GitIndex.hasSameEntries(before, after) == false)
        #expect(GitIndex.hasSameEntries(after, after) == true)
    }

    @Test func `versions and extensions are no difference`() throws {
        let repository = try Repository()
        let two = try repository.index()
        try repository.git("update-index --index-version 4")
        let four = try repository.index()
        #expect(version(two) == 2 && version(four) == 4)
        #expect(GitIndex.hasSameEntries(two, four) == true)
        // A commit leaves the trees in an extension.
        try repository.git("commit -qm one")
        let committed = try repository.index()
        #expect(committed.count > four.count)
        #expect(GitIndex.hasSameEntries(four, committed) == true)
        // The untracked cache, and no checksum.
        try repository.git("-c index.skipHash=true update-index --force-untracked-cache")
        try repository.git("-c index.skipHash=true status")
        let cached = try repository.index()
        #expect(cached != committed && GitIndex.hasSameEntries(two, cached) == true)
    }

    @Test func `an unfinished merge is a difference, in each of its stages`() throws {
        let repository = try Repository()
        try repository.git("commit -qm one")
        try repository.shell("echo ours > name-1")
        try repository.git("commit -qam ours")
        try repository.git("checkout -qb theirs HEAD~1")
        try repository.shell("echo theirs > name-1")
        try repository.git("commit -qam theirs")
        let before = try repository.index()
        try repository.git("merge main", fails: true)
        let merging = try repository.index()
        #expect(GitIndex.hasSameEntries(before, merging) == false)
        #expect(GitIndex.hasSameEntries(merging, merging) == true)
    }

    @Test func `an index in two files is not judged`() throws {
        let repository = try Repository()
        try repository.git("update-index --split-index")
        let split = try repository.index()
        #expect(GitIndex.hasSameEntries(split, split) == nil)
    }

    @Test func `paths of any length and bytes are read`() throws {
        let repository = try Repository()
        let long = (0..<40).map { "\($0)" + String(repeating: "x", count: 120) }.joined(separator: "/")
        try repository.shell("mkdir -p '\(long.dropLast(120))' 'é \t'")
        try repository.git(
            "update-index --add --cacheinfo 100644,$(git hash-object -w name-1),'\(long)'")
        try repository.git("update-index --add --cacheinfo 100644,$(git hash-object -w name-1),'é \t/x'")
        let two = try repository.index()
        try repository.git("update-index --index-version 4")
        #expect(GitIndex.hasSameEntries(two, try repository.index()) == true)
    }

    @Test func `what is no index, cut or changed is never the same as the whole, and stops nobody`() throws {
        let repository = try Repository()
        for version in [2, 4] {
            try repository.git("update-index --index-version \(version)")
            let whole = try repository.index()
            for length in 0..<whole.count {
                #expect(GitIndex.hasSameEntries(Array(whole.prefix(length)), whole) != true)
            }
            var random = SeededNumbers(seed: 11)
            for _ in 0..<4000 {
                var bytes = whole
                for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
                // What is changed may be a time, so either answer can be right.
                _ = GitIndex.hasSameEntries(bytes, whole)
            }
        }
        let all = (0...255).map { UInt8($0) }
        var random = SeededNumbers(seed: 12)
        for _ in 0..<5000 {
            let noise = Array("DIRC".utf8) + [0, 0, 0, UInt8(2 + random.below(3)), 0, 0, 0, 2]
            #expect(GitIndex.hasSameEntries(noise + random.take(200, of: all), [1]) == nil)
        }
        #expect(GitIndex.hasSameEntries([], []) == nil)
    }

    @Test func `a count that the bytes cannot hold is refused at once`() {
        let huge =
            Array("DIRC".utf8) + [0, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 100)
        #expect(GitIndex.hasSameEntries(huge, huge) == nil)
    }
}
