import Foundation
import Testing

/// Area RC: resources. One after the other: they load the machine.
@Suite(.recorded("RC"), .serialized) struct Limits {
    @Test func `a fork bomb stops at the limit`() throws {
        row("RC-01")
        let box = try Box()
        let act = "forks,1500"
        let control = try Answer.parse(try Host.run([try Tools.probe.get(), act]), acts: [act])[act]
        #expect(control?.result == 1500, "no control: \(String(describing: control))")
        let begin = Date()
        let inside = try #require(try box.probe([act], options: ["--pids", "400"])[act])
        #expect(inside.word == "EAGAIN" && (100...400).contains(inside.result ?? 0), "\(inside)")
        #expect(Date().timeIntervalSince(begin) < 10)
        // A real one, that nobody counts. The shell that set it off waits by itself, since it cannot fork any more.
        let bomb = try box.run(
            [
                "/bin/bash", "-c",
                "mkfifo /tmp/f; exec 9<>/tmp/f; b() { b | b & }; b 2>/dev/null; read -t 1 -u 9; exit 3",
            ],
            options: ["--pids", "400"], within: 20)
        #expect(bomb.status == 3 && !bomb.timedOut, "\(bomb.status)")
        #expect(try Host.shell("true").status == 0)
    }

    @Test func `the default limit holds too`() throws {
        row("RC-01")
        let act = "forks,9000"
        let inside = try #require(try Box().probe([act])[act])
        #expect(inside.word == "EAGAIN" && (1000...8999).contains(inside.result ?? 0), "\(inside)")
    }

    @Test func `memory ends where the policy says, or the run is refused`() throws {
        row("RC-03")
        let box = try Box()
        let doctor = try Doctor.read(box)
        let act = "memory,536870912"
        if doctor.enforces("memory-limit") {
            let inside = try box.run([box.scratch.project + "/probe", act], options: ["--memory", "128MB"])
            #expect(inside.text.contains("SIGKILL") || inside.status == 137, "\(inside)")
            #expect(inside.errors.lowercased().contains("memory"), "\(inside)")
            return
        }
        let refused = try box.run(["/bin/echo", "started"], options: ["--memory", "128MB"])
        #expect(
            refused.status == 125 && refused.errors.contains("memory-limit") && refused.out.isEmpty,
            "\(refused)")
        let accepted = try box.run(
            ["/bin/echo", "started"], options: ["--memory", "128MB", "--accept", "memory-limit"])
        #expect(accepted.status == 0 && accepted.text == "started\n", "\(accepted)")
        skip("RC-03 memory", "this machine has no memory cgroup that the user may write")
    }

    @Test(arguments: ["/dev/shm", "/run"])
    func `a scratch directory has an end`(_ directory: String) throws {
        row("RC-04")
        let box = try Box()
        let act = "fill,\(directory)/box-fill,1073741824"
        let inside = try #require(try box.probe([act])[act])
        #expect(
            inside.word == "ENOSPC" && (inside.result ?? 0) < 1_073_741_824
                && (inside.result ?? 0) > 1_000_000, "\(inside)")
    }

    @Test func `the temporary directory and its inodes have an end`() throws {
        row("RC-04")
        let box = try Box()
        let outcome = try box.shell(
            "for d in /tmp /var/tmp /dev/shm /run ~; do stat -f -c '%b %S %c' $d; done")
        #expect(outcome.lines.count == 5, "\(outcome)")
        for line in outcome.lines {
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            #expect(numbers.count == 3 && numbers[0] > 0 && numbers[0] * numbers[1] <= 10 << 30, "\(line)")
            #expect(numbers[2] > 0 && numbers[2] <= 2_000_000, "inodes: \(line)")
        }
        let act = "inodes,/dev/shm,400000"
        let inside = try #require(try box.probe([act])[act])
        #expect(inside.word == "ENOSPC" && (inside.result ?? 0) < 400_000, "\(inside)")
    }

    @Test func `descriptors run out inside only`() throws {
        row("RC-07")
        let box = try Box()
        let act = "descriptors,2000000"
        let inside = try #require(try box.probe([act])[act])
        #expect(inside.word == "EMFILE" && (inside.result ?? 0) <= 65_536, "\(inside)")
        let script =
            """
            ulimit -n $(ulimit -Hn); exec 3<&0; i=0; python3 -c 'import os\ntry:\n  while True: \
            os.open(\"/dev/null\", 0)\nexcept OSError as e: print(e.errno)'; echo still here
            """
        let outcome = try box.shell(script)
        #expect(outcome.lines == ["24", "still here"], "\(outcome)")
    }

    @Test func `a higher priority is refused and a spinning program ends by control-C`() throws {
        row("RC-09")
        let box = try Box()
        let acts = ["call,setpriority,0,0,-20", "call,sched_setscheduler,0,1,*4"]
        let inside = try box.probe(acts)
        for act in acts {
            #expect(
                ["EPERM", "EACCES", "EINVAL"].contains(inside[act]?.word ?? ""),
                "\(act): \(String(describing: inside[act]))")
        }
        let terminal = try box.start(
            ["/bin/bash", "-c", "for i in 1 2 3 4; do (while :; do :; done) & done; echo ready; wait"],
            options: ["--quiet"], streams: .terminal(rows: 24, columns: 80))
        try terminal.expect("ready")
        let begin = Date()
        try terminal.send("\u{3}")
        let outcome = try terminal.wait()
        #expect(!outcome.timedOut && Date().timeIntervalSince(begin) < 2, "\(outcome)")
    }

    @Test(arguments: [
        "sleep 100", "trap '' TERM INT HUP; while :; do sleep 1; done", "kill -STOP $$",
        "setsid sleep 100 & exec sleep 100",
    ])
    func `the wall clock ends it, whatever it does`(_ script: String) throws {
        row("RC-10")
        let box = try Box()
        let begin = Date()
        let running = try box.start(["/bin/sh", "-c", script], options: ["--timeout", "1s"])
        let outcome = try running.wait()
        #expect(outcome.status == 124 && !outcome.timedOut, "\(outcome)")
        #expect(Date().timeIntervalSince(begin) < 4)
        #expect(
            outcome.errors.contains("1 s") || outcome.errors.contains("1s")
                || outcome.errors.contains("time"), "\(outcome)")
    }

    @Test func `a flood of connections to the proxy hurts nobody else`() throws {
        row("RC-11")
        guard has("curl") else { return }
        row("RC-11")
        let box = try Box()
        let script =
            """
            for i in 1 2 3; do \(box.scratch.project)/probe flood,127.0.0.1,3128,3000 >/dev/null & \
            done; wait; for i in $(seq 60); do curl -sS -m 10 -o /dev/null -w '%{http_code}\\n' \
            http://blocked.example/ 2>/dev/null | grep -x 403 && break; sleep 0.1; done; true
            """
        let outcome = try box.shell(script)
        #expect(outcome.answer == "403", "\(outcome)")
    }
}
