import BoxPlan
import BoxSession

/// Who follows a run from its plan to its end.
protocol LaunchWatcher: AnyObject {
    /// There is a plan; nothing is made yet.
    func planned(_ request: Request)
    /// The command starts next.
    func ready(_ plan: Plan, session: String)
    /// The command has ended, and all its output is written.
    func ended(_ outcome: Outcome, isStaged: Bool, _ search: RemedySearch?)
}
