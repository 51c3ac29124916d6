package import BoxPolicy
package import BoxTypes

/// What `box allow` and `box deny` change in policy files: one file, under the lock, whole or not at all.
package struct PolicyEdit: Sendable {
    /// Which file.
    package enum Target: Equatable, Sendable {
        /// The project's own `box.toml`.
        case project(AbsolutePath)
        /// The user's `config.toml`, for all projects.
        case user
    }

    /// What became of one rule.
    package struct Result: Equatable, Sendable {
        /// As it is written in the file.
        package let rule: String
        package let change: PolicyText.Change
        /// Whether anything was written for it, or agreed to.
        package let isNew: Bool
    }

    /// What became of all of them.
    package struct Report: Equatable, Sendable {
        /// The file's path.
        package let file: String
        /// The file's name for people.
        package let name: String
        package var results: [Result] = []
        /// The rest of the project's file is not trusted: only the user's own rules of it hold.
        package var isPartlyTrusted = false

        package init(file: String, name: String) {
            self.file = file
            self.name = name
        }
    }

    private let target: Target
    private let places: PolicyPlaces

    package init(_ target: Target, places: PolicyPlaces) {
        self.target = target
        self.places = places
    }

    /// The file's path.
    package var path: String {
        switch target {
        case .project(let project): project.string + "/" + PolicySources.projectFileName
        case .user: places.userFile
        }
    }

    private var name: String {
        switch target {
        case .project: PolicySources.projectFileName
        case .user: PolicyPlaces.shown(places.userFile, home: places.home)
        }
    }

    /// Puts rules into a list, and takes equal ones out of the other list. Texts that are no rules are refused before
    /// anything is written.
    package func add(
        _ texts: [String], to list: PolicyText.List
    ) throws(PolicyEditFailure) -> Report {
        try attempt { () throws(SessionError) in
            let lock = try PolicyLock(state: places.state)
            let file = try PolicyFile.read(path, name: name, kind: try kind())
            let result = try edit(texts, list, file)
            lock.release()
            return result
        }
    }

    private func edit(
        _ texts: [String], _ list: PolicyText.List, _ file: PolicyFile?
    ) throws(SessionError) -> Swift.Result<Report, PolicyEditFailure> {
        var text: PolicyText
        do throws(PolicyErrors) {
            text = try PolicyText(
                file?.bytes ?? [], file: name, isProject: target != .user, groups: ShippedGroups.read)
        } catch { return .failure(.policy(error)) }
        var report = Report(file: path, name: name)
        var store = try TrustStore.read(state: places.state)
        var own = project.map { store[$0].own } ?? []
        for rule in texts {
            do throws(PolicyEditError) {
                let other: PolicyText.List = list == .allow ? .deny : .allow
                let removed = try text.remove(rule, from: other)
                let change = try text.add(rule, to: list)
                let canonical = try text.canonical(rule)
                own.removeAll { $0 == "\(other.rawValue) \(canonical)" }
                var isNew = change == .added
                if case .removed = removed { isNew = true }
                let written = if case .presentAs(let present) = change { present } else { canonical }
                let entry = "\(list.rawValue) \(written)"
                if !own.contains(entry) { own.append(entry) }
                report.results.append(Result(rule: canonical, change: change, isNew: isNew))
            } catch { return .failure(.edit(error)) }
        }
        let wasWhole = try isWholeInForce(file, store)
        if text.bytes != file?.bytes ?? [] {
            if target == .user { _ = try makeConfiguration() }
            try PolicyFile.write(
                text.bytes, to: path, replacing: file, inPlace: try isHeldByDirectSession(), name: name)
        }
        if let project {
            store[project].own = own
            if wasWhole { store[project].digest = PolicyFile.digest(of: text.bytes) }
            try store.write(state: places.state)
            report.isPartlyTrusted = !wasWhole
        }
        return .success(report)
    }

    private var project: AbsolutePath? { if case .project(let path) = target { path } else { nil } }

    /// Whether all of the project's file holds before the edit: it widened nothing, or was agreed to.
    private func isWholeInForce(_ file: PolicyFile?, _ store: TrustStore) throws(SessionError) -> Bool {
        guard let project, let file else { return true }
        if store[project].digest == file.digest { return true }
        var query = PolicySources.Query()
        query.project = project
        do throws(PolicySourceError) {
            let sources = try PolicySources.load(query)
            // Only what is needless to agree to; own rules that hold by themselves are not the whole file.
            return sources.trust == .needless && sources.projectFile?.digest == file.digest
        } catch { throw SessionError(step: "read the policy", reason: error.description) }
    }

    private func kind() throws(SessionError) -> PolicyFile.Kind {
        guard let project else { return .user }
        return .project(owner: try places.owner(of: project))
    }

    /// A session that works in the project itself has mounted over the file that is there now.
    private func isHeldByDirectSession() throws(SessionError) -> Bool {
        guard let project else { return false }
        return try RunningSession.all().contains { $0.project == project.string && $0.workspace == "direct" }
    }

    private func makeConfiguration() throws(SessionError) -> String {
        try StateDirectory.make("", in: places.configuration)
    }

    private func attempt(
        _ body: () throws(SessionError) -> Swift.Result<Report, PolicyEditFailure>
    ) throws(PolicyEditFailure) -> Report {
        let result: Swift.Result<Report, PolicyEditFailure>
        do throws(SessionError) { result = try body() } catch { throw .session(error) }
        return try result.get()
    }
}

/// Why a policy file was not changed. Nothing was written.
package enum PolicyEditFailure: Error, CustomStringConvertible {
    case policy(PolicyErrors)
    case edit(PolicyEditError)
    case session(SessionError)

    package var description: String {
        switch self {
        case .policy(let errors): errors.description
        case .edit(let error): error.description
        case .session(let error): error.description
        }
    }
}
