/// The commented `box.toml` that `box init` writes.
///
/// It opens what the project's languages fetch their packages from, and nothing else. Settings that are
/// switched off begin with `#` and no space, so that taking that one character away switches them on.
package enum ProjectTemplate {
    /// What a project is written in, as far as its packages are concerned.
    package enum Language: String, Equatable, Sendable, CaseIterable {
        case swift, node, rust, go, python, java, ruby, php, dotnet, elixir, c
    }

    /// The text for these languages; none is a text that opens nothing.
    package static func text(for languages: [Language]) -> String {
        let caches = unique(languages.flatMap(\.caches)).map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            # What programs in a box may reach from this project, beside the user's own policy and the
            # agent's. The rest is refused: box pending lists it, box allow HOST adds it here.
            # Lines like #deny are switched off; take the # away to switch one on.

            [network]
            # Hosts: example.com, *.example.com, with a port if it is not 443. @ is for groups of hosts;
            # box policy groups lists them.
            allow = [
            \(allowed(languages).map { "    \($0)\n" }.joined())]
            # Hosts that stay closed, whatever else is allowed.
            #deny = ["www.example.com"]

            # For the whole session: what a program can carry out through the hosts that are allowed.
            #[network.limits]
            #upload = "100MB"

            # For one host: the same limits, or private = true if its address is in a private network.
            #[network.hosts."git.example.com"]
            #private = true

            [workspace]
            # Files that do not exist inside, besides .env, private keys and the like.
            #hide = ["secrets/", "**/*.sqlite"]

            [files]
            # Paths outside the project that can be read, for example what was downloaded before.
            #read = [\(caches.isEmpty ? "\"~/.cache/ccache\"" : caches)]

            [limits]
            # Of a session; box plan shows what holds.
            #memory = "8GB"
            #time = "2h"

            """
    }

    /// The lines of the list of hosts.
    private static func allowed(_ languages: [Language]) -> [String] {
        let groups = unique(languages.flatMap(\.groups))
        let hints = unique(languages.compactMap(\.hint)).map { "# \($0)" }
        let lines = groups.map { "\"@\($0)\"," } + hints
        return lines.isEmpty ? ["# \"api.example.com\","] : lines
    }

    private static func unique(_ all: [String]) -> [String] {
        var seen: Set<String> = []
        return all.filter { seen.insert($0).inserted }
    }
}

extension ProjectTemplate.Language {
    /// The languages that the names at a project's root speak of, in the order of the cases.
    package static func detect(names: Set<String>) -> [ProjectTemplate.Language] {
        allCases.filter { language in
            names.contains { name in
                language.files.contains(name) || language.endings.contains { name.hasSuffix($0) }
            }
        }
    }

    /// Files that only projects of the language have.
    private var files: Set<String> {
        switch self {
        case .swift: ["Package.swift"]
        case .node: ["package.json"]
        case .rust: ["Cargo.toml"]
        case .go: ["go.mod", "go.work"]
        case .python:
            [
                "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "uv.lock",
                "environment.yml",
            ]
        case .java:
            ["pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"]
        case .ruby: ["Gemfile", "gems.rb"]
        case .php: ["composer.json"]
        case .dotnet: ["global.json", "Directory.Build.props", "nuget.config", "NuGet.config"]
        case .elixir: ["mix.exs", "rebar.config"]
        // A Makefile alone says nothing: projects of all languages have one.
        case .c: ["CMakeLists.txt", "meson.build", "configure.ac", "configure", "compile_commands.json"]
        }
    }

    private var endings: [String] {
        switch self {
        case .swift: [".xcodeproj", ".xcworkspace"]
        case .ruby: [".gemspec"]
        case .dotnet: [".csproj", ".fsproj", ".vbproj", ".sln", ".slnx"]
        case .node, .rust, .go, .python, .java, .php, .elixir, .c: []
        }
    }

    /// The groups of hosts that its packages come from.
    package var groups: [String] {
        switch self {
        case .swift: ["github"]
        case .node: ["npm"]
        case .rust: ["crates"]
        case .go: ["go"]
        case .java: ["maven", "gradle"]
        case .ruby: ["rubygems"]
        case .php: ["packagist", "github"]
        case .dotnet: ["nuget"]
        case .elixir: ["hex"]
        case .python, .c: []
        }
    }

    /// What the user has to know where no group opens the language's packages.
    fileprivate var hint: String? {
        switch self {
        case .python: "Python: add the hosts of your package index and of its files here, each by its name."
        case .swift, .node, .rust, .go, .java, .ruby, .php, .dotnet, .elixir, .c: nil
        }
    }

    /// Where its tools keep what they downloaded; no place where they keep a password.
    fileprivate var caches: [String] {
        switch self {
        case .swift: ["~/.cache/org.swift.swiftpm"]
        case .node: ["~/.npm/_cacache"]
        case .rust: ["~/.cargo/registry", "~/.cargo/git"]
        case .go: ["~/go/pkg/mod"]
        case .python: ["~/.cache/pip", "~/.cache/uv"]
        case .java: ["~/.m2/repository", "~/.gradle/caches"]
        case .ruby: ["~/.bundle/cache"]
        case .php: ["~/.cache/composer"]
        case .dotnet: ["~/.nuget/packages"]
        case .elixir: ["~/.hex/packages"]
        case .c: ["~/.cache/ccache"]
        }
    }
}
