import BoxKernel
import BoxSession
import BoxTypes
import Glibc

/// Another command of box's that was started by a key: its output is its result.
final class TopJob {
    /// What the user wanted, for the message.
    let title: String
    private let process: CInt
    private let output: Descriptor
    private var said: [UInt8] = []

    private static let longest = 1 << 16

    /// Starts `box WORDS`, which reads nothing and asks nobody.
    init(_ words: [String], title: String) throws(KernelError) {
        let null = try Descriptor.open("/dev/null", O_RDONLY)
        let pipe = try Pipe()
        process = try TopJob.start(words, [null.number, pipe.write.number, pipe.write.number])
        self.title = title
        output = pipe.keepRead()
    }

    /// Starts box itself again.
    static func start(
        _ words: [String], _ streams: [CInt], takesTerminal: Bool = false
    ) throws(KernelError) -> CInt {
        var start = CommandStart(
            command: ["/proc/self/exe"] + words, environment: TopJob.environment, path: [])
        start.streams = streams
        start.takesTerminal = takesTerminal
        switch start.run() {
        case .success(let process): return process
        case .failure(let error): throw error
        }
    }

    private static var environment: [String] {
        var all: [String] = []
        var at = 0
        while let entry = unsafe environ[at] {
            all.append(unsafe String(cString: entry))
            at += 1
        }
        return all
    }

    /// What to wait for.
    var entry: PollEntry { PollEntry(output.number, .read) }

    /// Takes output; false at its end.
    func take() throws(KernelError) -> Bool {
        let bytes = try output.read(upTo: 4096)
        if said.count < TopJob.longest { said += bytes }
        return !bytes.isEmpty
    }

    /// Waits until it is gone; what it said.
    func end() -> String {
        var status: CInt = 0
        _ = retry { unsafe waitpid(process, &status, 0) }
        let lines = String(decoding: said, as: UTF8.self).split(separator: "\n")
        let line = lines.first.map { $0.hasPrefix("box: ") ? $0.dropFirst(5) : $0 }
        return line.map(String.init) ?? (status == 0 ? "\(title): done" : "\(title): it did not work")
    }
}
