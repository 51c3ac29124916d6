import Foundation
import Testing

/// SC-22: what people really run. A sandbox that breaks these is switched off.
@Suite(.recorded("SC-22"), .serialized) struct RealPrograms {
    /// A script in the project with files, its status and what it prints last.
    private func check(
        _ script: String, files: [String: String] = [:], prints last: String, options: [String] = [],
        within seconds: Double = 120, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let box = try Box()
        for (name, text) in files { try box.scratch.write(text, to: box.scratch.project + "/" + name) }
        let outcome = try box.shell("set -e\n" + script, options: options, within: seconds)
        #expect(
            outcome.status == 0 && outcome.lines.last == last, "\(outcome)", sourceLocation: sourceLocation)
    }

    @Test func `git clones, commits, rebases`() throws {
        guard has("git") else { return }
        try check(
            """
            git config --global user.email a@b.invalid; git config --global user.name a; git config --global init.defaultBranch main
            mkdir /tmp/w && cd /tmp/w && git init -q origin && cd origin
            echo 1 > a && git add a && git commit -qm 1 && echo 2 > a && git commit -qam 2
            cd .. && git clone -q origin copy && cd copy && git checkout -qb topic && echo t > t && git add t && git commit -qm t
            cd ../origin && echo 3 > a && git commit -qam 3
            cd ../copy && git fetch -q && git rebase -q origin/main && git clone -q . "$OLDPWD/../again" && git worktree add -q ../tree main
            git log --format=%s | tr '\\n' ' '; echo; git -C ../again log --oneline | wc -l
            """, prints: "4")
    }

    @Test func `gcc compiles, links and runs; make in parallel`() throws {
        guard has("gcc", "make") else { return }
        let makefile = "all: a b c d\n\t./a && ./b && ./c && ./d\n%: %.c\n\tgcc -O1 -o $@ $<\n"
        var files = ["Makefile": makefile]
        for name in ["a", "b", "c", "d"] {
            files[name + ".c"] = "#include <stdio.h>\nint main(void) { puts(\"\(name)\"); return 0; }\n"
        }
        try check("make -s -j4", files: files, prints: "d")
    }

    /// A toolchain outside of the system's directories: the option that grants it, and a line that finds it.
    private func toolchain(of program: String) -> (options: [String], path: String) {
        guard !["/usr/", "/bin/"].contains(where: program.hasPrefix) else { return ([], "") }
        let folder = URL(filePath: program).deletingLastPathComponent()
        let root = folder.deletingLastPathComponent().deletingLastPathComponent().path
        return (["--read", root], "export PATH=\(folder.path):$PATH\n")
    }

    @Test func `clang with a sanitizer`() throws {
        guard let clang = Host.program("clang") else {
            return skip("program clang", "clang is not installed")
        }
        let (options, path) = toolchain(of: clang)
        // The runtime insists on setting the limit for core files, which is locked; it can be told not to.
        try check(
            path + "clang -fsanitize=address -g -o a a.c 2>/dev/null && ./a",
            files: ["a.c": "#include <stdio.h>\nint main(void) { puts(\"clean\"); return 0; }\n"],
            prints: "clean", options: options)
    }

    @Test func `swift builds a package`() throws {
        guard let swift = Host.program("swift") else {
            return skip("program swift", "swift is not installed")
        }
        let (options, path) = toolchain(of: swift)
        let manifest = """
            // swift-tools-version: 6.0
            import PackageDescription
            let package = Package(name: "hello", targets: [.executableTarget(name: "hello")])

            """
        try check(
            path + "swift build >log 2>&1 || tail -20 log; .build/debug/hello",
            files: ["Package.swift": manifest, "Sources/hello/main.swift": "print(\"hello from swift\")\n"],
            prints: "hello from swift", options: options, within: 240)
    }

    @Test func `a script writes to its streams by name`() throws {
        let script =
            "echo one > /dev/stdout; echo two > /dev/stderr; echo three | cat /dev/stdin; cat < /dev/fd/0"
        let outcome = try Box().shell(script, options: ["--quiet"])
        #expect(
            outcome.status == 0 && outcome.text == "one\nthree\n" && outcome.errors == "two\n", "\(outcome)")
    }

    @Test func `python makes a virtual environment and works in parallel`() throws {
        guard has("python3") else { return }
        try check(
            """
            python3 -m venv --without-pip v && v/bin/python -c 'import sys; assert sys.prefix != \
            sys.base_prefix' && v/bin/python m.py
            """,
            files: [
                "m.py": """
                import multiprocessing, os, pwd, socket, subprocess, tempfile, threading, ctypes, sqlite3, asyncio
                def square(n): return n * n
                if __name__ == '__main__':
                    with multiprocessing.Pool(4) as pool: assert sum(pool.map(square, range(100))) == 328350
                    lock = multiprocessing.Lock(); lock.acquire(); lock.release()
                    print(pwd.getpwuid(os.getuid()).pw_name, socket.gethostname(), subprocess.check_output(['id', '-u']))
                    with tempfile.NamedTemporaryFile() as f: f.write(b'x')
                    sqlite3.connect('d.sqlite').execute('create table t (x)')
                    async def main():
                        server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)
                        port = server.sockets[0].getsockname()[1]
                        reader, writer = await asyncio.open_connection('127.0.0.1', port)
                        assert await reader.read() == b''
                    asyncio.run(main())
                    print('all done')
                """
            ], prints: "all done")
    }

    @Test func `node runs with workers, children and a server`() throws {
        guard has("node") else { return }
        try check(
            "node n.js",
            files: [
                "n.js": """
                const { Worker } = require('worker_threads'), http = require('http'), fs = require('fs');
                const { execSync } = require('child_process');
                fs.watch('.'); fs.writeFileSync('made', 'x'); execSync('true');
                const server = http.createServer((q, r) => r.end('served')).listen(0, '127.0.0.1', () =>
                  http.get({ port: server.address().port }, a => a.on('data', d => {
                    new Worker('require("worker_threads").parentPort.postMessage("worker")', { eval: true })
                      .on('message', m => { console.log(m + ' ' + d); process.exit(0); });
                  })));
                """
            ], prints: "worker served")
    }

    @Test func `java compiles and runs`() throws {
        guard has("java", "javac") else { return }
        try check(
            "javac Hello.java && java -cp . Hello",
            files: [
                "Hello.java":
                    """
                public class Hello { public static void main(String[] a) throws Exception { \
                Thread t = new Thread(() -> {}); t.start(); t.join(); \
                System.out.println(\"hello from java\"); } }\n
                """
            ],
            prints: "hello from java")
    }

    @Test func `go builds, and its tests run`() throws {
        guard has("go") else { return }
        try check(
            "go build -o hello . && ./hello && go test ./... | cut -f1",
            files: [
                "go.mod": "module hello\n\ngo 1.19\n",
                "main.go":
                    """
                package main\n\nimport \"fmt\"\n\nfunc main() { c := make(chan string); go \
                func() { c <- \"hello from go\" }(); fmt.Println(<-c) }\n
                """,
                "main_test.go": "package main\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) {}\n",
            ], prints: "ok  ", within: 240)
    }

    @Test func `rust, perl, ruby and busybox where they are`() throws {
        guard has("perl") else { return }
        try check(
            "perl -e 'my $p = fork // die; exit 0 unless $p; waitpid $p, 0; print \"perl $?\\n\"'",
            prints: "perl 0")
        if Host.program("busybox") != nil {
            try check("busybox sh -c 'busybox seq 3 | busybox tail -1'", prints: "3")
        }
    }

    @Test func `two hundred processes at once`() throws {
        try check(
            """
            for i in $(seq 200); do sh -c \"sleep 0.3; echo $i > out-$i\" & done; wait; cat out-* | \
            sort -n | wc -l
            """,
            prints: "200")
    }

    @Test func `keys are made`() throws {
        guard has("ssh-keygen", "openssl") else { return }
        try check(
            """
            ssh-keygen -q -t ed25519 -N '' -f key && ssh-keygen -lf key.pub >/dev/null && openssl \
            rand -hex 8 | tr -d '\\n' | wc -c
            """,
            prints: "16")
    }

    @Test func `strace and gdb work on one's own programs`() throws {
        guard has("strace", "gdb", "gcc") else { return }
        try check(
            """
            gcc -g -o a a.c && strace -f -o trace ./a && grep -q exit_group trace && gdb -batch -ex \
            'break main' -ex run -ex 'print 40+2' ./a 2>/dev/null | tail -1
            """,
            files: ["a.c": "int main(void) { return 0; }\n"], prints: "$1 = 42")
    }

    @Test func `servers and clients on both kinds of sockets`() throws {
        guard has("socat", "curl", "python3") else { return }
        try check(
            """
            python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 & server=$!
            for i in $(seq 100); do curl -sS -m 2 http://127.0.0.1:8000/file 2>/dev/null && break; sleep 0.05; done
            kill $server
            socat UNIX-LISTEN:s.sock EXEC:cat & for i in $(seq 100); do test -S s.sock && break; sleep 0.05; done
            echo through | socat - UNIX-CONNECT:s.sock
            """, files: ["file": "served\n"], prints: "through")
    }

    @Test func `cp, tar, find, rsync-like work on many files`() throws {
        try check(
            """
            mkdir a && for i in $(seq 300); do echo $i > a/$i; done; cp -a a b; tar cf - a | tar xf \
            - -C /tmp; mv b c; find c /tmp/a -type f | wc -l; ln a/1 hard; mkfifo f; flock lock \
            true; chmod 4755 a/1; touch -d 2001-01-01 a/2; rm -rf c; ls a | wc -l
            """,
            prints: "300")
    }

    @Test func `an editor writes a file`() throws {
        guard has("vim") else { return }
        let box = try Box()
        let terminal = try box.start(
            ["vim", "-u", "NONE", "-N", "text"], options: ["--quiet"],
            streams: .terminal(rows: 24, columns: 80))
        try terminal.expect("\"text\"")
        try terminal.send("ihello from vim\u{1b}")
        try terminal.send(":wq\r")
        #expect(try terminal.wait(within: 20).status == 0)
        #expect(try Host.text(box.scratch.project + "/text") == "hello from vim\n")
    }

    @Test func `a pager shows, searches and ends`() throws {
        guard has("less") else { return }
        let box = try Box()
        try box.scratch.write((1...500).map { "line \($0)\n" }.joined(), to: box.scratch.project + "/long")
        let terminal = try box.start(
            ["less", "long"], options: ["--quiet"], streams: .terminal(rows: 24, columns: 80))
        try terminal.expect("line 20")
        try terminal.send("/line 300\r")
        try terminal.expect("line 310")
        try terminal.send("q")
        #expect(try terminal.wait(within: 20).status == 0)
    }

    @Test func `a terminal multiplexer runs inside`() throws {
        guard has("tmux") else { return }
        let box = try Box()
        let terminal = try box.start(
            ["tmux", "-f", "/dev/null", "new-session", "sh"], options: ["--quiet"],
            streams: .terminal(rows: 24, columns: 80))
        try terminal.expect("[0]")
        try terminal.send("echo in''side $TMUX\r")
        try terminal.expect("inside /tmp/tmux")
        try terminal.send("exit\r")
        #expect(try terminal.wait(within: 20).status == 0)
    }
}
