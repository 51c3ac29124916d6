import Foundation
import Testing

/// Directories of the project are renamed in a staged view as they are outside of it (docs/workspace.md).
@Suite struct RenamedDirectories {
    /// What a staged view cannot do: a program whose working directory is moved stays in the old one, which is gone; and
    /// nobody can read what a program wants that lets nobody look at it.
    private static let impossible = ["working-directory", "not-dumpable"]

    private func box() throws -> (box: Box, tool: String) {
        var box = try Box()
        box.options = ["--workspace", "overlay", "--net", "none"]
        let tool = box.scratch.project + "/rename-dirs"
        try FileManager.default.copyItem(atPath: try Tools.renameDirs.get(), toPath: tool)
        let made = try Host.run([tool, "make", box.scratch.project])
        #expect(made.status == 0, "\(made)")
        return (box, tool)
    }

    @Test func `every way to rename a directory works inside as outside, and the project stays as it was`()
        throws
    {
        let (box, tool) = try box()
        let inside = try box.run([tool, "try", "."], within: 120)
        // Afterwards: so it also shows that nothing of the project has changed.
        let outside = try Host.run([tool, "try", box.scratch.project])
        #expect(outside.status == 0, "\(outside)")
        let wanted = outside.lines.map { line in
            RenamedDirectories.impossible.contains { line == "ok \($0)" } ? "not \(line)" : line
        }
        let found = inside.lines.map { line in
            line.hasPrefix("not ok ") ? line.split(separator: " ").prefix(3).joined(separator: " ") : line
        }
        #expect(found == wanted, "\(inside)")
        let left = try Host.shell("find '\(box.scratch.state)' -name '.box-moving*'")
        #expect(left.answer.isEmpty, "\(left)")
    }

    @Test func `a session that ends while a directory is moved leaves it whole, in one place`() throws {
        let (box, _) = try box()
        let script =
            "python3 -c 'import os; os.rename(\"many-files/a\", \"many-files/b\")' & while [ -d /proc/$! ]; do ls -a many-files | grep -q box-moving && break; done"
        let outcome = try box.shell(script)
        #expect(outcome.status == 0, "\(outcome)")
        let found = try Host.shell(
            "cd '\(box.scratch.state)'/box/sessions/*/stage/0/upper/many-files && find . -name 'file-*' | cut -d/ -f2 | sort | uniq -c; ls -a | grep -c box-moving"
        )
        let places = found.lines.dropLast().filter { !$0.isEmpty }
        // All in `a`, or all in `b`: whether the task was still there when the move had ended.
        #expect(places.count <= 1 && found.lines.last == "0", "\(found)")
    }
}
