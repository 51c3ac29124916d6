import Foundation
import Testing

extension Door {
    /// NT-19: SOCKS5 on port 1080.
    @Suite(.recorded("NT-19"), .serialized) struct Socks {
        /// Bytes to port 1080 and what has to come back, both in hexadecimal-like text of Latin-1.
        static let requests: [(key: String, steps: [Exchange.Step], reply: String)] = {
            func request(_ command: String, _ address: String, _ port: String) -> [Exchange.Step] {
                [
                    .send("\u{05}\u{01}\u{00}"), .read(2), .send("\u{05}\(command)\u{00}\(address)\(port)"),
                    .read(2),
                ]
            }
            func name(_ text: String) -> String {
                "\u{03}" + String(UnicodeScalar(UInt8(text.utf8.count))) + text
            }
            let (https, echo, connect) = ("\u{01}\u{bb}", "\u{1e}\u{61}", "\u{01}")
            let greeting = "\u{05}\u{00}"
            return [
                (
                    "allowed",
                    request(connect, name("four.example.com"), echo) + [.read(8), .send("hello"), .read(5)],
                    greeting + "\u{05}\u{00}"
                ),
                ("capitals", request(connect, name("GITHUB.com"), https), greeting + "\u{05}\u{00}"),
                ("refused", request(connect, name("evil.net"), https), greeting + "\u{05}\u{02}"),
                ("port", request(connect, name("github.com"), echo), greeting + "\u{05}\u{02}"),
                (
                    "literal", request(connect, "\u{01}\u{8c}\u{52}\u{70}\u{03}", https),
                    greeting + "\u{05}\u{02}"
                ),
                (
                    "allowed literal", request(connect, "\u{01}\u{5d}\u{b8}\u{d8}\u{29}", echo),
                    greeting + "\u{05}\u{00}"
                ),
                (
                    "loopback", request(connect, "\u{01}\u{7f}\u{00}\u{00}\u{01}", https),
                    greeting + "\u{05}\u{02}"
                ),
                (
                    "six", request(connect, "\u{04}" + String(repeating: "\0", count: 15) + "\u{01}", https),
                    greeting + "\u{05}\u{02}"
                ),
                ("bind", request("\u{02}", name("github.com"), https), greeting + "\u{05}\u{07}"),
                ("associate", request("\u{03}", name("github.com"), https), greeting + "\u{05}\u{07}"),
                ("NUL", request(connect, name("github.com\0.evil.net"), https), greeting + "\u{05}"),
                ("at", request(connect, name("a@github.com"), https), greeting + "\u{05}"),
                ("numeric", request(connect, name("2130706433"), https), greeting + "\u{05}"),
                ("kind", request(connect, "\u{09}", https), greeting + "\u{05}\u{08}"),
                ("no method of ours", [.send("\u{05}\u{01}\u{01}"), .read(2)], "\u{05}\u{ff}"),
                // Some clients insist on a name and a password; whatever they say opens nothing more.
                (
                    "password",
                    [
                        .send("\u{05}\u{01}\u{02}"), .read(2), .send("\u{01}\u{01}a\u{01}b"), .read(2),
                        .send("\u{05}\u{01}\u{00}" + name("evil.net") + https), .read(2),
                    ],
                    "\u{05}\u{02}\u{01}\u{00}\u{05}\u{02}"
                ),
                (
                    "version 4", [.send("\u{04}\u{01}\u{01}\u{bb}\u{8c}\u{52}\u{70}\u{03}\u{00}"), .read(2)],
                    ""
                ),
                ("HTTP", [.send("CONNECT github.com:443 HTTP/1.1\r\n\r\n"), .read(2)], ""),
            ]
        }()

        @Test(arguments: Identity.all)
        func `SOCKS means the same rules`(_ identity: Identity) throws {
            row("NT-19")
            let list = Socks.requests.map { Exchange($0.key, "127.0.0.1", 1080, $0.steps, within: 3) }
            let seen = try Internet.shared.get().observe(as: identity, list, options: Capture.rules)
            for (key, _, wanted) in Socks.requests {
                let reply = try seen.reply(key)
                let got = reply.got ?? ""
                #expect(got.hasPrefix(wanted) && reply.end != "timeout", "\(reply)")
                if wanted.hasSuffix("\u{05}") { #expect(!got.hasPrefix(wanted + "\u{00}"), "\(reply)") }
                if wanted.isEmpty { #expect(!got.hasPrefix("\u{05}\u{00}"), "\(reply)") }
            }
            #expect(seen.replies["allowed"]?.got?.hasSuffix("hello") == true, "\(seen.replies)")
            #expect(!seen.questions.contains("evil.net") && seen.own.isEmpty, "\(seen.questions) \(seen.own)")
            let vias = Set(seen.events.compactMap(\.via))
            #expect(vias == ["socks"], "\(vias)")
        }
    }
}
