/// What `box top` shows, and what its keys do: sessions and keys in, lines and wishes out. It touches nothing.
package struct TopScreen: Equatable, Sendable {
    /// What is in front.
    package enum Mode: Equatable, Sendable {
        case list, help
        /// A question: is this session to be ended?
        case stopping(String)
        /// A choice: which refused host of this session is to be allowed?
        case allowing(String)
        /// The log of this session, so many lines above its end.
        case log(String, above: Int)
    }

    /// What the user wants to be done.
    package enum Wish: Equatable, Sendable {
        case quit, suspend, redraw
        case allow(session: String, place: String)
        case stop(String)
        case pause(String)
        case resume(String)
        case attach(String)
        case openLog(String)
        case closeLog
    }

    package private(set) var sessions: [TopSession] = []
    package private(set) var mode = Mode.list
    /// What was done last, or why it was not.
    package var message: String?
    /// The lines of the log that is open.
    package var log: [String] = []
    /// The time on the wall.
    package var clock = ""
    let colour: Bool
    private(set) var selected: String?
    /// The first session that is shown.
    private var first = 0

    package init(colour: Bool) { self.colour = colour }

    // MARK: - Sessions

    /// Puts other sessions in the place of those that were known. The choice stays where it was.
    package mutating func show(_ sessions: [TopSession]) {
        let old = index
        self.sessions = sessions
        if !sessions.contains(where: { $0.name == selected }) {
            selected = sessions.isEmpty ? nil : sessions[min(old ?? 0, sessions.count - 1)].name
        }
        // Nobody is asked about a session that has ended.
        switch mode {
        case .stopping(let name), .allowing(let name):
            guard session(name)?.isRunning != true else { break }
            mode = .list
            message = "session \(name) has ended"
        case .list, .help, .log: break
        }
    }

    private var index: Int? { sessions.firstIndex { $0.name == selected } }

    /// The session that is chosen.
    package var chosen: TopSession? { index.map { sessions[$0] } }

    func session(_ name: String) -> TopSession? { sessions.first { $0.name == name } }

    /// The rows of the list that are seen in so many lines, with the chosen one among them.
    mutating func window(_ height: Int) -> Range<Int> {
        let at = index ?? 0
        first = max(0, min(first, at, sessions.count - height))
        if at >= first + height { first = at - height + 1 }
        return first..<min(sessions.count, first + max(0, height))
    }

    // MARK: - Keys

    /// Takes a key on a screen of so many rows.
    package mutating func take(_ key: TopKey, rows: Int) -> Wish? {
        switch key {
        case .interrupt: return .quit
        case .suspend: return .suspend
        case .redraw: return .redraw
        default: break
        }
        message = nil
        switch mode {
        case .list: return takeInList(key, page: max(1, TopLayout(rows: rows).list - 1))
        case .help:
            mode = .list
            return nil
        case .stopping(let name):
            mode = .list
            return key == .character("y") || key == .character("Y") ? .stop(name) : nil
        case .allowing(let name): return choose(key, in: name)
        case .log(let name, let above): return scroll(key, name, above, page: max(1, rows - 3))
        }
    }

    private mutating func takeInList(_ key: TopKey, page: Int) -> Wish? {
        switch key {
        case .up, .character("k"): move(by: -1)
        case .down, .character("j"): move(by: 1)
        case .pageUp: move(by: -page)
        case .pageDown, .character(" "): move(by: page)
        case .home, .character("g"): move(by: -sessions.count)
        case .end, .character("G"): move(by: sessions.count)
        case .character("q"): return .quit
        case .character("?"), .character("h"): mode = .help
        case .character("l"):
            guard let chosen else { break }
            mode = .log(chosen.name, above: 0)
            log = []
            return .openLog(chosen.name)
        case .character("a"), .character("s"), .character("p"), .enter: return act(key)
        case .character, .escape, .interrupt, .suspend, .redraw: break
        }
        return nil
    }

    private mutating func move(by count: Int) {
        guard !sessions.isEmpty else { return }
        selected = sessions[max(0, min(sessions.count - 1, (index ?? 0) + count))].name
    }

    /// What only a session that runs can do.
    private mutating func act(_ key: TopKey) -> Wish? {
        guard let chosen else { return nil }
        guard chosen.isRunning else {
            message = "session \(chosen.name) does not run"
            return nil
        }
        switch key {
        case .character("a"):
            if chosen.allowable.isEmpty {
                message = "session \(chosen.name) has no refused host that a rule could open"
            } else {
                mode = .allowing(chosen.name)
            }
        case .character("s"): mode = .stopping(chosen.name)
        case .character("p"): return chosen.isPaused ? .resume(chosen.name) : .pause(chosen.name)
        case .enter:
            guard !chosen.isDetached else { return .attach(chosen.name) }
            message =
                "session \(chosen.name) has a terminal of its own: only detached ones can be attached to"
        default: break
        }
        return nil
    }

    /// The keys of a choice, in order.
    static let choices = Array("123456789abcdefghi")

    private mutating func choose(_ key: TopKey, in name: String) -> Wish? {
        mode = .list
        guard case .character(let character) = key, let at = TopScreen.choices.firstIndex(of: character),
            let places = session(name)?.allowable, at < places.count
        else { return nil }
        return .allow(session: name, place: places[at].place)
    }

    private mutating func scroll(_ key: TopKey, _ name: String, _ above: Int, page: Int) -> Wish? {
        func go(_ lines: Int) { mode = .log(name, above: max(0, min(log.count, above + lines))) }
        switch key {
        case .up, .character("k"): go(1)
        case .down, .character("j"): go(-1)
        case .pageUp: go(page)
        case .pageDown, .character(" "): go(-page)
        case .home, .character("g"): go(log.count)
        case .end, .character("G"): go(-log.count)
        case .escape, .character("q"), .character("l"):
            mode = .list
            return .closeLog
        case .character, .enter, .interrupt, .suspend, .redraw: break
        }
        return nil
    }
}

/// How the lines of a screen are shared out.
struct TopLayout {
    /// The line that says what this is, and the columns' names.
    var title = 0
    var head = 0
    var list = 0
    var detail = 0
    var foot = 0

    init(rows: Int) {
        var left = max(0, rows)
        func take(_ lines: Int, if enough: Int) -> Int {
            guard rows >= enough else { return 0 }
            left -= lines
            return lines
        }
        foot = take(1, if: 3)
        head = take(1, if: 4)
        title = take(1, if: 6)
        detail = take(rows >= 30 ? 10 : rows >= 20 ? 8 : 5, if: 13)
        list = left
    }
}
