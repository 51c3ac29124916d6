import Foundation
import Testing

/// PD-02: `box run --learn`, as far as it needs no internet.
@Suite(.recorded("PD-02")) struct Learn {
    private func scene() throws -> PolicyScene { try PolicyScene(["--workspace", "direct"]) }

    @Test func `it says what would have allowed it, and lets nothing through`() throws {
        let scene = try scene()
        let script = """
            for u in https://a.example.com https://b.example.com:8443 http://169.254.169.254 https://github; do
            curl -s -m 5 -o /dev/null -w '%{http_connect}%{http_code} ' $u; done; exit 7
            """
        let outcome = try scene.inside(script, ["--learn"], status: 7)
        #expect(!outcome.text.contains("200"), "\(outcome)")
        for text in ["\"a.example.com\"", "\"b.example.com:8443\"", "# - 169.254.169.254:80:", "# - github:"]
        {
            #expect(outcome.errors.contains(text), "\(text): \(outcome)")
        }
        #expect(outcome.errors.contains("box allow a.example.com b.example.com:8443"), "\(outcome)")
        #expect(outcome.errors.contains("run it again"), "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: scene.projectFile), "nothing is written")
    }

    @Test func `the file that it writes is a policy, and opens what was refused`() throws {
        let scene = try scene()
        let script =
            "for h in a.example.com b.example.com:8443 x.example.com; do curl -s -m 5 https://$h; done; true"
        let outcome = try scene.inside(script, ["--learn-to", "learned.toml"])
        #expect(!outcome.errors.contains("[network]"), "it is in the file: \(outcome)")
        let file = scene.project + "/learned.toml"
        try scene.command(["policy", "check", file])
        try FileManager.default.moveItem(atPath: file, toPath: scene.projectFile)
        try scene.command(["trust", "--yes"])
        for host in ["a.example.com", "b.example.com:8443", "x.example.com"] {
            #expect(try scene.explain(host).allowed, "\(host)")
        }
        // By the learned policy nothing of this was to be refused; the host does not exist, that is all.
        let again = try scene.inside(script, ["--learn"])
        #expect(again.errors.contains("nothing was refused that the policy does not allow"), "\(again)")
    }

    @Test func `a file that is there is not overwritten, and nothing runs`() throws {
        let scene = try scene()
        try scene.box.scratch.write("mine", to: scene.project + "/box.toml.new")
        let outcome = try scene.inside("touch ran", ["--learn-to", "box.toml.new"], status: 125)
        #expect(outcome.errors.contains("is not overwritten"), "\(outcome)")
        #expect(try Host.text(scene.project + "/box.toml.new") == "mine")
        #expect(!FileManager.default.fileExists(atPath: scene.project + "/ran"))
        // One that the program itself puts there is left as it is, and the policy is shown.
        let during = try scene.inside(
            "curl -s https://a.example.com; echo theirs >late.toml", ["--learn-to", "late.toml"])
        #expect(during.errors.contains("\"a.example.com\""), "\(during)")
        #expect(try Host.text(scene.project + "/late.toml") == "theirs\n")
        let link = try scene.inside(
            "curl -s https://a.example.com; ln -s made link.toml", ["--learn-to", "link.toml"])
        #expect(link.errors.contains("\"a.example.com\""), "\(link)")
        #expect(!FileManager.default.fileExists(atPath: scene.project + "/made"))
    }

    @Test func `hosts of one group are the group`() throws {
        let scene = try scene()
        let script = "for h in github.com codeload.github.com; do curl -s -m 5 https://$h; done; true"
        let outcome = try scene.inside(script, ["--learn"])
        #expect(outcome.errors.contains("\"@github\""), "\(outcome)")
        let mixed = try scene.inside("\(script); curl -s https://a.example.com; true", ["--learn"])
        #expect(
            !mixed.errors.contains("\"@github\"") && mixed.errors.contains("\"codeload.github.com\""),
            "\(mixed)")
    }

    @Test func `nothing to learn is said, and without a network there is none`() throws {
        let scene = try scene()
        let quiet = try scene.inside("true", ["--learn", "--quiet"])
        #expect(quiet.errors.contains("nothing was refused"), "\(quiet)")
        let none = try scene.inside("touch ran", ["--learn", "--net", "none"], status: 125)
        #expect(none.errors.contains("--learn is about the network"), "\(none)")
        #expect(!FileManager.default.fileExists(atPath: scene.project + "/ran"))
    }

    @Test func `what a program asks for cannot write into the policy`() throws {
        let scene = try scene()
        // Straight to the proxy: names that no resolver would take.
        let names = [#"a\"]\r\n[files]"#, #"x\"] # .example.com"#, #"b.example.com\u{1b}[2J"#]
        let script =
            names.map {
                "printf 'CONNECT %s:443 HTTP/1.1\\r\\n\\r\\n' '\($0)' | timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3; cat <&3' >/dev/null"
            }.joined(separator: "; ") + "; curl -s -m 5 https://a.example.com; true"
        let outcome = try scene.inside(script, ["--learn-to", "learned.toml"])
        let text = try Host.text(scene.project + "/learned.toml")
        #expect(text.contains("\"a.example.com\""), "\(outcome)")
        let tables = text.split(separator: "\n").filter { $0.hasPrefix("[") }
        #expect(tables == ["[network]"], "\(text)")
        try scene.command(["policy", "check", scene.project + "/learned.toml"])
    }
}

extension Door {
    /// PD-02 with an internet: what was learned is enough, run after run.
    @Suite(.recorded("PD-02"), .serialized) struct Learned {
        @Test(arguments: Identity.all)
        func `after some runs the program has what it needs`(_ identity: Identity) throws {
            var box = try Internet.shared.get().box(as: identity)
            box.options = ["--workspace", "direct"]
            // As a package manager: the second host is only asked once the first has answered.
            let script = """
                curl -skf -m 5 https://github.com/ -o /dev/null && curl -sf -m 5 http://four.example.com/ -o /dev/null \
                && curl -skf -m 5 --noproxy '*' https://a.example.com/ -o /dev/null && echo complete
                """
            var runs = 0
            while runs < 5 {
                runs += 1
                let file = "learned-\(runs).toml"
                let outcome = try box.shell(script, options: ["--learn-to", file])
                if outcome.text.contains("complete") { break }
                let line = try #require(
                    outcome.errors.split(separator: "\n").first { $0.contains("box allow ") })
                let command = line[(line.range(of: "box allow ")?.lowerBound ?? line.startIndex)...]
                let allowed = try box.call(command.split(separator: " ").dropFirst().map(String.init))
                #expect(allowed.status == 0, "\(allowed)")
            }
            #expect(runs == 4, "one more host in each run")
        }
    }
}
