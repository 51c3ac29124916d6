/// The questions of `box apply -p` about one file, and the user's answers so far, as in `git add -p`.
package struct HunkSelection: Sendable {
    /// What an answer leads to.
    package enum Outcome: Equatable, Sendable {
        /// Ask about the current hunk.
        case ask
        /// Say this, then ask again.
        case say(String)
        /// Every hunk is decided.
        case done
        /// The user wants no more questions, about other files either; hunks that were taken stay taken.
        case quit
    }

    private enum Choice { case open, taken, left }

    private let diff: LineDiff
    private var hunks: [Hunk]
    private var choices: [Choice]
    /// Which hunk is asked about.
    package private(set) var current = 0

    package init(_ diff: LineDiff) {
        self.diff = diff
        hunks = diff.hunks
        choices = hunks.map { _ in .open }
    }

    package var count: Int { hunks.count }
    package var hunk: Hunk { hunks[current] }

    /// The letters that make sense now, for the question.
    package var letters: String {
        var letters = "y,n,q,a,d"
        if next(where: { $0 == .open }) != nil { letters += ",j" }
        if current + 1 < count { letters += ",J" }
        if previous(where: { $0 == .open }) != nil { letters += ",k" }
        if current > 0 { letters += ",K" }
        if hunk.edits.count > 1 { letters += ",s" }
        return letters + ",p,?"
    }

    /// The old text with what was taken.
    package var content: [UInt8] { Hunks.apply(taken, to: diff.old) }
    package var taken: [Hunk] { zip(hunks, choices).filter { $0.1 == .taken }.map(\.0) }
    /// Whether every hunk was taken.
    package var isEverything: Bool { choices.allSatisfy { $0 == .taken } }

    /// Takes an answer: the first letter of what was typed.
    package mutating func answer(_ text: some StringProtocol) -> Outcome {
        switch text.first {
        case nil, "p": return .ask
        case "y", "Y": return decide(.taken)
        case "n", "N": return decide(.left)
        case "a", "A": return decideRest(.taken)
        case "d", "D": return decideRest(.left)
        case "q", "Q": return .quit
        case "s", "S": return split()
        case "j": return go(to: next(where: { $0 == .open }), orSay: "No later hunk is undecided")
        case "J": return go(to: current + 1 < count ? current + 1 : nil, orSay: "There is no later hunk")
        case "k": return go(to: previous(where: { $0 == .open }), orSay: "No earlier hunk is undecided")
        case "K": return go(to: current > 0 ? current - 1 : nil, orSay: "There is no earlier hunk")
        case "e", "E": return .say("Hunks cannot be edited here. Take it, and edit the file afterwards")
        default: return .say(HunkSelection.help)
        }
    }

    package static let help = """
        y - take this hunk
        n - leave this hunk out
        q - quit; leave out this hunk and all that are left
        a - take this hunk and all later ones of the file
        d - leave out this hunk and all later ones of the file
        j - go to the next undecided hunk, J - to the next hunk
        k - go to the previous undecided hunk, K - to the previous hunk
        s - split this hunk into smaller ones
        p - print this hunk again, all of it
        ? - print this
        """

    private mutating func decide(_ choice: Choice) -> Outcome {
        choices[current] = choice
        return goOn()
    }

    private mutating func decideRest(_ choice: Choice) -> Outcome {
        choices[current] = choice
        for index in choices.indices where index > current && choices[index] == .open {
            choices[index] = choice
        }
        return goOn()
    }

    private mutating func goOn() -> Outcome {
        guard let open = next(where: { $0 == .open }) ?? choices.firstIndex(of: .open) else { return .done }
        current = open
        return .ask
    }

    private mutating func split() -> Outcome {
        let parts = hunk.split()
        guard parts.count > 1 else { return .say("This hunk cannot be split") }
        hunks.replaceSubrange(current...current, with: parts)
        choices.replaceSubrange(current...current, with: parts.map { _ in .open })
        return .say("Split into \(parts.count) hunks")
    }

    private mutating func go(to index: Int?, orSay message: String) -> Outcome {
        guard let index else { return .say(message) }
        current = index
        return .ask
    }

    private func next(where isWanted: (Choice) -> Bool) -> Int? {
        choices.indices.first { $0 > current && isWanted(choices[$0]) }
    }

    private func previous(where isWanted: (Choice) -> Bool) -> Int? {
        choices.indices.last { $0 < current && isWanted(choices[$0]) }
    }
}
