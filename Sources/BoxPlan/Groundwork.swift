/// What every sandbox has, whatever the policy says: its first process makes that while the policy is being read.
package enum Groundwork {
    /// The steps, in the order of a plan; `identity` is what root becomes, nil for an ordinary user.
    package static func steps(becoming identity: InitOrder.Identity?) -> [Step] {
        var steps = Planner.foundation + Planner.masks
        if let identity { steps.append(.becomeUser(uid: identity.uid, gid: identity.gid)) }
        return Plan.ordered(steps)
    }
}

extension Plan {
    /// The plan with these steps taken out, which were carried out already; nil if it has not all of them, so that
    /// they were wrong.
    package func after(_ done: [Step]) -> Plan? {
        var rest: [Step] = []
        rest.reserveCapacity(steps.count)
        var next = done.startIndex
        // Both are in the same order.
        for step in steps {
            if next < done.endIndex, step == done[next] {
                next += 1
            } else {
                rest.append(step)
            }
        }
        guard next == done.endIndex else { return nil }
        var plan = self
        plan.replaceSteps(by: rest)
        return plan
    }
}
