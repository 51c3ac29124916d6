import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

/// Real work in a real overlay, compared with a full comparison of what the agent saw with the host.
@Suite(.enabled(if: StageFixture.canMount)) struct ChangeWalkOverlays {
    static let host = """
        mkdir -p src/deep/er lib empty docs
        for i in 1 2 3 4 5; do echo "file $i" > src/$i.c; echo "deep $i" > src/deep/$i.h; done
        echo x > src/deep/er/x; echo readme > README; ln -s README link; ln -s src/deep dirlink
        chmod 755 src/1.c; echo lib > lib/lib.a; ln lib/lib.a lib/hard; touch docs/a docs/b
        """

    static let scripts: [String] = [
        "rm -r src", "rm -r src; mkdir src; echo 'file 1' > src/1.c; chmod 755 src/1.c",
        "mv src/1.c src/one.c", "mv README docs/README; mv docs/a README",
        "rm link; ln -s docs link", "rm -r src/deep; ln -s /etc src/deep",
        "rm README; mkdir README; touch README/x",
        "echo more >> src/2.c; chmod 600 src/3.c; touch src/4.c", "chmod 700 src; chmod 755 src",
        "chmod 711 src/deep", "rmdir empty", "rmdir empty; touch empty",
        "rmdir empty; mkdir empty; touch empty/x",
        "ln README readme2; ln README readme3; echo z >> readme2", "echo q >> lib/hard",
        "sed -i s/file/FILE/ src/*.c", "cp README tmp && mv tmp README",
        "echo changed > README; echo readme > README",
        "rm -r src lib docs empty README link dirlink", "mkfifo pipe; rm lib/lib.a; mkfifo lib/lib.a",
        "mkdir -p a/b/c; touch a/b/c/d; rm a/b/c/d; rm -r a/b", "mkdir new; touch new/x; rm -r new",
        "rm src/deep/er/x; touch src/deep/er/y; rm src/deep/er/y", "chmod 000 src/1.c docs; true",
        "python3 -c 'import os; os.truncate(\"README\", 1 << 24)'",
        "mv lib lib2 2>/dev/null || { cp -a lib lib2; rm -r lib; }",
        "python3 -c 'import os; os.setxattr(\"README\", \"user.x\", b\"1\")'",
    ]

    @Test(arguments: scripts) func `what an agent's commands did`(_ script: String) throws {
        let fixture = try StageFixture(host: Self.host)
        let outcome = try fixture.agent(script)
        try #require(outcome.status == 0, "\(outcome.output)")
        let expected = try fixture.expected()
        #expect(try fixture.changes() == expected)
        try fixture.record()
        #expect(try fixture.changes() == expected)
    }

    @Test func `git's work`() throws {
        let fixture = try StageFixture(
            host: """
                git init -q -b main . && git config user.email a@example.invalid && git config user.name A
                mkdir -p src/sub && for i in $(seq 20); do echo $i > src/$i; echo $i > src/sub/$i; done
                git add . && git commit -qm one
                """)
        let outcome = try fixture.agent(
            """
            git checkout -q -b work; git mv src/1 src/one; git rm -q src/sub/2; echo x >> src/3
            git commit -qam two; git checkout -q main; echo y >> src/4; git commit -qam three
            git rebase -q main work; git gc -q; git stash list; mkdir -p src/new; echo n > src/new/n; git add .
            """)
        try #require(outcome.status == 0, "\(outcome.output)")
        let expected = try fixture.expected()
        #expect(expected.count > 30)
        #expect(try fixture.changes() == expected)
        try fixture.record()
        #expect(try fixture.changes() == expected)
        // The index that the session began with is kept, whatever happens to the host's.
        let index = try fixture.change(".git/index")
        let before = try Descriptor.open(fixture.host + "/.git/index", O_RDONLY).readAll(limit: 1 << 20)
        try fixture.shell("echo x > .git/index", in: fixture.host)
        let old = try StageFixture.bytes(ChangeWalk(fixture.stage).openOld(index))
        #expect(old == before)
    }

    @Test func `a recorder beside a busy agent disturbs nobody and misses nothing at the end`() throws {
        let fixture = try StageFixture(host: Self.host)
        let script = """
            for i in $(seq 60); do
              mkdir -p t/$i/a/b; echo $i > t/$i/a/b/f; mv t/$i t/m$i; rm -rf t/m$((i - 3)); rm -f src/$((i % 5 + 1)).c
              echo $i > src/$((i % 5 + 1)).c; chmod 000 t/m$i/a; chmod 755 t/m$i/a
            done
            chmod -R u+rwx t
            """
        let watcher = try Watcher(fixture.stage)
        let outcome = try fixture.agent(script)
        try watcher.end()
        try #require(outcome.status == 0, "\(outcome.output)")
        try fixture.record()
        #expect(try fixture.changes() == fixture.expected())
    }
}

/// A recorder that looks all the time, on a thread of its own.
private final class Watcher {
    private final class State: @unchecked Sendable {
        let stage: Stage
        let stop: CInt
        var failure: StageError?
        var rounds = 0
        init(_ stage: Stage, _ stop: CInt) { (self.stage, self.stop) = (stage, stop) }
    }

    private let state: State
    private let ends: (read: CInt, write: CInt)
    private var thread = pthread_t()

    init(_ stage: Stage) throws {
        ends = try Pipe().numbers()
        state = State(stage, ends.read)
        let argument = unsafe Unmanaged.passRetained(state).toOpaque()
        let code = unsafe pthread_create(&thread, nil, watch, argument)
        guard code == 0 else { throw KernelError(call: "pthread_create", code: code) }
    }

    /// Ends it; its error is thrown here.
    func end() throws {
        _ = Glibc.close(ends.write)
        pthread_join(thread, nil)
        _ = Glibc.close(ends.read)
        if let failure = state.failure { throw failure }
        #expect(state.rounds > 0)
    }

    fileprivate static func look(_ pointer: UnsafeMutableRawPointer) {
        let state = unsafe Unmanaged<State>.fromOpaque(pointer).takeRetainedValue()
        do throws(StageError) {
            var recorder = try Recorder(state.stage)
            var ended = pollfd(fd: state.stop, events: Int16(POLLIN), revents: 0)
            // Ten looks a second: the agent is to get on with its work.
            while unsafe poll(&ended, 1, 100) == 0 {
                _ = try recorder.update()
                state.rounds += 1
            }
        } catch { state.failure = error }
    }
}

private func watch(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let pointer = unsafe pointer { unsafe Watcher.look(pointer) }
    return nil
}
