internal import BoxPlan

/// The secrets that box itself hands in, to keep them out of the log: programs get them as arguments.
///
/// What a program finds elsewhere, or changes on the way (base64), is not known here.
struct KnownSecrets: Equatable {
    /// By value, the longest first: one may be part of another.
    private let names: [(value: String, name: String)]

    static func == (left: KnownSecrets, right: KnownSecrets) -> Bool {
        left.names.elementsEqual(right.names) { $0 == $1 }
    }

    /// Shorter values are no secrets, and stand in too many words.
    private static let shortest = 8
    /// What the names of such variables have in them; others that are passed are settings: EDITOR, LANG.
    private static let marks = ["KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL", "AUTH"]

    /// The values of variables that come from the user's environment, or are got from elsewhere.
    init(_ environment: [Plan.EnvironmentEntry]) {
        names = environment.filter { entry in
            entry.isSecret && entry.value.utf8.count >= KnownSecrets.shortest
                && KnownSecrets.marks.contains { entry.name.uppercased().contains($0) }
        }
        .map { (value: $0.value, name: $0.name) }
        .sorted { ($0.value.utf8.count, $0.name) > ($1.value.utf8.count, $1.name) }
    }

    /// The text with `[NAME]` in place of each value.
    func hidden(in text: String) -> String {
        var text = text
        for (value, name) in names where text.contains(value) {
            text = text.replacing(value, with: "[\(name)]")
        }
        return text
    }
}
