package import BoxPolicy
package import BoxTypes

// The network door: what it needs inside, and what its process is told.
extension Planner {
    var hasNetwork: Bool { policy.network.mode == .proxy }

    /// Routes and sockets inside, after the loopback interface, which the foundation switches on.
    func makeNetwork() throws(PlanError) -> [Step] {
        guard hasNetwork else { return [] }
        let opening = DoorOpening(for: policy.network.allow)
        let ports = opening.capturedPorts.count
        guard ports <= DoorOpening.mostPorts else {
            throw .network(
                "the rules name \(ports) different ports, and at most \(DoorOpening.mostPorts) can be listened on. "
                    + "Name fewer")
        }
        var steps = opening.routes.map { Step.route($0) } + opening.listeners.map { .listen($0) }
        if !policy.network.publish.isEmpty { steps.append(.unconnected(count: Planner.publishStock)) }
        return steps
    }

    /// How many published connections are ready to be made before more sockets are asked for.
    package static let publishStock = 64

    /// What the proxy is told.
    func makeProxy() throws(PlanError) -> Plan.Proxy? {
        guard hasNetwork else { return nil }
        let network = policy.network
        let ports = network.publish.sorted()
        for (one, next) in zip(ports, ports.dropFirst()) where one.host == next.host {
            throw .network(
                "port \(one.host) of the host is published twice, to \(one.inside) and \(next.inside)")
        }
        var proxy = Plan.Proxy(
            port: Planner.proxyPort,
            rules: Planner.rules(of: network))
        proxy.hold = network.hold
        proxy.upstream = network.upstreamProxy
        proxy.certificates = network.certificates
        proxy.publish = ports
        proxy.endsSession = network.onProxyFailure == .end
        return proxy
    }

    /// What the proxy decides by.
    package static func rules(of network: Policy.Network) -> NetworkRules {
        NetworkRules(
            allow: network.allow, deny: network.deny, limits: network.limits, hosts: network.hosts)
    }

    // MARK: - Name resolution inside

    /// The files below `/etc` that say how names are resolved: by the responder on the loopback, for allowed names.
    var resolverFiles: [(name: String, content: String)] {
        let services = "passwd: files\ngroup: files\nshadow: files\nservices: files\n"
        guard hasNetwork else {
            return [("resolv.conf", ""), ("nsswitch.conf", services + "hosts: files\n")]
        }
        return [
            // It answers from a table, so one that does not answer at once does not at all. No search domain: only
            // full names are allowed.
            ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"),
            ("nsswitch.conf", services + "hosts: files dns\n"),
        ]
    }

    // MARK: - Certificates

    /// Where the user's extra certificates are inside, alone and together with the host's own.
    static let extraCertificates = AbsolutePath(literal: "/etc/box/ca.pem")
    static let certificateBundle = AbsolutePath(literal: "/etc/box/ca-bundle.pem")

    /// The bundle with the user's certificates, also at the places where programs look without asking the environment.
    func makeCertificates() -> [Step] {
        guard hasNetwork, let certificates = facts.certificates else { return [] }
        let files: [Step] = [
            .file(Planner.extraCertificates, content: certificates.extra),
            .file(Planner.certificateBundle, content: certificates.bundle + certificates.extra),
        ]
        return files + certificates.places.map { .substitute($0, by: Planner.certificateBundle) }
    }
}

extension HostFacts {
    /// The certificates of an extra file, and the host's own, which they are added to.
    package struct Certificates: Equatable, Sendable {
        /// The user's, in PEM, ending with a newline.
        package var extra: String
        /// The host's, in PEM; empty if there are none.
        package var bundle: String
        /// The host's bundles, by their real paths, as far as they are visible inside.
        package var places: [AbsolutePath]
        package init(extra: String, bundle: String, places: [AbsolutePath]) {
            self.extra = extra
            self.bundle = bundle
            self.places = places
        }
    }
}
