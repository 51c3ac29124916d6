import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

@Suite struct MoveSearches {
    private func moves(_ fixture: StageFixture) throws -> [String] {
        try Moves.find(try fixture.list(), in: try ChangeWalk(fixture.stage)).compactMap { change in
            change.movedFrom.map { "\($0.escaped) > \(change.path.escaped)" }
        }
    }

    @Test func `a file is moved if size, time and content are the same`() throws {
        let fixture = try StageFixture(
            host:
                "echo one > a; echo two > b; echo 3 > c; ln -s x l; mkdir d; touch empty; touch -d @100 a b c empty"
        )
        try fixture.shell(
            """
            for gone in a b c l empty; do mknod $gone c 0 0; done
            echo one > a2; echo TWO > b2; echo 3 > c2; ln -s x l2; touch empty2
            touch -d @100 a2 b2 empty2; touch -d @101 c2; touch -h -r ../../../host/l l2
            """, in: fixture.upper)
        #expect(try moves(fixture) == ["a > a2", "empty > empty2", "l > l2"])
        try fixture.record()
        #expect(try moves(fixture) == ["a > a2", "empty > empty2", "l > l2"])
    }

    @Test func `a deleted file is moved once, and to the place where its neighbours went`() throws {
        let fixture = try StageFixture(
            host: """
                mkdir -p p/x q/x p/none; for d in p/x q/x; do for i in 1 2 3 4; do echo same > $d/f$i; done; done
                echo p > p/x/mark; echo q > q/x/mark; find . -type f -exec touch -d @100 {} +
                """)
        try fixture.shell(
            """
            mknod p c 0 0; mknod q c 0 0; mkdir -p new/q/x new/p/x new/p/none
            cp -a ../../../host/p/x/. new/p/x; cp -a ../../../host/q/x/. new/q/x; cp -a new/q/x/f1 new/extra
            """, in: fixture.upper)
        let found = try moves(fixture)
        #expect(Set(found).count == found.count)
        #expect(found.count == 10)
        let sources = found.compactMap { $0.split(separator: " > ").first }
        #expect(Set(sources).count == 10)
        #expect(found.contains("p/x/mark > new/p/x/mark") && found.contains("q/x/mark > new/q/x/mark"))
    }

    @Test(.enabled(if: StageFixture.canMount))
    func `a directory that was moved inside is found by its files`() throws {
        let fixture = try StageFixture(
            host:
                "mkdir -p src/a/b src/empty; for i in $(seq 30); do echo $i > src/a/$i; echo $i > src/a/b/$i; done"
        )
        let outcome = try fixture.agent("cp -a src dst; rm -r src")
        try #require(outcome.status == 0, "\(outcome.output)")
        try fixture.record()
        let found = try moves(fixture)
        #expect(found.count == 60)
        #expect(found.contains("src/a/b/7 > dst/a/b/7"))
    }

    @Test func `thousands of files that look alike go each to its own name`() throws {
        let fixture = try StageFixture()
        try fixture.python(
            """
            for d in ('host/old', 'stage/0/upper/new'):
                os.mkdir(d)
                for i in range(5000):
                    path = f'{d}/{i}'
                    open(path, 'w').write(f'{i % 10}'); os.utime(path, (5, 5))
            os.mknod('stage/0/upper/old', 0o20000, 0)
            """, in: fixture.path)
        try fixture.begin()
        let found = try moves(fixture)
        #expect(found.count == 5000)
        #expect(found.contains("old/77 > new/77"))
    }
}
