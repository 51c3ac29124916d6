/// The files of a project that make programs on the host run code or change what box allows.
///
/// In a direct workspace they are read-only inside. The same list says what a review must not take silently.
package enum ControlFiles {
    /// Names at the project's root that are protected whether they exist or not: box's own policy, and what
    /// editors, shells and agents run or obey when a project is opened.
    package static let atRoot = [
        "box.toml", ".envrc", ".vscode", ".idea", ".zed", ".devcontainer", ".mcp.json", ".claude", ".cursor",
        ".codex", ".gemini", ".qwen", ".opencode", ".aider.conf.yml",
    ]

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
        /// An empty directory: git does not list it, and programs that look for a file find none.
        case directory
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
