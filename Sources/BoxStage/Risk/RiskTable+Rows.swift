extension RiskTable {
    /// All groups; of two that know a name the first one speaks.
    static let rows: [Row] = blocked + services + builds + languages + tools

    /// What runs, or is obeyed, without anybody asking for it.
    private static let blocked = [
        Row(.blocked, "it says what box allows; change it on the host", "box.toml"),
        Row(
            .blocked, "a shell runs it on entering the directory",
            ".envrc .envrc.* .direnv/ .autoenv .autoenv.zsh .autoenv_leave.zsh"),
        Row(
            .blocked, "mise runs its commands on entering the directory",
            """
            mise.toml .mise.toml mise.local.toml .mise.local.toml mise/config.toml .mise/ .config/mise.toml
            .config/mise/
            """),
        Row(
            .blocked, "editors run its tasks and obey its settings on opening the project",
            ".vscode/ .vscode-server/ .idea/ .zed/ .fleet/ .vs/ .theia/ .nova/"),
        Row(
            .blocked, "editors run its commands on the host before they open the project",
            ".devcontainer/ .devcontainer.json"),
        Row(
            .blocked, "vi can run it when a file next to it is opened",
            ".exrc .vimrc _vimrc .gvimrc .lvimrc .nvimrc .nvim.lua"),
        Row(
            .blocked, "agents on the host run its commands and obey its permissions",
            """
            .claude/ .cursor/ .codex/ .gemini/ .qwen/ .opencode/ .windsurf/ .kiro/ .roo/ .cline/ .continue/
            .amazonq/ .factory/ .trae/ .augment/ .junie/ .goose/ .agents/ .github/hooks/ .mcp.json
            .aider.conf.yml .aider.conf.yaml opencode.json opencode.jsonc crush.json .crush.json
            """),
        Row(.blocked, "git on the host runs it as a hook", ".husky/ .githooks/ .git-hooks/"),
        Row(
            .blocked, "git settings that a repository's own often include; they can name programs to run",
            ".gitconfig"),
    ]

    /// What runs elsewhere, or is read by agents.
    private static let services = [
        Row(
            .confirm, alsoDeleted: true, "the CI service runs it, with the project's secrets",
            """
            .github/workflows/ .github/actions/ action.yml action.yaml .gitlab-ci.yml .gitlab/ .circleci/
            Jenkinsfile Jenkinsfile.* *.jenkinsfile azure-pipelines*.yml azure-pipelines*.yaml .azure-pipelines/
            .azuredevops/ .drone.yml .drone.yaml .travis.yml .buildkite/ bitbucket-pipelines.yml appveyor.yml
            .appveyor.yml .cirrus.yml .cirrus.star .woodpecker.yml .woodpecker.yaml .woodpecker/ .semaphore/
            .teamcity/ .forgejo/ .gitea/ .builds/ .build.yml cloudbuild.yaml cloudbuild.yml buildspec.yml
            codemagic.yaml bitrise.yml wercker.yml .ci/
            """),
        Row(
            .confirm, "it runs when the project is deployed",
            "netlify.toml vercel.json Procfile fly.toml render.yaml serverless.yml serverless.yaml"),
        Row(
            .confirm, "agents on the host take it for instructions",
            """
            AGENTS.md AGENTS.override.md CLAUDE.md CLAUDE.local.md GEMINI.md QWEN.md CRUSH.md .cursorrules
            .windsurfrules .clinerules .clinerules/ .roorules .goosehints .rules .github/copilot-instructions.md
            .github/instructions/ .github/prompts/ .github/agents/ .github/chatmodes/
            """),
    ]

    /// What common commands for building and testing run, in any language.
    private static let builds = [
        Row(
            .confirm, "make and its like run it on the host",
            """
            Makefile Makefile.* GNUmakefile BSDmakefile *.mk justfile .justfile *.just Taskfile.yml Taskfile.yaml
            Tiltfile Earthfile Rakefile *.rake SConstruct SConscript wscript meson.build meson_options.txt
            CMakeLists.txt *.cmake CMakePresets.json CMakeUserPresets.json configure configure.ac configure.in
            Makefile.am autogen.sh build.ninja BUILD BUILD.bazel WORKSPACE WORKSPACE.bazel MODULE.bazel .bazelrc
            *.bzl .buckconfig BUCK
            """),
        Row(
            .confirm, "it runs in a container build, or mounts parts of the host",
            """
            Dockerfile Dockerfile.* *.dockerfile Containerfile Containerfile.* docker-bake.hcl docker-bake.json
            docker-compose*.yml docker-compose*.yaml compose*.yml compose*.yaml skaffold.yaml Vagrantfile
            """),
        Row(
            .confirm, "it runs when a commit is made or pushed",
            """
            .pre-commit-config.yaml .pre-commit-config.yml .pre-commit-hooks.yaml lefthook*.yml .lefthook*.yml
            lefthook*.toml .lefthook/ .lintstagedrc .lintstagedrc.* lint-staged.config.* .huskyrc .huskyrc.*
            commitlint.config.* .overcommit.yml
            """),
        Row(
            .confirm, "it chooses which versions of tools run, and where they come from",
            ".tool-versions .asdfrc .sdkmanrc rust-toolchain rust-toolchain.toml global.json .swift-version"),
        Row(
            .confirm, "nix runs what it says",
            "flake.nix shell.nix default.nix devenv.nix devenv.yaml devbox.json flake.lock"),
    ]

    /// What the tools of single languages run or obey.
    private static let languages = [
        Row(
            .confirm, "Python tools run it",
            """
            setup.py setup.cfg pyproject.toml conftest.py pytest.ini tox.ini noxfile.py fabfile.py
            sitecustomize.py usercustomize.py *.pth hatch_build.py dodo.py
            """),
        Row(
            .confirm, "it says where packages are fetched from, and can name programs to run",
            """
            pip.conf .pydistutils.cfg .npmrc .yarnrc .yarnrc.yml .yarn/releases/ .yarn/plugins/ .yarn/sdks/
            .pnpmfile.cjs pnpmfile.js pnpm-workspace.yaml bunfig.toml .bundle/ nuget.config .condarc
            .cargo/config .cargo/config.toml .cargo/credentials .cargo/credentials.toml
            """),
        Row(.confirm, "cargo compiles and runs it before the package", "build.rs"),
        Row(
            .confirm, "JavaScript tools and editors' extensions run it",
            """
            *.config.js *.config.cjs *.config.mjs *.config.ts *.config.mts *.config.cts .eslintrc.js .eslintrc.cjs
            .prettierrc.js .prettierrc.cjs .prettierrc.mjs .babelrc.js .babelrc.cjs .mocharc.js .mocharc.cjs
            .stylelintrc.js gulpfile.* Gruntfile.* Jakefile Jakefile.js karma.conf.*
            """),
        Row(
            .confirm, "Gradle, Maven or sbt run it",
            """
            *.gradle *.gradle.kts gradlew gradlew.bat gradle/wrapper/ gradle.properties buildSrc/ build-logic/ mvnw
            mvnw.cmd .mvn/ pom.xml build.xml build.sbt project/plugins.sbt project/build.properties build.sc
            """),
        Row(
            .confirm, "MSBuild runs its tasks, also when an editor opens the project",
            "*.csproj *.fsproj *.vbproj *.vcxproj *.proj *.targets *.props *.sln.targets Directory.Build.rsp"),
        Row(
            .confirm, "Ruby, Elixir and other tools run it",
            """
            Gemfile *.gemspec .irbrc .pryrc config.ru mix.exs .iex.exs rebar.config rebar.config.script project.clj
            bb.edn Setup.hs build.zig dune Makefile.PL Build.PL .Rprofile .Renviron
            """),
        Row(.confirm, "SwiftPM runs it", "Package.swift Package@swift-*.swift"),
    ]

    /// Settings of other tools on the host.
    private static let tools = [
        Row(.confirm, "git fetches other repositories by it", ".gitmodules"),
        Row(.confirm, "it chooses which of your git filters and merge programs run", ".gitattributes"),
        Row(.confirm, "git LFS sends files and passwords to the address in it", ".lfsconfig"),
        Row(.confirm, "a debugger can run it on start", ".gdbinit .lldbinit"),
        Row(
            .confirm, "an editor can run what it says",
            ".dir-locals.el .dir-locals-2.el *.code-workspace *.sublime-project .clangd .ycm_extra_conf.py"),
        Row(.confirm, "Python shells and notebooks run it on start", ".jupyter/ .ipython/ .pythonrc.py"),
    ]
}
