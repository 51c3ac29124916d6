import BoxSession
import BoxTypes
import Glibc
import Testing

/// Finding an agent's program: made-up installations of every kind in a scratch home.
struct AgentProgramTests {
    /// A home, a project and what else is needed, with real files and links.
    final class Scratch {
        struct Unwritable: Error {}

        /// Its real path, with `home` and `project` below.
        let root: String

        init() throws {
            var template = Array("/var/tmp/box-program-XXXXXX".utf8CString)
            let made = unsafe mkdtemp(&template) != nil
            try #require(made)
            root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            try run("mkdir -p home project bin")
        }

        deinit { _ = unsafe system("rm -rf '\(root)'") }

        /// Runs shell lines at the root. `elf FILE…` makes programs, `script FILE LINE…` scripts, `link TARGET FILE` links;
        /// directories are made as needed, and `H` is the home.
        func run(_ lines: String) throws {
            let functions = """
                H='\(root)/home'
                elf() { for f; do mkdir -p "$(dirname "$f")"; printf '\\177ELF\\002\\001\\000' >"$f"; chmod 755 "$f"; done; }
                script() { f=$1; shift; mkdir -p "$(dirname "$f")"; printf '%s\\n' "$@" >"$f"; chmod 755 "$f"; }
                link() { mkdir -p "$(dirname "$2")"; ln -s "$1" "$2"; }
                file() { f=$1; shift; mkdir -p "$(dirname "$f")"; printf '%s\\n' "$@" >"$f"; }
                """
            let file = root + "/lines.sh"
            let text = "set -eu\ncd '\(root)'\n" + functions + "\n" + lines + "\n"
            guard let stream = unsafe fopen(file, "w") else { throw Unwritable() }
            let wrote = unsafe fputs(text, stream)
            let closed = unsafe fclose(stream)
            try #require(wrote >= 0 && closed == 0)
            let status = unsafe system("sh '\(file)'")
            try #require(status == 0, "\(lines)")
        }

        func at(_ path: String) throws -> AbsolutePath {
            try AbsolutePath(path.hasPrefix("/") ? path : "\(root)/\(path)")
        }

        /// `path` are directories below the scratch directory, or absolute ones; other texts stay as they are.
        func find(
            _ path: [String], _ name: String = "agent", environment: [String: String] = [:]
        ) throws -> AgentProgram? {
            let entries = path.map {
                $0.hasPrefix("home") || $0.hasPrefix("@") ? "\(root)/\($0.drop { $0 == "@" })" : $0
            }
            return try AgentProgram.find(
                name, path: entries.joined(separator: ":"), home: at("home"), project: at("project"),
                environment: environment)
        }

        func found(
            _ path: [String], _ name: String = "agent", environment: [String: String] = [:]
        ) throws -> AgentProgram {
            try #require(try find(path, name, environment: environment))
        }

        /// Nothing is found, and the reason has these in it.
        func isRefused(_ path: [String], _ parts: String..., environment: [String: String] = [:]) {
            let error = #expect(throws: SessionError.self) {
                let found = try find(path, environment: environment)
                Issue.record("found \(String(describing: found))")
            }
            for part in parts { #expect("\(error.map { "\($0)" } ?? "")".contains(part), "\(part)") }
        }

        /// The program is this one, and this is all that it needs.
        func expect(
            _ program: AgentProgram, is path: String, readable: [String], search: [String] = [],
            names: [String: String] = [:], links: [String: String] = [:],
            environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            var all: [AbsolutePath: AbsolutePath] = [:]
            for (link, target) in links { all[try at(link)] = try at(target) }
            let wanted = AgentProgram(
                path: try at(path), readable: try readable.map(at).sorted(), searchPath: try search.map(at),
                names: try names.mapValues(at), links: all, environment: environment)
            #expect(program == wanted, sourceLocation: sourceLocation)
        }
    }

    // MARK: - Single programs

    @Test func `a name that is nowhere in PATH is no program`() throws {
        let scratch = try Scratch()
        #expect(try scratch.find(["home/bin", "/usr/bin"]) == nil)
        #expect(try scratch.find([]) == nil)
    }

    @Test func `a native program behind a link needs the one version's file`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/.local/share/agent/versions/1.2.3 $H/.local/share/agent/versions/1.2.2
            link $H/.local/share/agent/versions/1.2.3 $H/.local/bin/agent
            """)
        let version = "home/.local/share/agent/versions/1.2.3"
        try scratch.expect(
            try scratch.found(["home/.local/bin", "/usr/bin"]), is: version, readable: [version],
            names: ["agent": version])
    }

    @Test func `a version that is a directory is needed as a whole`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            V=$H/.local/share/agent/versions/2026.1
            elf $V/node
            script $V/agent '#!/usr/bin/env bash' 'set -e' 'D="$(dirname "$(readlink -f "$0")")"' 'exec "$D/node" "$D/index.js" "$@"'
            file $V/index.js 'x'
            link ../share/agent/versions/2026.1/agent $H/.local/bin/agent
            """)
        let version = "home/.local/share/agent/versions/2026.1"
        try scratch.expect(
            try scratch.found(["home/.local/bin"]), is: version + "/agent", readable: [version],
            search: [version])
    }

    @Test(arguments: ["home/bin", "home/.cargo/bin", "home/go/bin", "home/.local/bin", "home/.agent/bin"])
    func `a program that lies alone is needed alone`(directory: String) throws {
        let scratch = try Scratch()
        try scratch.run("elf \(directory)/agent \(directory)/other; file $H/.cargo/credentials.toml secret")
        let path = directory + "/agent"
        try scratch.expect(try scratch.found([directory]), is: path, readable: [path], names: ["agent": path])
    }

    @Test func `a program of the system needs nothing`() throws {
        let scratch = try Scratch()
        let found = try scratch.found(["/usr/bin"], "env")
        try scratch.expect(found, is: "/usr/bin/env", readable: [], names: ["env": "/usr/bin/env"])
    }

    @Test func `a program that looks at its name is called by it`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/.local/share/agent/versions/2/bin/multi
            link multi $H/.local/share/agent/versions/2/bin/agent
            link $H/.local/share/agent/versions/2/bin/agent $H/.local/bin/agent
            elf $H/.cargo/bin/multi; link multi $H/.cargo/bin/agent
            """)
        let version = "home/.local/share/agent/versions/2"
        try scratch.expect(
            try scratch.found(["home/.local/bin"]), is: version + "/bin/agent", readable: [version],
            names: ["agent": version + "/bin/agent"])
        // Its link is not inside, but another one of that name is.
        try scratch.expect(
            try scratch.found(["home/.cargo/bin"]), is: "home/.cargo/bin/multi",
            readable: ["home/.cargo/bin/multi"], names: ["agent": "home/.cargo/bin/multi"])
    }

    @Test func `an absolute path is taken as it is`() throws {
        let scratch = try Scratch()
        try scratch.run("elf $H/tools/agent")
        let path = "home/tools/agent"
        let found = try #require(
            try AgentProgram.find(
                scratch.at(path).string, path: "", home: scratch.at("home"), project: scratch.at("project")))
        #expect(found.path == (try scratch.at(path)))
        #expect(found.readable == [try scratch.at(path)])
    }

    // MARK: - Node

    /// A package of node below a prefix's `lib/node_modules`, linked from its `bin`.
    private static let package =
        """
        npm() {
            script "$1/lib/node_modules/@maker/agent/cli.js" '#!/usr/bin/env node' 'run()'
            file "$1/lib/node_modules/@maker/agent/package.json" '{}'
            link ../lib/node_modules/@maker/agent/cli.js "$1/bin/agent"
        }

        """

    @Test func `a prefix of npm needs its modules, and node where it lies`() throws {
        let scratch = try Scratch()
        try scratch.run(AgentProgramTests.package + "npm $H/.npm-global; elf $H/.local/bin/node")
        let modules = "home/.npm-global/lib/node_modules"
        try scratch.expect(
            try scratch.found(["home/.npm-global/bin", "home/.local/bin"]),
            is: modules + "/@maker/agent/cli.js", readable: [modules, "home/.local/bin/node"],
            names: ["agent": modules + "/@maker/agent/cli.js", "node": "home/.local/bin/node"])
    }

    @Test func `nvm's version is needed as a whole and searched first`() throws {
        let scratch = try Scratch()
        try scratch.run(
            AgentProgramTests.package
                + "V=$H/.nvm/versions/node/v22.1.0; npm $V; elf $V/bin/node; mkdir -p $V/include; elf $H/.nvm/versions/node/v20.0.0/bin/node"
        )
        let version = "home/.nvm/versions/node/v22.1.0"
        try scratch.expect(
            try scratch.found([version + "/bin", "/usr/bin"]),
            is: version + "/bin/agent", readable: [version], search: [version + "/bin"])
    }

    @Test func `fnm's links of a shell lead to the installation`() throws {
        let scratch = try Scratch()
        try scratch.run(
            AgentProgramTests.package + """
                V=$H/.local/share/fnm/node-versions/v22.1.0/installation
                npm $V; elf $V/bin/node
                link $V $H/.local/share/fnm/aliases/default
                link $H/.local/share/fnm/aliases/default $H/.local/state/fnm_multishells/12_34
                """)
        let version = "home/.local/share/fnm/node-versions/v22.1.0/installation"
        try scratch.expect(
            try scratch.found(["home/.local/state/fnm_multishells/12_34/bin", "/usr/bin"]),
            is: version + "/bin/agent", readable: [version], search: [version + "/bin"])
    }

    @Test func `a node that was unpacked into ~/.local opens no more than the modules and itself`() throws {
        let scratch = try Scratch()
        try scratch.run(AgentProgramTests.package + "npm $H/.local; elf $H/.local/bin/node")
        let modules = "home/.local/lib/node_modules"
        try scratch.expect(
            try scratch.found(["home/.local/bin"]), is: modules + "/@maker/agent/cli.js",
            readable: ["home/.local/bin/node", modules],
            names: ["agent": modules + "/@maker/agent/cli.js", "node": "home/.local/bin/node"])
    }

    @Test func `volta's shim keeps its name and has its home`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "elf $H/.volta/bin/volta-shim; link volta-shim $H/.volta/bin/agent; file $H/.volta/layout.v4")
        for environment in [[:], ["VOLTA_HOME": scratch.root + "/home/.volta"]] {
            try scratch.expect(
                try scratch.found(["home/.volta/bin"], environment: environment), is: "home/.volta/bin/agent",
                readable: ["home/.volta"], search: ["home/.volta/bin"],
                environment: ["VOLTA_HOME": scratch.root + "/home/.volta"])
        }
        // A link elsewhere leads to the shim by the name that counts.
        try scratch.run("link $H/.volta/bin/agent $H/bin/other")
        #expect(try scratch.found(["home/bin"], "other").path == scratch.at("home/.volta/bin/agent"))
    }

    @Test func `pnpm's script looks for the modules beside itself`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            P=$H/.local/share/pnpm
            script $P/agent '#!/bin/sh' \
                'basedir=$(dirname "$(echo "$0" | sed -e '"'s,\\\\\\\\,/,g'"')")' '' 'case `uname` in' \
                '    *CYGWIN*) basedir=`cygpath -w "$basedir"`;;' 'esac' '' \
                'if [ -z "$NODE_PATH" ]; then' '  export NODE_PATH="/x/node_modules"' 'fi' \
                'if [ -x "$basedir/node" ]; then' \
                '  exec "$basedir/node"  "$basedir/global/5/node_modules/@maker/agent/cli.js" "$@"' 'else' \
                '  exec node  "$basedir/global/5/node_modules/@maker/agent/cli.js" "$@"' 'fi'
            script $P/global/5/.pnpm/@maker+agent@1.0.0/node_modules/@maker/agent/cli.js '#!/usr/bin/env node'
            link ../../.pnpm/@maker+agent@1.0.0/node_modules/@maker/agent $P/global/5/node_modules/@maker/agent
            elf $H/.nvm/versions/node/v22.1.0/bin/node
            """)
        try scratch.expect(
            try scratch.found(["home/.local/share/pnpm", "home/.nvm/versions/node/v22.1.0/bin"]),
            is: "home/.local/share/pnpm/agent",
            readable: ["home/.local/share/pnpm", "home/.nvm/versions/node/v22.1.0"],
            search: ["home/.local/share/pnpm", "home/.nvm/versions/node/v22.1.0/bin"])
    }

    @Test func `yarn's and bun's global modules are needed together`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/bin/node
            script $H/.config/yarn/global/node_modules/@maker/agent/cli.js '#!/usr/bin/env -S node --no-warnings'
            link ../@maker/agent/cli.js $H/.config/yarn/global/node_modules/.bin/agent
            link ../../.config/yarn/global/node_modules/.bin/agent $H/.yarn/bin/agent
            script $H/.bun/install/global/node_modules/@maker/agent/cli.js '#!/usr/bin/env bun'
            link ../install/global/node_modules/@maker/agent/cli.js $H/.bun/bin/agent
            elf $H/.bun/bin/bun
            """)
        let yarn = "home/.config/yarn/global/node_modules"
        try scratch.expect(
            try scratch.found(["home/.yarn/bin", "home/bin"]), is: yarn + "/.bin/agent",
            readable: [yarn, "home/bin/node"],
            names: ["agent": yarn + "/.bin/agent", "node": "home/bin/node"])
        let bun = "home/.bun/install/global/node_modules"
        try scratch.expect(
            try scratch.found(["home/.bun/bin"]), is: bun + "/@maker/agent/cli.js",
            readable: ["home/.bun/bin/bun", bun],
            names: ["agent": bun + "/@maker/agent/cli.js", "bun": "home/.bun/bin/bun"])
    }

    @Test func `a linked package is needed as a whole`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/bin/node
            script $H/src/agent/dist/cli.js '#!/usr/bin/env node'
            file $H/src/agent/package.json '{}'
            link $H/src/agent $H/.npm-global/lib/node_modules/agent
            link ../lib/node_modules/agent/dist/cli.js $H/.npm-global/bin/agent
            """)
        let found = try scratch.found(["home/.npm-global/bin", "home/bin"])
        #expect(found.path == (try scratch.at("home/src/agent/dist/cli.js")))
        #expect(found.readable == [try scratch.at("home/bin/node"), try scratch.at("home/src/agent")])
    }

    @Test func `a script without its interpreter says which one`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "script $H/bin/agent '#!/usr/bin/env nosuchnode'; script $H/b2/agent '#!/no/such/node'")
        scratch.isRefused(["home/bin"], "home/bin/agent needs nosuchnode")
        scratch.isRefused(["home/b2"], "/no/such/node")
    }

    // MARK: - Version managers' shims

    @Test func `mise's shim is resolved to the version that the user chose`() throws {
        let scratch = try Scratch()
        try scratch.run(
            AgentProgramTests.package + """
                M=$H/.local/share/mise
                elf $H/.local/bin/mise
                link $H/.local/bin/mise $M/shims/agent
                link $H/.local/bin/mise $M/shims/node
                for v in 20.9.0 22.1.0 22.11.0 24.0.0; do elf $M/installs/node/$v/bin/node; done
                npm $M/installs/npm-maker-agent/1.9.0; npm $M/installs/npm-maker-agent/1.10.0
                link ./1.9.0 $M/installs/npm-maker-agent/latest
                file $H/.config/mise/config.toml '[env]' 'TOKEN = "x"' '[tools]' 'node = "22"' '"npm:@maker/agent" = "latest"'
                """)
        let installs = "home/.local/share/mise/installs"
        let agent = installs + "/npm-maker-agent/1.10.0"
        try scratch.expect(
            try scratch.found(["home/.local/share/mise/shims"]),
            is: agent + "/bin/agent",
            readable: [installs + "/node/22.11.0", agent], search: [installs + "/node/22.11.0/bin"],
            names: ["agent": agent + "/bin/agent"])
        let other = try scratch.found(
            ["home/.local/share/mise/shims"], environment: ["MISE_NODE_VERSION": "20"])
        #expect(other.searchPath == [try scratch.at(installs + "/node/20.9.0/bin")])
    }

    @Test(arguments: ["exec asdf exec \"agent\" \"$@\"", "exec $H/.asdf/bin/asdf exec \"agent\" \"$@\""])
    func `asdf's shim is resolved to a version that it names`(line: String) throws {
        let scratch = try Scratch()
        try scratch.run(
            AgentProgramTests.package + """
                A=$H/.asdf
                for v in 18.0.0 20.1.0; do npm $A/installs/nodejs/$v; elf $A/installs/nodejs/$v/bin/node; done
                for n in agent node; do
                    script $A/shims/$n '#!/usr/bin/env bash' '# asdf-plugin: nodejs 18.0.0' '# asdf-plugin: nodejs 20.1.0' '\(line)'
                done
                """)
        func expect(_ version: String, _ environment: [String: String] = [:]) throws {
            let place = "home/.asdf/installs/nodejs/" + version
            try scratch.expect(
                try scratch.found(["home/.asdf/shims", "/usr/bin"], environment: environment),
                is: place + "/bin/agent", readable: [place],
                search: [place + "/bin"])
        }
        try expect("20.1.0")
        try scratch.run("file $H/.tool-versions '# mine' 'nodejs 18.0.0'")
        try expect("18.0.0")
        try expect("20.1.0", ["ASDF_NODEJS_VERSION": "20.1.0"])
    }

    @Test func `pyenv's shim is resolved to the version that the user chose`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            P=$H/.pyenv
            for v in 3.9.18 3.11.7 3.12.1; do
                elf $P/versions/$v/bin/python3
                mkdir -p $P/versions/$v/lib
                script $P/versions/$v/bin/agent "#!$P/versions/$v/bin/python3"
            done
            script $P/shims/agent '#!/usr/bin/env bash' 'set -e' 'program="${0##*/}"' "export PYENV_ROOT=\\"$P\\"" \
                "exec \\"$P/libexec/pyenv\\" exec \\"\\$program\\" \\"\\$@\\""
            file $P/version 3.11
            """)
        func expect(_ version: String, _ path: [String], _ environment: [String: String] = [:]) throws {
            let place = "home/.pyenv/versions/" + version
            let found = try scratch.found(path, environment: environment)
            #expect(found.path == (try scratch.at(place + "/bin/agent")))
            #expect(found.readable == [try scratch.at(place)])
            #expect(found.links.isEmpty)
        }
        try expect("3.11.7", ["home/.pyenv/shims"])
        try expect("3.9.18", ["home/.pyenv/shims"], ["PYENV_VERSION": "3.9.18"])
        // The system's is preferred, but has no such program.
        try scratch.run("echo system > $H/.pyenv/version")
        try expect("3.12.1", ["home/.pyenv/shims", "/usr/bin"])
        try scratch.run("elf $H/bin/agent")
        #expect(try scratch.found(["home/.pyenv/shims", "home/bin"]).path == scratch.at("home/bin/agent"))
    }

    @Test func `a project's choice of a version does not count`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            P=$H/.nodenv
            for v in 20.0.0 22.0.0; do elf $P/versions/$v/bin/agent; done
            script $P/shims/agent '#!/usr/bin/env bash' "exec $P/libexec/nodenv exec agent \\"\\$@\\""
            file $P/version 22.0.0
            echo 20.0.0 > project/.node-version
            """)
        #expect(
            try scratch.found(["home/.nodenv/shims"]).path
                == scratch.at("home/.nodenv/versions/22.0.0/bin/agent"))
    }

    @Test func `a shim whose program is not installed says so`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "script $H/.pyenv/shims/agent '#!/bin/sh' 'exec pyenv'; mkdir -p $H/.pyenv/versions/3.12.1/bin")
        scratch.isRefused(["home/.pyenv/shims"], "is a shim, and no installed version has agent")
    }

    // MARK: - Python

    /// A tool of uv: a virtual environment whose Python is reached through a link for the minor version.
    private static let tool =
        """
        U=$H/.local/share/uv
        elf $U/python/cpython-3.12.3-linux-x86_64-gnu/bin/python3.12
        mkdir -p $U/python/cpython-3.12.3-linux-x86_64-gnu/lib/python3.12
        link cpython-3.12.3-linux-x86_64-gnu $U/python/cpython-3.12-linux-x86_64-gnu
        link $U/python/cpython-3.12-linux-x86_64-gnu/bin/python3.12 $U/tools/agent-chat/bin/python
        file $U/tools/agent-chat/pyvenv.cfg "home = $U/python/cpython-3.12-linux-x86_64-gnu/bin" 'version_info = 3.12'
        script $U/tools/agent-chat/bin/agent "#!$U/tools/agent-chat/bin/python" 'import sys'
        link $U/tools/agent-chat/bin/agent $H/.local/bin/agent

        """

    @Test func `a tool of uv needs its environment and the Python that it was made from`() throws {
        let scratch = try Scratch()
        try scratch.run(AgentProgramTests.tool)
        let uv = "home/.local/share/uv"
        let python = uv + "/python/cpython-3.12.3-linux-x86_64-gnu"
        try scratch.expect(
            try scratch.found(["home/.local/bin"]), is: uv + "/tools/agent-chat/bin/agent",
            readable: [python, uv + "/tools/agent-chat"],
            names: ["agent": uv + "/tools/agent-chat/bin/agent"],
            links: [uv + "/python/cpython-3.12-linux-x86_64-gnu": python])
    }

    @Test func `a long path to Python stands in a line of a shell script`() throws {
        let scratch = try Scratch()
        try scratch.run(
            AgentProgramTests.tool + """
                printf '%s\\n' '#!/bin/sh' "'''exec' \\"$U/tools/agent-chat/bin/python\\" \\"\\$0\\" \\"\\$@\\"" "' '''" \
                    > $U/tools/agent-chat/bin/agent
                """)
        let uv = "home/.local/share/uv"
        #expect(
            try scratch.found(["home/.local/bin"]).readable == [
                try scratch.at(uv + "/python/cpython-3.12.3-linux-x86_64-gnu"),
                try scratch.at(uv + "/tools/agent-chat"),
            ])
    }

    @Test func `pipx on the system's Python needs its environment alone`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            V=$H/.local/share/pipx/venvs/agent-chat
            file $V/pyvenv.cfg 'home = /usr/bin' 'include-system-site-packages = false'
            link /usr/bin/env $V/bin/python3
            link python3 $V/bin/python
            script $V/bin/agent "#!$V/bin/python"
            link $V/bin/agent $H/.local/bin/agent
            """)
        let place = "home/.local/share/pipx/venvs/agent-chat"
        try scratch.expect(
            try scratch.found(["home/.local/bin"]), is: place + "/bin/agent", readable: [place],
            names: ["agent": place + "/bin/agent"])
    }

    @Test func `an environment made with a link in ~/.local/bin keeps that link`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/.local/share/uv/python/cpython-3.12.3/bin/python3.12
            mkdir -p $H/.local/share/uv/python/cpython-3.12.3/lib
            link $H/.local/share/uv/python/cpython-3.12.3/bin/python3.12 $H/.local/bin/python3.12
            file $H/venv/pyvenv.cfg "home = $H/.local/bin"
            link $H/.local/bin/python3.12 $H/venv/bin/python
            script $H/venv/bin/agent "#!$H/venv/bin/python"
            """)
        let python = "home/.local/share/uv/python/cpython-3.12.3"
        try scratch.expect(
            try scratch.found(["home/venv/bin"]), is: "home/venv/bin/agent", readable: [python, "home/venv"],
            names: ["agent": "home/venv/bin/agent"],
            links: ["home/.local/bin/python3.12": python + "/bin/python3.12"])
    }

    @Test func `what pip installed for the user needs that Python's modules`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/py/bin/python3.11; mkdir -p $H/py/lib/python3.11
            link python3.11 $H/py/bin/python3
            mkdir -p $H/.local/lib/python3.11/site-packages $H/.local/lib/python3.9/site-packages
            script $H/.local/bin/agent "#!$H/py/bin/python3"
            """)
        #expect(
            try scratch.found(["home/.local/bin"]).readable == [
                try scratch.at("home/.local/bin/agent"), try scratch.at("home/.local/lib/python3.11"),
                try scratch.at("home/py"),
            ])
    }

    // MARK: - Homebrew, Nix

    @Test func `Homebrew's prefix is needed as a whole`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            B=$H/.linuxbrew
            elf $B/Cellar/node/22/bin/node
            script $B/Cellar/agent/1.0/libexec/lib/node_modules/agent/cli.js '#!/usr/bin/env node'
            link ../libexec/lib/node_modules/agent/cli.js $B/Cellar/agent/1.0/bin/agent
            link ../Cellar/agent/1.0/bin/agent $B/bin/agent
            link ../Cellar/node/22/bin/node $B/bin/node
            """)
        try scratch.expect(
            try scratch.found(["home/.linuxbrew/bin"]),
            is: "home/.linuxbrew/bin/agent",
            readable: ["home/.linuxbrew"], search: ["home/.linuxbrew/bin"])
    }

    // MARK: - Wrappers

    @Test(
        arguments: [
            "exec %/tools/real \"$@\"", "exec \"$HOME/tools/real\" \"$@\"",
            "exec ${HOME}/tools/real --yes \"$@\"",
            "  exec ~/tools/real \"$@\"", "exec -a agent %/tools/real \"$@\"",
            "exec env A=b %/tools/real \"$@\"",
            "A=b exec %/tools/real \"$@\"", "\"$HOME/tools/real\" \"$@\"",
            "R=\"$HOME/tools\"; exec \"$R/real\" \"$@\"",
            "cd /tmp && exec %/tools/real \"$@\"",
            "[ -x /no ] && exec /no/such/program \"$@\"\nexec %/tools/real \"$@\"",
        ])
    func `a wrapper's program is needed with it`(line: String) throws {
        let scratch = try Scratch()
        let text = line.split(separator: "%").joined(separator: scratch.root + "/home")
        try scratch.run(
            """
            elf $H/tools/real
            mkdir -p $H/bin
            cat > $H/bin/agent <<'END'
            #!/bin/sh
            # exec /usr/bin/box
            export AGENT_KEY="x y"
            \(text.split(separator: "; ").joined(separator: "\n"))
            END
            chmod 755 $H/bin/agent
            """)
        try scratch.expect(
            try scratch.found(["home/bin"]), is: "home/bin/agent",
            readable: ["home/bin/agent", "home/tools/real"], names: ["agent": "home/bin/agent"])
    }

    @Test func `a wrapper's program behind a link keeps the link`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/.local/share/agent/versions/3
            link $H/.local/share/agent/versions/3 $H/.local/bin/agent-real
            script $H/bin/agent '#!/bin/sh' 'exec "$HOME/.local/bin/agent-real" "$@"'
            """)
        let version = "home/.local/share/agent/versions/3"
        try scratch.expect(
            try scratch.found(["home/bin"]), is: "home/bin/agent", readable: [version, "home/bin/agent"],
            names: ["agent": "home/bin/agent"], links: ["home/.local/bin/agent-real": version])
    }

    @Test func `a wrapper of a script of node needs both`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/bin/node
            script $H/.agent/local/node_modules/@maker/agent/cli.js '#!/usr/bin/env node'
            script $H/bin/agent '#!/bin/bash' "exec node $H/.agent/local/node_modules/@maker/agent/cli.js \\"\\$@\\""
            """)
        try scratch.expect(
            try scratch.found(["home/bin"]), is: "home/bin/agent",
            readable: ["home/.agent/local/node_modules", "home/bin/agent", "home/bin/node"],
            names: ["agent": "home/bin/agent", "node": "home/bin/node"])
    }

    @Test func `a wrapper's file that holds a login is left out`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/tools/real; file $H/.ssh/id_ed25519 key; file $H/settings.json '{}'
            script $H/bin/agent '#!/bin/sh' 'exec ~/tools/real --key ~/.ssh/id_ed25519 --settings ~/settings.json "$@"'
            """)
        #expect(
            try scratch.found(["home/bin"]).readable == [
                try scratch.at("home/bin/agent"), try scratch.at("home/settings.json"),
                try scratch.at("home/tools/real"),
            ])
    }

    @Test func `a wrapper that starts box itself is passed over`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "script $H/bin/agent '#!/bin/sh' 'exec box run agent -- \"$@\"'; elf $H/.local/bin/agent")
        #expect(
            try scratch.found(["home/bin", "home/.local/bin"]).path == scratch.at("home/.local/bin/agent"))
        scratch.isRefused(["home/bin"], "home/bin/agent is a script that runs box")
    }

    @Test func `wrappers in a circle end`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            script $H/bin/agent '#!/bin/sh' "exec $H/b2/agent \\"\\$@\\""
            script $H/b2/agent '#!/bin/sh' "exec $H/bin/agent \\"\\$@\\""
            script $H/b3/agent "#!$H/b3/agent"
            """)
        scratch.isRefused(["home/bin"], "without end")
        scratch.isRefused(["home/b3"], "without end")
    }

    // MARK: - What must not choose

    @Test(arguments: ["@project/bin", ".", "", "bin", "node_modules/.bin", "./bin"])
    func `what lies in the project is passed over`(entry: String) throws {
        let scratch = try Scratch()
        try scratch.run("elf project/agent project/bin/agent project/node_modules/.bin/agent $H/bin/agent")
        #expect(try scratch.found([entry, "home/bin"]).path == scratch.at("home/bin/agent"))
        scratch.isRefused([entry], "lies in the project, which must not choose what runs")
    }

    @Test func `started in the home itself, without a project, the home's programs count`() throws {
        let scratch = try Scratch()
        try scratch.run("elf $H/bin/agent $H/agent")
        for project in ["home", "."] {
            func find(_ path: String) throws -> AgentProgram? {
                try AgentProgram.find(
                    "agent", path: path, home: scratch.at("home"), project: scratch.at(project))
            }
            #expect(try find("bin::\(scratch.root)/home/bin")?.path == scratch.at("home/bin/agent"))
            #expect(try find("bin::.") == nil)
        }
    }

    @Test func `what leads through the project is passed over`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf project/agent
            link $PWD/project/agent $H/b1/agent
            link $PWD/project $H/b2
            link $H/b3real project/link; elf $H/b3real/agent; link $PWD/project/link/agent $H/b3/agent
            script $H/b4/agent '#!/bin/sh' "exec $PWD/project/agent \\"\\$@\\""
            script $H/b5/agent "#!$PWD/project/agent"
            """)
        for entry in ["home/b1", "home/b2", "home/b3", "home/b4", "home/b5"] {
            scratch.isRefused([entry], "the project")
        }
    }

    @Test func `where anybody can write nothing is taken from`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/open/agent $H/sticky/agent $H/b1/agent $H/deep/bin/agent
            chmod 777 $H/open $H/deep; chmod 1777 $H/sticky; chmod 777 $H/b1/agent
            link ../open/agent $H/b2/agent
            """)
        for entry in ["home/open", "home/sticky", "home/b1", "home/b2", "home/deep/bin"] {
            scratch.isRefused([entry], "can be written to by every user")
        }
        try scratch.run("elf $H/bin/agent")
        #expect(try scratch.found(["home/open", "home/bin"]).path == scratch.at("home/bin/agent"))
    }

    @Test func `a program that needs a directory with keys is refused`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            elf $H/.ssh/agent; link ../.ssh/agent $H/b1/agent
            file $H/pyvenv.cfg 'home = /usr/bin'; link /usr/bin/env $H/b2/python
            link /usr/bin/env $H/bin/python; script $H/b3/agent "#!$H/bin/python"
            file $H/.config/pyvenv.cfg 'home = /usr/bin'; link /usr/bin/env $H/.config/bin/python
            script $H/b4/agent "#!$H/.config/bin/python"
            """)
        scratch.isRefused(["home/b1"], ".ssh holds keys or logins")
        scratch.isRefused(["home/b3"], "needs all of", "/home")
        scratch.isRefused(["home/b4"], "needs all of", "/home/.config")
    }

    @Test func `a directory around the project is not let in`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "elf $H/bin/node; script tool/dist/cli.js '#!/usr/bin/env node'; file tool/package.json; mkdir tool/sub"
        )
        let entries = "\(scratch.root)/tool/dist:\(scratch.root)/home/bin"
        func find(_ project: String) throws -> AgentProgram? {
            try AgentProgram.find(
                "cli.js", path: entries, home: scratch.at("home"), project: scratch.at(project))
        }
        #expect(try find("project") != nil)
        let error = #expect(throws: SessionError.self) { try find("tool/sub") }
        #expect("\(error.map { "\($0)" } ?? "")".contains("in which the project itself lies"))
    }

    // MARK: - Broken

    @Test func `what cannot run is passed over, as by a shell, and named if there is nothing else`() throws {
        let scratch = try Scratch()
        try scratch.run(
            """
            file $H/b1/agent x; chmod 644 $H/b1/agent
            link nowhere $H/b2/agent
            link agent $H/b3/agent
            mkdir -p $H/b4/agent
            mkdir -p $H/b5; mkfifo $H/b5/agent; chmod 755 $H/b5/agent
            script $H/b6/agent 'no first line'
            script $H/b7/agent; : > $H/b7/agent
            script $H/b8/agent '#!relative/interpreter'
            mkdir -p $H/b9; { printf '#!/'; head -c 5000 /dev/zero | tr '\\0' x; echo; } > $H/b9/agent; chmod 755 $H/b9/agent
            elf $H/bin/agent
            """)
        let reasons = [
            "b1": "is not executable", "b2": "does not exist", "b3": "cannot be reached", "b4": "is no file",
            "b5": "is no file", "b6": "first line is not #!", "b7": "is empty", "b8": "no absolute path",
            "b9": "too long",
        ]
        for (name, reason) in reasons {
            let entry = "home/\(name)"
            #expect(try scratch.found([entry, "home/bin"]).path == scratch.at("home/bin/agent"))
            scratch.isRefused([entry], "\(entry)/agent", name == "b3" ? "circle" : reason)
        }
        scratch.isRefused(reasons.keys.map { "home/\($0)" }, "b1/agent", "b2/agent", "b8/agent")
    }

    @Test(arguments: ["", ".", "..", "a/b", "../agent", "project/agent"])
    func `only a name or an absolute path is looked for`(name: String) throws {
        let scratch = try Scratch()
        #expect(throws: SessionError.self) { try scratch.find(["home/bin"], name) }
    }

    @Test func `a home that is a link is recognised by both names`() throws {
        let scratch = try Scratch()
        try scratch.run(
            "mv home real; ln -s real home; link $H/.local/share/agent/versions/1 $H/.local/bin/agent; elf $H/.local/share/agent/versions/1; elf $H/.ssh/agent; link ../.ssh/agent $H/b1/agent"
        )
        let version = "real/.local/share/agent/versions/1"
        try scratch.expect(
            try scratch.found(["home/.local/bin"]), is: version, readable: [version],
            names: ["agent": version])
        scratch.isRefused(["home/b1"], "keys or logins")
    }
}
