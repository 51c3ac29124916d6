internal import BoxKernel
internal import BoxTypes

// A link is made as it is and never followed, so it is judged by where it would lead from its place on the host.
extension RiskRules {
    func link(_ change: Change, isGit: Bool) -> Verdict? {
        guard change.new?.kind == .link else { return nil }
        guard let target = change.newTarget, !target.isEmpty else {
            return Verdict(.blocked, "a link whose target cannot be read")
        }
        let shown = BytePath.escaped(target.prefix(200))
        switch RiskRules.resolve(target, from: change.path.parent) {
        case .leaves: return Verdict(.blocked, "a link that leaves the project, to \(shown)")
        case .unclear:
            return Verdict(.blocked, "a link that may leave the project: \(shown) goes up again below a name")
        case .inside(let path):
            let path = RiskPath(path)
            let isControl =
                path.names.contains(where: \.isGit) || RiskTable.row(for: path.names, .blocked) != nil
            if isControl {
                return Verdict(
                    .blocked, "a link to \(shown): who writes to it changes what is held back there")
            }
            return Verdict(.confirm, "a link to \(shown) in the project")
        }
    }

    private enum Destination {
        case inside(BytePath)
        case leaves
        case unclear
    }

    /// Follows a target by its text from the directory of the link. That directory and those above are real ones; what
    /// the target names below may be links, and `..` after them leads from where those point.
    private static func resolve(_ target: [UInt8], from directory: BytePath) -> Destination {
        guard target.first != UInt8(ascii: "/"), !target.contains(0) else { return .leaves }
        var at = directory
        var hasNamed = false
        for part in target.split(separator: UInt8(ascii: "/")) {
            if part.elementsEqual(".".utf8) { continue }
            if part.elementsEqual("..".utf8) {
                if at == .root { return .leaves }
                if hasNamed { return .unclear }
                at = at.parent
            } else {
                hasNamed = true
                at = at.appending(part)
            }
        }
        return .inside(at)
    }
}
