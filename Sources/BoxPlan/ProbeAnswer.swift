internal import BoxTypes

/// What the prover has to know of the host to try: passed as words `name=value`.
package struct ProbeTargets: Equatable, Sendable {
    /// `user:[4026531837]` and so on, of the host.
    package var namespaces: [String] = []
    package var home = ""
    /// A TCP port on the host's 127.0.0.1 on which somebody listens.
    package var port: UInt16 = 0
    /// The name of an abstract socket on which somebody listens, without the leading NUL.
    package var abstractSocket = ""
    /// A file in the host's /tmp.
    package var file = ""
    /// A socket in the host's file system on which somebody listens.
    package var socket = ""

    package init() {}

    /// The words of the command line.
    package var words: [String] {
        [
            "namespaces=" + namespaces.joined(separator: ","), "home=" + home, "port=\(port)",
            "abstract=" + abstractSocket, "file=" + file, "socket=" + socket,
        ]
    }

    /// Reads the words; nil if one is unknown or missing.
    package init?(words: some Sequence<String>) {
        var values: [Substring: String] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else { return nil }
            values[word[..<equals]] = String(word[word.index(after: equals)...])
        }
        guard values.count == 6, let namespaces = values["namespaces"], let home = values["home"],
            let port = values["port"].flatMap({ UInt16($0) }), let abstract = values["abstract"],
            let file = values["file"], let socket = values["socket"]
        else { return nil }
        self.namespaces = namespaces.split(separator: ",").map(String.init)
        (self.home, self.port, abstractSocket, self.file, self.socket) = (home, port, abstract, file, socket)
    }
}

/// What the prover saw of one probe: a line of JSON.
package struct ProbeAnswer: Equatable, Sendable {
    package var probe: Probe
    package var observed: String
    /// The attempt could not be made, so that what was seen says nothing.
    package var isBroken: Bool

    package init(_ probe: Probe, observed: String, isBroken: Bool = false) {
        self.probe = probe
        self.observed = observed
        self.isBroken = isBroken
    }

    /// The line, without its end.
    package var line: String {
        JSONOutput.object([
            ("probe", .text(probe.rawValue)), ("observed", .text(observed)), ("broken", .bool(isBroken)),
        ]).line
    }

    /// Reads lines; what is no answer is left out, so that its probe has none.
    package static func read(_ bytes: [UInt8]) -> [Probe: ProbeAnswer] {
        var answers: [Probe: ProbeAnswer] = [:]
        for line in bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
            // A terminal's or a program's other output is no JSON.
            guard let value = try? JSONValue(parsing: Array(line)), let answer = ProbeAnswer(value) else {
                continue
            }
            answers[answer.probe] = answer
        }
        return answers
    }

    private init?(_ value: JSONValue) {
        guard case .object(let members) = value.content else { return nil }
        var fields: [String: JSONValue.Content] = [:]
        for member in members { fields[member.key] = member.value.content }
        guard case .string(let name)? = fields["probe"], let probe = Probe(rawValue: name),
            case .string(let observed)? = fields["observed"], case .bool(let broken)? = fields["broken"]
        else { return nil }
        self.init(probe, observed: observed, isBroken: broken)
    }
}
