import BoxKernel
import Glibc
import Testing

@Suite struct TerminalTests {
    @Test func `a pseudo-terminal is a terminal with a name, a pipe is none`() throws {
        let terminal = try TerminalEnds()
        #expect(Terminal.isTerminal(terminal.slave.number))
        #expect(try Terminal.name(of: terminal.slave.number).hasPrefix("/dev/pts/"))
        let pipe = try PipeEnds()
        #expect(!Terminal.isTerminal(pipe.read.number))
        #expect(!Terminal.isTerminal(-1))
        #expect(throws: KernelError(call: "tcgetattr", code: ENOTTY)) {
            try TerminalState(of: pipe.read.number)
        }
    }

    @Test func `raw mode passes every byte as it is, and the old state comes back`() throws {
        let terminal = try TerminalEnds()
        let saved = try TerminalState(of: terminal.slave.number)
        #expect(saved.isCanonical && saved.echoes)
        try saved.raw.apply(to: terminal.slave.number)
        let raw = try TerminalState(of: terminal.slave.number)
        #expect(!raw.isCanonical && !raw.echoes)
        let keys: [UInt8] = [0x03, 0x1A, 0x0D, 0x7F, 0x04, 0x11, 0xFF]
        try terminal.master.write(all: keys)
        #expect(try terminal.slave.read(upTo: 100) == keys)
        try terminal.slave.write(all: [0x0A])
        #expect(try terminal.master.read(upTo: 100) == [0x0A])
        try saved.apply(to: terminal.slave.number)
        let after = try TerminalState(of: terminal.slave.number)
        #expect(after.isCanonical && after.echoes)
    }

    @Test func `the window's size is seen at the other end`() throws {
        let terminal = try TerminalEnds()
        let size = Terminal.Size(rows: 33, columns: 101, pixelWidth: 5, pixelHeight: 6)
        try Terminal.setSize(size, of: terminal.master.number)
        #expect(try Terminal.size(of: terminal.slave.number) == size)
    }

    @Test func `input that nobody read can be thrown away`() throws {
        let terminal = try TerminalEnds()
        try TerminalState(of: terminal.slave.number).raw.apply(to: terminal.slave.number)
        try terminal.master.write(all: [1, 2, 3])
        #expect(try poll([PollEntry(terminal.slave.number, .read)], timeout: 1000).count == 1)
        try Terminal.discardInput(of: terminal.slave.number)
        #expect(try poll([PollEntry(terminal.slave.number, .read)], timeout: 0).isEmpty)
    }

    @Test func `a crash puts the terminal back`() async throws {
        let terminal = try TerminalEnds()
        let name = try Terminal.name(of: terminal.slave.number)
        await #expect(processExitsWith: .failure) { [name = name as String] in
            let slave = try Descriptor.open(name, O_RDWR | O_NOCTTY)
            let saved = try TerminalState(of: slave.number)
            saved.guardCrash(of: slave.number)
            try saved.raw.apply(to: slave.number)
            #expect(try !TerminalState(of: slave.number).isCanonical)
            let empty: [Int] = []
            print(empty[slave.number > 0 ? 5 : 0])
        }
        let after = try TerminalState(of: terminal.slave.number)
        #expect(after.isCanonical && after.echoes)
    }

    @Test func `exit puts the terminal back`() async throws {
        let terminal = try TerminalEnds()
        let name = try Terminal.name(of: terminal.slave.number)
        await #expect(processExitsWith: .exitCode(7)) { [name = name as String] in
            let slave = try Descriptor.open(name, O_RDWR | O_NOCTTY).release()
            let saved = try TerminalState(of: slave)
            saved.guardCrash(of: slave)
            try saved.raw.apply(to: slave)
            exit(try TerminalState(of: slave).isCanonical ? 1 : 7)
        }
        #expect(try TerminalState(of: terminal.slave.number).isCanonical)
    }

    @Test func `poll names what happened, in order, and nothing else`() throws {
        let one = try PipeEnds()
        let two = try PipeEnds()
        let three = try PipeEnds().write
        try two.write.write(all: [1])
        let entries = [
            PollEntry(one.read.number, .read), PollEntry(two.read.number, .read), PollEntry(three.number, []),
        ]
        let ready = try poll(entries, timeout: 0)
        #expect(
            ready == [
                Ready(index: 1, descriptor: two.read.number, events: .read),
                Ready(index: 2, descriptor: three.number, events: .error),
            ])
        #expect(try poll([PollEntry(one.read.number, .read)], timeout: 0).isEmpty)
    }
}
