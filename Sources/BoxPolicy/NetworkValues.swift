package import BoxTypes

/// The values of `[network.limits]` and of `[network.hosts."NAME"]`, from a file or from the command line.
extension NetworkLimits {
    /// The keys, in the order of the documents.
    package enum Key: String, Hashable, Sendable, CaseIterable {
        case requestsPerMinute = "requests_per_minute"
        case connections, upload, download
        case bytesPerSecond = "bytes_per_second"
        case excess
    }

    /// Sets one key from its text form.
    package mutating func set(_ key: Key, _ text: String) throws(UnitRefusal) {
        switch key {
        case .requestsPerMinute: requestsPerMinute = try NetworkLimits.requests(text)
        case .connections: connections = try NetworkLimits.connections(text)
        case .upload: upload = try NetworkLimits.amount(text)
        case .download: download = try NetworkLimits.amount(text)
        case .bytesPerSecond: bytesPerSecond = try NetworkLimits.rate(text)
        case .excess:
            guard let word = Excess(rawValue: text) else {
                throw UnitRefusal("\"\(text)\" is neither slow nor close")
            }
            excess = word
        }
    }

    /// A limit as it would be written; nil if it is not set.
    package func text(of key: Key) -> String? {
        switch key {
        case .requestsPerMinute: requestsPerMinute.map(String.init)
        case .connections: connections.map(String.init)
        case .upload: upload?.description
        case .download: download?.description
        case .bytesPerSecond: bytesPerSecond?.description
        case .excess: excess?.rawValue
        }
    }

    /// `requests_per_minute`.
    static func requests(_ text: String) throws(UnitRefusal) -> Int {
        try Policy.Limits.count(text, in: 1...1_000_000_000)
    }

    /// `connections`: as many as there are ports on one address.
    static func connections(_ text: String) throws(UnitRefusal) -> Int {
        try Policy.Limits.count(text, in: 1...65_536)
    }

    /// `upload`, `download`.
    static func amount(_ text: String) throws(UnitRefusal) -> ByteSize {
        try Policy.Limits.size(text, from: ByteSize(bytes: 1))
    }

    /// `bytes_per_second`: less than 1 KiB would be no connection at all.
    static func rate(_ text: String) throws(UnitRefusal) -> ByteSize {
        try Policy.Limits.size(text, from: ByteSize(bytes: 1024))
    }

    /// Takes over what a higher layer says.
    mutating func replace(by above: NetworkLimits) {
        requestsPerMinute = above.requestsPerMinute ?? requestsPerMinute
        connections = above.connections ?? connections
        upload = above.upload ?? upload
        download = above.download ?? download
        bytesPerSecond = above.bytesPerSecond ?? bytesPerSecond
        excess = above.excess ?? excess
    }
}

extension Policy.Network {
    /// `hold`, `--hold`: seconds up to an hour; 0 is off.
    package static func hold(_ text: String) throws(UnitRefusal) -> Int {
        if text == "0" { return 0 }
        let time = try Duration(parsing: text)
        guard time <= .seconds(3600) else { throw UnitRefusal("\(text) is more than an hour") }
        return Int(time.components.seconds)
    }

    /// The name of `[network.hosts."NAME"]`: a rule's host without a port.
    package static func hostPattern(_ text: String) throws(HostRefusal) -> HostRule {
        let rule = try HostRule(text)
        guard rule.port == .https, !text.hasSuffix(":443") else {
            throw HostRefusal(
                "\"\(text.shortened)\": what a host's table says holds for all its ports; leave the port out")
        }
        return rule
    }
}

extension HostSettings {
    /// The order in which patterns are asked: of two that match one host, the more exact one comes first.
    static func isMoreExact(_ left: HostSettings, _ right: HostSettings) -> Bool {
        let (a, b) = (left.rule.exactness, right.rule.exactness)
        return a == b ? left.rule.description < right.rule.description : a > b
    }
}

extension HostRule {
    /// How exact the pattern is; comparable only between patterns that may match the same host.
    fileprivate var exactness: Int {
        switch pattern {
        case .name, .address: 1000
        case .subdomains(let parent): parent.description.utf8.count
        case .network(let network): network.length
        }
    }
}
