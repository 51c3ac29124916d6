import BoxPlan
import BoxTypes
import Testing

@Suite struct `What the first process tells and is told about programs` {
    @Test func `travels`() throws {
        let start = ProgramStart(
            pid: 7, parent: 2, path: "/usr/bin/cc", arguments: ["cc", "", "\u{1b}x"], omitted: 3,
            directory: "/home/a")
        let hidden = ProgramStart(
            pid: 7, parent: nil, path: nil, arguments: [], omitted: 0, directory: nil)
        let reports: [InitReport] = [
            .program(.started(start)), .program(.started(hidden)), .program(.runs(pid: 4, path: "/a")),
            .program(.ended(pid: 4, .exited(code: 255))), .program(.ended(pid: 4, .killed(signal: 9))),
            .program(.ended(pid: 4, .unknown)), .executed(id: 3, code: 0), .executed(id: 3, code: 2),
            .executionEnded(id: 3, .exited(code: 1)),
        ]
        for report in reports { #expect(try InitReport(wire: report.wire) == report) }
        let orders: [InitOrder] = [
            .execute(Execution(id: 1, command: ["ls"])),
            .execute(
                Execution(
                    id: 1, command: ["ls", "-l"], environment: [Plan.EnvironmentEntry("A", "b")],
                    directory: AbsolutePath(literal: "/tmp"), terminal: .init(rows: 24, columns: 80))),
            .signalExecuted(id: 1, signal: 15),
        ]
        for order in orders { #expect(try InitOrder(wire: order.wire) == order) }
    }

    @Test func `is refused where it is cut off or senseless`() throws {
        let report = InitReport.program(.ended(pid: 4, .exited(code: 1))).wire
        for length in 1..<report.count {
            #expect(throws: WireError.self) { try InitReport(wire: Array(report.prefix(length))) }
        }
        let nothing = InitOrder.execute(Execution(id: 1, command: []))
        #expect(throws: WireError.self) { try InitOrder(wire: nothing.wire) }
    }
}
