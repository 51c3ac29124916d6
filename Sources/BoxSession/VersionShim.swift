internal import BoxKernel
internal import BoxTypes

/// A shim: a small program in a version manager's `shims`, which runs that of the version chosen for the directory.
///
/// It is resolved here, with the versions that the user chose for everything, so that the manager itself and its
/// configuration need not be inside, and so that no file of the project chooses what runs.
struct VersionShim {
    /// An installed version that has the program.
    struct Candidate: Equatable {
        let tool: String
        let version: String
        let file: AbsolutePath
    }

    /// What the user wants of one tool: versions, the preferred one first.
    typealias Wish = (tool: String, versions: [String])

    let candidates: [Candidate]
    let wishes: [Wish]

    /// The programs, the preferred one first.
    var ordered: [Candidate] {
        func rank(_ candidate: Candidate) -> Int {
            var before = 0
            for wish in wishes {
                let at = wish.versions.firstIndex { VersionShim.matches(candidate.version, $0) }
                if wish.tool == candidate.tool, let at { return before + at }
                before += wish.versions.count
            }
            return before
        }
        return candidates.sorted { left, right in
            let (one, other) = (rank(left), rank(right))
            if one != other { return one < other }
            return left.tool == right.tool
                ? VersionShim.isNewer(left.version, right.version) : left.tool < right.tool
        }
    }

    /// Whether the user wants the system's own program, if there is one.
    var prefersSystem: Bool {
        let system = wishes.contains { $0.versions.contains("system") }
        return system
            && !candidates.contains { candidate in
                wishes.contains { wish in
                    wish.tool == candidate.tool
                        && wish.versions.contains { VersionShim.matches(candidate.version, $0) }
                }
            }
    }

    /// `20` means any `20.x`, and `latest` any.
    static func matches(_ version: String, _ wish: String) -> Bool {
        let (version, wish) = (bare(version), bare(wish))
        return wish == "latest" || version == wish || version.hasPrefix(wish + ".")
    }

    private static func bare(_ version: String) -> Substring {
        version.hasPrefix("v") ? version.dropFirst() : version[...]
    }

    static func isNewer(_ left: String, _ right: String) -> Bool {
        func parts(_ text: String) -> [Substring] {
            bare(text).split { !$0.isNumber && !$0.isLetter }
        }
        for (one, other) in zip(parts(left), parts(right)) where one != other {
            switch (Int(one), Int(other)) {
            case (let one?, let other?): return one > other
            // A release is newer than 1.0rc1 and the like.
            case (_?, nil): return true
            case (nil, _?): return false
            case (nil, nil): return one > other
            }
        }
        return parts(left).count > parts(right).count
    }

    // MARK: - Managers

    /// Recognises a shim at a path; nil for any other program.
    init?(
        _ path: AbsolutePath, real: AbsolutePath, head: ScriptHead?, home: AbsolutePath,
        environment: [String: String]
    ) {
        guard path.parent.lastComponent == "shims", let root = HostPath.real(path.parent)?.parent else {
            return nil
        }
        let name = path.lastComponent
        if real.lastComponent == "mise" || real.lastComponent == "rtx" {
            candidates = VersionShim.installs(root, name, only: nil)
            wishes = VersionShim.wishesOfMise(home, environment) + VersionShim.toolVersions(home)
        } else if let head, !head.asdfVersions.isEmpty {
            candidates = VersionShim.installs(root, name, only: head.asdfVersions)
            let chosen = head.asdfVersions.compactMap { plugin, _ in
                environment["ASDF_\(VersionShim.upper(plugin))_VERSION"].map { (plugin, [$0]) }
            }
            wishes = chosen + VersionShim.toolVersions(home)
        } else if head != nil, let versions = HostPath.parsed(root.string + "/versions"),
            HostPath.kind(versions) == .directory
        {
            candidates = HostPath.names(in: versions).compactMap { version in
                VersionShim.program(name, in: versions.string + "/" + version).map {
                    Candidate(tool: "", version: version, file: $0)
                }
            }
            wishes = [("", VersionShim.version(of: root, environment))]
        } else {
            return nil
        }
    }

    private static func upper(_ text: String) -> String {
        String(text.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" })
    }

    private static func program(_ name: String, in directory: String) -> AbsolutePath? {
        for place in ["/bin/", "/", "/.npm/bin/"] {
            guard let path = HostPath.parsed(directory + place + name), HostPath.isExecutable(path) else {
                continue
            }
            return path
        }
        return nil
    }

    /// `installs/TOOL/VERSION` of mise and asdf.
    private static func installs(
        _ root: AbsolutePath, _ name: String, only: [(plugin: String, version: String)]?
    ) -> [Candidate] {
        guard let installs = HostPath.parsed(root.string + "/installs") else { return [] }
        let pairs =
            only
            ?? HostPath.names(in: installs).flatMap { tool in
                HostPath.parsed(installs.string + "/" + tool).map(HostPath.names)?.map { (tool, $0) } ?? []
            }
        return pairs.compactMap { tool, version in
            let directory = "\(installs)/\(tool)/\(version)"
            // Links beside the versions are names for them (`20`, `latest`).
            guard let path = HostPath.parsed(directory), HostPath.linkTarget(path) == nil else { return nil }
            return program(name, in: directory).map { Candidate(tool: tool, version: version, file: $0) }
        }
    }

    /// pyenv, nodenv, rbenv …: `PYENV_VERSION`, or the file `version` beside the shims.
    private static func version(of root: AbsolutePath, _ environment: [String: String]) -> [String] {
        let manager = upper(String(root.lastComponent.drop { $0 == "." }))
        if let chosen = environment["\(manager)_VERSION"], !chosen.isEmpty {
            return chosen.split(separator: ":").map(String.init)
        }
        guard let file = HostPath.parsed(root.string + "/version") else { return [] }
        let lines = HostPath.lines(file).filter { !$0.hasPrefix("#") }
        return lines.isEmpty
            ? ["system"] : lines.flatMap { $0.split { $0 == " " || $0 == ":" } }.map(String.init)
    }

    /// The user's `~/.tool-versions`.
    private static func toolVersions(_ home: AbsolutePath) -> [Wish] {
        HostPath.lines(home.appending(literal: ".tool-versions")).compactMap { line in
            let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
            return words.count > 1 ? (words[0], Array(words.dropFirst())) : nil
        }
    }

    /// `[tools]` of the user's configuration of mise, and `MISE_NODE_VERSION` and the like.
    private static func wishesOfMise(_ home: AbsolutePath, _ environment: [String: String]) -> [Wish] {
        var wishes: [Wish] = environment.keys.sorted().compactMap { key in
            guard key.hasPrefix("MISE_"), key.hasSuffix("_VERSION"), let value = environment[key] else {
                return nil
            }
            return (key.dropFirst(5).dropLast(8).lowercased(), [value])
        }
        let directory = environment["XDG_CONFIG_HOME"].flatMap(HostPath.parsed)?.string ?? "\(home)/.config"
        guard let file = HostPath.parsed(directory + "/mise/config.toml") else { return wishes }
        var isTools = false
        for line in HostPath.lines(file) {
            if line.hasPrefix("[") {
                isTools = line.hasPrefix("[tools]")
                continue
            }
            // Only the versions are wanted: the quoted texts behind the key, of which most lines have one.
            guard isTools, let equals = line.firstIndex(of: "=") else { continue }
            let key = line[..<equals].filter { $0 != " " && $0 != "\"" }
            let texts = line[equals...].split(separator: "\"", omittingEmptySubsequences: false)
            let versions = texts.indices.filter { $0 % 2 == 1 }.map { String(texts[$0]) }
            let tool = key.lowercased().map { $0.isLetter || $0.isNumber ? $0 : "-" }
            if !versions.isEmpty { wishes.append((String(tool).trimmedDashes, versions)) }
        }
        return wishes
    }
}

extension String {
    /// `npm:@scope/name` is the directory `npm-scope-name`: signs that follow each other are one dash.
    fileprivate var trimmedDashes: String { split(separator: "-").joined(separator: "-") }
}
