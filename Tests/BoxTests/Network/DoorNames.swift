import Foundation
import Testing

/// A question for the name server inside.
struct Question: Encodable, Sendable {
    var key: String
    var name: String?
    var type: Int?
    var raw: String?
    var over = "udp"

    static let address = 1, mail = 15, text = 16, address6 = 28, pointer = 12, service = 65, any = 255
}

/// What it said.
struct Answered: Decodable, Sendable, CustomStringConvertible {
    var key: String
    var end: String
    var code: Int?
    var name: String?
    var addresses: [String]?
    var same: Bool?
    var flags: Int?
    var ms: Int

    var description: String {
        "\(key): \(end) code \(code ?? -1) \(addresses ?? []) same \(same ?? false) \(ms) ms"
    }
}

extension Door {
    /// NT-16, NT-07: the name server inside.
    @Suite(.recorded("NT-16"), .serialized) struct Names {
        static let questions: [Question] =
            [
                ("github.com", "github.com"), ("again", "github.com"), ("case", "gItHuB.cOm"),
                ("wild", "a.example.com"), ("wild 2", "b.example.com"), ("dot", "github.com."),
                ("apex", "example.com"), ("evil", "evil.net"), ("suffix", "github.com.evil.net"),
                ("leak", "c2VjcmV0LWRhdGEtdGhhdC1zaGFsbC1ub3QtbGVhdmU.evil.net"), ("below", "x.github.com"),
                ("denied", "gist.example.com"), ("single", "printer"),
                ("metadata", "metadata.google.internal"),
                ("odd", "git_hub.com"), ("spaced", "git hub.com"),
            ].map { Question(key: $0.0, name: $0.1, type: Question.address) }
            + [
                Question(key: "six", name: "github.com", type: Question.address6),
                Question(key: "text", name: "github.com", type: Question.text),
                Question(key: "mail", name: "github.com", type: Question.mail),
                Question(key: "any", name: "github.com", type: Question.any),
                Question(key: "https", name: "github.com", type: Question.service),
                Question(key: "text leak", name: "c2VjcmV0.evil.net", type: Question.text),
                Question(key: "pointer", name: "3.112.82.140.in-addr.arpa", type: Question.pointer),
                Question(key: "tcp", name: "github.com", type: Question.address, over: "tcp"),
                Question(key: "tcp evil", name: "evil.net", type: Question.address, over: "tcp"),
                Question(key: "empty", raw: "1234"),
                Question(key: "no question", raw: "123401000000000000000000"),
                Question(key: "loop", raw: "123401000001000000000000c00c00010001"),
                Question(
                    key: "two questions", raw: "123401000002000000000000016100000100010162000001" + "0001"),
                Question(key: "cut off", raw: "12340100000100000000000003676974"),
                Question(key: "an answer", raw: "123481800001000000000000067468656d6500000100" + "01"),
                Question(key: "after all", name: "github.com", type: Question.address),
            ]

        struct Asked: Sendable {
            var answers: [String: Answered]
            var seenQuestions: Set<String>
            var packets: Set<String>
            var events: [Logged]
        }

        static let asked = Once { identity in
            let internet = try Internet.shared.get()
            let box = try internet.box(as: identity)
            let project = box.scratch.project
            try box.scratch.write(try Host.text(Tools.sources + "/dns.py"), to: project + "/dns.py")
            try box.scratch.write(
                String(decoding: try JSONEncoder().encode(questions), as: UTF8.self),
                to: project + "/questions")
            let mark = try internet.mark()
            let outcome = try box.run(
                ["python3", "dns.py", "questions"], options: Capture.rules + ["--deny", "gist.example.com"])
            let answers = outcome.lines.compactMap {
                try? JSONDecoder().decode(Answered.self, from: Data($0.utf8))
            }
            guard answers.count == questions.count else { throw HarnessError(description: "\(outcome)") }
            return Asked(
                answers: Dictionary(uniqueKeysWithValues: answers.map { ($0.key, $0) }),
                seenQuestions: try internet.questions(since: mark),
                packets: try internet.packets(since: mark),
                events: try box.events())
        }

        @Test(arguments: Identity.all)
        func `an allowed name has a stable address of the door's own`(_ identity: Identity) throws {
            row("NT-16")
            let answers = try Names.asked.get(identity).answers
            let first = try #require(answers["github.com"])
            #expect(first.end == "answer" && first.code == 0 && first.same == true, "\(first)")
            let address = try #require(first.addresses?.first)
            #expect(address.hasPrefix("198.18.") || address.hasPrefix("198.19."), "\(first)")
            for key in ["again", "case", "dot", "tcp", "after all"] {
                #expect(
                    answers[key]?.addresses == [address] && answers[key]?.same == true,
                    "\(String(describing: answers[key]))")
            }
            #expect(answers["case"]?.name == "gItHuB.cOm", "0x20: \(String(describing: answers["case"]))")
            let (one, two) = (answers["wild"]?.addresses ?? [], answers["wild 2"]?.addresses ?? [])
            #expect(one.count == 1 && two.count == 1 && one != two && one != [address], "\(one) \(two)")
            for key in ["six", "text", "mail", "any", "https"] {
                let answer = try #require(answers[key])
                #expect(
                    answer.end == "answer" && answer.addresses?.contains { $0.hasPrefix("198.1") } != true
                        || key == "any")
                #expect(answer.code == 0 || key == "any", "no NODATA: \(answer)")
            }
        }

        @Test(arguments: Identity.all)
        func `what is not allowed does not exist, and nobody outside is asked`(_ identity: Identity) throws {
            row("NT-07")
            let asked = try Names.asked.get(identity)
            for key in [
                "apex", "evil", "suffix", "leak", "below", "denied", "single", "metadata", "tcp evil",
                "text leak",
                "pointer",
            ] {
                let answer = try #require(asked.answers[key])
                #expect(answer.end == "answer" && answer.code == 3 && answer.addresses == [], "\(answer)")
                #expect(answer.ms < 500, "slow: \(answer)")
            }
            for key in [
                "empty", "no question", "loop", "two questions", "cut off", "an answer", "odd", "spaced",
            ] {
                let answer = try #require(asked.answers[key])
                #expect(answer.end == "silence" || answer.code != 0 && answer.addresses == [], "\(answer)")
            }
            #expect(
                asked.seenQuestions.isEmpty && asked.packets.isEmpty,
                "\(asked.seenQuestions) \(asked.packets)")
            let denied = asked.events.filter { $0.event == "net.deny" && $0.via == "dns" }
            #expect(denied.contains { $0.host == "evil.net" }, "\(denied)")
        }
    }
}
