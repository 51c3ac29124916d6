internal import BoxKernel
internal import BoxTypes
internal import Glibc

// What the supervisor says of its session.
extension Supervisor {
    /// The session as it is now. The bytes are those of the last time that somebody asked: the proxy is asked here, and its
    /// answer is for the next.
    mutating func status() throws(SessionError) -> SessionStatus {
        try network?.askTraffic()
        let isOpen = network?.isOpen
        var status = SessionStatus(
            name: name, supervisor: getpid(), network: isOpen.map { $0 ? .open : .closed } ?? .none,
            rules: network?.rules ?? NetworkRules(), published: network?.published ?? [],
            refusals: receipt.refusals)
        status.pause = pause.isPaused ? pause.reasons : nil
        status.isFrozen = pause.mechanism == .freezer
        status.firstProcess = sandbox.firstProcess
        let closed = receipt.allowed.values.reduce((up: 0, down: 0)) { ($0.up + $1.up, $0.down + $1.down) }
        status.bytesUp = max(network?.traffic.up ?? 0, closed.up)
        status.bytesDown = max(network?.traffic.down ?? 0, closed.down)
        status.refused = receipt.denied.all.prefix(SessionStatus.mostRefused).map {
            SessionStatus.Refused(host: $0.host, port: $0.port, count: $0.count, reason: $0.reason.rawValue)
        }
        status.limits = receipt.limits.values.sorted { $0.name < $1.name }
        if let refused = try? sandbox.refusedProcesses(), refused > 0 {
            let starts = RunReport.count(Int(clamping: refused), "start")
            status.limits.append(LimitHit(name: "processes", detail: "\(starts) refused"))
        }
        status.programs = programs.count
        status.isDetached = sandbox.isDetached
        guard hasStarted else { return status }
        let length = SessionStatus.longestCommand
        status.current =
            programs.current.map { String($0.prefix(length)) }
            ?? InsideProcesses.newest(of: sandbox.firstProcess, length: length)
        return status
    }
}
