import Foundation

/// One connection, and what is done with it: for `wire.py`.
struct Exchange: Sendable, Encodable {
    /// What is done next.
    enum Step: Sendable, Encodable {
        /// Sends text of Latin-1.
        case send(String)
        case pause(Double)
        /// Ends the sending side.
        case shut
        case reset
        /// Reads the head of an HTTP answer.
        case status
        case until(String)
        case read(Int)
        /// Reads to the end.
        case rest
        /// Sends a TLS hello for this name, in pieces of that many bytes; 0 for one piece.
        case hello(String?, piece: Int = 0)
        /// Goes on over TLS.
        case tls(String, authority: String)
        /// Sends that many bytes of a pattern.
        case fill(Int)

        func encode(to encoder: any Encoder) throws {
            var list = encoder.unkeyedContainer()
            switch self {
            case .send(let text): try encode("send", text, to: &list)
            case .pause(let seconds): try encode("pause", seconds, to: &list)
            case .shut: try list.encode("shut")
            case .reset: try list.encode("reset")
            case .status: try list.encode("status")
            case .until(let text): try encode("until", text, to: &list)
            case .read(let count): try encode("read", count, to: &list)
            case .rest: try list.encode("rest")
            case .hello(let name, let piece):
                try encode("hello", name, to: &list)
                try list.encode(piece)
            case .tls(let name, let authority):
                try encode("tls", name, to: &list)
                try list.encode(authority)
            case .fill(let count): try encode("fill", count, to: &list)
            }
        }

        private func encode<Value: Encodable>(
            _ word: String, _ value: Value, to list: inout any UnkeyedEncodingContainer
        ) throws {
            try list.encode(word)
            try list.encode(value)
        }
    }

    var key: String
    var host: String
    var port: Int
    var steps: [Step]
    var within: Double

    init(_ key: String, _ host: String, _ port: Int, _ steps: [Step], within: Double = 5) {
        (self.key, self.host, self.port, self.steps, self.within) = (key, host, port, steps, within)
    }

    /// To the proxy's HTTP port.
    static func proxy(_ key: String, _ steps: [Step], within: Double = 5) -> Exchange {
        Exchange(key, "127.0.0.1", 3128, steps, within: within)
    }

    /// Asks the proxy for a tunnel, and goes on in it.
    static func tunnel(_ key: String, _ target: String, _ steps: [Step] = [], within: Double = 5) -> Exchange
    {
        proxy(
            key, [.send("CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n"), .status] + steps,
            within: within)
    }
}

/// What became of an exchange.
struct Reply: Decodable, Sendable, CustomStringConvertible {
    var key: String
    /// `open` (all steps were done), `eof`, `reset`, `timeout`, an errno, or `tls: …`.
    var end: String
    /// The step that was under way at the end.
    var at: String
    var ms: Int
    var got: String?
    var bytes: Int?
    var sha256: String?
    var sent: String?

    /// The status of the first HTTP answer.
    var status: Int? {
        guard let got, got.hasPrefix("HTTP/1.") else { return nil }
        return Int(got.dropFirst(9).prefix(3))
    }
    /// The statuses of all HTTP answers in what came.
    var statuses: [Int] {
        (got ?? "").components(separatedBy: "HTTP/1.1 ").dropFirst().compactMap { Int($0.prefix(3)) }
    }
    /// The body of the first answer's refusal.
    var refusal: Refusal? {
        guard let got, let body = got.range(of: "\r\n\r\n") else { return nil }
        return try? JSONDecoder().decode(Refusal.self, from: Data(got[body.upperBound...].utf8))
    }
    /// A header of the first answer.
    func header(_ name: String) -> String? {
        let head = (got ?? "").components(separatedBy: "\r\n\r\n").first ?? ""
        return head.components(separatedBy: "\r\n").first { $0.lowercased().hasPrefix(name + ":") }
            .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    var description: String {
        "\(key): \(end) at \(at) after \(ms) ms, \(bytes ?? 0) bytes: \((got ?? "").prefix(700).debugDescription)"
    }
}

/// The body of a refusal.
struct Refusal: Decodable, Sendable {
    var error: String
    var code: Int
    var host: String
    var port: Int
    var reason: String
    var message: String
    var resolution: String?
}

extension Box {
    /// Carries out exchanges inside, in one run, so many at a time.
    func exchange(
        _ list: [Exchange], options: [String] = [], together: Int = 1, within: Double = 60
    ) throws -> [String: Reply] {
        let command = try prepare(list) + ["\(together)"]
        return try Reply.parse(try run(command, options: options, within: within), list)
    }

    /// The same without a box, from where box runs: the control.
    func exchangeOutside(_ list: [Exchange]) throws -> [String: Reply] {
        try Reply.parse(try Host.run(prefix + prepare(list), directory: scratch.project), list)
    }

    /// Writes the list into the project; the command that carries it out.
    func prepare(_ list: [Exchange]) throws -> [String] {
        let name = "exchanges-\(UUID().uuidString)"
        let text = String(decoding: try JSONEncoder().encode(list), as: UTF8.self)
        try scratch.write(text, to: "\(scratch.project)/\(name)")
        let program = scratch.project + "/wire.py"
        if !FileManager.default.fileExists(atPath: program) {
            try scratch.write(try Host.text(Tools.sources + "/wire.py"), to: program)
        }
        return ["python3", program, name]
    }

    /// The events of the newest session.
    func events() throws -> [Logged] {
        let sessions = scratch.state + "/box/sessions"
        let folders = try FileManager.default.contentsOfDirectory(atPath: sessions)
        let files = folders.map { "\(sessions)/\($0)/events.jsonl" }
            .filter { FileManager.default.fileExists(atPath: $0) }
        let dated = try files.map {
            (
                $0,
                try FileManager.default.attributesOfItem(atPath: $0)[.modificationDate] as? Date
                    ?? .distantPast
            )
        }
        guard let newest = dated.max(by: { $0.1 < $1.1 })?.0 else { return [] }
        return try Host.text(newest).split(separator: "\n").map {
            try JSONDecoder().decode(Logged.self, from: Data($0.utf8))
        }
    }
}

extension Reply {
    /// The lines of `wire.py`; every exchange must have one.
    static func parse(_ outcome: Outcome, _ list: [Exchange]) throws -> [String: Reply] {
        var replies: [String: Reply] = [:]
        for line in outcome.lines {
            guard let reply = try? JSONDecoder().decode(Reply.self, from: Data(line.utf8)) else { continue }
            replies[reply.key] = reply
        }
        let missing = list.map(\.key).filter { replies[$0] == nil }
        guard missing.isEmpty else {
            throw HarnessError(description: "no reply to \(missing.prefix(5)); \(outcome)")
        }
        return replies
    }
}

/// One line of a session's log of events.
struct Logged: Decodable, Sendable {
    var event: String
    var host: String?
    var port: Int?
    var via: String?
    var rule: String?
    var reason: String?
    var detail: String?
    var bytes_up: Int?
    var bytes_down: Int?
    var ms: Int?
    var limit: String?
    var scope: String?
    var held: Int?
    var count: Int?
}
