package import BoxTypes

// The network door as a plan shows it. The authorization for the user's own proxy is never part of that.
extension Plan.Proxy {
    var json: JSONOutput {
        .object([
            ("port", .number(Int(port))), ("allow", .texts(rules.allow.map(\.description))),
            ("deny", .texts(rules.deny.map(\.description))), ("limits", rules.limits.json),
            ("hosts", .list(rules.hosts.map(\.json))), ("hold", .number(hold)),
            ("upstream_proxy", .optional(upstream?.description)), ("ca", .optional(certificates)),
            ("publish", .texts(publish.map(\.description))),
            ("on_proxy_failure", .text(endsSession ? "end" : "continue")),
        ])
    }

    /// The lines of `box plan`.
    var lines: [String] {
        let allow = rules.allow.map(\.description).joined(separator: " ")
        var lines = ["network     proxy on port \(port), allowed: \(allow.isEmpty ? "nothing" : allow)"]
        func add(_ text: String) { lines.append("            " + text) }
        if !rules.deny.isEmpty { add("denied: " + rules.deny.map(\.description).joined(separator: " ")) }
        if !rules.limits.text.isEmpty { add("limits: " + rules.limits.text) }
        for host in rules.hosts { add("\(host.rule.short): \(host.text)") }
        if hold > 0 { add("refusals are held for \(hold)s") }
        if let upstream {
            add("through \(upstream)" + (upstream.authorization == nil ? "" : " (with a password)"))
        }
        if let certificates { add("also trusts \(certificates.escapedForTerminal)") }
        if !publish.isEmpty { add("published: " + publish.map(\.description).joined(separator: " ")) }
        if endsSession { add("the session ends if the proxy does") }
        return lines
    }
}

extension NetworkLimits {
    /// What is limited, by the policy's keys.
    package var fields: [(name: String, value: JSONOutput)] {
        var fields: [(name: String, value: JSONOutput)] = []
        if let requestsPerMinute { fields.append(("requests_per_minute", .number(requestsPerMinute))) }
        if let connections { fields.append(("connections", .number(connections))) }
        if let upload { fields.append(("upload", .number(upload.bytes))) }
        if let download { fields.append(("download", .number(download.bytes))) }
        if let bytesPerSecond { fields.append(("bytes_per_second", .number(bytesPerSecond.bytes))) }
        if let excess { fields.append(("excess", .text(excess.rawValue))) }
        return fields
    }

    package var json: JSONOutput { .object(fields.map { ($0.name, $0.value) }) }

    /// One line for people: `512 connections, 2 GB up`; empty without limits.
    package var text: String {
        var parts: [String] = []
        if let requestsPerMinute { parts.append("\(requestsPerMinute) requests a minute") }
        if let connections { parts.append("\(connections) connections") }
        if let upload { parts.append("\(upload.rounded) up") }
        if let download { parts.append("\(download.rounded) down") }
        if let bytesPerSecond {
            parts.append("\(bytesPerSecond.rounded) a second" + (excess == .close ? ", closed above" : ""))
        }
        return parts.joined(separator: ", ")
    }
}

extension HostSettings {
    fileprivate var json: JSONOutput {
        .object([
            ("host", .text(rule.short)), ("limits", limits.json), ("raw", .bool(raw)),
            ("private", .bool(isPrivate)),
        ])
    }

    /// What is special about it, on one line.
    package var text: String {
        let words = [limits.text, raw ? "raw" : "", isPrivate ? "private" : ""].filter { !$0.isEmpty }
        return words.isEmpty ? "nothing special" : words.joined(separator: ", ")
    }
}
