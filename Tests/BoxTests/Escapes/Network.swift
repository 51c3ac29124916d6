import Foundation
import Testing

/// Area NT: no way out but the proxy.
@Suite(.recorded("NT")) struct Network {
    static let table: [Attempt] =
        [
            "1.1.1.1", "8.8.8.8", "169.254.169.254", "100.100.100.200", "10.0.0.1", "192.168.0.1",
            "198.51.100.1", "240.0.0.1",
        ]
        .map {
            Attempt(
                $0.hasPrefix("100.") || $0.hasPrefix("169.") ? "NT-06" : "NT-02", "\($0) by TCP",
                "tcp,\($0),80", "ENETUNREACH", "EHOSTUNREACH")
        }
        + ["2606:4700:4700::1111", "fd00:ec2::254"].map {
            Attempt("NT-02", "\($0) by TCP", "tcp,\($0),443", "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL")
        }
        + ["1.1.1.1", "224.0.0.1", "255.255.255.255"].map {
            Attempt("NT-03", "\($0) by UDP", "udp,\($0),53", "ENETUNREACH", "EHOSTUNREACH", "EACCES")
        }
        + ["127.0.0.1", "0.0.0.0", "::1", "::"].map {
            Attempt("NT-08", "listening at the proxy's \($0)", "listen,\($0),3128", "EADDRINUSE")
        }
        + [
            Attempt(
                "NT-04", "the host's 127.0.0.1", "tcp,127.0.0.1,{four}", "ECONNREFUSED", control: .outside),
            Attempt("NT-04", "the host's ::1", "tcp,::1,{six}", "ECONNREFUSED", control: .outside),
            Attempt("NT-04", "the host's 0.0.0.0", "tcp,0.0.0.0,{four}", "ECONNREFUSED", control: .outside),
            Attempt(
                "NT-04", "the host's 127.0.0.1 as mapped", "tcp,::ffff:127.0.0.1,{four}", "ECONNREFUSED",
                control: .outside),
            Attempt("NT-14", "a server of one's own", "tcp-pair,127.0.0.1", .works, .outside),
        ]

    /// The listeners live as long as the tests do.
    static let sentinels = Result { (four: try Sentinel(.tcp("127.0.0.1")), six: try Sentinel(.tcp("::1"))) }
    static let sweep = Sweep(
        table,
        prepare: { _ in
            let sentinels = try Network.sentinels.get()
            return ["four": "\(sentinels.four.port)", "six": "\(sentinels.six.port)"]
        })

    @Test(arguments: table)
    func `there is no route but the proxy`(_ attempt: Attempt) throws { try Network.sweep.check(attempt) }

    @Test func `the host's listeners saw only the control`() throws {
        row("NT-04")
        let sentinels = try Network.sentinels.get()
        _ = Network.sweep
        _ = (sentinels.four.connections(), sentinels.six.connections())
        let acts = ["tcp,127.0.0.1,\(sentinels.four.port)", "tcp,::1,\(sentinels.six.port)"]
        #expect(
            try Host.run([try Tools.probe.get()] + acts).text.components(separatedBy: "\"errno\":\"0\"").count
                == 3)
        #expect(sentinels.four.connections() == 1 && sentinels.six.connections() == 1, "no control")
        _ = try Box().probe(acts)
        _ = try Box().probe(acts, options: ["--net", "none"])
        #expect(sentinels.four.connections() == 0 && sentinels.six.connections() == 0)
    }

    @Test(arguments: [[], ["--net", "none"]])
    func `the only interface is the loopback`(_ options: [String]) throws {
        row("NT-01")
        let box = try Box()
        let inside = try #require(try box.probe(["interfaces"], options: options)["interfaces"])
        #expect(inside.detail == "lo ", "\(inside)")
        let routes = try box.shell(
            """
            ip -4 route; ip -6 route show default; cat /proc/net/route | tail -n +2; ls \
            /sys/class/net 2>/dev/null
            """,
            options: options)
        #expect(routes.out.isEmpty, "\(routes)")
    }

    @Test func `names are not resolved and the host's resolver is not told`() throws {
        row("NT-07")
        let box = try Box()
        let outcome = try box.shell(
            """
            getent hosts localhost && echo local; getent ahosts example.com; getent hosts $(cat \
            /etc/hostname 2>/dev/null) >/dev/null; cat /etc/resolv.conf /etc/hosts \
            /etc/nsswitch.conf
            """
        )
        #expect(outcome.text.contains("local\n"), "\(outcome)")
        #expect(!outcome.text.contains("example.com"), "\(outcome)")
        let hosts = try Host.shell("grep -E '^(nameserver|search|domain)' /etc/resolv.conf; true").lines
        for line in hosts where !line.contains("127.0.0") { #expect(!outcome.text.contains(line), "\(line)") }
        #expect(!outcome.text.contains(try Host.shell("uname -n").answer + "\n"), "\(outcome)")
    }

    @Test func `with no rule every host is refused with a reason`() throws {
        row("NT-12")
        guard has("curl") else { return }
        row("NT-12")
        let box = try Box()
        let outcome = try box.shell(
            "curl -sS -m 10 -D headers -w '\\n%{http_code}\\n' http://blocked.example/; cat headers >&2")
        #expect(
            outcome.lines.last == "403" && outcome.errors.lowercased().contains("x-box-reason"), "\(outcome)")
        struct Refusal: Decodable {
            var error: String, code: Int, host: String, port: Int, reason: String, message: String,
                resolution: String
        }
        let body = try JSONDecoder().decode(Refusal.self, from: Data((outcome.lines.first ?? "").utf8))
        #expect(
            body.error == "blocked_by_box" && body.code == 403 && body.host == "blocked.example"
                && body.port == 80)
        #expect(body.reason == "host" && body.resolution.hasPrefix("box allow blocked.example"), "\(body)")
        let tunnel = try box.shell(
            "curl -sS -m 10 -o /dev/null -w '%{http_connect}\\n' https://blocked.example/; echo $?")
        #expect(tunnel.lines.first == "403" && tunnel.lines.last == "56", "\(tunnel)")
        for target in [
            "169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "127.0.0.1", "localhost",
        ] {
            let metadata = try box.shell(
                """
                curl -sS -m 10 --noproxy '' -x $HTTP_PROXY -o /dev/null -w '%{http_code}\\n' \
                http://\(target)/latest/
                """
            )
            #expect(metadata.answer == "403", "NT-06 \(target): \(metadata)")
        }
    }

    @Test func `an allowed host is not refused, another one is`() throws {
        row("NT-12")
        guard has("curl") else { return }
        row("NT-12")
        // `.invalid` never resolves: the verdict is seen, and no packet leaves.
        let script =
            """
            for u in https://allowed.invalid/ https://other.invalid/ https://allowed.invalid:8443/; \
            do curl -sS -m 10 -o /dev/null -w '%{http_connect}\\n' $u; done
            """
        let outcome = try Box().shell(script, options: ["--allow", "allowed.invalid"])
        #expect(
            outcome.lines.count == 3 && outcome.lines[1] == "403" && outcome.lines[2] == "403", "\(outcome)")
        #expect(["502", "504"].contains(outcome.lines.first ?? ""), "\(outcome)")
    }

    @Test func `a relay in front of the proxy changes nothing`() throws {
        row("NT-13")
        guard has("curl", "socat") else { return }
        row("NT-13")
        let script =
            """
            socat TCP-LISTEN:4000,fork,reuseaddr TCP:127.0.0.1:3128 & for i in $(seq 100); do curl \
            -sS -m 5 -o /dev/null -x http://127.0.0.1:4000 -w '%{http_connect}' \
            https://blocked.example/ 2>/dev/null | grep -q 403 && echo refused && break; done; kill \
            $!
            """
        let outcome = try Box().shell(script)
        #expect(outcome.answer == "refused", "\(outcome)")
    }

    @Test func `when the proxy dies nothing opens`() throws {
        row("NT-10")
        let box = try Box()
        let running = try box.start(
            [
                "/bin/bash", "-c",
                """
                echo ready; read line; curl -sS -m 5 http://blocked.example/ >/dev/null; echo \
                curl-$?; \(box.scratch.project)/probe interfaces tcp,1.1.1.1,80; read line; exit 0
                """,
            ],
            streams: .openInput)
        try running.expect("ready")
        let proxies = Host.descendants(of: running.pid).filter { $0.name.hasPrefix("box-proxy") }
        #expect(proxies.count == 1, "\(Host.descendants(of: running.pid))")
        for proxy in proxies { kill(proxy.pid, SIGKILL) }
        try running.send("\n")
        // Either box ends the run at once, and says why, or requests fail inside.
        let ended = try Host.eventually {
            try running.listen(seconds: 0.05)
            return running.hasEnded || String(decoding: running.out, as: UTF8.self).contains("\"act\":\"tcp,")
        }
        #expect(ended)
        let text = String(decoding: running.out, as: UTF8.self)
        if running.hasEnded {
            let outcome = try running.wait()
            #expect(outcome.status != 0 && outcome.errors.contains("proxy"), "\(outcome)")
        } else {
            #expect(
                text.contains("curl-") && !text.contains("curl-0") && text.contains("ENETUNREACH"), "\(text)")
            try running.send("\n")
            let outcome = try running.wait()
            #expect(outcome.errors.contains("proxy"), "box does not say that its proxy died: \(outcome)")
        }
    }
}
