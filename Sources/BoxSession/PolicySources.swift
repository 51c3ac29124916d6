internal import BoxKernel
internal import BoxPlan
package import BoxPolicy
package import BoxTypes
internal import Glibc
internal import Profiles

/// Where a run's policy comes from: the layers as they hold, and what of the project's file does not.
///
/// Shipped base < agent's profile < the user's `config.toml` < the project's `box.toml` < `--policy` < options.
package struct PolicySources: Equatable, Sendable {
    /// What the layers are looked for with.
    package struct Query: Sendable {
        /// The name of the agent's profile; nil for a command.
        package var agent: String?
        /// The project's canonical path, and whose it is; nil for a policy without a project.
        package var project: AbsolutePath?
        /// A file of the user's that stands above the project's.
        package var file: String?
        /// The options.
        package var options = PolicyLayer(name: "command line")
        /// A pipeline's run: what is missing is accepted by those who run it, not by the shipped policy, and `file` may be
        /// a file of the checked-out project.
        package var isPipeline = false
        package init() {}
    }

    /// How much of the project's file holds.
    package enum Trust: Equatable, Sendable {
        /// There is no file, or it widens nothing.
        case needless
        /// The user agreed to it as it is.
        case given
        /// Only what tightens holds, and rules of the user's own.
        case missing([Widening])
    }

    package let policy: Policy
    /// Each line with the layer whose word counts.
    package let listing: PolicyListing
    package let trust: Trust
    /// The project's file as it was read.
    package let projectFile: PolicyFile?
    /// What the project's file would widen, if it were trusted.
    package let wishes: [Widening]
    /// SHA-256 of everything that holds, hexadecimal.
    package let digest: String
    /// The files that it would be read from another time, whether they exist or not.
    package let files: [String]

    /// The shipped base alone.
    package static func base() throws(PolicySourceError) -> Policy { Policy(merging: [try Loader().base()]) }

    /// The name of the project's file.
    package static let projectFileName = ControlFiles.policy

    /// Finds and reads all layers. Nothing is started if one of them is wrong.
    package static func load(_ query: Query) throws(PolicySourceError) -> PolicySources {
        try Loader().load(query)
    }
}

/// Why a policy could not be had.
package enum PolicySourceError: Error, CustomStringConvertible {
    /// What is written in a file is wrong.
    case policy(PolicyErrors)
    /// The file itself cannot be used.
    case file(SessionError)
    /// There is no agent of this name; these are known.
    case unknownAgent(String, known: [String])

    package var description: String {
        switch self {
        case .policy(let errors): errors.description
        case .file(let error): error.description
        case .unknownAgent(let name, let known):
            "there is no profile \(name.escapedForTerminal)"
                + (name.nearest(in: known).map { ". Did you mean \($0)?" } ?? "")
        }
    }
}

/// Reads profiles and policy files of this user.
package struct PolicyPlaces: Sendable {
    package let home: AbsolutePath
    package let configuration: AbsolutePath
    package let state: AbsolutePath

    package init() throws(SessionError) {
        let environment = UserEnvironment.parse(ProcessEnvironment.entries())
        home = try HostFacts.currentUser(environment).home
        configuration = try ConfigurationDirectory.place(environment: environment, home: home)
        state = try StateDirectory.place(environment: environment, home: home)
    }

    /// The user's `config.toml`.
    package var userFile: String { configuration.string + "/config.toml" }

    /// The names of the user's own profiles, sorted.
    package var ownProfiles: [String] {
        DirectoryListing.names(of: configuration.string + "/profiles").filter { $0.hasSuffix(".toml") }
            .map { String($0.dropLast(5)) }.sorted()
    }

    /// Whose a project's directory is.
    package func owner(of project: AbsolutePath) throws(SessionError) -> UInt32 {
        do throws(KernelError) { return try FileStatus.of(project.string, following: false).uid } catch {
            throw SessionError(step: "look at \(project.string.escapedForTerminal)", error)
        }
    }

    /// The bytes of a profile and what to call it: the user's own before the shipped one; nil if there is none.
    package func profile(_ name: String, shipped: Bool = false) throws(SessionError) -> (
        bytes: [UInt8], name: String, isShipped: Bool
    )? {
        // The name is part of a path.
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else { return nil }
        if !shipped {
            let path = configuration.string + "/profiles/\(name).toml"
            if let file = try PolicyFile.read(path, name: PolicyPlaces.shown(path, home: home), kind: .user) {
                return (file.bytes, PolicyPlaces.shown(path, home: home), false)
            }
        }
        return Shipped.agent(name).map { ($0, "\(name).toml", true) }
    }

    /// A path as people write it.
    package static func shown(_ path: String, home: AbsolutePath) -> String {
        path.hasPrefix(home.string + "/") ? "~" + path.dropFirst(home.string.utf8.count) : path
    }
}

/// The groups of hosts that ship in the binary.
package enum ShippedGroups {
    package static func read() throws(PolicyErrors) -> HostGroups {
        try HostGroups(reading: Shipped.groups, file: "groups.toml")
    }
}

private struct Loader {
    let places: PolicyPlaces

    init() throws(PolicySourceError) {
        do throws(SessionError) { places = try PolicyPlaces() } catch { throw .file(error) }
    }

    func base() throws(PolicySourceError) -> PolicyLayer { try parse(Shipped.base, "base.toml") }

    func load(_ query: PolicySources.Query) throws(PolicySourceError) -> PolicySources {
        var base = try base()
        if query.isPipeline { base.protections.acceptMissing = [] }
        var layers = [base]
        if let agent = query.agent { layers += try agentLayers(agent, base) }
        let user = try file { () throws(SessionError) in
            try PolicyFile.read(
                places.userFile, name: PolicyPlaces.shown(places.userFile, home: places.home), kind: .user)
        }
        if let user {
            let name = PolicyPlaces.shown(places.userFile, home: places.home)
            layers += try chain(parse(user.bytes, name), base)
        }
        var above: [PolicyLayer] = []
        if let path = query.file {
            let wanted = try file { () throws(SessionError) in
                guard query.isPipeline, let project = query.project else {
                    return try PolicyFile.read(path, name: path, kind: .user)
                }
                let owner = try places.owner(of: project)
                return try PolicyFile.read(path, name: path, kind: .project(owner: owner))
            }
            guard let wanted else {
                throw .file(
                    SessionError(step: "read \(path.escapedForTerminal)", reason: "there is no such file"))
            }
            above += try chain(parse(wanted.bytes, path), base)
        }
        above.append(query.options)
        return try finish(query, layers, above, base)
    }

    private func finish(
        _ query: PolicySources.Query, _ layers: [PolicyLayer], _ above: [PolicyLayer], _ base: PolicyLayer
    ) throws(PolicySourceError) -> PolicySources {
        var policy = Policy(merging: layers)
        var listing = PolicyListing(layers)
        var trust = PolicySources.Trust.needless
        var wishes: [Widening] = []
        var projectFile: PolicyFile?
        if let project = query.project, let found = try read(project) {
            projectFile = found
            let chain = try chain(parse(found.bytes, PolicySources.projectFileName, isProject: true), base)
            var narrowed = policy
            wishes = chain.flatMap { layer in
                narrowed.narrow(by: layer, ram: HostFacts.physicalMemory).map { $0.said(by: layer) }
            }
            let entry = try file { () throws(SessionError) in
                try TrustStore.read(state: places.state)[project]
            }
            if wishes.isEmpty {
                // What it names besides is let in already, and not once more by another name.
                (trust, policy) = (.needless, narrowed)
                listing = PolicyListing(layers + chain)
            } else if entry.digest == found.digest {
                (trust, policy) = (.given, policy.merging(chain))
                listing = PolicyListing(layers + chain)
            } else {
                let own = PolicySources.ownRules(entry, in: chain[chain.count - 1])
                policy = narrowed.merging([own])
                for layer in chain {
                    let refused = wishes.filter { $0.source == layer.name }.map(\.path)
                    listing.add(layer.entries(without: Set(refused)))
                }
                listing.add(own.entries)
                let kept = Set(own.network.allowTexts.map { ["network", "allow", String($0.index)] })
                let missing = wishes.filter { $0.source != own.name || !kept.contains($0.path) }
                trust = missing.isEmpty ? .given : .missing(missing)
            }
        }
        policy = policy.merging(above)
        for layer in above { listing.add(layer.entries) }
        let text = listing.sorted.map { "\($0.key) = \($0.value)\n" }.joined()
        return PolicySources(
            policy: policy, listing: listing, trust: trust, projectFile: projectFile, wishes: wishes,
            digest: PolicyFile.digest(of: Array(text.utf8)), files: files(query))
    }

    private func files(_ query: PolicySources.Query) -> [String] {
        let project = query.project.map { [$0.string + "/" + PolicySources.projectFileName] } ?? []
        let profile = query.agent.map { ["\(places.configuration)/profiles/\($0).toml"] } ?? []
        return [places.userFile, places.state.string + "/trust.json"] + profile + project
            + (query.file.map { [$0] } ?? [])
    }

    // MARK: - Layers

    /// An agent's profile with what it extends, without the base.
    private func agentLayers(_ name: String, _ base: PolicyLayer) throws(PolicySourceError) -> [PolicyLayer] {
        let found = try file { () throws(SessionError) in try places.profile(name) }
        guard let found else {
            throw .unknownAgent(name, known: Shipped.agentNames + places.ownProfiles)
        }
        let layer = try parse(found.bytes, found.name)
        let chain = try extended(layer, base, taken: found.isShipped ? [] : [name])
        return Array(chain.dropFirst())
    }

    /// A policy file with what it extends, without the base. It chooses no agent.
    private func chain(_ layer: PolicyLayer, _ base: PolicyLayer) throws(PolicySourceError) -> [PolicyLayer] {
        try extended(layer, base, taken: []).dropFirst().map { layer in
            var layer = layer
            layer.agent = nil
            return layer
        }
    }

    /// `taken` are the user's own profiles in the chain: one that extends its own name extends the shipped one.
    private func extended(
        _ layer: PolicyLayer, _ base: PolicyLayer, taken: Set<String>
    ) throws(PolicySourceError) -> [PolicyLayer] {
        var taken = taken
        var failure: SessionError?
        do throws(PolicyErrors) {
            return try layer.chain(base: base) { name throws(PolicyErrors) in
                let found: (bytes: [UInt8], name: String, isShipped: Bool)?
                do throws(SessionError) {
                    let isAgain = taken.contains(name) && Shipped.agent(name) != nil
                    found = try places.profile(name, shipped: isAgain)
                } catch {
                    failure = error
                    return nil
                }
                guard let found else { return nil }
                taken.insert(name)
                return try PolicyReader.read(found.bytes, file: found.name, groups: ShippedGroups.read)
            }
        } catch {
            if let failure { throw .file(failure) }
            throw .policy(error)
        }
    }

    private func read(_ project: AbsolutePath) throws(PolicySourceError) -> PolicyFile? {
        let path = project.string + "/" + PolicySources.projectFileName
        return try file { () throws(SessionError) in
            try PolicyFile.read(
                path, name: PolicySources.projectFileName,
                kind: .project(owner: try places.owner(of: project)))
        }
    }

    private func parse(
        _ bytes: [UInt8], _ name: String, isProject: Bool = false
    ) throws(PolicySourceError) -> PolicyLayer {
        do throws(PolicyErrors) {
            return try PolicyReader.read(bytes, file: name, isProject: isProject, groups: ShippedGroups.read)
        } catch { throw .policy(error) }
    }

    private func file<Value>(_ body: () throws(SessionError) -> Value) throws(PolicySourceError) -> Value {
        do throws(SessionError) { return try body() } catch { throw .file(error) }
    }
}

extension PolicySources {
    /// The rules of the user's own in a file that is not trusted otherwise, as a layer.
    fileprivate static func ownRules(_ entry: TrustStore.Entry, in layer: PolicyLayer) -> PolicyLayer {
        var own = PolicyLayer(name: layer.name)
        own.positions = layer.positions
        let texts = Set(entry.own)
        own.network.allowTexts = layer.network.allowTexts.filter { texts.contains("allow \($0.text)") }
        own.network.allow = own.network.allowTexts.flatMap(\.rules)
        return own
    }
}

extension Widening {
    /// The same with the layer that says it.
    fileprivate func said(by layer: PolicyLayer) -> Widening {
        var wish = self
        wish.source = layer.name
        return wish
    }
}
