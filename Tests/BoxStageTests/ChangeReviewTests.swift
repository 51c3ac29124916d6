import BoxStage
import BoxTypes
import Testing

/// What the rules see of a stage: contents, and names as the agent has them.
@Suite struct ChangeReviews {
    struct Row: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var host: String
        /// Python, run in the upper layer.
        var upper: String
        var hidden: [String] = []
        var path: String
        /// Part of the reason; nil: a normal change.
        var reason: String?
    }

    private static let twin = "it is the same as"

    static let rows: [Row] = [
        Row(
            testDescription: "a twin of a name of the host", host: "echo x > Readme",
            upper: "open('README', 'w')", path: "README", reason: twin),
        Row(
            testDescription: "a twin of a name that the agent deleted", host: "echo x > Readme",
            upper: "os.mknod('Readme', 0o20000, 0); open('README', 'w')", path: "README"),
        Row(
            testDescription: "a twin below a directory that hides the host's",
            host: "mkdir d; echo x > d/Readme",
            upper: "os.mkdir('d'); os.setxattr('d', 'user.overlay.opaque', b'y'); open('d/README', 'w')",
            path: "d/README"),
        Row(
            testDescription: "a twin below a directory that is merged", host: "mkdir d; echo x > d/Readme",
            upper: "os.mkdir('d'); open('d/README', 'w')", path: "d/README", reason: twin),
        Row(
            testDescription: "a twin of a whiteout by attribute", host: "mkdir d; echo x > d/Readme",
            upper: """
                os.mkdir('d'); os.setxattr('d', 'user.overlay.opaque', b'x')
                open('d/Readme', 'w'); os.setxattr('d/Readme', 'user.overlay.whiteout', b'y')
                open('d/README', 'w')
                """, path: "d/README"),
        Row(
            testDescription: "a twin of a hidden name below", host: "mkdir d; echo x > d/Secret",
            upper: "os.mkdir('d'); open('d/secrets', 'w')", hidden: ["d/Secret"], path: "d/secrets"),
        Row(
            testDescription: "two directories that are twins", host: "mkdir Src",
            upper: "os.mkdir('src'); open('src/a', 'w')", path: "src/a", reason: twin),
        Row(
            testDescription: "a bare repository, half of it the host's", host: "mkdir -p x/refs x/objects",
            upper: "os.mkdir('x'); open('x/HEAD', 'w').write('ref: refs/heads/main')", path: "x/HEAD",
            reason: "git repository"),
        Row(
            testDescription: "HEAD in a directory without objects", host: "mkdir -p x/refs",
            upper: "os.mkdir('x'); open('x/HEAD', 'w').write('x')", path: "x/HEAD"),
        Row(
            testDescription: "scripts that were there", host: #"echo '{"scripts":{"a":"b"}}' > package.json"#,
            upper: #"open('package.json', 'w').write('{"scripts":{"a":"b"}, "version": "2"}\n')"#,
            path: "package.json"),
        Row(
            testDescription: "scripts that are new", host: #"echo '{"version":"1"}' > package.json"#,
            upper: #"open('package.json', 'w').write('{"scripts":{"a":"b"}, "version": "1"}\n')"#,
            path: "package.json", reason: "scripts"),
    ]

    @Test(arguments: rows) func `a verdict sees what the agent sees`(_ row: Row) throws {
        let hidden = try row.hidden.map { try #require(BytePath($0)) }
        let fixture = try StageFixture(hidden: hidden, host: row.host)
        try fixture.python(row.upper, in: fixture.upper)
        let review = try ChangeReview(try ChangeWalk(fixture.stage))
        let verdict = try review.verdict(try fixture.change(row.path))
        if let reason = row.reason {
            #expect(verdict.reason.contains(reason), "\(verdict)")
        } else {
            #expect(verdict == .normal)
        }
    }

    @Test func `the order of the questions changes no answer`() throws {
        let fixture = try StageFixture(
            host: "mkdir -p a b/c; echo x > a/Name; echo x > b/c/Other; echo x > b/Name")
        try fixture.python(
            """
            for d in ('a', 'b', 'b/c'): os.mkdir(d)
            for n in ('a/name', 'b/name', 'b/c/other', 'b/c/name', 'a/other', 'name'): open(n, 'w')
            """, in: fixture.upper)
        let changes = try fixture.list()
        let forwards = try ChangeReview(try ChangeWalk(fixture.stage))
        let backwards = try ChangeReview(try ChangeWalk(fixture.stage))
        let there = try changes.map { try forwards.verdict($0) }
        let back = try changes.reversed().map { try backwards.verdict($0) }
        #expect(there == Array(back.reversed()))
        #expect(there.count { $0.reason.contains(ChangeReviews.twin) } == 3)
    }
}
