package import BoxKernel
package import BoxTypes

/// Finds what a policy's `hide` patterns hide in a project, on the host.
///
/// Patterns of the root read the root's names and those of directories that a pattern leads to, nothing else. A
/// pattern with `**/` needs a look at every directory; that is done in parallel, and directories that hold what tools
/// fetch or make are passed over, see `passedOver`.
package struct HideWalk: Sendable {
    /// Names of directories that a walk does not look into, unless a pattern has this very name as one of its parts.
    /// Patterns of the root reach into them all the same.
    package static let passedOver: Set<String> = [
        ".git", ".hg", ".svn", ".jj",
        "node_modules", "bower_components", "Pods",
        ".venv", "venv", "__pycache__", ".tox", ".nox", ".eggs", ".mypy_cache", ".pytest_cache",
        ".ruff_cache",
        "target", "build", "dist", "_build", ".build", ".gradle", "DerivedData",
        ".cache", ".next", ".nuxt", ".parcel-cache", ".turbo", ".yarn", ".pnpm-store",
    ]

    private let rules: HideRules
    private let hiding: [HidePattern]
    private let notWalked: Set<[UInt8]>
    /// What hides by a name without wildcards, and what by a pattern: most names of a project are neither.
    private let names: Set<[UInt8]>
    private let globs: [ByteGlob]

    private init(_ rules: HideRules) {
        self.rules = rules
        hiding = rules.patterns.filter { !$0.isException }
        let named = Set(hiding.filter(\.isAtAnyDepth).flatMap(\.components).compactMap(\.literal))
        notWalked = Set(HideWalk.passedOver.map { Array($0.utf8) }).subtracting(named)
        let last = hiding.compactMap(\.components.last)
        names = Set(last.compactMap(\.literal))
        globs = last.filter { $0.literal == nil }
    }

    /// The hidden paths below a directory in their order; what lies in a hidden directory is not listed.
    ///
    /// Links and other mounts are not followed. A directory of the user's own that cannot be read is an error, because
    /// what it holds may have to be hidden.
    package static func find(
        _ rules: HideRules, in host: consuming Tree, threads: Int = Crew.standardCount
    ) throws(StageError) -> [BytePath] {
        let walk = HideWalk(rules)
        guard !walk.hiding.isEmpty else { return [] }
        do throws(KernelError) {
            // A thread costs more than one look at the root.
            let found = try ParallelWalk.run(host, threads: rules.needsWalk ? threads : 0) {
                path, listing throws(KernelError) in walk.look(path, listing)
            }
            return found.sorted()
        } catch {
            throw StageError(
                "look for hidden files", error,
                hint: error.subject.isEmpty
                    ? "" : "Make \(error.subject) readable, or hide it as a whole ([workspace] hide)")
        }
    }

    /// The same for a directory's path.
    package static func find(
        _ rules: HideRules, in host: String, threads: Int = Crew.standardCount
    ) throws(StageError) -> [BytePath] {
        let opened: Tree
        do throws(KernelError) { opened = try Tree.open(host) } catch {
            throw StageError("look for hidden files", error)
        }
        return try find(rules, in: opened, threads: threads)
    }

    private func look(_ path: BytePath, _ listing: Listing) -> ParallelWalk.Step<BytePath> {
        var step = ParallelWalk.Step<BytePath>()
        let isWalked = rules.needsWalk && path.components.allSatisfy { !notWalked.contains(Array($0)) }
        for entry in listing.entries {
            let name = listing.name(entry)
            let isDirectory = entry.kind == .directory
            guard isDirectory || mayHide(name) else { continue }
            let child = path.appending(name)
            if mayHide(name), rules.isHidden(child, isDirectory: isDirectory) {
                step.found.append(child)
            } else if isDirectory, (isWalked && !notWalked.contains(Array(name))) || leads(into: child) {
                step.next.append(child)
            }
        }
        return step
    }

    private func mayHide(_ name: ArraySlice<UInt8>) -> Bool {
        names.contains(Array(name)) || globs.contains { $0.matches(name) }
    }

    /// Whether a pattern of the root speaks of something below this directory.
    private func leads(into directory: BytePath) -> Bool {
        let parts = directory.components
        return hiding.contains { pattern in
            pattern.isAtRoot && pattern.components.count > parts.count
                && zip(pattern.components, parts).allSatisfy { $0.matches($1) }
        }
    }
}
