import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

@Suite struct HideWalks {
    private func find(_ patterns: [String], _ make: String, threads: Int = 3) throws -> [String] {
        let scratch = try CopyScratch()
        let host = try scratch.directory("host")
        try copyShell("cd \(host) && \(make)")
        let rules = HideRules(try patterns.map { try HidePattern($0) })
        return try HideWalk.find(rules, in: host, threads: threads).map(\.escaped)
    }

    @Test(arguments: [0, 1, 4])
    func `patterns of the root hide at the root alone`(_ threads: Int) throws {
        let found = try find(
            [".env", ".env.*", "!.env.example", "*.pem", ".aws/"],
            "mkdir -p a .aws/deep && touch .env .env.local .env.example a/.env x.pem a/y.pem .aws/deep/k .aws2",
            threads: threads)
        #expect(found == [".aws", ".env", ".env.local", "x.pem"])
    }

    @Test func `a pattern with directories reads these alone`() throws {
        let found = try find(
            ["config/*.key", "c*/deep/secret", "build/out/k"],
            """
            mkdir -p config/deep cat/deep dog/deep build/out && touch config/a.key config/a.txt config/deep/b.key \
            config/deep/secret cat/deep/secret dog/deep/secret build/out/k
            """)
        #expect(found == ["build/out/k", "cat/deep/secret", "config/a.key", "config/deep/secret"])
    }

    @Test(arguments: [0, 1, 4])
    func `a pattern for any depth finds everything but in directories that are passed over`(
        _ threads: Int
    ) throws {
        let found = try find(
            ["**/.env", "**/*.pem", "!keep.pem"],
            """
            mkdir -p a/b/c node_modules/x .git/y a/target d && touch .env a/.env a/b/c/.env a/b/c/k.pem keep.pem \
            d/keep.pem node_modules/x/.env .git/y/.env a/target/.env && mkdir d/.env && touch d/.env/below
            """, threads: threads)
        #expect(found == [".env", "a/.env", "a/b/c/.env", "a/b/c/k.pem", "d/.env", "d/keep.pem"])
    }

    @Test func `a directory that a pattern names is looked into, and hidden where it is meant itself`() throws
    {
        let found = try find(
            ["**/node_modules/.npmrc", "**/.git/"],
            """
            mkdir -p a/node_modules/deep a/.git sub/.git && touch a/node_modules/.npmrc \
            a/node_modules/deep/.npmrc .git
            """)
        #expect(found == ["a/.git", "a/node_modules/.npmrc", "sub/.git"])
    }

    @Test func `links are never followed`() throws {
        let found = try find(
            ["**/.env", "out/.env"],
            "mkdir ../outside && touch ../outside/.env && ln -s ../outside out && mkdir d && ln -s ../../outside d/o"
        )
        #expect(found.isEmpty)
    }

    @Test func `a link can be hidden itself`() throws {
        #expect(try find([".env"], "ln -s /nowhere .env") == [".env"])
    }

    @Test func `without a pattern that hides, nothing is read`() throws {
        let rules = HideRules([try HidePattern("!.env")])
        let nothing = Tree(try Descriptor.open("/dev/null", O_RDONLY))
        #expect(try HideWalk.find(rules, in: nothing).isEmpty)
    }

    @Test func `names that are not text are hidden by patterns`() throws {
        #expect(try find(["**/*.pem"], "mkdir d && touch \"$(printf 'd/\\377.pem')\"") == ["d/\\xff.pem"])
    }

    @Test(arguments: 1...6)
    func `one thread and many find what a plain look at every path finds`(_ seed: Int) throws {
        let scratch = try CopyScratch()
        let host = try scratch.directory("host")
        var tree = RandomCopyTree(seed: UInt64(seed), at: host, entries: 300)
        try tree.make()
        let rules = HideRules(try ["**/.env", "**/a*", "!a.b", "b/", "c/*"].map { try HidePattern($0) })
        var expected: [BytePath] = []
        for (bytes, entry) in try seenTree(host) where bytes != [UInt8(ascii: ".")] {
            let path = try #require(BytePath(bytes))
            let isCovered = path.ancestors.contains { rules.hides($0, isDirectory: true) }
            if !isCovered, rules.hides(path, isDirectory: entry.type == S_IFDIR) { expected.append(path) }
        }
        expected.sort()
        for threads in [0, 4] {
            #expect(try HideWalk.find(rules, in: host, threads: threads) == expected)
        }
    }
}
