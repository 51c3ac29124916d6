internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// The files below `/etc` that compilers, interpreters and shells need and that tell nothing about the host, its
/// users or its network.
enum EtcFiles {
    private static let wanted: Set<String> = [
        "alternatives", "crypto-policies", "fonts", "inputrc", "ld.so.cache", "locale.conf", "localtime",
        "maven",
        "mime.types", "os-release", "php", "pki", "protocols", "ruby", "services", "ssl", "tmux.conf", "vim",
        "zsh",
    ]
    private static let wantedPrefixes = ["java-"]
    /// Below a wanted directory, what must stay out although it is usually readable for root alone.
    private static let directories: [String: [String]] = [
        "ssl": ["certs", "openssl.cnf"], "pki": ["ca-trust", "java", "tls"],
    ]

    /// What exists of these, with links resolved unless they lead into `/usr`.
    static func present() -> [String: HostFacts.Node.Kind] {
        var found: [String: HostFacts.Node.Kind] = [:]
        for name in DirectoryListing.names(of: "/etc") where isWanted(name) {
            for file in directories[name].map({ $0.map { "\(name)/\($0)" } }) ?? [name] {
                if let kind = kind(of: "/etc/" + file) { found[file] = kind }
            }
        }
        return found
    }

    private static func isWanted(_ name: String) -> Bool {
        wanted.contains(name) || wantedPrefixes.contains { name.hasPrefix($0) }
    }

    private static func kind(of path: String) -> HostFacts.Node.Kind? {
        guard let status = try? FileStatus.of(path, following: false) else { return nil }
        if status.kind == .link, let target = SmallFile.readLink(path) {
            // Where it leads exists inside too: then the link itself is enough.
            if target.hasPrefix("/usr/") || target.hasPrefix("../usr/") { return .link(target) }
            guard let resolved = try? FileStatus.of(path, following: true) else { return nil }
            return HostFacts.Node.Kind(resolved, path: path)
        }
        return HostFacts.Node.Kind(status, path: path)
    }
}
