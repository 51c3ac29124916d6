internal import BoxKernel
package import BoxTypes
internal import Glibc

// A repository may keep its hooks in a directory of the project, which only its settings tell.
extension RiskRules {
    /// The directories of the project from which git on the host runs hooks (`core.hooksPath`), as the host's settings
    /// have them. A file that git itself would refuse says nothing.
    package static func hookDirectories(of stage: Stage) throws(StageError) -> [BytePath] {
        var found: [BytePath] = []
        for tree in stage.roots.indices {
            let host = try stage.openHost(tree)
            for name in ["config", "config.worktree"] {
                guard let path = BytePath(tree == 0 ? ".git/\(name)" : name) else { continue }
                guard let bytes = try read(path, in: host), let settings = GitSettings(bytes),
                    let value = settings.value("core.hookspath"),
                    let directory = directory(value, of: stage.roots[0].host)
                else { continue }
                found.append(directory)
            }
        }
        return found
    }

    private static func read(
        _ path: BytePath, in host: borrowing Tree
    ) throws(StageError) -> [UInt8]? {
        do throws(KernelError) {
            guard try host.node(path)?.kind == .file else { return nil }
            return try host.open(path, O_RDONLY).readAll(limit: 1 << 20)
        } catch { throw StageError("read \(path.escaped) on the host", error) }
    }

    /// The directory in the project that the setting names; nil for one elsewhere, and for the project as a whole.
    static func directory(_ value: [UInt8], of project: AbsolutePath) -> BytePath? {
        guard let text = String(validating: value, as: UTF8.self), !text.isEmpty, !text.hasPrefix("~") else {
            return nil
        }
        do throws(AbsolutePath.Refusal) {
            let path = try AbsolutePath(text.hasPrefix("/") ? text : "\(project)/\(text)")
            return path.relative(to: project).flatMap { BytePath($0) }
        } catch { return nil }
    }
}
