import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

/// Upper layers made by hand, as a kernel makes them.
@Suite struct ChangeWalks {
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let host: String
        let upper: String
        let changes: [String]
        var testDescription: String { name }
        init(_ name: String, host: String = "", upper: String, _ changes: [String]) {
            (self.name, self.host, self.upper, self.changes) = (name, host, upper, changes)
        }
    }

    static let rows = [
        Row("nothing", upper: "", []),
        Row("a new file", upper: "echo x > a", ["added a"]),
        Row("a new file in a new directory", upper: "mkdir d; echo x > d/a", ["added d/a"]),
        Row("a new empty directory", upper: "mkdir -p d/e", ["added d/e"]),
        Row("a new directory of whiteouts is empty", upper: "mkdir d; mknod d/a c 0 0", ["added d"]),
        Row("a whiteout over nothing", upper: "mknod a c 0 0", []),
        Row("a deleted file", host: "echo x > a", upper: "mknod a c 0 0", ["deleted a"]),
        Row(
            "a deleted tree", host: "mkdir -p d/e/empty; echo x > d/a; echo y > d/e/b; ln -s a d/l",
            upper: "mknod d c 0 0", ["deleted d/a", "deleted d/e/b", "deleted d/e/empty", "deleted d/l"]),
        Row("a deleted empty directory", host: "mkdir d", upper: "mknod d c 0 0", ["deleted d"]),
        Row("the same content again", host: "echo x > a", upper: "echo x > a", []),
        Row("other content of the same size", host: "echo x > a", upper: "echo y > a", ["modified a"]),
        Row("another size", host: "echo x > a", upper: "echo xx > a", ["modified a"]),
        Row(
            "mode alone", host: "echo x > a", upper: "echo x > a; chmod 755 a", ["mode_changed a"]),
        Row(
            "content goes before mode", host: "echo x > a", upper: "echo y > a; chmod 755 a", ["modified a"]),
        Row("a copied-up directory", host: "mkdir -p d/e", upper: "mkdir -p d/e", []),
        Row("a directory's mode", host: "mkdir d", upper: "mkdir d; chmod 700 d", ["mode_changed d"]),
        Row(
            "setuid on a file", host: "echo x > a", upper: "echo x > a; chmod 4644 a", ["mode_changed a"]),
        Row(
            "a file became a directory", host: "echo x > a", upper: "mkdir a; echo y > a/b",
            ["type_changed a", "added a/b"]),
        Row(
            "a directory became a link", host: "mkdir d; echo x > d/a; echo y > d/b", upper: "ln -s / d",
            ["type_changed d", "deleted d/a", "deleted d/b"]),
        Row(
            "another target", host: "ln -s a l", upper: "ln -s b l", ["modified l"]),
        Row("the same target", host: "ln -s a l", upper: "ln -s a l", []),
        Row("a FIFO", upper: "mkfifo p", ["added p"]),
        Row("a FIFO in the place of a file", host: "echo x > p", upper: "mkfifo p", ["type_changed p"]),
        Row(
            "names that begin alike", host: "mkdir d; echo x > d/a; echo x > d-a; echo x > da",
            upper: "mkdir d; mknod d/a c 0 0; mknod d-a c 0 0; mknod da c 0 0",
            ["deleted d/a", "deleted d-a", "deleted da"]),
        Row(
            "hard links are files", host: "echo x > a", upper: "echo y > a; ln a b; ln a c",
            ["modified a", "added b", "added c"]),
    ]

    @Test(arguments: rows) func `an upper layer made by hand`(_ row: Row) throws {
        let fixture = try StageFixture(host: row.host)
        try fixture.shell(row.upper, in: fixture.upper)
        #expect(try fixture.changes() == row.changes)
        // And the same when it has been recorded, once and again.
        try fixture.record()
        #expect(try fixture.changes() == row.changes)
        try fixture.record()
        #expect(try fixture.changes() == row.changes)
    }

    @Test func `an opaque directory deletes what it hides, and what is in it is compared`() throws {
        let fixture = try StageFixture(
            host: "mkdir -p d/e; echo x > d/a; echo y > d/b; echo z > d/e/c; echo o > other")
        try fixture.python(
            """
            os.mkdir('d'); os.setxattr('d', 'user.overlay.opaque', b'y')
            open('d/a', 'w').write('x\\n'); open('d/new', 'w').write('n')
            """, in: fixture.upper)
        let expected = ["deleted d/b", "deleted d/e/c", "added d/new"]
        #expect(try fixture.changes() == expected)
        try fixture.record()
        #expect(try fixture.changes() == expected)
    }

    @Test func `an empty file with an attribute is a whiteout only in a directory that says so`() throws {
        let fixture = try StageFixture(host: "mkdir d e; echo x > d/a; echo x > e/a")
        try fixture.python(
            """
            os.mkdir('d'); os.setxattr('d', 'user.overlay.opaque', b'x')
            os.mkdir('e')
            for path in ('d/a', 'e/a'):
                open(path, 'w'); os.setxattr(path, 'user.overlay.whiteout', b'y')
            """, in: fixture.upper)
        #expect(try fixture.changes() == ["deleted d/a", "modified e/a"])
    }

    @Test func `a stage by other times and attributes is no change`() throws {
        let fixture = try StageFixture(host: "echo x > a; mkdir d")
        try fixture.python(
            """
            open('a', 'w').write('x\\n'); os.utime('a', (1, 1)); os.setxattr('a', 'user.note', b'1')
            os.mkdir('d'); os.utime('d', (1, 1))
            """, in: fixture.upper)
        #expect(try fixture.changes() == [])
    }

    @Test func `what the policy hides is not the agent's to delete, and never read`() throws {
        let hidden = ["secrets", ".env", "d/.env"].compactMap { BytePath($0) }
        let fixture = try StageFixture(
            hidden: hidden,
            host:
                "mkdir secrets d e; echo key > secrets/key; echo x > .env; echo x > d/.env; echo y > d/a; echo z > e/b"
        )
        try fixture.shell(
            "mknod d c 0 0; mknod e c 0 0; echo mine > .env; mkdir secrets; echo mine > secrets/key",
            in: fixture.upper)
        let expected = ["added .env", "deleted d/a", "deleted e/b", "added secrets/key"]
        #expect(try fixture.changes() == expected)
        try fixture.record()
        #expect(try fixture.changes() == expected)
        let walk = try ChangeWalk(fixture.stage)
        for path in [".env", "secrets/key"] {
            let change = try fixture.change(path)
            #expect(try StageFixture.text(walk.openHost(change)) == nil)
            #expect(try StageFixture.text(walk.openOld(change)) == nil)
            #expect(try walk.conflict(change)?.kind == .created)
        }
    }

    @Test func `a deleted directory that held only hidden names stays`() throws {
        let fixture = try StageFixture(
            hidden: [try #require(BytePath("d/.env"))], host: "mkdir d e; echo x > d/.env")
        try fixture.shell("mknod d c 0 0; mknod e c 0 0", in: fixture.upper)
        #expect(try fixture.changes() == ["deleted e"])
        try fixture.record()
        #expect(try fixture.changes() == ["deleted e"])
    }

    @Test func `names are bytes`() throws {
        let fixture = try StageFixture()
        try fixture.python(
            """
            for name in (b'new\\nline', b'\\x1b[2J', b'\\xff\\xfe', b' lead', b'-rf', b'x' * 255, b'*', b'tab\\t'):
                open(name, 'w').write('x')
            """, in: fixture.upper)
        let paths = try fixture.list().map(\.path.bytes)
        #expect(paths.count == 8)
        #expect(paths.contains(Array("new\nline".utf8)) && paths.contains([0xFF, 0xFE]))
        #expect(paths == paths.sorted { $0.lexicographicallyPrecedes($1) })
    }

    @Test func `a hole of a terabyte is not read`() throws {
        let fixture = try StageFixture(host: "truncate -s 1T same other; echo end >> other")
        try fixture.shell(
            "truncate -s 1T same other new; echo eND >> other; echo x | dd of=new bs=1 seek=1G conv=notrunc status=none",
            in: fixture.upper)
        let clock = ContinuousClock()
        let began = clock.now
        #expect(try fixture.changes() == ["added new", "modified other"])
        #expect(clock.now - began < .seconds(2))
    }

    @Test func `directories and files that the agent closed are read, and closed again`() throws {
        let fixture = try StageFixture(host: "mkdir closed; echo x > closed/a; echo x > closed/b; echo x > c")
        try fixture.shell(
            """
            mkdir -p closed new/in/ner list; echo y > closed/a; echo n > new/in/ner/f; echo z > c; echo l > list/l
            chmod 0 closed/a new/in/ner new/in new c; chmod 4600 list; chmod 2000 closed
            """, in: fixture.upper)
        let look = "for p in . closed new list c; do stat -c '%n %a' $p; done"
        let modes = try fixture.shell(look, in: fixture.upper)
        let usage = try fixture.record()
        #expect(usage.closed == (geteuid() == 0 ? 0 : 3))
        let expected = [
            "modified c", "mode_changed closed", "modified closed/a", "added list/l", "added new/in/ner/f",
        ]
        for _ in 0..<2 {
            #expect(try fixture.changes() == expected)
            let walk = try ChangeWalk(fixture.stage)
            #expect(try StageFixture.text(walk.openNew(fixture.change("closed/a"))) == "y\n")
            #expect(try StageFixture.text(walk.openNew(fixture.change("new/in/ner/f"))) == "n\n")
            #expect(try StageFixture.text(walk.openNew(fixture.change("c"))) == "z\n")
            #expect(try fixture.shell(look, in: fixture.upper) == modes)
            try fixture.record()
        }
    }

    @Test func `five thousand levels`() throws {
        let fixture = try StageFixture()
        let deep = """
            for i in range(5000):
                os.mkdir('d'); os.chdir('d')
            open('file', 'w').write('deep')
            """
        try fixture.python(deep, in: fixture.upper)
        let changes = try fixture.list()
        #expect(changes.count == 1)
        let change = try #require(changes.first)
        #expect(change.path.bytes.count == 2 * 5000 + 4)
        #expect(try StageFixture.text(ChangeWalk(fixture.stage).openNew(change)) == "deep")
        let usage = try fixture.record()
        #expect(usage.inodes == 5001 && usage.closed == 0)
        // The same as a deleted tree: the host's is as deep.
        try fixture.python(deep, in: fixture.host)
        try fixture.begin()
        let other = try StageFixture(host: "mkdir top")
        try other.python(deep, in: other.host + "/top")
        try other.begin()
        try other.shell("mknod top c 0 0", in: other.upper)
        #expect(try other.list().map(\.kind) == [.deleted])
        try other.record()
        #expect(try other.list().map(\.path.bytes.count) == [3 + 2 * 5000 + 5])
    }

    @Test func `the project's directory must be the one that the session began with`() throws {
        let fixture = try StageFixture(host: "echo x > a")
        try fixture.shell("mv host gone; mkdir host", in: fixture.path)
        #expect(throws: StageError.self) { try fixture.list() }
    }

    @Test func `a digest changes with the changes and with nothing else`() throws {
        let fixture = try StageFixture(host: "echo x > a; mkdir d")
        try fixture.shell("echo y > a; mkdir d; echo n > d/n", in: fixture.upper)
        let first = try ChangeWalk(fixture.stage).digest()
        #expect(first.utf8.count == 64)
        #expect(try ChangeWalk(fixture.stage).digest() == first)
        try fixture.shell("chmod 755 d/n", in: fixture.upper)
        let second = try ChangeWalk(fixture.stage).digest()
        #expect(second != first)
        try fixture.shell("chmod 644 d/n; echo z > a", in: fixture.upper)
        #expect(try ChangeWalk(fixture.stage).digest() != first)
    }
}
