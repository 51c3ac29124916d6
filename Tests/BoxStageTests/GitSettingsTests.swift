import BoxStage
import Glibc
import Testing

/// Single keys of git's configuration.
struct GitSettingsTests {
    @Test(arguments: [
        ("[core]\n\tworktree = ../x\n", "../x"), ("[core] worktree=a", "a"),
        ("[CORE]\nWorkTree = a b \n", "a b"),
        ("[core]\nworktree = \" a b \"  # c\n", " a b "), ("[core]\nworktree = a#b\n", "a"),
        ("[core]\nworktree = a\\\n  b\n", "a  b"), ("[core]\nworktree = a\\tb\\\\\\\"\n", "a\tb\\\""),
        ("[core]\nworktree\n", "true"), ("[core]\nworktree =\n", ""),
        ("[core]\nworktree = a\nworktree = b\n", "b"),
        ("[core]\r\nworktree = a\r\n", "a"), ("\u{FEFF}[core]\nworktree = a", "a"),
        ("# c\n; d\n[x]\ny = z ; e\n[core]\nworktree = a ; f\n", "a"),
        ("[core]\nworktree = \"a\"b\"c\"\n", "abc"),
    ])
    func `a key's value is what git reads`(text: String, expected: String) throws {
        let settings = try #require(GitSettings(Array(text.utf8)))
        #expect(settings.value("core.worktree") == Array(expected.utf8))
        // Git itself is asked; it keeps to the file, since nothing else is there.
        var template = Array("/var/tmp/box-config-XXXXXX".utf8CString)
        let number = unsafe mkstemp(&template)
        try #require(number >= 0)
        defer { close(number) }
        let written = Array(text.utf8)
        let count = unsafe write(number, written, written.count)
        #expect(count == written.count)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { _ = unsafe unlink(path) }
        let command: String =
            "v=$(env -i PATH=/usr/bin:/bin git config --file '\(path)' core.worktree; printf x) && test \"$v\" = \"$BOX_EXPECTED\""
        // `printf x` keeps what ends the value; git adds one newline, and shows a key without value as nothing.
        let shown = (text.contains("worktree\n") ? "" : expected) + "\nx"
        let status = unsafe system("BOX_EXPECTED='\(shown)'; \(command)")
        #expect(status == 0)
    }

    @Test(arguments: [
        "[core \"sub\"]\nworktree = a\n", "[other]\nworktree = a\n", "[core.sub]\nworktree = a\n", "",
        "[core]\nworktrees = a\n", "# [core]\n# worktree = a\n", "[x \"]\\\"\"]\ny = \"[core]\"\n",
    ])
    func `other sections and keys are not taken for it`(text: String) throws {
        let settings = try #require(GitSettings(Array(text.utf8)))
        #expect(settings.value("core.worktree") == nil)
    }

    @Test(arguments: [
        "worktree = a\n", "[core\nworktree = a\n", "[core]\nworktree = \"a\n", "[core]\nworktree = a\\x\n",
        "[]\na = b\n",
        "[core]\n1a = b\n", "[core]\n= b\n", "[core]\nworktree a\n", "[core \"x]\na = b\n",
        "[core]\nworktree = a\\",
        "[core]\nworktree = a\u{0}b\n", "[core \"x\" ]\na = b\n", "!",
    ])
    func `a file that git would refuse is refused`(text: String) {
        #expect(GitSettings(Array(text.utf8)) == nil)
    }

    @Test func `random bytes are settings or a refusal`() {
        var random = SeededNumbers(seed: 5)
        let letters = Array("[core]\n\r=\"\\;# \tworktree.x\u{FEFF}".utf8) + [0xFF, 0]
        var read = 0
        for _ in 0..<20_000 {
            if GitSettings(random.take(random.below(30), of: letters)) != nil { read += 1 }
        }
        #expect(read > 50)
    }
}
