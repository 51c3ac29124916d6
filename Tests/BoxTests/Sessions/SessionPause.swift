import Foundation
import Testing

/// `box pause`, `box resume`, and sessions that are paused because they have used up what they may use.
@Suite(.recorded("RC-10")) struct SessionPause {
    /// A script that counts in a file of the project, with a child of its own each time.
    private static let counting = "i=0; while :; do i=$((i+1)); sh -c \"echo $i > count\"; done"

    private func scene() throws -> SessionScene {
        try SessionScene(["--workspace", "direct", "--net", "none"])
    }

    private func count(_ scene: SessionScene) -> Int? {
        (try? Host.text(scene.project + "/count")).flatMap { Int($0.dropLast()) }
    }

    /// Waits until the number in the file is another one.
    private func goesOn(_ scene: SessionScene, from old: Int?) -> Bool {
        Host.eventually { count(scene).map { $0 != old } ?? false }
    }

    /// What was started inside, without the first process.
    private func inside(_ running: Running) -> [Process] {
        Host.descendants(of: running.pid).filter {
            ($0.pids.last).map { $0 != "1" } ?? false && $0.pids.count > 1
        }
    }

    /// By signals they are stopped, or wait in vfork(2) for one that is. In a frozen group they are not, and do nothing
    /// all the same.
    private func standStill(_ held: [Process], _ scene: SessionScene, _ name: String) throws -> Bool {
        if try scene.command(["log", name]).text.contains("by freezer") { return !held.isEmpty }
        func isStopped(_ one: Process) -> Bool { "TtZX".contains(one.state) }
        return !held.isEmpty
            && held.allSatisfy { one in
                isStopped(one)
                    || one.state == "D"
                        && held.contains {
                            $0.parent == one.pid && isStopped($0) && $0.commandLine == one.commandLine
                        }
            }
    }

    @Test func `everything inside stands still, and goes on where it was`() throws {
        let scene = try scene()
        let running = try scene.running("quinn", Self.counting)
        #expect(goesOn(scene, from: nil))
        #expect(try scene.command(["pause", "qui"]).errors.hasPrefix("box: session quinn is paused"))
        // What waits for a disk stops afterwards.
        var held: [Process] = []
        let standsStill = try Host.eventually {
            held = inside(running)
            return try standStill(held, scene, "quinn")
        }
        #expect(standsStill, "\(held)")
        let number = count(scene)
        let one = try #require(try scene.list().first)
        #expect(one.state == "running" && one.paused == true)
        #expect(try scene.command(["ps"]).lines.last?.contains("  paused  ") == true)
        #expect(try scene.command(["pause"], status: 1).errors.contains("paused already"))
        #expect(try scene.command(["pause", "quinn"]).errors.contains("it was paused already"))
        #expect(count(scene) == number && Set(inside(running).map(\.pid)) == Set(held.map(\.pid)))
        #expect(try scene.command(["resume"]).errors == "box: session quinn goes on\n")
        #expect(goesOn(scene, from: number))
        #expect(try scene.list().first?.paused == false)
        #expect(try scene.command(["resume", "quinn"]).errors.contains("it was not paused"))
        #expect(
            try scene.command(["resume"], status: 1).errors.contains("no session of this project is paused"))
        try scene.command(["stop", "quinn"])
        let outcome = try running.wait()
        #expect(outcome.errors.contains("box resume quinn") && outcome.errors.contains("quinn goes on"))
        #expect(try scene.command(["pause", "quinn"], status: 1).errors.contains("does not run"))
        try scene.command(["log", "--verify", "quinn"])
    }

    @Test func `what starts new programs all the time does not get away`() throws {
        let scene = try scene()
        let running = try scene.running(
            "storm", "for k in 1 2 3 4 5 6; do (while :; do (:) & (:); wait; done) & done; wait")
        for _ in 0..<20 {
            try scene.command(["pause", "storm"])
            let held = inside(running)
            #expect(try standStill(held, scene, "storm"), "\(held)")
            try scene.command(["resume", "storm"])
        }
        try scene.command(["stop", "--kill", "storm"])
        _ = try running.wait()
    }

    @Test func `who waits for a child that is stopped is stopped`() throws {
        let scene = try scene()
        try FileManager.default.copyItem(
            atPath: try Tools.starts.get(), toPath: scene.project + "/starts")
        let running = try scene.running("quinn", "exec ./starts linger")
        #expect(Host.eventually { inside(running).map(\.state).sorted() == ["D", "S"] })
        #expect(try scene.command(["pause", "quinn"]).errors == "box: session quinn is paused\n")
        let held = inside(running)
        #expect(try standStill(held, scene, "quinn"), "\(held)")
        try scene.command(["resume", "quinn"])
        #expect(Host.eventually { inside(running).map(\.state).sorted() == ["D", "S"] })
        try scene.command(["stop", "--kill", "quinn"])
        #expect(try running.wait().status == 143)
    }

    @Test(arguments: [["stop"], ["stop", "--kill"]])
    func `a session that is paused can be ended`(_ how: [String]) throws {
        let scene = try scene()
        let running = try scene.running(
            "quinn", "trap 'echo bye > last; exit 0' TERM; echo 1 > made; while :; do sleep 0.01; done")
        #expect(Host.eventually { scene.exists(scene.project + "/made") })
        try scene.command(["pause", "quinn"])
        try scene.command(how + ["quinn"])
        #expect(try running.wait().status == 143)
        #expect(scene.exists(scene.project + "/last") == (how.count == 1))
    }

    @Test(arguments: [SIGTERM, SIGHUP, SIGINT])
    func `a signal to box reaches a command that is paused`(_ signal: Int32) throws {
        let scene = try scene()
        let running = try scene.running("quinn", "trap 'exit 7' TERM HUP INT; while :; do sleep 0.01; done")
        try scene.command(["pause", "quinn"])
        running.signal(signal)
        #expect(try running.wait().status == 7)
        #expect(try scene.command(["log", "quinn"]).text.contains("resumed    signal"))
    }

    @Test func `nothing is left of a paused session whose box is killed`() throws {
        let scene = try scene()
        let running = try scene.running("quinn", Self.counting)
        #expect(goesOn(scene, from: nil))
        try scene.command(["pause", "quinn"])
        let held = inside(running)
        running.signal(SIGKILL)
        #expect(try running.wait().status == 137)
        #expect(!held.isEmpty && Host.eventually { held.allSatisfy { !$0.isAlive } })
        #expect(try scene.command(["resume", "quinn"], status: 1).errors.contains("interrupted"))
    }

    @Test func `time ends a session that is paused, too`() throws {
        let scene = try scene()
        let running = try scene.running("quinn", "read line", ["--timeout", "2s"])
        try scene.command(["pause", "quinn"])
        #expect(try running.wait().status == 124)
        #expect(try scene.command(["log", "quinn"]).text.contains("limit      time  2 s"))
    }

    @Test func `a session whose time is up can be given as much again`() throws {
        let scene = try scene()
        let running = try scene.running(
            "quinn", "read line; exit 3", ["--timeout", "1s", "--on-exceeded", "pause"])
        func isPaused() throws -> Bool { try scene.list().first?.paused == true }
        #expect(try Host.eventually(isPaused))
        #expect(try scene.command(["resume"]).errors.contains("it has 1 s more"))
        #expect(try scene.list().first?.paused == false)
        #expect(try Host.eventually(isPaused))
        running.closeInput()
        try scene.command(["resume", "quinn"])
        #expect(try running.wait().status == 3)
        let log = try scene.command(["log", "quinn", "--json"]).text
        #expect(
            log.components(separatedBy: #""event":"limit","limit":"time","reason":"1 s""#).count == 3,
            "\(log)")
        #expect(
            log.contains(#""event":"session.pause","reason":"time""#) && log.contains(#""more_seconds":1"#))
    }

    @Test func `a session that has used up its disk can be given as much again`() throws {
        let scene = try SessionScene()
        let running = try scene.running(
            "quinn",
            "read line; dd if=/dev/zero of=big bs=1M count=4; read line; dd if=/dev/zero of=more bs=1M count=4; sleep 60",
            ["--disk", "3MB", "--on-exceeded", "pause"])
        for line in 1...2 {
            try running.send("\(line)\n")
            #expect(try Host.eventually { try scene.list().first?.paused == true }, "\(line)")
            let answer = try scene.command([line == 1 ? "resume" : "stop", "quinn"]).errors
            #expect(line == 2 || answer.contains("may take 3 MB more"), "\(answer)")
        }
        #expect(try running.wait().status == 143)
        #expect(try scene.command(["diff", "--name-only"]).lines.contains("big"))
        let log = try scene.command(["log", "quinn", "--json"]).text
        #expect(log.contains(#""more_bytes":3000000"#) && log.contains(#""limit":"disk""#), "\(log)")
    }

    @Test func `a limit that ends a session is in its log`() throws {
        let scene = try SessionScene()
        #expect(
            try scene.box.shell("sleep 60", options: ["--name", "slow", "--timeout", "1s"]).status == 124)
        #expect(try scene.command(["log", "slow", "--denied"]).text.contains("limit      time  1 s"))
        let outcome = try scene.box.shell(
            "sleep 1; dd if=/dev/zero of=big bs=1M count=4; sleep 60",
            options: ["--name", "wide", "--disk", "2MB"])
        #expect(outcome.errors.contains("To give it more: --disk SIZE"), "\(outcome)")
        #expect(
            try scene.command(["log", "wide", "--denied"]).text.contains("limit      disk  its changes took"))
    }

    @Test func `a project may have its limits end a session, and not have it go on`() throws {
        let scene = try SessionScene()
        try scene.box.scratch.write("[limits]\non_exceeded = \"pause\"\n", to: scene.project + "/box.toml")
        let shown = try scene.command(["policy", "show"])
        #expect(!shown.text.contains("\"pause\""), "\(shown)")
        #expect(try scene.box.call(["run", "--on-exceeded", "stop", "--", "true"]).status == 125)
        #expect(try scene.box.call(["ci", "--on-exceeded", "pause", "--", "true"]).status == 125)
    }

    @Test func `a stop of the pause is none of the user's`() throws {
        let scene = try scene()
        let running = try Running(
            [Box.binary, "run"] + scene.box.options + ["--name", "quinn", "--", "/bin/sh"],
            environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        try running.send("echo $((40+2))\n")
        try running.expect("42")
        for _ in 0..<3 {
            try scene.command(["pause", "quinn"])
            try running.expect("session quinn is paused")
            try scene.command(["resume", "quinn"])
            try running.expect("session quinn goes on")
        }
        #expect(Process(running.pid)?.state != "T")
        try running.send("echo $((50+5))\n")
        try running.expect("55")
        // The user's own still is.
        try running.send("kill -STOP $$\n")
        #expect(Host.eventually { Process(running.pid)?.state == "T" })
        #expect(try scene.command(["pause", "quinn"], status: 1).errors.contains("^Z"))
        running.signal(SIGCONT)
        try running.send("exit 5\n")
        #expect(try running.wait().status == 5)
    }
}
