internal import CLinux
internal import Glibc

/// A child process held by its pidfd: its number cannot be taken by another one.
package struct Child: ~Copyable {
    /// The child's process id, for `/proc/PID` while it is not reaped.
    package let pid: CInt
    private let pidfd: Descriptor
    /// One byte lets the child go on; closed without it, the child ends.
    private var go: Descriptor?
    /// Gets the errno if the child fails before it executes its program.
    private let failure: Descriptor

    /// What a child is started with.
    package struct Start: Sendable {
        package enum Program: Sendable {
            /// An open executable; the child waits for `letGo()` before it executes.
            case file(CInt, arguments: [String], environment: [String] = [])
            /// A function in a copy of this process, which must have one thread. The child goes on at once, and finds
            /// no arguments, no environment and no descriptors of this process.
            case entry(@convention(c) () -> Void)
        }
        package var program: Program
        /// Whether the child gets all seven namespaces of its own, or none.
        package var namespaces: Bool
        /// Descriptors that the child finds as 3, 4, 5 …
        package var inherit: [CInt] = []
        /// What becomes its 0, 1 and 2; -1: they are this process's.
        package var streams: CInt = -1
        /// The directory of the control group that the child is born into, or -1.
        package var controlGroup: CInt = -1

        package init(_ program: Program, namespaces: Bool) {
            self.program = program
            self.namespaces = namespaces
        }
    }

    /// Starts a child.
    package init(starting start: Start) throws(KernelError) {
        // The write end must close with the child, so nothing else may hold it from here on.
        let failure = try Pipe()
        var pidfd: CInt = -1
        let pid: pid_t
        switch start.program {
        case .entry(let entry):
            pid = unsafe Child.spawn(start, failure: failure.write.number, &pidfd) {
                unsafe $0.go_fd = -1
                unsafe $0.entry = entry
            }
        case .file(let file, let arguments, let environment):
            let go = try Pipe()
            pid = unsafe withCStrings(arguments) { arguments in
                unsafe withCStrings(environment) { environment in
                    unsafe Child.spawn(start, failure: failure.write.number, &pidfd) {
                        unsafe $0.go_fd = go.read.number
                        unsafe $0.executable_fd = file
                        unsafe $0.arguments = arguments
                        unsafe $0.environment = environment
                    }
                }
            }
            self.go = go.keepWrite()
        }
        guard pid > 0 else { throw KernelError(call: "clone3", code: errno) }
        self.pid = pid
        self.pidfd = Descriptor(owning: pidfd)
        self.failure = failure.keepRead()
    }

    private static func spawn(
        _ start: Start, failure: CInt, _ pidfd: inout CInt, _ complete: (inout box_spawn_plan) -> Void
    ) -> pid_t {
        unsafe start.inherit.withUnsafeBufferPointer { inherit in
            var plan = unsafe box_spawn_plan()
            unsafe plan.clone_flags = start.namespaces ? BOX_ALL_NAMESPACES : 0
            unsafe plan.error_fd = failure
            unsafe plan.inherit = inherit.baseAddress
            unsafe plan.inherit_count = CInt(inherit.count)
            unsafe plan.stream_fd = start.streams
            unsafe plan.cgroup_fd = start.controlGroup
            unsafe complete(&plan)
            return unsafe box_spawn(&plan, &pidfd)
        }
    }

    /// Lets the child execute its program.
    package mutating func letGo() throws(KernelError) {
        guard let go = go.take() else { return }
        try go.write(all: [1])
    }

    /// The errno of a child that ended before it was on its way; nil if it got there.
    package borrowing func executionFailure() throws(KernelError) -> KernelError? {
        let bytes = try failure.read(upTo: 4)
        guard bytes.count == 4 else { return nil }
        let code = bytes.enumerated().reduce(CInt(0)) { $0 | CInt($1.element) << CInt(8 * $1.offset) }
        return KernelError(call: "execveat", code: code)
    }

    /// Readable when the child has ended.
    package var poll: PollEntry { PollEntry(pidfd.number, .read) }

    /// Sends a signal; a child that has ended is no error.
    package borrowing func signal(_ number: CInt) throws(KernelError) {
        guard box_pidfd_send_signal(pidfd.number, number) < 0 else { return }
        let code = errno
        guard code == ESRCH else { throw KernelError(call: "pidfd_send_signal", code: code) }
    }

    /// Waits for the end and reaps.
    @discardableResult
    package consuming func wait() throws(KernelError) -> ChildChange {
        var code: CInt = 0
        var status: CInt = 0
        try check("waitid", unsafe box_waitid_pidfd(pidfd.number, 0, &code, &status))
        return code == CLD_EXITED ? .exited(status) : .killed(signal: status)
    }
}
