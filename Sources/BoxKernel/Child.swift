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
        /// Whether the child gets all seven namespaces of its own, or none.
        package var namespaces: Bool
        package var executable: CInt
        package var arguments: [String]
        package var environment: [String] = []
        /// Descriptors that the child finds as 3, 4, 5 …
        package var inherit: [CInt] = []
        /// The directory of the control group that the child is born into, or -1.
        package var controlGroup: CInt = -1

        package init(namespaces: Bool, executable: CInt, arguments: [String]) {
            self.namespaces = namespaces
            self.executable = executable
            self.arguments = arguments
        }
    }

    /// Starts a child that waits for `letGo()` before it executes.
    package init(starting start: Start) throws(KernelError) {
        let go = try Pipe()
        let failure = try Pipe()
        // The write end must close with the child, so nothing else may hold it from here on.
        var pidfd: CInt = -1
        let pid = unsafe withCStrings(start.arguments) { arguments in
            unsafe withCStrings(start.environment) { environment in
                unsafe start.inherit.withUnsafeBufferPointer { inherit in
                    var plan = unsafe box_spawn_plan()
                    unsafe plan.clone_flags = start.namespaces ? BOX_ALL_NAMESPACES : 0
                    unsafe plan.go_fd = go.read.number
                    unsafe plan.error_fd = failure.write.number
                    unsafe plan.executable_fd = start.executable
                    unsafe plan.inherit = inherit.baseAddress
                    unsafe plan.inherit_count = CInt(inherit.count)
                    unsafe plan.cgroup_fd = start.controlGroup
                    unsafe plan.arguments = arguments
                    unsafe plan.environment = environment
                    return unsafe box_spawn(&plan, &pidfd)
                }
            }
        }
        guard pid > 0 else { throw KernelError(call: "clone3", code: errno) }
        self.pid = pid
        self.pidfd = Descriptor(owning: pidfd)
        self.go = go.keepWrite()
        self.failure = failure.keepRead()
    }

    /// Lets the child execute its program, and waits until it has; throws its errno if it could not.
    package mutating func letGo() throws(KernelError) {
        guard let go = go.take() else { return }
        try go.write(all: [1])
    }

    /// The errno of a child that ended without executing its program; nil if it did execute it.
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
