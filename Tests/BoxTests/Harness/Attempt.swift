import Foundation
import Testing

/// What the probe said of one act.
struct Answer: Decodable, Sendable, CustomStringConvertible {
    var act: String
    var result: Int?
    var errno: String?
    var detail: String?
    var signal: String?
    var broken: Int?

    /// One word: the signal that ended it, the errno, or `0`.
    var word: String {
        if let signal { return signal }
        if let broken { return "broken \(broken)" }
        return errno ?? "?"
    }
    var worked: Bool { word == "0" }
    var description: String { "\(word) (result \(result ?? 0)) \((detail ?? "").prefix(400))" }

    /// The probe's lines; every act must have one.
    static func parse(_ outcome: Outcome, acts: [String]) throws -> [String: Answer] {
        var answers: [String: Answer] = [:]
        for line in outcome.lines {
            guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(line.utf8)) else { continue }
            answers[answer.act] = answer
        }
        let missing = acts.filter { answers[$0] == nil }
        guard missing.isEmpty else {
            throw HarnessError(description: "no answer to \(missing.prefix(5)); \(outcome)")
        }
        return answers
    }
}

/// One row: what is tried, where it must work, and the refusal inside.
struct Attempt: Sendable, CustomTestStringConvertible {
    /// Where the same act is tried without box.
    enum Control: Sendable {
        /// As the user who runs the suite.
        case outside
        /// In fresh namespaces with every capability.
        case bare
    }
    /// What must be seen inside, and must not be seen by the control.
    enum Expected: Sendable {
        /// One of these errors (or signals), exactly.
        case refused(Set<String>)
        /// An answer of this kind.
        case answer(String, @Sendable (Answer) -> Bool)
        /// It works inside as it does outside.
        case works
    }

    var id: String
    var what: String
    var act: String
    var expected: Expected
    var control: Control

    init(_ id: String, _ what: String, _ act: String, _ expected: Expected, _ control: Control = .bare) {
        (self.id, self.what, self.act, self.expected, self.control) = (id, what, act, expected, control)
    }

    /// The common row: refused with one of these.
    init(_ id: String, _ what: String, _ act: String, _ words: String..., control: Control = .bare) {
        self.init(id, what, act, .refused(Set(words)), control)
    }

    var testDescription: String { "\(id) \(what)" }
    /// The name in the list of expected skips.
    var name: String { "\(id) \(what)" }

    /// Whether an answer from inside is the expected one.
    func accepts(_ answer: Answer) -> Bool {
        switch expected {
        case .refused(let words): words.contains(answer.word)
        case .answer(_, let holds): answer.broken == nil && holds(answer)
        case .works: answer.worked
        }
    }

    /// Whether the control's answer shows that the row tells a box from no box.
    func isProvenBy(_ control: Answer) -> Bool {
        switch expected {
        case .works: control.worked
        case .refused, .answer: control.broken == nil && !accepts(control)
        }
    }

    var expectation: String {
        switch expected {
        case .refused(let words): words.sorted().joined(separator: " or ")
        case .answer(let text, _): text
        case .works: "it works"
        }
    }
}

/// The answers to a table of attempts: one run of the probe inside, one for each kind of control.
struct Sweep: Sendable {
    private let inside: Result<[String: Answer], HarnessError>
    private let controls: [Attempt.Control: Result<[String: Answer], HarnessError>]
    private let insideAct: @Sendable (String) -> String
    private let controlAct: @Sendable (String) -> String

    /// `prepare` makes what the acts need and gives the words to put for `{names}` in them.
    init(
        _ attempts: [Attempt], options: ([String: String]) -> [String] = { _ in [] },
        prepare: (Scratch) throws -> [String: String] = { _ in [:] }
    ) {
        do {
            let box = try Box()
            // `{here}` is a directory of one's own: the project inside, another one for the control.
            let elsewhere = box.scratch.root + "/control"
            try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: false)
            let words = try prepare(box.scratch).merging(["project": box.scratch.project]) { $1 }
            let replace = { @Sendable (act: String, here: String) in
                words.merging(["here": here]) { $1 }
                    .reduce(act) { $0.replacingOccurrences(of: "{\($1.key)}", with: $1.value) }
            }
            let project = box.scratch.project
            insideAct = { replace($0, project) }
            controlAct = { replace($0, elsewhere) }
            controls = Dictionary(
                uniqueKeysWithValues: [Attempt.Control.outside, .bare].map { kind in
                    let acts = attempts.filter { $0.control == kind }.map { replace($0.act, elsewhere) }
                    return (kind, Sweep.caught { try Sweep.control(kind, acts, box.scratch) })
                })
            inside = Sweep.caught {
                if Sweep.onlyControls { return [:] }
                return try box.probe(
                    attempts.map { replace($0.act, box.scratch.project) }, options: options(words))
            }
        } catch {
            inside = .failure(HarnessError(description: "\(error)"))
            controls = [:]
            insideAct = { $0 }
            controlAct = { $0 }
        }
    }

    /// `BOX_TEST_ONLY_CONTROLS`: shows what the controls are worth on a machine, without a box.
    static let onlyControls = ProcessInfo.processInfo.environment["BOX_TEST_ONLY_CONTROLS"] != nil

    private static func caught<Value>(_ body: () throws -> Value) -> Result<Value, HarnessError> {
        do { return .success(try body()) } catch { return .failure(HarnessError(description: "\(error)")) }
    }

    private static func control(
        _ kind: Attempt.Control, _ acts: [String], _ scratch: Scratch
    ) throws -> [String: Answer] {
        guard !acts.isEmpty else { return [:] }
        let list = scratch.root + "/control-acts"
        try scratch.write(acts.joined(separator: "\n") + "\n", to: list)
        let options = kind == .bare ? ["--bare"] : []
        return try Answer.parse(
            try Host.run(
                [scratch.project + "/probe"] + options + ["--file", list], directory: scratch.project,
                within: 120),
            acts: acts)
    }

    /// Judges one row: what was seen inside first, then whether the control makes it worth anything.
    func check(_ attempt: Attempt, sourceLocation: SourceLocation = #_sourceLocation) throws {
        Record.current?.name(attempt.id)
        if !Sweep.onlyControls {
            guard let answer = try inside.get()[insideAct(attempt.act)] else {
                throw HarnessError(description: "no answer to \(attempt.act)")
            }
            #expect(
                attempt.accepts(answer),
                "\(attempt.name): expected \(attempt.expectation), inside: \(answer)",
                sourceLocation: sourceLocation)
        }
        guard let control = try controls[attempt.control]?.get()[controlAct(attempt.act)] else {
            throw HarnessError(description: "no control for \(attempt.act)")
        }
        if !attempt.isProvenBy(control) {
            skip(attempt.name, "no control: \(control) without box too", sourceLocation: sourceLocation)
        }
    }
}

/// The test is about this row of the catalogue.
func row(_ id: String) { Record.current?.name(id) }

/// The test cannot be done here. A failure, unless the list of expected skips has it for this machine.
func skip(_ name: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) {
    guard ExpectedSkips.allow(name) else {
        Issue.record("unexpected skip of \(name): \(reason)", sourceLocation: sourceLocation)
        return
    }
    Record.current?.skip(reason)
}

/// Whether a program is there; if not, the test is skipped by the program's name.
func has(_ programs: String..., sourceLocation: SourceLocation = #_sourceLocation) -> Bool {
    for name in programs where Host.program(name) == nil {
        skip("program \(name)", "\(name) is not installed", sourceLocation: sourceLocation)
        return false
    }
    return true
}

/// `expected-skips.txt`: a name, when, and why; separated by bars.
enum ExpectedSkips {
    private static let entries: [(name: String, when: [String])] = {
        let path = (Tools.sources as NSString).deletingLastPathComponent + "/expected-skips.txt"
        guard let text = try? Host.text(path) else { return [] }
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { line in
            let parts = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            return parts.count == 3 ? (parts[0], parts[1].split(separator: " ").map(String.init)) : nil
        }
    }()

    static func allow(_ name: String) -> Bool {
        entries.contains { $0.name == name && $0.when.contains(where: holds) }
    }

    /// Conditions: `any`, `user`, `root`, `no-program` (the name's last word), `no-file:PATH`.
    private static func holds(_ condition: String) -> Bool {
        switch condition {
        case "any": true
        case "user": !Host.isRoot
        case "root": Host.isRoot
        case let text where text.hasPrefix("no-program:"):
            Host.program(String(text.dropFirst(11))) == nil
        case let text where text.hasPrefix("no-file:"):
            !FileManager.default.fileExists(atPath: String(text.dropFirst(8)))
        default: false
        }
    }
}
