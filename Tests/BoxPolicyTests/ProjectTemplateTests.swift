import BoxPolicy
import BoxTypes
import Profiles
import Testing

/// What `box init` writes.
struct ProjectTemplateTests {
    typealias Language = ProjectTemplate.Language

    private static let choices: [[Language]] =
        [[]] + Language.allCases.map { [$0] } + [[.node, .python], [.swift, .php, .c], Language.allCases]

    private func read(_ text: String) throws -> PolicyLayer {
        try PolicyReader.read(Array(text.utf8), file: "box.toml", isProject: true) {
            () throws(PolicyErrors) in
            try HostGroups(reading: Shipped.groups, file: "groups.toml")
        }
    }

    @Test(arguments: choices)
    func `the text opens the languages' groups and says nothing else`(languages: [Language]) throws {
        var layer = try read(ProjectTemplate.text(for: languages))
        var groups: [String] = []
        for name in languages.flatMap(\.groups) where !groups.contains(name) { groups.append(name) }
        #expect(layer.network.groups == groups)
        #expect(layer.network.allowTexts.allSatisfy { $0.group != nil })
        layer.network.allowTexts = []
        layer.network.allow = []
        layer.positions = [:]
        #expect(layer == PolicyLayer(name: "box.toml"))
    }

    @Test(arguments: choices)
    func `the text fits in a screen`(languages: [Language]) {
        let lines = ProjectTemplate.text(for: languages).split(
            separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count <= 45)
        #expect(lines.last == "")
        for line in lines where !line.hasPrefix("#read") { #expect(line.count <= 110, "\(line)") }
    }

    @Test(arguments: choices)
    func `what is switched off is right when it is switched on`(languages: [Language]) throws {
        let text = ProjectTemplate.text(for: languages)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var switched = 0
        for (at, line) in lines.enumerated() where line.hasPrefix("#") && !line.hasPrefix("# ") {
            lines[at] = String(line.dropFirst())
            switched += 1
        }
        #expect(switched == 9)
        let layer = try read(lines.joined(separator: "\n"))
        #expect(try layer.network.deny == [HostRule("www.example.com")])
        #expect(layer.network.limits.upload == ByteSize(bytes: 100_000_000))
        #expect(layer.network.hosts.first?.isPrivate == true)
        #expect(layer.workspace.hide.count == 2)
        #expect(!layer.files.read.isEmpty)
        #expect(layer.limits.memory == .bytes(ByteSize(bytes: 8_000_000_000)))
        #expect(layer.limits.time == .seconds(7200))
    }

    @Test(arguments: choices)
    func `a rule that is added takes one line`(languages: [Language]) throws {
        let before = Array(ProjectTemplate.text(for: languages).utf8)
        for list in PolicyText.List.allCases {
            var text = try PolicyText(before, file: "box.toml", isProject: true) { () throws(PolicyErrors) in
                try HostGroups(reading: Shipped.groups, file: "groups.toml")
            }
            #expect(try text.add("api.example.com", to: list) == .added)
            let lines = { (bytes: [UInt8]) in
                bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            }
            #expect(lines(text.bytes).count == lines(before).count + 1)
            #expect(lines(before).allSatisfy(lines(text.bytes).contains))
        }
    }

    @Test func `Python's packages are the user's to allow`() throws {
        let text = ProjectTemplate.text(for: [.python])
        #expect(text.contains("# Python: add the hosts of your package index"))
        #expect(try read(text).network.allow.isEmpty)
    }

    @Test(
        arguments: [
            (["package.json"], [.node]), (["Cargo.toml", "src", "README.md"], [.rust]),
            (["Package.swift"], [.swift]),
            (["App.xcodeproj"], [.swift]), (["go.mod"], [.go]), (["pyproject.toml", "uv.lock"], [.python]),
            (["pom.xml"], [.java]),
            (["settings.gradle.kts", "gradlew"], [.java]), (["Gemfile"], [.ruby]), (["x.gemspec"], [.ruby]),
            (["composer.json"], [.php]),
            (["Shop.sln"], [.dotnet]), (["a.csproj"], [.dotnet]), (["mix.exs"], [.elixir]),
            (["CMakeLists.txt", "Makefile"], [.c]),
            (["Makefile", "README.md", "src"], []), ([], []),
            (["requirements.txt", "package.json", "go.mod"], [.node, .go, .python]),
            (["PACKAGE.JSON", "package.json.bak"], []),
        ] as [(Set<String>, [Language])])
    func `the names at the root tell the languages`(names: Set<String>, languages: [Language]) {
        #expect(Language.detect(names: names) == languages)
    }

    @Test func `every group that a language opens is shipped`() throws {
        let shipped = try HostGroups(reading: Shipped.groups, file: "groups.toml")
        for name in Language.allCases.flatMap(\.groups) { #expect(shipped[name] != nil, "\(name)") }
    }
}
