import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

/// File systems that can share blocks between files, in files of their own.
@Suite(.serialized, .enabled(if: LoopFileSystem.isPossible, "only root can mount a file system from a file"))
struct TreeCopyReflinks {
    @Test(arguments: ["btrfs", "xfs"])
    func `where blocks can be shared, a copy takes no room`(_ type: String) throws {
        let scratch = try CopyScratch()
        let place = try LoopFileSystem(type, in: scratch)
        let source = place.path + "/source"
        try copyShell(
            "mkdir \(source) && head -c 60000000 /dev/urandom > \(source)/blob && echo x > \(source)/f")
        let before = try place.used()
        let made = try copy(source, to: place.path + "/copy")
        // Kilobytes; the rest is what the file system needs for names and extents.
        #expect(try place.used() - before < 6000)
        #expect(made.report.sharing == 2)
        try expectSame(source, made)
        // Sharing ends with the first write, so the original is safe.
        try copyShell(
            "echo y > \(place.path)/copy/f && printf z | dd of=\(place.path)/copy/blob conv=notrunc")
        #expect(
            try copyShell("cat \(source)/f; cmp \(source)/blob \(place.path)/copy/blob || echo differ")
                .contains("differ"))
        try place.end()
    }

    @Test func `from one file system to another, blocks are copied`() throws {
        let scratch = try CopyScratch()
        let place = try LoopFileSystem("btrfs", in: scratch)
        let source = place.path + "/source"
        try copyShell(
            "mkdir \(source) && head -c 3000000 /dev/urandom > \(source)/blob && truncate -s 9M \(source)/hole"
        )
        let made = try copy(source, to: scratch("copy"))
        #expect(made.report.sharing == 0)
        try expectSame(source, made)
        try place.end()
    }
}

/// A file system in a file, mounted for one test.
private final class LoopFileSystem {
    let path: String
    private var isMounted = true

    static let isPossible = unsafe geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0

    init(_ type: String, in scratch: CopyScratch) throws {
        path = try scratch.directory(type)
        try copyShell(
            "truncate -s 400M \(path).image && mkfs.\(type) -q \(path).image && mount -o loop \(path).image \(path)"
        )
    }

    /// What is in use, in kilobytes.
    func used() throws -> Int {
        try #require(
            Int(try copyShell("sync -f \(path); df -k --output=used \(path) | tail -1").filter(\.isNumber)))
    }

    func end() throws {
        guard isMounted else { return }
        isMounted = false
        try copyShell("umount \(path)")
    }

    deinit {
        do { try end() } catch { Issue.record(error) }
    }
}
