internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// What the user agreed to of projects' policies: `trust.json` in the state directory, never visible inside.
package struct TrustStore: Equatable, Sendable {
    /// One project.
    package struct Entry: Equatable, Sendable {
        /// The project's canonical path.
        package let project: String
        /// The digest of the `box.toml` that was agreed to, whole; nil if none was.
        package var digest: String?
        /// Rules that the user put into the file by `box allow` and `box deny`, as `allow RULE`: these hold
        /// whatever else is in the file, as long as they are in it.
        package var own: [String] = []

        package init(project: String) { self.project = project }
    }

    private var entries: [Entry] = []

    package init() {}

    /// What is known of a project.
    package subscript(project: AbsolutePath) -> Entry {
        get { entries.first { $0.project == project.string } ?? Entry(project: project.string) }
        set {
            entries.removeAll { $0.project == newValue.project }
            if newValue.digest != nil || !newValue.own.isEmpty { entries.append(newValue) }
        }
    }

    // MARK: - On disk

    private static let name = "trust.json"
    private static let version = 1

    /// Reads the store; an empty one if there is none.
    package static func read(state: AbsolutePath) throws(SessionError) -> TrustStore {
        let path = state.string + "/" + name
        guard let file = try PolicyFile.read(path, name: path, kind: .user) else { return TrustStore() }
        do throws(JSONError) { return try TrustStore(JSONValue(parsing: file.bytes)) } catch {
            throw SessionError(
                step: "read \(path.escapedForTerminal)",
                reason: "it is damaged (\(error)). Remove it, and agree anew with box trust")
        }
    }

    /// Writes the store whole. Callers hold the lock.
    package func write(state: AbsolutePath) throws(SessionError) {
        let list = entries.sorted { $0.project < $1.project }.map { entry in
            JSONOutput.object([
                ("project", .text(entry.project)), ("digest", .optional(entry.digest)),
                ("own", .texts(entry.own)),
            ])
        }
        let text = JSONOutput.object([("version", .number(TrustStore.version)), ("projects", .list(list))])
            .pretty
        _ = try StateDirectory.make("", in: state)
        try PolicyFile.write(
            Array((text + "\n").utf8), to: state.string + "/" + TrustStore.name, replacing: nil,
            inPlace: false,
            name: TrustStore.name, mode: 0o600)
    }

    private init(_ value: JSONValue) throws(JSONError) {
        func damaged(_ at: JSONValue) -> JSONError {
            JSONError(position: TextPosition(line: 1, column: at.offset + 1), reason: "not what box writes")
        }
        guard value["version"]?.number == TrustStore.version,
            case .array(let list)? = value["projects"]?.content
        else { throw damaged(value) }
        for item in list {
            guard let project = item["project"]?.text, case .array(let rules)? = item["own"]?.content else {
                throw damaged(item)
            }
            var entry = Entry(project: project)
            entry.digest = item["digest"]?.text
            entry.own = rules.compactMap(\.text)
            entries.append(entry)
        }
    }
}

extension JSONValue {
    /// A member of an object by its key.
    fileprivate subscript(key: String) -> JSONValue? {
        guard case .object(let members) = content else { return nil }
        return members.first { $0.key == key }?.value
    }

    fileprivate var text: String? { if case .string(let text) = content { text } else { nil } }

    fileprivate var number: Int? {
        if case .number(let number) = content { number.unsigned.flatMap { Int(exactly: $0) } } else { nil }
    }
}

/// The lock under which policy files and the trust store are changed: concurrent commands lose nothing.
package struct PolicyLock: ~Copyable {
    private let file: Descriptor

    /// Waits until it is free; `name` is for what is changed apart from the policy.
    package init(state: AbsolutePath, name: String = "policy.lock") throws(SessionError) {
        _ = try StateDirectory.make("", in: state)
        do throws(KernelError) {
            let file = try Descriptor.open(
                state.string + "/" + name, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            try check("flock", retry { box_flock(file.number, LOCK_EX) }, name)
            self.file = file
        } catch { throw SessionError(step: "lock the policy", error) }
    }

    /// Lets others go on.
    package consuming func release() {}
}
