import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes

/// A project whose policy a command shows or changes.
struct PolicyProject {
    let path: AbsolutePath
    let places: PolicyPlaces

    init(_ directory: String) throws {
        do throws(SessionError) {
            path = try HostFacts.Project.canonicalPath(of: directory)
            places = try PolicyPlaces()
        } catch { throw Refusal(error) }
    }

    /// The project that a command in a directory means: that of a running session which the directory lies in, else the
    /// directory itself.
    init(of directory: String?) throws {
        let here = try PolicyProject(try directory ?? WorkingDirectory.required())
        do throws(SessionError) {
            let running = try RunningSession.ofProject(here.path.string).map(\.project)
            // The nearest one counts.
            if directory == nil, let nearest = running.max(by: { $0.utf8.count < $1.utf8.count }) {
                self = try PolicyProject(at: nearest, places: here.places)
                return
            }
        } catch { throw Refusal(error) }
        self = here
    }

    private init(at path: String, places: PolicyPlaces) throws(SessionError) {
        do throws(AbsolutePath.Refusal) { self.path = try AbsolutePath(path) } catch {
            throw SessionError(step: "find the project", reason: "\(error)")
        }
        self.places = places
    }

    /// The project's own file.
    var file: String { path.string + "/" + PolicySources.projectFileName }

    /// What holds for a run here.
    func sources(agent: String? = nil, options: OptionValues? = nil) throws -> PolicySources {
        var query = PolicySources.Query()
        query.agent = agent
        query.project = path
        if let options {
            query.file = options.policy
            query.options = try options.layer()
        }
        do throws(PolicySourceError) { return try PolicySources.load(query) } catch { throw Refusal(error) }
    }

    /// Changes the trust store under the lock.
    func locked(_ change: (inout TrustStore) throws(SessionError) -> Void) throws {
        do throws(SessionError) {
            let lock = try PolicyLock(state: places.state)
            var store = try TrustStore.read(state: places.state)
            let before = store
            try change(&store)
            if store != before { try store.write(state: places.state) }
            lock.release()
        } catch { throw Refusal(error) }
    }

    /// Lets running sessions of the project read their policy anew; gives back those that did.
    @discardableResult
    func tellSessions(ofAll: Bool = false, quiet: Bool = false) -> [(
        session: RunningSession, reply: ControlReply
    )] {
        var answers: [(session: RunningSession, reply: ControlReply)] = []
        do throws(SessionError) {
            let sessions = try RunningSession.all().filter { ofAll || $0.project == path.string }
            for session in sessions {
                if let reply = try session.ask(.reload) { answers.append((session, reply)) }
            }
        } catch {
            // The file is as it is to be; a session that does not answer sees it by itself, or at its next start.
            if !quiet { Output.error("\(error)") }
        }
        return answers
    }
}
