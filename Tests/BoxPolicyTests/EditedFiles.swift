// Files as people write them, before and after.

extension EditedFile {
    /// Adding `api.example.com` to what is allowed.
    static let all: [EditedFile] = oneLine + severalLines + tables + keys

    private static let oneLine = [
        EditedFile("empty list", "[network]\nallow = []\n", "[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile(
            "empty list with a blank", "[network]\nallow = [ ]\n",
            "[network]\nallow = [ \"api.example.com\" ]\n"),
        EditedFile(
            "one element", "[network]\nallow = [\"a.example.com\"]\n",
            "[network]\nallow = [\"a.example.com\", \"api.example.com\"]\n"),
        EditedFile(
            "trailing comma", "[network]\nallow = [\"a.example.com\", \"b.example.com\",]\n",
            "[network]\nallow = [\"a.example.com\", \"b.example.com\", \"api.example.com\",]\n"),
        EditedFile(
            "spaces inside", "[network]\nallow = [ \"a.example.com\", \"b.example.com\" ]  # two\n",
            "[network]\nallow = [ \"a.example.com\", \"b.example.com\", \"api.example.com\" ]  # two\n"),
        EditedFile(
            "no spaces", "[network]\nallow=['a.example.com','b.example.com']# ]\n",
            "[network]\nallow=['a.example.com','b.example.com','api.example.com']# ]\n"),
        EditedFile(
            "a comma between blanks", "[network]\nallow = [ \"a.example.com\" , \"b.example.com\" , ]\n",
            "[network]\nallow = [ \"a.example.com\" , \"b.example.com\" , \"api.example.com\", ]\n"),
        EditedFile(
            "strings with three quotes",
            "[network]\nallow = [\"\"\"a.example.com\"\"\", '''b.example.com''']\n",
            "[network]\nallow = [\"\"\"a.example.com\"\"\", '''b.example.com''', \"api.example.com\"]\n"),
        EditedFile(
            "no line ending at the end", "[network]\nallow = [\"a.example.com\"]",
            "[network]\nallow = [\"a.example.com\", \"api.example.com\"]"),
        EditedFile(
            "a bracket and a comment sign in a string",
            "[environment.set]\nA = \"[#\"\n[network]\nallow = ['a.example.com']\n",
            "[environment.set]\nA = \"[#\"\n[network]\nallow = ['a.example.com', 'api.example.com']\n"),
        EditedFile(
            "a group", "network.allow = [\"@forge\"]", "network.allow = [\"@forge\", \"api.example.com\"]"),
        EditedFile(
            "an escape", "[network]\nallow = [\"\\u0061.example.com\"]\n",
            "[network]\nallow = [\"\\u0061.example.com\", \"api.example.com\"]\n"),
    ]

    private static let severalLines = [
        EditedFile(
            "a line each",
            """
            # The project's policy – für alle
            [network]
            allow = [
                "a.example.com",
                "b.example.com:22",  # git
            ]
            deny = ["www.example.com"]

            """,
            """
            # The project's policy – für alle
            [network]
            allow = [
                "a.example.com",
                "b.example.com:22",  # git
                "api.example.com",
            ]
            deny = ["www.example.com"]

            """),
        EditedFile(
            "no trailing comma",
            "[network]\nallow = [\n  \"a.example.com\",\n  \"b.example.com\"\n]\n",
            "[network]\nallow = [\n  \"a.example.com\",\n  \"b.example.com\",\n  \"api.example.com\"\n]\n"),
        EditedFile(
            "a comment behind the last element, without a comma",
            "[network]\nallow = [\n\t'a.example.com',\n\t'b.example.com' # the ] second, of two\n]\n",
            "[network]\nallow = [\n\t'a.example.com',\n\t'b.example.com', # the ] second, of two\n\t'api.example.com'\n]\n"
        ),
        EditedFile(
            "comment lines between and behind",
            """
            [network]
            allow = [
                # The first,
                "a.example.com",

                # and the second:
                "b.example.com",
                # "c.example.com",

                # more? ask

            ]
            """,
            """
            [network]
            allow = [
                # The first,
                "a.example.com",

                # and the second:
                "b.example.com",
                "api.example.com",
                # "c.example.com",

                # more? ask

            ]
            """),
        EditedFile(
            "the comma on a line of its own",
            "[network]\nallow = [\n    \"a.example.com\"\n    ,\n]\n",
            "[network]\nallow = [\n    \"a.example.com\"\n    ,\n    \"api.example.com\",\n]\n"),
        EditedFile(
            "commas first",
            "[network]\nallow = [ \"a.example.com\" # one\n  , \"b.example.com\" # two\n  ]\n",
            "[network]\nallow = [ \"a.example.com\" # one\n  , \"b.example.com\" # two\n  , \"api.example.com\"\n  ]\n"
        ),
        EditedFile(
            "the bracket on the last element's line",
            "[network]\nallow = [\"a.example.com\",\n         \"b.example.com\"]  # end\n",
            "[network]\nallow = [\"a.example.com\",\n         \"b.example.com\",\n         \"api.example.com\"]  # end\n"
        ),
        EditedFile(
            "the bracket behind a trailing comma",
            "[network]\nallow = [\n  \"a.example.com\",\n  \"b.example.com\", ]\nhold = 5\n",
            "[network]\nallow = [\n  \"a.example.com\",\n  \"b.example.com\",\n  \"api.example.com\", ]\nhold = 5\n"
        ),
        EditedFile(
            "several on a line",
            "[network]\nallow = [\n    \"a.example.com\", \"b.example.com\",\n    \"c.example.com\", \"d.example.com\",\n]\n",
            """
            [network]
            allow = [
                "a.example.com", "b.example.com",
                "c.example.com", "d.example.com",
                "api.example.com",
            ]

            """),
        EditedFile(
            "several on the bracket's line",
            "[network]\nallow = [\"a.example.com\",\n    \"c.example.com\", \"d.example.com\"]",
            "[network]\nallow = [\"a.example.com\",\n    \"c.example.com\", \"d.example.com\", \"api.example.com\"]"
        ),
        EditedFile(
            "the first on the bracket's line",
            "  [network]\n  allow = [\"a.example.com\",\n  ]\n",
            "  [network]\n  allow = [\"a.example.com\",\n      \"api.example.com\",\n  ]\n"),
        EditedFile(
            "the first on the bracket's line, by tabs",
            "[network]\n\tallow = [\"a.example.com\" # one\n\t]",
            "[network]\n\tallow = [\"a.example.com\", # one\n\t\t\"api.example.com\"\n\t]"),
        EditedFile(
            "nothing yet", "[network]\nallow = [\n]\n", "[network]\nallow = [\n    \"api.example.com\",\n]\n"),
        EditedFile(
            "only a comment", "[network]\nallow = [\n  # \"a.example.com\",\n]\n",
            "[network]\nallow = [\n  # \"a.example.com\",\n  \"api.example.com\",\n]\n"),
        EditedFile(
            "a comment on the bracket's line", "[network]\n\tallow = [ # [nothing]\n\t] # yet\n",
            "[network]\n\tallow = [ # [nothing]\n\t\t\"api.example.com\",\n\t] # yet\n"),
        EditedFile(
            "an empty line", "[network]\nallow = [\n\n]",
            "[network]\nallow = [\n\n    \"api.example.com\",\n]"),
        EditedFile(
            "a string of several lines", "[network]\nallow = [\n  '''\na.example.com'''\n]\n",
            "[network]\nallow = [\n  '''\na.example.com''',\n  \"api.example.com\"\n]\n"),
    ]

    private static let tables = [
        EditedFile("nothing", "", "[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile("an empty line only", "\n", "\n[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile(
            "a comment", "# nothing is allowed",
            "# nothing is allowed\n\n[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile(
            "other tables", "[limits]\nmemory = \"2GB\"  # enough\n",
            "[limits]\nmemory = \"2GB\"  # enough\n\n[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile(
            "other tables and an empty line", "[limits]\nmemory = \"2GB\"\n\n",
            "[limits]\nmemory = \"2GB\"\n\n[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile(
            "an empty table", "[network]", "[network]\nallow = [\"api.example.com\"]"),
        EditedFile(
            "a table with other keys", "[network]  # the door\n  # Nobody waits.\n  hold = 0\n[files]\n",
            "[network]  # the door\n  allow = [\"api.example.com\"]\n  # Nobody waits.\n  hold = 0\n[files]\n"
        ),
        EditedFile(
            "an odd header", "[limits]\n\t[ \"network\" ]\n\n[files]\nread = []\n",
            "[limits]\n\t[ \"network\" ]\n\tallow = [\"api.example.com\"]\n\n[files]\nread = []\n"),
        EditedFile(
            "a table below it only", "[network.limits]\nupload = \"1MB\"\n",
            "[network.limits]\nupload = \"1MB\"\n\n[network]\nallow = [\"api.example.com\"]\n"),
        EditedFile(
            "a table below it first", "[network.limits]\nupload = \"1MB\"\n[network]\nhold = 1\n",
            "[network.limits]\nupload = \"1MB\"\n[network]\nallow = [\"api.example.com\"]\nhold = 1\n"),
        EditedFile(
            "a table below it behind", "[network]\n\n[network.hosts.\"git.example.com\"]\nprivate = true\n",
            """
            [network]
            allow = ["api.example.com"]

            [network.hosts."git.example.com"]
            private = true

            """),
    ]

    private static let keys = [
        EditedFile(
            "a dotted key", "network.allow = [\"a.example.com\"]  # root\n[limits]\n",
            "network.allow = [\"a.example.com\", \"api.example.com\"]  # root\n[limits]\n"),
        EditedFile(
            "another dotted key", "network.hold = 5  # seconds\nlimits.time = \"1h\"\n",
            "network.hold = 5  # seconds\nnetwork.allow = [\"api.example.com\"]\nlimits.time = \"1h\"\n"),
        EditedFile(
            "a longer dotted key", "\"network\".limits.upload = \"1MB\"",
            "\"network\".limits.upload = \"1MB\"\nnetwork.allow = [\"api.example.com\"]"),
        EditedFile(
            "the other list",
            "[network]\nhold = 0\n  deny = [\n    \"w.example.com\",\n  ] # closed\nmode = \"proxy\"\n",
            """
            [network]
            hold = 0
              deny = [
                "w.example.com",
              ] # closed
              allow = ["api.example.com"]
            mode = "proxy"

            """),
        EditedFile(
            "the other list by a dotted key", "network . deny = []\n[limits]\n",
            "network . deny = []\nnetwork . allow = [\"api.example.com\"]\n[limits]\n"),
        EditedFile(
            "an empty inline table", "network = {}\n", "network = { allow = [\"api.example.com\"] }\n"),
        EditedFile(
            "an inline table", "network = { mode = \"proxy\", hold = 5 } # all\n",
            "network = { mode = \"proxy\", hold = 5, allow = [\"api.example.com\"] } # all\n"),
        EditedFile(
            "a list in an inline table", "network = {allow=[\"a.example.com\"],hold=5}\n",
            "network = {allow=[\"a.example.com\", \"api.example.com\"],hold=5}\n"),
        EditedFile(
            "a long list in an inline table", "network = { allow = [\n  \"a.example.com\",\n], hold = 5 }\n",
            "network = { allow = [\n  \"a.example.com\",\n  \"api.example.com\",\n], hold = 5 }\n"),
        EditedFile(
            "quoted keys", "[\"network\"]\n'allow' = [ 'a.example.com' ]\n",
            "[\"network\"]\n'allow' = [ 'a.example.com', 'api.example.com' ]\n"),
        EditedFile(
            "the same key in another table",
            "[environment.set]\nallow = \"[]\"\n[network]\nallow = [] # allow = []\n",
            "[environment.set]\nallow = \"[]\"\n[network]\nallow = [\"api.example.com\"] # allow = []\n"),
    ]

    /// Taking `api.example.com` out of what is allowed.
    static let removals = [
        EditedFile("the only one", "network.allow = [\"api.example.com\"]", "network.allow = []"),
        EditedFile(
            "the only one between blanks", "network.allow = [ 'api.example.com' ]\n", "network.allow = []\n"),
        EditedFile(
            "the only one with a comma", "network.allow = [ 'api.example.com', ]\n", "network.allow = [ ]\n"),
        EditedFile(
            "the first", "network.allow = [\"api.example.com\", \"a.example.com\"]",
            "network.allow = [\"a.example.com\"]"),
        EditedFile(
            "the middle", "network.allow = [\"a.example.com\",\"api.example.com\",\"b.example.com\"] # 3",
            "network.allow = [\"a.example.com\",\"b.example.com\"] # 3"),
        EditedFile(
            "the last", "network.allow = [\"a.example.com\" , \"api.example.com\" ]",
            "network.allow = [\"a.example.com\"  ]"),
        EditedFile(
            "the last with a comma", "network.allow = [\"a.example.com\", \"api.example.com\",]",
            "network.allow = [\"a.example.com\",]"),
        EditedFile(
            "a line of its own",
            "[network]\nallow = [\n    # a\n    \"a.example.com\",\n    \"api.example.com\",  # why\n    \"b.example.com\",\n]\n",
            "[network]\nallow = [\n    # a\n    \"a.example.com\",\n    \"b.example.com\",\n]\n"),
        EditedFile(
            "the last line, without a comma",
            "[network]\nallow = [\n\t\"a.example.com\", # a\n\t\"api.example.com\" # why, ]\n\t# end\n]\n",
            "[network]\nallow = [\n\t\"a.example.com\", # a\n\t# end\n]\n"),
        EditedFile(
            "the only line", "[network]\nallow = [\n    \"api.example.com\",\n]\n",
            "[network]\nallow = [\n]\n"),
        EditedFile(
            "the first of a line",
            "[network]\nallow = [\n    \"api.example.com\", \"b.example.com\",\n    \"c.example.com\",\n]\n",
            "[network]\nallow = [\n    \"b.example.com\",\n    \"c.example.com\",\n]\n"),
        EditedFile(
            "the last of a line",
            "[network]\nallow = [\n    \"a.example.com\", \"api.example.com\",  # two\n    \"c.example.com\",\n]\n",
            "[network]\nallow = [\n    \"a.example.com\",  # two\n    \"c.example.com\",\n]\n"),
        EditedFile(
            "commas first",
            "[network]\nallow = [ \"a.example.com\"\n  , \"api.example.com\" # why\n  , \"c.example.com\"\n  ]\n",
            "[network]\nallow = [ \"a.example.com\"\n  , \"c.example.com\"\n  ]\n"),
        EditedFile(
            "the last with commas first",
            "[network]\nallow = [ \"a.example.com\"\n  , \"api.example.com\"\n  ]\n",
            "[network]\nallow = [ \"a.example.com\"\n  ]\n"),
        EditedFile(
            "the first with commas first",
            "[network]\nallow = [\n    \"api.example.com\" # why\n  , \"c.example.com\"\n]\n",
            "[network]\nallow = [\n  \"c.example.com\"\n]\n"),
        EditedFile(
            "the first on the bracket's line, with commas first",
            "[network]\nallow = [ \"api.example.com\" # why\n  , \"c.example.com\"\n]\n",
            "[network]\nallow = [  # why\n   \"c.example.com\"\n]\n"),
        EditedFile(
            "the bracket on its line",
            "[network]\nallow = [\"a.example.com\",\n         \"api.example.com\"]\n",
            "[network]\nallow = [\"a.example.com\",\n         ]\n"),
        EditedFile(
            "in an inline table", "network = { allow = [\"api.example.com\"], hold = 5 }",
            "network = { allow = [], hold = 5 }"),
        EditedFile(
            "every spelling",
            "[network]\nallow = [\n  \"API.example.com\",\n  'api.example.com:443'\n]\n",
            "[network]\nallow = [\n]\n"),
        EditedFile(
            "a string of several lines",
            "[network]\nallow = [\n  '''\napi.example.com''', # x\n  \"b.example.com\"]\n",
            "[network]\nallow = [\n  \"b.example.com\"]\n"),
    ]

    /// Every way to write the list in every surrounding.
    static let combinations: [String] = {
        let arrays = [
            "[]", "[ ]", "[\"a.example.com\"]", "['a.example.com', \"b.example.com\",]", "[\n]",
            "[ # none\n\t# \"x.example.com\"\n]",
            "[\n\t\"a.example.com\",\n\t\"b.example.com\"\n]",
            "[\n  \"a.example.com\", # one\n  \"b.example.com\", # two, ]\n  # end\n]",
            "[\n  \"a.example.com\",\n  \"b.example.com\" # no comma\n\n]",
            "[\"a.example.com\",\n \"b.example.com\"]",
            "[ 'a.example.com'\n, 'b.example.com'\n]",
            "[\n  \"@mirror\", \"b.example.com\",\n  \"\"\"\nc.example.com\"\"\" ]",
        ]
        let forms: [(String) -> String] = [
            { "[network]\nallow = \($0)\n" },
            { "[ network ]\n  hold = 0\n  allow = \($0)\n  deny = \($0)\n" },
            { "network.allow = \($0)\n[limits]\ntime = 5\n" },
            { "network = { hold = 0, deny = \($0), mode = 'proxy' }\n" },
            { "[network.limits]\nupload = 1\n['network']\n\"deny\" = \($0) # d\n" },
        ]
        let heads = ["", "# é 漢字\n\n", "extends = \"base\"\n"]
        let tails = ["", "\n[files]\nread = [\"~/x\"]\n", "# end"]
        return arrays.flatMap { array in
            forms.flatMap { form in
                heads.flatMap { head in
                    tails.flatMap { tail in
                        let text = head + form(array) + tail
                        return [
                            text, text.replacing("\n", with: "\r\n"),
                            String(text.drop { $0 == "\n" }.dropLast()),
                        ]
                    }
                }
            }
        }
    }()
}
