import BoxKernel
import BoxSession
import Glibc
import Testing

/// A user at a terminal, and a program at the sandbox's pty.
private struct Stage {
    let user: TerminalEnds
    let program: Handle
    let streams: Streams

    init() throws {
        user = try TerminalEnds()
        let inner = try TerminalEnds()
        try user.master.setNonBlocking(true)
        try Terminal.setSize(Terminal.Size(rows: 24, columns: 80), of: user.master.number)
        let number = user.slave.number
        program = inner.slave
        try program.setNonBlocking(true)
        streams = try Streams(
            sandbox: .terminal(master: try inner.master.duplicate(), error: nil),
            host: HostStreams(input: number, output: number, error: number))
    }

    func settle() throws { try settleStreams(streams) }

    /// What the user sees, as soon as it is what is expected; a terminal hands bytes on in its own time.
    func screen(reaching expected: String) throws -> String {
        var seen = try screen()
        while seen != expected,
            !(try poll([PollEntry(user.master.number, .read)] + streams.entries, timeout: 5000)).isEmpty
        {
            try settle()
            seen += try screen()
        }
        return seen
    }

    /// What the user sees.
    func screen() throws -> String { String(decoding: try readable(user.master) ?? [], as: UTF8.self) }
}

/// Relays until nothing has come for a while: a terminal hands bytes on in its own time.
private func settleStreams(_ streams: Streams) throws {
    while true {
        let ready = try poll(streams.entries, timeout: 100)
        if ready.isEmpty { return }
        try streams.handle(ready)
    }
}

@Suite struct StreamLayoutTests {
    static let layouts: [(Bool, Bool, Bool, StreamLayout)] = [
        (true, true, true, .terminal(separateError: false)),
        (true, true, false, .terminal(separateError: true)),
        (true, false, true, .pipes(filterOutput: false, filterError: true)),
        (false, true, true, .pipes(filterOutput: true, filterError: true)),
        (false, true, false, .pipes(filterOutput: true, filterError: false)),
        (false, false, true, .pipes(filterOutput: false, filterError: true)),
        (true, false, false, .pipes(filterOutput: false, filterError: false)),
        (false, false, false, .pipes(filterOutput: false, filterError: false)),
    ]

    @Test(arguments: layouts) func `a pty is made where input and output are terminals, else pipes`(
        input: Bool, output: Bool, error: Bool, layout: StreamLayout
    ) {
        let facts = StreamFacts(inputIsTerminal: input, outputIsTerminal: output, errorIsTerminal: error)
        #expect(StreamLayout(facts) == layout)
    }
}

@Suite struct StreamsTests {
    init() { _ = signal(SIGPIPE, SIG_IGN) }

    @Test func `keys reach the program, its output the user, and the terminal is raw meanwhile`() throws {
        let stage = try Stage()
        #expect(try TerminalState(of: stage.user.slave.number).isCanonical)
        try stage.streams.resume()
        #expect(try !TerminalState(of: stage.user.slave.number).isCanonical)
        try stage.user.master.write(all: Array("ls\r".utf8))
        try stage.settle()
        #expect(try !poll([PollEntry(stage.program.number, .read)], timeout: 5000).isEmpty)
        #expect(try readable(stage.program) == Array("ls\n".utf8))
        try stage.program.write(all: Array("a.txt\n".utf8))
        try stage.settle()
        #expect(try stage.screen(reaching: "ls\r\na.txt\r\n") == "ls\r\na.txt\r\n")
        stage.streams.restore()
        #expect(try TerminalState(of: stage.user.slave.number).isCanonical)
    }

    @Test func `the program's pty has the user's settings and size`() throws {
        let stage = try Stage()
        #expect(try Terminal.size(of: stage.program.number) == Terminal.Size(rows: 24, columns: 80))
        try Terminal.setSize(Terminal.Size(rows: 50, columns: 132), of: stage.user.master.number)
        try stage.streams.resized()
        #expect(try Terminal.size(of: stage.program.number) == Terminal.Size(rows: 50, columns: 132))
    }

    @Test func `a stop gives the terminal back and reads nothing, going on takes it again`() throws {
        let stage = try Stage()
        try stage.streams.resume()
        try stage.streams.suspend()
        #expect(try TerminalState(of: stage.user.slave.number).isCanonical)
        try stage.user.master.write(all: Array("for the shell\r".utf8))
        try stage.settle()
        #expect(try readable(stage.program) == [])
        #expect(try stage.user.slave.read(upTo: 100) == Array("for the shell\n".utf8))
        try stage.streams.resume()
        #expect(try !TerminalState(of: stage.user.slave.number).isCanonical)
        try stage.user.master.write(all: Array("again\r".utf8))
        try stage.settle()
        #expect(try readable(stage.program) == Array("again\n".utf8))
    }

    @Test func `a program that dies leaves the terminal in order`() throws {
        let stage = try Stage()
        try stage.streams.resume()
        try stage.program.write(
            all: Array("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?1000h\u{1B}[31mgame\u{1B}[6n".utf8))
        try stage.settle()
        _ = try stage.screen()
        // The answer to the query comes too late.
        try stage.user.master.write(all: Array("\u{1B}[1;5R".utf8))
        stage.streams.restore()
        let resets = "\u{1B}[?1000l\u{1B}[?25h\u{1B}[?1049l\u{1B}[m"
        #expect(try stage.screen(reaching: resets) == resets)
        #expect(try TerminalState(of: stage.user.slave.number).isCanonical)
        #expect(try poll([PollEntry(stage.user.slave.number, .read)], timeout: 0).isEmpty)
        stage.streams.restore()
        #expect(try stage.screen() == "")
        #expect(stage.streams.entries.isEmpty)
    }

    @Test func `text output is the same byte for byte, with nothing added at the end`() throws {
        let stage = try Stage()
        try stage.streams.resume()
        let text = "größe \u{1B}[1mbold\u{1B}[0m \u{1B}[32mgreen\u{1B}[39m\n日本語"
        try stage.program.write(all: Array(text.utf8))
        try stage.settle()
        stage.streams.restore()
        let shown = text.replacing("\n", with: "\r\n")
        #expect(try stage.screen(reaching: shown) == shown)
    }

    @Test func `the end of the object restores the terminal, too`() throws {
        let user = try TerminalEnds()
        let inner = try TerminalEnds()
        let number = user.slave.number
        do {
            let streams = try Streams(
                sandbox: .terminal(master: try inner.master.duplicate(), error: nil),
                host: HostStreams(input: number, output: number, error: number))
            try streams.resume()
            #expect(try !TerminalState(of: number).isCanonical)
        }
        #expect(try TerminalState(of: number).isCanonical)
    }

    @Test func `the last output is written on after the program's end`() throws {
        let user = try TerminalEnds()
        let inner = try TerminalEnds()
        try user.master.setNonBlocking(true)
        let number = user.slave.number
        let streams = try Streams(
            sandbox: .terminal(master: try inner.master.duplicate(), error: nil),
            host: HostStreams(input: number, output: number, error: number))
        try streams.resume()
        try inner.slave.write(all: Array("bye\n".utf8))
        #expect(try !streams.drainToEnd(limit: 1))
        inner.slave.close()
        #expect(try streams.drainToEnd(limit: 10_000))
        #expect(streams.isDrained)
        #expect(try readable(user.master) == Array("bye\r\n".utf8))
    }

    @Test func `without a terminal the three streams stay separate and the end of the file passes`() throws {
        let hostIn = try PipeEnds()
        let hostOut = try PipeEnds()
        let hostError = try PipeEnds()
        let boxIn = try PipeEnds()
        let boxOut = try PipeEnds()
        let boxError = try PipeEnds()
        let streams = try Streams(
            sandbox: .pipes(
                input: try boxIn.write.duplicate(), output: try boxOut.read.duplicate(),
                error: try boxError.read.duplicate()),
            host: HostStreams(
                input: hostIn.read.number, output: hostOut.write.number, error: hostError.write.number))
        boxIn.write.close()
        try streams.resume()
        try hostIn.write.write(all: Array("in".utf8))
        hostIn.write.close()
        let raw = Array("out\u{1B}]52;c;YQ==\u{7}".utf8)
        try boxOut.write.write(all: raw)
        try boxError.write.write(all: Array("error".utf8))
        try settleStreams(streams)
        #expect(try boxIn.read.readAll(limit: 100) == Array("in".utf8))
        boxOut.write.close()
        boxError.write.close()
        #expect(try streams.drainToEnd(limit: 10_000))
        streams.restore()
        hostOut.write.close()
        hostError.write.close()
        #expect(try hostOut.read.readAll(limit: 100) == raw)
        #expect(try hostError.read.readAll(limit: 100) == Array("error".utf8))
    }

    @Test func `two outputs to one terminal never mix within a sequence`() throws {
        let user = try TerminalEnds()
        try user.master.setNonBlocking(true)
        let hostIn = try PipeEnds()
        let boxIn = try PipeEnds()
        let boxOut = try PipeEnds()
        let boxError = try PipeEnds()
        let streams = try Streams(
            sandbox: .pipes(
                input: try boxIn.write.duplicate(), output: try boxOut.read.duplicate(),
                error: try boxError.read.duplicate()),
            host: HostStreams(
                input: hostIn.read.number, output: user.slave.number, error: user.slave.number))
        // Far more than the terminal takes at once, so that writes are partial all the time.
        let title = Array("\u{1B}]0;\(String(repeating: "t", count: 1000))\u{7}".utf8)
        let text = Array(String(repeating: "52;c;", count: 200).utf8)
        var titles = 0
        var out: [UInt8] = []
        try boxOut.write.setNonBlocking(true)
        try boxError.write.setNonBlocking(true)
        while out.count < 1 << 20 {
            if try !poll([PollEntry(boxOut.write.number, .write)], timeout: 0).isEmpty {
                try boxOut.write.write(all: title)
                titles += 1
            }
            if try !poll([PollEntry(boxError.write.number, .write)], timeout: 0).isEmpty {
                try boxError.write.write(all: text)
            }
            try streams.handle(try poll(streams.entries, timeout: 0))
            out += try readable(user.master) ?? []
        }
        // After each introducer comes the whole title.
        var whole = 0
        var at = out.startIndex
        while let begin = out[at...].firstIndex(of: 0x1B), begin + title.count <= out.count {
            #expect(out[begin...].starts(with: title))
            at = begin + title.count
            whole += 1
        }
        #expect(whole > 100 && titles >= whole)
        streams.restore()
    }

    @Test func `in the background the terminal is left alone until box is in front`() async {
        await #expect(processExitsWith: .success) {
            let user = try TerminalEnds()
            let name = try Terminal.name(of: user.slave.number)
            _ = setsid()
            // The first terminal that a session's leader opens becomes its controlling terminal.
            let number = unsafe open(name, O_RDWR | O_CLOEXEC)
            try #require(number >= 0)
            for stop in [SIGTTOU, SIGTTIN, SIGHUP] { _ = signal(stop, SIG_IGN) }
            let other = try startInOwnGroup()
            try Terminal.setForegroundGroup(other, of: number)
            try #require(!Terminal.isForeground(number))
            let inner = try TerminalEnds()
            try inner.slave.setNonBlocking(true)
            let streams = try Streams(
                sandbox: .terminal(master: try inner.master.duplicate(), error: nil),
                host: HostStreams(input: number, output: number, error: number))
            try streams.resume()
            try #require(try TerminalState(of: number).isCanonical)
            try #require(streams.pollTimeout != nil)
            try user.master.write(all: Array("not for box\r".utf8))
            try settleStreams(streams)
            try #require(try readable(inner.slave) == [])
            try Terminal.setForegroundGroup(getpgrp(), of: number)
            try streams.handle([])
            try #require(try !TerminalState(of: number).isCanonical)
            try #require(streams.pollTimeout == nil)
            streams.restore()
            try #require(try TerminalState(of: number).isCanonical)
            kill(other, SIGKILL)
        }
    }
}

/// Starts a program that does nothing, as the leader of a process group.
private func startInOwnGroup() throws -> pid_t {
    var attributes = posix_spawnattr_t()
    try unsafe check("posix_spawnattr_init", posix_spawnattr_init(&attributes))
    try unsafe check("setflags", posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP)))
    let arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("sleep"), strdup("1000"), nil]
    defer { for index in 0..<2 { unsafe free(arguments[index]) } }
    var child: pid_t = 0
    let code = unsafe posix_spawn(&child, "/bin/sleep", nil, &attributes, arguments, [nil])
    try #require(code == 0)
    return child
}
