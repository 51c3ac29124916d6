internal import BoxAudit
internal import BoxKernel
internal import Glibc

/// What a wait has found, for each part of a session its own.
///
/// The number of a descriptor that is closed is that of the next one that is opened. So nobody looks among what was found
/// for another: his own may have got a number from there meanwhile.
struct Awaited {
    fileprivate(set) var hasReport = false
    fileprivate(set) var hasSignal = false
    fileprivate(set) var network: [Ready] = []
    fileprivate(set) var requests: [Ready] = []
    fileprivate(set) var stageWatchHasSpoken = false
    fileprivate(set) var policyHasNews = false
    fileprivate(set) var streams: [Ready] = []
}

extension Supervisor {
    /// Waits until something happens, or has to be done.
    mutating func wait() throws(SessionError) -> Awaited {
        let pause = reportPace.wait(now: Clock.milliseconds())
        // The end of the first process is told whether its reports wait or not.
        let reports = PollEntry(sandbox.controlEntry.descriptor, pause == nil ? .read : [])
        let network = network?.entries() ?? []
        let requests = control?.entries ?? []
        let watch = watch?.entries ?? []
        let policy = policy?.entries ?? []
        let streams = sandbox.streamEntries
        var ready: ArraySlice<Ready>
        do throws(KernelError) {
            let all =
                [reports, PollEntry(signals.number, .read)] + network + requests + watch + policy
                + streams
            ready = try poll(all, timeout: timeLeft(pause))[...]
        } catch { throw SessionError(step: "wait", error) }
        var end = 0
        /// What was found for the next so many entries.
        func next(_ count: Int) -> [Ready] {
            end += count
            let found = ready.prefix { $0.index < end }
            ready = ready.dropFirst(found.count)
            return Array(found)
        }
        return Awaited(
            hasReport: !next(1).isEmpty, hasSignal: !next(1).isEmpty, network: next(network.count),
            requests: next(requests.count), stageWatchHasSpoken: !next(watch.count).isEmpty,
            policyHasNews: !next(policy.count).isEmpty, streams: next(streams.count))
    }

    /// Milliseconds until something has to be done; nil if nothing has.
    private mutating func timeLeft(_ pause: Int?) -> Int? {
        let due: Int? =
            switch deadline {
            case nil: nil
            case .asking(let at)?, .killing(let at, _)?: max(0, min(at - Clock.milliseconds(), Int(CInt.max)))
            }
        let network = network?.nextTime.map { max(0, min($0 - Clock.milliseconds(), Int(CInt.max))) }
        let watch = watch?.nextTime.map { max(0, $0 - Clock.milliseconds()) }
        let policy = (policy?.nextTime ?? nil).map { max(0, $0 - Clock.milliseconds()) }
        let counts = budget.nextTime.map { max(0, $0 - Clock.milliseconds()) }
        return [due, network, watch, policy, counts, pause, sandbox.streamTimeout].compactMap { $0 }.min()
    }
}
