import Foundation
import Testing

/// What `box attach` shows on a terminal of others' making (tmux).
@Suite(.recorded("TT")) struct AttachedScreens {
    private func attach(_ session: Detached, rows: Int = 24, columns: Int = 80) throws -> Tmux {
        try Tmux(
            [Box.binary, "attach", session.name], environment: session.scene.box.environment,
            directory: session.scene.project, rows: rows, columns: columns)
    }

    private func detach(_ terminal: Tmux, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try terminal.press("C-]", "d")
        #expect(try terminal.ends() == 0, sourceLocation: sourceLocation)
    }

    /// All that can be compared: lines with colours and attributes, the cursor, which screen.
    private struct Picture: Equatable {
        var lines: [String]
        var cursor: [Int]?
        var isAlternate: Bool

        init(_ terminal: Tmux) throws {
            lines = try terminal.lines(escapes: true)
            cursor = try terminal.cursor().map { [$0.row, $0.column] }
            isAlternate = try terminal.isAlternate()
        }
    }

    @Test func `a full-screen program is seen again as it was, with its colours and its cursor`() throws {
        guard has("tmux", "vim") else { return }
        let scene = try SessionScene()
        let text = (1...60).map { "line \($0) with größe and 日本 on it\n" }.joined()
        try scene.box.scratch.write(text, to: scene.project + "/text")
        let session = try Detached(
            "quinn", "exec vim -u NONE -i NONE -n -N -c 'set number hlsearch' -c /größe text", in: scene)
        let first = try attach(session)
        try first.shows("line 1 with")
        try first.type("Gotyped by the first")
        try first.shows("typed by the first")
        try first.press("Escape", "Up")
        try first.type(":split\r:echo 'all' 'drawn'\r")
        try first.shows("all drawn")

        // Another terminal gets a picture of what the first one saw being drawn.
        let second = try attach(session)
        var picture = try Picture(first)
        let isSame = try Host.eventually {
            picture = try Picture(first)
            return try Picture(second) == picture
        }
        #expect(isSame && picture.isAlternate && picture.cursor != nil, "\(picture)")
        try detach(first)
        try detach(second)

        let third = try attach(session)
        let isBack = try Host.eventually { try Picture(third) == picture }
        let shown = try Picture(third)
        #expect(isBack, "\(picture) became \(shown)")
        // It takes the size, and the keys.
        try third.resize(rows: 12, columns: 50)
        try third.type(":only\r:set nonumber\r:1\r")
        let small = try third.shows("the first line alone") {
            $0.first == "line 1 with größe and 日本 on it" && $0.count == 12
        }
        #expect(small.allSatisfy { $0.count <= 50 })
        try third.type(":qa!\r")
        #expect(try third.ends() == 0)
        #expect(try session.ends().exitStatus == 0)
    }

    @Test func `a terminal of another size shows what fits`() throws {
        guard has("tmux") else { return }
        let scene = try SessionScene()
        let session = try Detached("quinn", "seq 1 100; printf 'end> '; read line", in: scene)
        for (rows, columns) in [(40, 100), (5, 20), (24, 80), (1, 1)] {
            let terminal = try attach(session, rows: rows, columns: columns)
            if columns > 4 {
                let lines = try terminal.shows("end>")
                #expect(lines.filter { !$0.isEmpty }.last == "end>" && lines.count == rows)
            }
            try detach(terminal)
        }
    }
}
