import CTesting
import Foundation
import Testing

/// AP-01: every kind of change by the agent, over everything that the host may have done to the same path since.
///
/// Each cell is a directory `cells/N/in` with the subject `x` in it. One session makes all the agent's changes, and packs
/// what it sees at its end; then the host makes its own. So a cell costs a directory, not a session.
@Suite(.recorded("AP-01")) struct ApplyMatrix {
    /// What becomes of a cell.
    enum Fate: Character {
        /// It becomes what the agent has.
        case agent = "A"
        /// There is nothing to do any more: it stays as the host has it.
        case host = "H"
        /// It becomes what the agent has with what the host did besides.
        case both = "B"
        /// The agent's where the content that it started from is kept; a conflict in a copy, which has none.
        case agentIfKept = "K"
        /// A conflict: nothing is touched.
        case conflict = "C"
        /// The same, seen only when the apply looks at the whole directory.
        case late = "c"
    }

    /// Subjects of one type, with what both sides may do to them, and the fate of each pair.
    struct Table {
        var before: String
        var agent: [String: (script: String, changes: [String])]
        var host: [String: String]
        var fates: String
    }

    static let tables = [
        // Nothing is there.
        Table(
            before: ":",
            agent: [
                "file": ("echo agent > x", ["added x"]),
                "directory": ("mkdir x", ["added x"]),
                "tree": ("mkdir -p x/y; echo agent > x/y/f; ln -s f x/y/l", ["added x/y/f", "added x/y/l"]),
            ],
            host: [
                "file": "echo host > x", "directory": "mkdir x", "link": "ln -s nowhere x",
            ],
            fates: """
                            none file directory link same moved
                file        A    C    C         C    A    C
                directory   A    C    A         C    A    C
                tree        A    C    A         C    A    C
                """),
        Table(
            before: "echo old > x",
            agent: [
                "modify": ("echo agent >> x", ["modified x"]),
                "delete": ("rm x", ["deleted x"]),
                "directory": ("rm x; mkdir x; echo agent > x/new", ["type_changed x", "added x/new"]),
                "link": ("rm x; ln -s other x", ["type_changed x"]),
                "mode": ("chmod 600 x", ["mode_changed x"]),
                "rename": ("mv x z", ["deleted x", "added z"]),
                "replace": ("echo agent > .x; mv .x x", ["modified x"]),
            ],
            host: [
                "edited": "echo host >> x", "deleted": "rm x", "directory": "rm x; mkdir x",
                "link": "rm x; ln -s nowhere x", "mode": "chmod 640 x", "touched": "touch -d @1700000000.5 x",
                "occupied": "echo host > z",
            ],
            fates: """
                            none edited deleted directory link mode same moved touched occupied
                modify      A    C      C       C         C    C    A    C     K       B
                delete      A    C      A       C         C    C    A    H     C       B
                directory   A    C      C       A         C    C    A    C     C       B
                link        A    C      C       C         C    C    A    C     C       B
                mode        A    C      C       C         C    C    A    C     K       B
                rename      A    C      A       C         C    C    A    C     C       C
                replace     A    C      C       C         C    C    A    C     K       B
                """),
        Table(
            before: "ln -s old x",
            agent: [
                "file": ("rm x; echo agent > x", ["type_changed x"]),
                "retarget": ("ln -sfn other x", ["modified x"]),
                "delete": ("rm x", ["deleted x"]),
                "directory": ("rm x; mkdir x; echo agent > x/new", ["type_changed x", "added x/new"]),
            ],
            host: [
                "retargeted": "ln -sfn nowhere x", "deleted": "rm x", "directory": "rm x; mkdir x",
                "file": "rm x; echo host > x", "touched": "touch -h -d @1700000000.5 x",
            ],
            fates: """
                            none retargeted deleted directory file same moved touched
                file        A    C          C       C         C    A    C     A
                retarget    A    C          C       C         C    A    C     A
                delete      A    C          A       C         C    A    H     A
                directory   A    C          C       A         C    A    C     A
                """),
        Table(
            before: "mkdir -p x/g; echo old > x/f; echo old > x/g/h; chmod 755 x",
            agent: [
                "delete": ("rm -r x", ["deleted x/f", "deleted x/g/h"]),
                "opaque": (
                    "rm -r x; mkdir x; echo agent > x/new", ["deleted x/f", "deleted x/g/h", "added x/new"]
                ),
                "file": ("rm -r x; echo agent > x", ["type_changed x", "deleted x/f", "deleted x/g/h"]),
                "link": ("rm -r x; ln -s other x", ["type_changed x", "deleted x/f", "deleted x/g/h"]),
                "rename": ("mv x z", ["deleted x/f", "deleted x/g/h", "added z/f", "added z/g/h"]),
                "mode": ("chmod 700 x", ["mode_changed x"]),
                "inside": ("echo agent >> x/g/h; echo agent > x/new", ["modified x/g/h", "added x/new"]),
            ],
            host: [
                "edited": "echo host >> x/f", "deleted": "rm -r x", "file": "rm -r x; echo host > x",
                "link": "rm -r x; ln -s nowhere x", "mode": "chmod 750 x",
                "touched": "touch -d @1700000000.5 x/f",
                "added": "mkdir -p x; echo host > x/host",
            ],
            fates: """
                            none edited deleted file link mode same moved touched added
                delete      A    C      A       H    H    A    A    H     C       B
                opaque      A    C      C       C    C    B    A    C     C       B
                file        A    C      C       C    C    C    A    C     C       c
                link        A    C      C       C    C    C    A    C     C       c
                rename      A    C      A       B    B    A    A    C     C       B
                mode        A    B      C       C    C    C    A    C     A       B
                inside      A    B      C       C    C    B    A    C     A       B
                """),
    ]

    /// One change of the agent's over one of the host's.
    struct Cell {
        var number: Int
        var name: String
        var before: String
        var agent: String
        var host: String
        var changes: [String]
        var fate: Fate
        /// The host did nothing, so that times are to be the agent's as well.
        var isAlone: Bool

        var path: String { "cells/\(number)" }
        var isRefused: Bool { fate == .conflict || fate == .late }
    }

    static func cells(_ table: Table, from number: Int) throws -> [Cell] {
        var cells: [Cell] = []
        let lines = table.fates.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        guard let columns = lines.first else { throw HarnessError(description: "an empty table") }
        for line in lines.dropFirst() {
            guard let agent = table.agent[line[0]] else {
                throw HarnessError(description: "no change \(line[0])")
            }
            for (column, word) in zip(columns, line.dropFirst()) {
                let always = ["none": ":", "same": agent.script, "moved": "cd ..; mv in moved"]
                guard let host = table.host[column] ?? always[column],
                    let fate = Fate(rawValue: Character(word))
                else { throw HarnessError(description: "no fate \(line[0]) \(column)") }
                cells.append(
                    Cell(
                        number: number + cells.count, name: "\(line[0]) over \(column), from \(table.before)",
                        before: table.before, agent: agent.script, host: host, changes: agent.changes,
                        fate: fate,
                        isAlone: column == "none"))
            }
        }
        return cells
    }

    static let all = Result {
        try tables.reduce(into: [Cell]()) { all, table in all += try cells(table, from: all.count + 100) }
    }

    /// A script for each cell, in its directory.
    static func script(_ cells: [Cell], _ body: (Cell) -> String) -> String {
        cells.map { "( cd \($0.path)/in && \(body($0)) ) || exit 1" }.joined(separator: "\n")
    }

    /// The project with all changes of both sides made, and what the agent saw at the end.
    struct Board {
        let project: StagedProject
        let cells: [Cell]
        let isCopy: Bool
        /// As the agent saw it.
        let view: String
        /// As the host has it.
        let before: TreeDigest
    }

    static func board(mode: String = "overlay") throws -> Board {
        let isCopy = mode == "copy"
        let cells = try all.get().map { cell in
            var cell = cell
            if cell.fate == .agentIfKept { cell.fate = isCopy ? .conflict : .agent }
            return cell
        }
        let made = cells.map { "mkdir -p \($0.path)/in" }.joined(separator: "\n")
        let project = try StagedProject(made + "\n" + script(cells, \.before), mode: mode)
        for cell in cells where cell.number % 3 == 0 {
            // What an undo has to bring back beside contents.
            try project.setAttribute("user.note", "of cell \(cell.number)", "\(cell.path)/in")
            if cell.before.hasPrefix("echo") || cell.before.hasPrefix("mkdir") {
                try project.setAttribute("user.note", "of x", "\(cell.path)/in/x")
            }
        }
        let outcome = try project.session(script(cells, \.agent) + "\ntar --format=posix -cf - cells")
        let view = try project.unpack(outcome.out, as: "view")
        try project.host(script(cells, \.host))
        return Board(project: project, cells: cells, isCopy: isCopy, view: view, before: try project.digest())
    }

    @Test func `the table has as many cells as it should`() throws {
        let cells = try ApplyMatrix.all.get()
        #expect(cells.count >= 180, "\(cells.count)")
        #expect(cells.count { $0.fate == .conflict } > 80)
    }

    @Test(arguments: ["overlay", "copy"])
    func `each change over each change of the host is shown, applied or refused, and taken back exactly`(
        mode: String
    ) throws {
        let board = try ApplyMatrix.board(mode: mode)
        try ApplyMatrix.checkReview(board)
        if !board.isCopy { try ApplyMatrix.checkRefusals(board) }
        // One conflict is enough to stop everything.
        let everything = try board.project.apply("--yes")
        #expect(everything.status == 1, "\(everything)")
        #expect(try board.project.digest() == board.before)
        try ApplyMatrix.checkApplied(board)
    }

    /// `box diff` names each change and each conflict.
    private static func checkReview(_ board: Board) throws {
        let review = try board.project.review()
        var kinds: [String: Set<String>] = [:]
        for change in review.changes {
            let parts = change.path.split(separator: "/", maxSplits: 3)
            kinds["\(parts[0])/\(parts[1])", default: []].insert("\(change.kind) \(parts[3])")
        }
        for cell in board.cells {
            var wanted = Set(cell.changes)
            // A copy does not know any more whether the content is still the same.
            if board.isCopy, !cell.isAlone, kinds[cell.path] == ["modified x"], wanted == ["mode_changed x"] {
                wanted = ["modified x"]
            }
            #expect(kinds[cell.path] == wanted, "\(cell.name)")
            let isConflict = review.conflicts.contains { $0.hasPrefix(cell.path + "/") }
            #expect(
                isConflict == (cell.fate == .conflict), "\(cell.name): \(review[cell.path + "/in/x"] as Any)")
        }
    }

    /// A conflict is refused, and nothing at all is touched.
    private static func checkRefusals(_ board: Board) throws {
        for cell in board.cells where cell.isRefused {
            let outcome = try board.project.apply("--yes", cell.path)
            #expect(outcome.status == 1, "\(cell.name): \(outcome)")
            #expect(outcome.errors.contains("nothing was touched"), "\(cell.name): \(outcome)")
            let now = try TreeDigest("\(board.project.path)/\(cell.path)")
            let differences = now.differences(from: board.before.below(cell.path))
            #expect(differences.isEmpty, "\(cell.name): \(differences)")
        }
        let differences = try board.project.digest().differences(from: board.before)
        #expect(differences.isEmpty, "after all refusals: \(differences)")
    }

    /// The others become what they should, all at once, and everything comes back.
    private static func checkApplied(_ board: Board) throws {
        let project = board.project
        let cells = board.cells.filter { !$0.isRefused }
        let outcome = try project.apply(["--yes", "--quiet"] + cells.map(\.path))
        #expect(outcome.status == 0, "\(outcome)")
        let after = try project.digest()
        let both = cells.filter { $0.fate == .both }
        let joined = try Host.shell("set -e\n" + script(both, \.host), directory: board.view)
        #expect(joined.status == 0, "\(joined)")
        let view = try TreeDigest(board.view)
        for cell in board.cells {
            let times = cell.isAlone
            let now = after.below(cell.path).plain(times: times)
            let wanted =
                (cells.contains { $0.number == cell.number } && cell.fate != .host) ? view : board.before
            let differences = now.differences(from: wanted.below(cell.path).plain(times: times))
            #expect(differences.isEmpty, "\(cell.name) after apply: \(differences)")
        }
        let undone = try project.undo()
        #expect(undone.status == 0, "\(undone)")
        let differences = try project.digest().differences(from: board.before)
        #expect(differences.isEmpty, "after undo: \(differences)")
        // Taken back, all of it can be applied again.
        let again = try project.apply(["--yes", "--quiet"] + cells.map(\.path))
        #expect(again.status == 0, "\(again)")
        let repeated = try project.digest().plain(times: true).differences(from: after.plain(times: true))
        #expect(repeated.isEmpty, "applied again: \(repeated)")
    }
}
