/// The files of a project that make programs on the host run code or change what box allows.
///
/// In a direct workspace they are read-only inside. The same list says what a review must not take silently.
package enum ControlFiles {
    /// The project's own policy.
    package static let policy = "box.toml"

    /// Directories at the project's root that are protected whether they exist or not: what editors and agents run
    /// or obey when a project is opened.
    package static let directoriesAtRoot = [
        ".vscode", ".idea", ".zed", ".devcontainer", ".claude", ".cursor", ".codex", ".gemini", ".qwen",
        ".opencode",
    ]

    /// Files at the project's root of the same kind, and box's own policy.
    package static let filesAtRoot = [policy, ".envrc", ".mcp.json", ".aider.conf.yml"]

    /// All of them.
    package static let atRoot = filesAtRoot + directoriesAtRoot

    /// Names in a git directory that are protected where they exist.
    package static let inGitDirectory = ["config", "config.worktree", "hooks", "info", "commondir"]

    /// Whether a path relative to the project is a git directory, the project's own or a submodule's, or a
    /// directory on the way to one: these stay writable, but may not be renamed away.
    package static func isPinned(_ path: String) -> Bool {
        if path == ".git" || path == ".git/modules" { return true }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return path.hasPrefix(".git/modules/") && !inGitDirectory.contains(name)
    }

    /// What stands in for a protected name that does not exist, so that there is something to mount over.
    package enum Placeholder: Equatable, Sendable {
        /// An empty directory: git does not list it.
        case directory
        /// A socket that nobody listens on: git passes over it, and a program that looks for a file or a directory
        /// finds neither. An empty `.git` directory would make build tools believe in a repository.
        case socket
        /// A file with a content that means the same as no file.
        case file(String)
    }

    /// Names in a git directory that are protected where they do not exist. Each content is what git does without
    /// the file: no further settings, no attributes, the repository itself as common directory.
    package static let absentInGitDirectory: [(name: String, placeholder: Placeholder)] = [
        ("commondir", .file(".\n")), ("config.worktree", .file("")), ("hooks", .directory),
        ("info", .directory),
    ]
}
