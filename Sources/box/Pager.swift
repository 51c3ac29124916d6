import BoxKernel
import BoxStage
import BoxTypes
import Glibc

/// The user's pager: `$BOX_PAGER`, else `$PAGER`, else `less`. Nothing that the project could have chosen: no setting of
/// git, no program that lies in the project or is found by a relative path.
struct Pager {
    let command: [String]
    /// Its file, found and checked.
    let program: String
    let environment: [String]

    /// nil: the user wants none, or there is none.
    init?(avoiding stage: Stage) {
        let name = Pager.variable("BOX_PAGER") ?? Pager.variable("PAGER") ?? "less"
        let words = name.split(separator: " ").map(String.init)
        guard let first = words.first, words != ["cat"] else { return nil }
        let inside = stage.roots.map(\.host) + [try? AbsolutePath(stage.directory)].compactMap { $0 }
        let path = Pager.safePath(inside)
        let candidates = first.contains("/") ? [first] : path.map { $0 + "/" + first }
        let usable = candidates.first { unsafe access($0, X_OK) == 0 }
        guard let usable else {
            // less is only what is taken by itself.
            if name != "less" { Output.error("the pager \(first.escapedForTerminal) was not found") }
            return nil
        }
        guard usable.hasPrefix("/"), !Pager.lies(usable, in: inside) else {
            Output.error("the pager \(first.escapedForTerminal) lies in the project, so it is not started")
            return nil
        }
        command = words
        program = usable
        environment = Pager.environment(path)
    }

    private static func variable(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    /// The directories of `PATH` that the project has no hand in.
    private static func safePath(_ inside: [AbsolutePath]) -> [String] {
        let path = variable("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map(String.init).filter {
            $0.hasPrefix("/") && !lies($0, in: inside)
        }
    }

    /// Whether a path, or what its links lead to, lies in one of the directories.
    private static func lies(_ text: String, in directories: [AbsolutePath]) -> Bool {
        var places = [text]
        if let real = unsafe realpath(text, nil) {
            unsafe places.append(String(cString: real))
            unsafe free(real)
        }
        return places.contains { place in
            guard let path = try? AbsolutePath(place) else { return true }
            return directories.contains { path.isSame(orBelow: $0) }
        }
    }

    /// The user's environment; `less` shows colours, ends by itself where all fits on the screen, and leaves it there.
    private static func environment(_ path: [String]) -> [String] {
        var all: [String] = []
        var at = 0
        while let entry = unsafe environ[at] {
            let text = unsafe String(cString: entry)
            if !text.hasPrefix("PATH=") { all.append(text) }
            at += 1
        }
        if variable("LESS") == nil { all.append("LESS=FRX") }
        if variable("LV") == nil { all.append("LV=-c") }
        return all + ["PATH=" + path.joined(separator: ":")]
    }
}

/// Standard output, with a pager in between once there is more than fits on the screen.
final class PagedOutput {
    /// Finds the pager; nil: there is to be none.
    private let pager: (() -> Pager?)?
    private let rows: Int
    private let columns: Int
    /// What is not yet known to need a pager, or not yet written.
    private var held: [UInt8] = []
    private var heldRows = 0
    private var column = 0
    /// The pager's input, and its process.
    private var input: Descriptor?
    private var process: CInt?
    private var isDecided: Bool
    /// Nobody reads any more.
    private(set) var isClosed = false

    init(pager: (() -> Pager?)?) {
        self.pager = pager
        (rows, columns) = TerminalWindow.size
        isDecided = pager == nil
        // A reader that goes away is an error of the write, so that the terminal and the pager are left in order.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Writes; an error also if nobody reads any more, then `isClosed`.
    func write(_ bytes: [UInt8]) throws(StageError) {
        held += bytes
        if !isDecided {
            count(bytes)
            guard heldRows >= rows else { return }
            start()
        }
        if held.count >= 1 << 16 { try flush() }
    }

    /// Writes what is left, and waits for the pager's end.
    func finish() throws(StageError) {
        isDecided = true
        try flush()
        waitForPager()
    }

    /// Ends without writing what is left.
    func abandon() {
        held = []
        waitForPager()
    }

    /// Counts lines as the screen has them.
    private func count(_ bytes: [UInt8]) {
        for byte in bytes {
            column = byte == UInt8.lineFeed ? 0 : column + 1
            if byte == UInt8.lineFeed || column > columns { heldRows += 1 }
            if column > columns { column = 1 }
        }
    }

    private func flush() throws(StageError) {
        let number = input?.number ?? 1
        var rest = held[...]
        while !rest.isEmpty {
            let wrote = unsafe rest.withUnsafeBytes { raw in
                retry { unsafe Glibc.write(number, raw.baseAddress, raw.count) }
            }
            if wrote < 0 {
                let code = errno
                isClosed = code == EPIPE
                throw StageError("write the output", KernelError(call: "write", code: code))
            }
            rest = rest.dropFirst(wrote)
        }
        held.removeAll(keepingCapacity: true)
    }

    // MARK: - The pager's process

    /// Starts the pager; where that is not possible the output goes out directly.
    private func start() {
        isDecided = true
        guard let pager = pager?() else { return }
        do throws(KernelError) {
            let pipe = try Pipe()
            process = try PagedOutput.spawn(pager, input: pipe.read.number)
            input = pipe.keepWrite()
        } catch { return Output.error("the pager does not start: \(error)") }
        // What the user types is the pager's: it stays until the user leaves it.
        signal(SIGINT, SIG_IGN)
        signal(SIGQUIT, SIG_IGN)
    }

    private func waitForPager() {
        input = nil
        guard let process else { return }
        self.process = nil
        var status: CInt = 0
        _ = retry { unsafe waitpid(process, &status, 0) }
        signal(SIGINT, SIG_DFL)
        signal(SIGQUIT, SIG_DFL)
    }

    /// In this process group: the pager reads keys from the terminal.
    private static func spawn(_ pager: Pager, input: CInt) throws(KernelError) -> CInt {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // What is ignored here stays ignored across exec.
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var process: pid_t = 0
        var arguments = unsafe pager.command.map { unsafe strdup($0) } + [nil]
        var environment = unsafe pager.environment.map { unsafe strdup($0) } + [nil]
        defer {
            unsafe (arguments + environment).forEach { unsafe free($0) }
        }
        let code = unsafe posix_spawn(
            &process, pager.program, &actions, &attributes, &arguments, &environment)
        guard code == 0 else { throw KernelError(call: "posix_spawn", code: code, subject: pager.program) }
        return process
    }
}
