import BoxPolicy
import BoxTypes
import Testing

/// Editing the lists of rules in a policy file's text.
struct PolicyTextTests {
    // MARK: - What an edit leaves as it is

    @Test(arguments: EditedFile.all)
    func `a rule is added where a person would write it`(file: EditedFile) throws {
        var text = try Edited.text(file.before)
        #expect(try text.add("api.example.com", to: .allow) == .added)
        #expect(String(decoding: text.bytes, as: UTF8.self) == file.after)
        try Edited.checkAdding("api.example.com", to: .allow, in: Array(file.before.utf8))
    }

    @Test(arguments: EditedFile.all)
    func `a denied rule goes to its own list in the same way`(file: EditedFile) throws {
        try Edited.checkAdding("api.example.com", to: .deny, in: Array(file.before.utf8))
        try Edited.checkAdding("@mirror", to: .allow, in: Array(file.before.utf8))
        try Edited.checkAdding("[2001:db8::1]:8443", to: .deny, in: Array(file.before.utf8))
    }

    @Test func `hundreds of files keep all their other lines`() throws {
        for (index, file) in EditedFile.combinations.enumerated() {
            let list = PolicyText.List.allCases[index % 2]
            try Edited.checkAdding("api.example.com", to: list, in: Array(file.utf8))
        }
        #expect(EditedFile.combinations.count > 500)
    }

    @Test(arguments: EditedFile.all)
    func `line endings of two characters stay`(file: EditedFile) throws {
        let before = file.before.replacing("\n", with: "\r\n")
        var text = try Edited.text(before)
        #expect(try text.add("api.example.com", to: .allow) == .added)
        var after = file.after.replacing("\n", with: "\r\n")
        // A file without any line ending has none to keep.
        if !before.contains("\r\n") { after = after.replacing("\r\n", with: "\n") }
        #expect(String(decoding: text.bytes, as: UTF8.self) == after)
    }

    // MARK: - Rules that are there

    @Test(arguments: [
        ("example.com", "example.com:443", "example.com"), ("Example.COM", "example.com", "example.com"),
        ("example.com:443", "EXAMPLE.com.", "example.com"),
        ("*.example.com", "a.b.example.com", "*.example.com"),
        ("*.example.com", "*.b.example.com", "*.example.com"),
        ("*.example.com:8443", "a.example.com:8443", "*.example.com:8443"),
        ("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"), ("@forge", "raw.forge.example", "@forge"),
        ("@forge", "forge.example:22", "@forge"), ("@forge", "@forge", "@forge"),
        ("*.mirror.example", "@mirror", "*.mirror.example"),
        ("[2001:db8::1]", "[2001:db8::1]:443", "[2001:db8::1]"),
    ])
    func `an equal or wider rule is reported and nothing is written`(
        there: String, new: String, reported: String
    ) throws {
        for list in PolicyText.List.allCases {
            let before = "[network]\n\(list) = [ 'other.example', \"\(there)\" ] # rules\n"
            var text = try Edited.text(before)
            #expect(try text.add(new, to: list) == .presentAs(reported))
            #expect(String(decoding: text.bytes, as: UTF8.self) == before)
        }
    }

    @Test(arguments: ["127.0.0.1", "10.1.2.3:5432", "[fd00::1]"])
    func `an address in a network that is allowed is a rule of its own, and one that is denied is not`(
        address: String
    ) throws {
        let networks = "[\"127.0.0.0/8\", \"10.0.0.0/8:5432\", \"[fd00::/8]\"]"
        var text = try Edited.text("[network]\nallow = \(networks)\ndeny = \(networks)\n")
        #expect(try text.add(address, to: .allow) == .added)
        guard case .presentAs = try text.add(address, to: .deny) else {
            Issue.record("\(address) was added")
            return
        }
    }

    @Test func `the equal rule is reported before the wider one`() throws {
        var text = try Edited.text("network.allow = [\"*.example.com\", \"@forge\", \"api.example.com:443\"]")
        #expect(try text.add("api.example.com", to: .allow) == .presentAs("api.example.com"))
    }

    @Test(arguments: [
        ("example.com", "example.com:8443"), ("*.example.com", "example.com"),
        ("a.example.com", "*.example.com"),
        ("*.example.com", "a.example.com:22"), ("*.example.com", "aexample.com"),
        ("10.1.0.0/16", "10.0.0.0/8"),
        ("forge.example", "@forge"), ("@mirror", "@forge"),
    ])
    func `a narrower or other rule does not stand for it`(there: String, new: String) throws {
        var text = try Edited.text("[network]\nallow = [\"\(there)\"]\n")
        #expect(try text.add(new, to: .allow) == .added)
        #expect(
            String(decoding: text.bytes, as: UTF8.self) == "[network]\nallow = [\"\(there)\", \"\(new)\"]\n")
    }

    @Test func `a rule of the other list is no rule of this one`() throws {
        var text = try Edited.text("[network]\ndeny = [\"*.example.com\"]\n")
        #expect(try text.add("api.example.com", to: .allow) == .added)
        #expect(try text.add("api.example.com", to: .deny) == .presentAs("*.example.com"))
    }

    @Test(arguments: [
        ("Example.COM:443", "example.com"), ("example.com:8443", "example.com:8443"),
        ("*.Example.com", "*.example.com"),
        ("127.0.0.1:443", "127.0.0.1"), ("[fd00::/8]:5432", "[fd00::/8]:5432"),
        ("10.0.0.0/8:443", "10.0.0.0/8"),
        ("@forge", "@forge"), ("localhost:3000", "localhost:3000"),
    ])
    func `a rule is written in its shortest spelling`(typed: String, written: String) throws {
        var text = try Edited.text("")
        #expect(try text.add(typed, to: .allow) == .added)
        #expect(String(decoding: text.bytes, as: UTF8.self) == "[network]\nallow = [\"\(written)\"]\n")
    }

    // MARK: - Taking out

    @Test(arguments: EditedFile.removals)
    func `a rule is taken out with its comma and its line`(file: EditedFile) throws {
        var text = try Edited.text(file.before)
        let old = Edited.said(text.layer)
        guard case .removed(let removed) = try text.remove("api.example.com", from: .allow) else {
            Issue.record("nothing was removed")
            return
        }
        #expect(String(decoding: text.bytes, as: UTF8.self) == file.after)
        #expect(try removed.map { try HostRule($0).short } == removed.map { _ in "api.example.com" })
        let rule = try HostRule("api.example.com")
        #expect(text.layer.network.allow == old.network.allow.filter { $0 != rule })
        #expect(try text.remove("api.example.com", from: .allow) == .absent)
    }

    @Test func `every spelling of a rule is taken out`() throws {
        let before = """
            [network]
            allow = [
                "api.example.com",  # one
                "b.example.com", 'API.example.com:443', "*.example.com",
                "api.example.com:8443",
                "\\u0061pi.example.com."
            ]
            """
        var text = try Edited.text(before)
        #expect(
            try text.remove("api.example.com", from: .allow)
                == .removed(["api.example.com", "API.example.com:443", "api.example.com."]))
        #expect(
            String(decoding: text.bytes, as: UTF8.self) == """
                [network]
                allow = [
                    "b.example.com", "*.example.com",
                    "api.example.com:8443",
                ]
                """)
    }

    @Test(arguments: [
        "", "[network]\n", "network.allow = []",
        "[network]\nallow = [\"*.example.com\", \"@forge\", \"a.example.com:22\"]",
        "[network]\ndeny = [\"a.example.com\", \"forge.example\"]",
    ])
    func `what is not there is not taken out`(before: String) throws {
        var text = try Edited.text(before)
        #expect(try text.remove("a.example.com", from: .allow) == .absent)
        #expect(try text.remove("forge.example", from: .allow) == .absent)
        #expect(text.bytes == Array(before.utf8))
    }

    @Test func `a group is taken out by its name alone`() throws {
        var text = try Edited.text("network.allow = [\"forge.example\", \"@forge\", \"@mirror\"]")
        #expect(try text.remove("@forge", from: .allow) == .removed(["@forge"]))
        #expect(
            String(decoding: text.bytes, as: UTF8.self) == "network.allow = [\"forge.example\", \"@mirror\"]")
        #expect(try text.remove("@mirror", from: .allow) == .removed(["@mirror"]))
        #expect(try text.remove("forge.example", from: .allow) == .removed(["forge.example"]))
        #expect(String(decoding: text.bytes, as: UTF8.self) == "network.allow = []")
    }

    // MARK: - What is refused

    @Test(arguments: [
        ("https://example.com/x", "is a URL"), ("*a.example.com", "a star stands only at the front"),
        ("", "empty"),
        ("@forg", "Did you mean @forge?"), ("@", "there is no group @"), ("exa mple.com", "no host name has"),
        ("example.com:0", "is not a port"),
    ])
    func `what is no rule is refused and nothing is written`(typed: String, message: String) throws {
        var text = try Edited.text("[network]\nallow = []\n")
        for list in PolicyText.List.allCases {
            #expect {
                _ = try text.add(typed, to: list)
            } throws: {
                "\($0)".contains(message)
            }
            #expect {
                _ = try text.remove(typed, from: list)
            } throws: {
                "\($0)".contains(message)
            }
        }
        #expect(text.bytes == Array("[network]\nallow = []\n".utf8))
    }

    @Test(arguments: [
        "[[network]]\nallow = []", "[network\n", "netwrok = 1", "[network]\nallow = [\"@nobody\"]",
        "\u{FEFF}",
    ])
    func `a text that is no policy is not edited`(before: String) {
        #expect(throws: PolicyErrors.self) { _ = try Edited.text(before) }
    }

    @Test func `a file that cannot grow is left alone, and the user is told what to write where`() throws {
        let head = "# full\n  [network]\n  allow = [\"a.example.com\"]\n"
        let filling = String(repeating: "#", count: (1 << 20) - head.utf8.count)
        var text = try Edited.text(head + filling)
        let before = text
        #expect {
            _ = try text.add("api.example.com", to: .allow)
        } throws: {
            "\($0)" == """
                box.toml:3:3: cannot be edited safely (the file has 1048595 bytes; a policy has at most \
                1048576 (1 MiB)); by hand, add "api.example.com" to the list allow of [network]
                """
        }
        #expect(text == before)
        #expect(try text.remove("a.example.com", from: .allow) == .removed(["a.example.com"]))
    }

    @Test func `a project's file is read as one`() throws {
        let exception = Array("[workspace]\nhide = [\"!.env\"]\n".utf8)
        #expect(throws: PolicyErrors.self) {
            _ = try PolicyText(exception, file: "box.toml", isProject: true) { () throws(PolicyErrors) in
                .none
            }
        }
        var own = try PolicyText(exception, file: "config.toml", isProject: false) {
            () throws(PolicyErrors) in .none
        }
        #expect(try own.add("api.example.com", to: .allow) == .added)
    }

    // MARK: - Whatever the text

    @Test func `no text makes an edit write anything but the rule`() throws {
        var random = Scrambled(seed: 7)
        let seeds = EditedFile.all.map(\.before) + EditedFile.removals.map(\.before)
        var (edited, removed) = (0, 0)
        for round in 0..<5000 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0..<Int.random(in: 1...2, using: &random) { random.mutate(&bytes) }
            guard var text = try? Edited.text(bytes) else { continue }
            let list = PolicyText.List.allCases[round % 2]
            do {
                if try Edited.add(to: list, &text) { edited += 1 }
                if try Edited.remove(from: list, &text) { removed += 1 }
            } catch PolicyEditError.byHand {
                continue
            }
        }
        #expect(edited > 500 && removed > 500, "\(edited), \(removed)")
    }
}
