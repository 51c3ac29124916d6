package import BoxTypes

/// The rules that let one connection through each, as far as they are used.
///
/// A connection takes one when it is decided about, and nobody else gets it meanwhile. The rule is spent when the
/// connection to the server stands, and free again where none came to be. Looking a name up takes nothing.
package struct SingleUses: Equatable, Sendable {
    /// Those that are not spent, in the order in which they were made.
    private var open: [SingleUse]
    private var taken: Set<Int> = []
    /// Spent, and the supervisor's rules may have them still.
    private var spent: Set<Int> = []

    package init(_ rules: [SingleUse] = []) { open = rules }

    /// The supervisor's rules are these now.
    package mutating func update(_ rules: [SingleUse]) {
        let numbers = Set(rules.map(\.number))
        spent.formIntersection(numbers)
        taken.formIntersection(numbers)
        open = rules.filter { !spent.contains($0.number) }
    }

    /// The first that a connection can take and that `fits`.
    package func free(where fits: (SingleUse) -> Bool) -> SingleUse? {
        open.first { !taken.contains($0.number) && fits($0) }
    }

    /// Whether one that is not spent is like this: a name that is looked up now may be wanted by whoever has it.
    package func contains(where fits: (SingleUse) -> Bool) -> Bool { open.contains(where: fits) }

    /// Whether the rule is still there and not spent.
    package func has(_ use: SingleUse) -> Bool { open.contains(use) }

    /// Takes a rule for a connection; false where another one has it, or it is over.
    package mutating func take(_ use: SingleUse) -> Bool {
        guard open.contains(use) else { return false }
        return taken.insert(use.number).inserted
    }

    /// The connection did not come to be.
    package mutating func giveBack(_ use: SingleUse) { taken.remove(use.number) }

    /// The connection stands.
    package mutating func spend(_ use: SingleUse) {
        taken.remove(use.number)
        guard let place = open.firstIndex(of: use) else { return }
        open.remove(at: place)
        spent.insert(use.number)
    }
}
