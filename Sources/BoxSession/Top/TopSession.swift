/// A session as `box top` shows it. Texts are as they were found: much of them comes from inside.
package struct TopSession: Equatable, Sendable {
    package var name: String
    /// The agent, or else the command.
    package var agent = ""
    /// The command line that the session was started with.
    package var command = ""
    package var project = ""
    package var workspace = ""
    package var state = State.running
    /// Milliseconds since it began; nil if that is not known.
    package var age: Int?
    /// Hundredths of one processor; nil until it was looked at twice.
    package var cpuPercent: Int?
    package var memory: Int?
    package var traffic: Traffic?
    package var refusals: Int?
    package var refused: [SessionStatus.Refused] = []
    package var changes: Changes?
    package var limits: [LimitHit] = []
    /// 0 where nobody counts.
    package var programs = 0
    /// The program that was started last.
    package var current: String?
    package var isDetached = false

    package init(name: String) { self.name = name }

    package enum State: Equatable, Sendable {
        case running
        /// Why: `user`, `time`, `disk`.
        case paused([String])
        /// Its supervisor does not answer: it is stopped (^Z), or stuck.
        case silent
        case ended(StoredSession.State, status: Int?)
    }

    /// Bytes through the network door, and how many there are in a second at present.
    package struct Traffic: Equatable, Sendable {
        package var up: Int
        package var down: Int
        package var upRate: Int?
        package var downRate: Int?

        package init(up: Int, down: Int, upRate: Int? = nil, downRate: Int? = nil) {
            self.up = up
            self.down = down
            self.upRate = upRate
            self.downRate = downRate
        }
    }

    /// Changes that wait: all of them, or as many as were found in time.
    package struct Changes: Equatable, Sendable {
        package var count: Int
        package var isAll: Bool

        package init(count: Int, isAll: Bool) {
            self.count = count
            self.isAll = isAll
        }
    }

    package var isRunning: Bool {
        if case .ended = state { false } else { true }
    }

    package var isPaused: Bool {
        if case .paused = state { true } else { false }
    }

    /// The hosts that a rule would open.
    package var allowable: [SessionStatus.Refused] {
        refused.filter { ["host", "port", "address"].contains($0.reason) }
    }
}

extension SessionStatus.Refused {
    /// As a rule names it. Where only the name was looked up, the port is the usual one.
    package var place: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == 443 || port == 0 ? name : "\(name):\(port)"
    }
}
