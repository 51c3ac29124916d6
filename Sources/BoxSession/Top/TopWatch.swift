internal import BoxAudit
package import BoxKernel
internal import BoxTypes

/// Looks at sessions for `box top`, little by little, so that keys are never kept waiting.
package final class TopWatch {
    private let project: String?
    private let withEnded: Bool
    private let home: String?
    private let feed = StatusFeed()
    private var running: [StoredSession] = []
    private var ended: [StoredSession] = []
    private var usages: [Int32: SessionUsage] = [:]
    private var paces: [String: Pace] = [:]
    private var counts: [String: Count] = [:]
    private var wasLookedAt = false

    /// What a session had used at two moments, and so what it uses at present.
    private struct Pace {
        var cpu: Growth?
        var up: Growth?
        var down: Growth?
    }

    /// How a number grows.
    fileprivate struct Growth {
        private var value: Int
        private var time: Int
        private(set) var perSecond: Int?

        init(_ value: Int, at time: Int) { (self.value, self.time) = (value, time) }

        mutating func take(_ value: Int, at time: Int) {
            guard time > self.time else { return }
            perSecond = max(0, value - self.value) * 1000 / (time - self.time)
            (self.value, self.time) = (value, time)
        }
    }

    /// How many changes a session had, and when it is worth counting them again.
    private struct Count {
        var changes: TopSession.Changes?
        var next: Int
    }

    /// Supervisors that answer later count as silent; in milliseconds.
    private static let patience = 3000
    /// All counting of changes at a time takes so long at most, in milliseconds.
    private static let countingTime = 10
    /// Of ended sessions so many are shown.
    private static let mostEnded = 200

    /// Watches the running sessions, all or those of a project; with `ended`, those that have ended as well.
    package init(project: String?, withEnded: Bool, home: String?) {
        self.project = project
        self.withEnded = withEnded
        self.home = home
    }

    /// What to wait for.
    package var entries: [PollEntry] { feed.entries }

    /// Takes what has come; whether there is something new to show.
    package func take(_ ready: [Ready]) -> Bool {
        guard feed.take(ready) else { return false }
        let now = Clock.milliseconds()
        for session in running {
            guard let status = feed.status(of: session.name, now: now, patience: TopWatch.patience) else {
                continue
            }
            paces[session.name, default: Pace()].up.take(status.bytesUp, at: now)
            paces[session.name, default: Pace()].down.take(status.bytesDown, at: now)
        }
        return true
    }

    /// Looks at everything anew.
    package func look() throws(SessionError) {
        let now = Clock.milliseconds()
        let before = Set(running.map(\.name))
        running = try SessionStore.running(of: project)
        if withEnded, !wasLookedAt || !before.isSubset(of: running.map(\.name)) {
            ended = Array(
                try SessionStore.all(of: project).filter { $0.state != .running }
                    .prefix(TopWatch.mostEnded))
        }
        wasLookedAt = true
        feed.ask(running, now: now)
        usages = SessionUsage.of(supervisors: running.compactMap(\.supervisor))
        let names = Set(running.map(\.name))
        paces = paces.filter { names.contains($0.key) }
        counts = counts.filter { names.contains($0.key) }
        for session in running {
            guard let usage = session.supervisor.flatMap({ usages[$0] }) else { continue }
            paces[session.name, default: Pace()].cpu.take(usage.cpuMilliseconds, at: now)
        }
        countChanges()
    }

    /// Counts the changes of those sessions whose last count is the oldest. One that has many is counted seldom.
    private func countChanges() {
        let end = Clock.milliseconds() + TopWatch.countingTime
        let due = running.filter { $0.isStaged && (counts[$0.name]?.next ?? 0) <= Clock.milliseconds() }
            .sorted { (counts[$0.name]?.next ?? 0) < (counts[$1.name]?.next ?? 0) }
        for session in due {
            let began = Clock.milliseconds()
            guard began < end else { return }
            // The agent changes everything meanwhile; what cannot be counted now can be the next time.
            let found = try? session.countSomeChanges(within: end - began)
            let changes = found.map { TopSession.Changes(count: $0.0, isAll: $0.isAll) }
            let took = Clock.milliseconds() - began
            counts[session.name] = Count(
                changes: changes ?? counts[session.name]?.changes, next: began + max(900, 200 * took))
        }
    }

    // MARK: - What is known

    /// All sessions as they are known by now.
    package var sessions: [TopSession] {
        let now = Clock.milliseconds()
        let time = Timestamp.milliseconds()
        return (running + ended).map { session in
            var one = TopSession(name: session.name)
            one.command = TopWatch.command(session)
            one.agent = session.agent ?? one.command
            one.project = shown(session.project)
            one.workspace = session.workspace
            one.age = Timestamp.milliseconds(of: session.started).map { max(0, time - $0) }
            guard session.state == .running else {
                one.state = .ended(session.state, status: session.exitStatus)
                one.refusals = session.refusals
                one.changes = session.changes.map { TopSession.Changes(count: $0, isAll: true) }
                return one
            }
            describe(session, now, &one)
            return one
        }
    }

    private func describe(_ session: StoredSession, _ now: Int, _ one: inout TopSession) {
        let pace = paces[session.name]
        one.cpuPercent = pace?.cpu?.perSecond.map { ($0 + 5) / 10 }
        one.memory = session.supervisor.flatMap { usages[$0]?.memoryBytes }
        one.changes = counts[session.name]?.changes
        guard let status = feed.status(of: session.name, now: now, patience: TopWatch.patience) else {
            if feed.isSilent(session.name, now: now, patience: TopWatch.patience) { one.state = .silent }
            return
        }
        if let reasons = status.pause { one.state = .paused(reasons) }
        if status.network != .none {
            one.traffic = TopSession.Traffic(
                up: status.bytesUp, down: status.bytesDown, upRate: pace?.up?.perSecond,
                downRate: pace?.down?.perSecond)
        }
        one.refusals = status.refusals
        one.refused = status.refused
        one.limits = status.limits
        one.programs = status.programs
        one.current = status.current
        one.isDetached = status.isDetached
    }

    /// The command, with its program by name alone.
    private static func command(_ session: StoredSession) -> String {
        let program = session.command.first?.split(separator: "/").last.map(String.init)
        let words = [program ?? ""] + session.command.dropFirst()
        return String(words.joined(separator: " ").prefix(SessionStatus.longestCommand))
    }

    private func shown(_ project: String) -> String {
        guard let home, project == home || project.hasPrefix(home + "/") else { return project }
        return "~" + project.dropFirst(home.count)
    }
}

extension Optional where Wrapped == TopWatch.Growth {
    fileprivate mutating func take(_ value: Int, at time: Int) {
        if self == nil { self = TopWatch.Growth(value, at: time) } else { self?.take(value, at: time) }
    }
}
