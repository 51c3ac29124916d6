internal import BoxKernel
internal import BoxPlan
internal import BoxPolicy
internal import BoxTypes
internal import CLinux
internal import Glibc

extension Doctor {
    /// The first step of the set-up that the kernel refuses, if there is one.
    func rehearse() throws(SessionError) -> (step: RehearsalStep, code: Int32)? {
        do throws(KernelError) {
            let file = try Descriptor.open(executable.string, O_RDONLY)
            let pipe = try Pipe()
            var arguments = ["box", "__prove", "--rehearse"]
            let uid = facts.isRoot ? (facts.unprivilegedID ?? 65534) : facts.user.uid
            let gid = facts.isRoot ? uid : facts.user.gid
            if facts.isRoot { arguments += [String(uid), String(gid)] }
            var start = Child.Start(.file(file.number, arguments: arguments), namespaces: true)
            start.inherit = [pipe.write.number]
            var child: Child
            do throws(KernelError) { child = try Child(starting: start) } catch {
                guard error.call == "clone3" else { throw error }
                return (.clone, error.code)
            }
            do throws(KernelError) {
                try Identity.write(
                    user: IdentityMapping(inside: uid, outside: uid),
                    group: IdentityMapping(inside: gid, outside: gid), for: child.pid)
            } catch {
                try child.signal(SIGKILL)
                try child.wait()
                return (.map, error.code)
            }
            try child.letGo()
            return try Doctor.verdict(of: child, reading: pipe.keepRead())
        } catch { throw SessionError(step: "rehearse the set-up of a sandbox", error) }
    }

    private static func verdict(
        of child: consuming Child, reading report: consuming Descriptor
    ) throws(KernelError) -> (step: RehearsalStep, code: Int32)? {
        if let failure = try child.executionFailure() { throw failure }
        let said = String(decoding: try report.readAll(limit: 4096), as: UTF8.self)
        let change = try child.wait()
        if said.isEmpty, change == .exited(0) { return nil }
        let words = said.split(separator: " ")
        guard words.count == 2, let refused = RehearsalStep(rawValue: String(words[0])),
            let code = Int32(words[1])
        else { throw KernelError(call: "rehearsal", code: EPROTO, subject: "\(change)") }
        return (refused, code)
    }

    /// Runs `box __prove` without a sandbox, in the user's environment, and returns what it writes.
    func output(of words: [String]) throws(SessionError) -> [UInt8] {
        do throws(KernelError) {
            let file = try Descriptor.open(executable.string, O_RDONLY)
            let pipe = try Pipe()
            let environment = ProcessEnvironment.entries().map { String(decoding: $0, as: UTF8.self) }
            var start = Child.Start(
                .file(file.number, arguments: ["box", "__prove"] + words, environment: environment),
                namespaces: false)
            start.inherit = [pipe.write.number]
            var child = try Child(starting: start)
            try child.letGo()
            if let failure = try child.executionFailure() { throw failure }
            let bytes = try pipe.keepRead().readAll(limit: 1 << 20)
            try child.wait()
            return bytes
        } catch { throw SessionError(step: "run the controls", error) }
    }

    /// Runs a command in a sandbox and returns its standard output.
    func runInside(_ command: [String]) throws(SessionError) -> [UInt8] {
        var policy = policy
        // An empty directory; and whatever is missing is accepted, so that the rest can be tried. No agent runs here.
        policy.workspace.mode = .none
        policy.protections.acceptMissing = Set(Protection.allCases)
        let directory = try SessionDirectory(name: nil, stem: "doctor", state: facts.stateDirectory)
        var request = Planner.Request(command: command, session: directory.name)
        request.prover = executable
        var plan: Plan
        do throws(PlanError) {
            plan = try Planner.plan(policy: policy, facts: facts, request: request)
        } catch { throw SessionError(step: "plan the sandbox", reason: "\(error)") }
        plan.setFilter(
            try FilterCache.program(
                profile: policy.syscalls.profile, listens: plan.listens, kernel: facts.kernel,
                home: facts.user.home, state: facts.stateDirectory))
        let session = PreparedSession(
            plan: plan, directory: directory,
            seed: try SandboxSeed(entry: entry, project: facts.project.path.string), onReady: {})
        let capture = try Capture.begin()
        let outcome: Result<Outcome, SessionError>
        do throws(SessionError) { outcome = .success(try session.run()) } catch { outcome = .failure(error) }
        let output = try capture.end()
        let status = try outcome.get().status
        guard status == 0 else {
            throw SessionError(step: "run the proof", reason: "it ended with status \(status)")
        }
        return output
    }
}

/// This process's standard output in a memory file for a while, and nothing on its standard input.
///
/// A session relays to these streams; so the proof has them as pipes, whatever box itself has.
private struct Capture: ~Copyable {
    private let memory: Descriptor
    private let input: Descriptor
    private let output: Descriptor

    static func begin() throws(SessionError) -> Capture {
        do throws(KernelError) { return try Capture() } catch {
            throw SessionError(step: "run the proof", error)
        }
    }

    private init() throws(KernelError) {
        let flags: UInt32 = 1  // MFD_CLOEXEC
        let memory = Descriptor(
            owning: try check("memfd_create", unsafe box_memfd_create("box-doctor", flags)))
        let input = Descriptor(owning: try check("fcntl(F_DUPFD_CLOEXEC)", box_fcntl_dupfd_cloexec(0, 3)))
        let output = Descriptor(owning: try check("fcntl(F_DUPFD_CLOEXEC)", box_fcntl_dupfd_cloexec(1, 3)))
        let null = try Descriptor.open("/dev/null", O_RDONLY)
        try check("dup3", box_dup3(null.number, 0, 0))
        try check("dup3", box_dup3(memory.number, 1, 0))
        self.memory = memory
        self.input = input
        self.output = output
    }

    /// Puts the streams back and gives what was written.
    consuming func end() throws(SessionError) -> [UInt8] {
        do throws(KernelError) {
            try check("dup3", box_dup3(input.number, 0, 0))
            try check("dup3", box_dup3(output.number, 1, 0))
            try check("lseek", lseek(memory.number, 0, SEEK_SET))
            return try memory.readAll(limit: 1 << 20)
        } catch { throw SessionError(step: "run the proof", error) }
    }
}
