import Foundation
import Testing

extension Door {
    /// Real programs, through the proxy's variables and without any. `direct` programs have to be captured.
    @Suite(.recorded("NT-15"), .serialized) struct Clients {
        /// A script inside that has to print this last.
        struct Row: Sendable, CustomTestStringConvertible {
            var what: String
            var needs: [String]
            var allow: [String]
            var script: String
            var last: String
            var files: [String: String] = [:]
            /// The events' `via` for its traffic.
            var via: String
            var testDescription: String { what }
        }

        static let secure = "--cacert ca.crt"
        static let noProxy = "unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY\n"

        static let curl: [Row] = [
            Row(
                what: "curl over HTTP/1.1", needs: ["curl"], allow: ["github.com"],
                script: "curl -sS --http1.1 \(secure) -w '\\n%{http_code}' https://github.com/", last: "200",
                via: "connect"),
            Row(
                what: "curl over HTTP/2", needs: ["curl"], allow: ["h2.example.com"],
                script: "curl -sS --http2 \(secure) -w '%{http_version}' https://h2.example.com/", last: "2",
                via: "connect"),
            Row(
                what: "curl with plain HTTP", needs: ["curl"], allow: ["four.example.com:80"],
                script: "curl -sS -w '\\n%{http_code}' http://four.example.com/", last: "200", via: "http"),
            Row(
                what: "curl --proxytunnel to another port", needs: ["curl"], allow: ["four.example.com:8080"],
                script: "curl -sS --proxytunnel -w '\\n%{http_code}' http://four.example.com:8080/",
                last: "200",
                via: "connect"),
            Row(
                what: "curl by SOCKS", needs: ["curl"], allow: ["github.com"],
                script:
                    "curl -sS --socks5-hostname 127.0.0.1:1080 \(secure) -w '\\n%{http_code}' https://github.com/",
                last: "200", via: "socks"),
            Row(
                what: "curl by SOCKS over IPv6", needs: ["curl"], allow: ["github.com"],
                script:
                    "curl -sS --socks5-hostname '[::1]:1080' \(secure) -w '\\n%{http_code}' https://github.com/",
                last: "200", via: "socks"),
            Row(
                what: "curl without a proxy", needs: ["curl"], allow: ["github.com"],
                script: "curl -sS --noproxy '*' \(secure) -w '\\n%{http_code}' https://github.com/",
                last: "200",
                via: "transparent"),
            Row(
                what: "curl without a proxy over HTTP/2", needs: ["curl"], allow: ["h2.example.com"],
                script:
                    "curl -sS --noproxy '*' --http2 \(secure) -w '%{http_version}' https://h2.example.com/",
                last: "2", via: "transparent"),
            Row(
                what: "curl without a proxy, plain", needs: ["curl"], allow: ["four.example.com:80"],
                script: "curl -sS --noproxy '*' -w '\\n%{http_code}' http://four.example.com/", last: "200",
                via: "transparent"),
            Row(
                what: "curl --resolve to an allowed address", needs: ["curl"], allow: ["140.82.112.3"],
                script: "curl -sSk --noproxy '*' -w '\\n%{http_code}' https://140.82.112.3/", last: "200",
                via: "transparent"),
        ]

        static let git: [Row] = [
            Row(
                what: "git over https", needs: ["git"], allow: ["git.example.org"],
                script: """
                    export GIT_SSL_CAINFO=$PWD/ca.crt
                    git clone -q https://git.example.org/git/project.git /tmp/a && cat /tmp/a/README
                    """, last: "from far away", via: "connect"),
            Row(
                what: "git over https, pushing, without a proxy", needs: ["git"], allow: ["git.example.org"],
                script: noProxy + """
                    export GIT_SSL_CAINFO=$PWD/ca.crt
                    git clone -q https://git.example.org/git/project.git /tmp/a && cd /tmp/a && git -c user.name=a \
                    -c user.email=a@b.invalid commit -q --allow-empty -m x && git push -q origin HEAD:refs/heads/$BOX_SESSION && echo pushed
                    """, last: "pushed", via: "transparent"),
            Row(
                what: "git over ssh", needs: ["git", "ssh", "dropbear"], allow: ["git.example.org:22"],
                script: """
                    export GIT_SSH_COMMAND="ssh -F none -i $PWD/key -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
                    -o UserKnownHostsFile=/tmp/known -o LogLevel=ERROR"
                    git clone -q ssh://git@git.example.org{fake}/repos/project.git /tmp/a && cat /tmp/a/README
                    """, last: "from far away", via: "transparent"),
        ]

        static let programs: [Row] = [
            Row(
                what: "python's urllib", needs: ["python3"], allow: ["github.com"],
                script:
                    "SSL_CERT_FILE=$PWD/ca.crt python3 -c \"import urllib.request as u; print(u.urlopen('https://github.com/').status)\"",
                last: "200", via: "connect"),
            Row(
                what: "python's sockets with TLS", needs: ["python3"], allow: ["github.com"],
                script: "python3 raw.py", last: "HTTP/1.1 200 OK",
                files: ["raw.py": ClientFixtures.pythonSocket],
                via: "transparent"),
            Row(
                what: "node's fetch", needs: ["node"], allow: ["github.com"],
                script:
                    "NODE_EXTRA_CA_CERTS=$PWD/ca.crt node -e \"fetch('https://github.com/').then(r => console.log(r.status))\"",
                last: "200", via: "transparent|connect"),
            Row(
                what: "a websocket of node's", needs: ["node"], allow: ["github.com"],
                script: "NODE_EXTRA_CA_CERTS=$PWD/ca.crt node socket.js", last: "echoed: hello",
                files: ["socket.js": ClientFixtures.nodeWebSocket], via: "transparent"),
            Row(
                what: "a program in C", needs: ["gcc"], allow: ["four.example.com:80"],
                script: "gcc -o plain plain.c && ./plain four.example.com 80", last: "HTTP/1.1 200 OK",
                files: ["plain.c": ClientFixtures.cProgram], via: "transparent"),
            Row(
                what: "a program in Go", needs: ["go"], allow: ["github.com"],
                script: noProxy + "GOCACHE=/tmp/go GOFLAGS=-mod=mod SSL_CERT_FILE=$PWD/ca.crt go run get.go",
                last: "200 OK", files: ["get.go": ClientFixtures.goProgram], via: "transparent"),
            Row(
                what: "Java's HttpClient", needs: ["java", "javac"], allow: ["four.example.com:80"],
                script: "java -XX:TieredStopAtLevel=1 Get.java", last: "200",
                files: ["Get.java": ClientFixtures.javaProgram],
                via: "transparent"),
            Row(
                what: "psql by localhost", needs: ["psql"], allow: ["localhost:5432"],
                script: "psql -h localhost -U me -d x -Atc 'select 1'", last: "you asked: select 1",
                via: "transparent"),
            Row(
                what: "pip downloads from an index", needs: ["python3"], allow: ["index.example.org"],
                script: """
                    python3 -m venv /tmp/v >/dev/null && /tmp/v/bin/pip -q --disable-pip-version-check --cert $PWD/ca.crt \
                    install --index-url https://index.example.org/index/simple nothing-at-all && \
                    /tmp/v/bin/python -c 'import nothing_at_all as n; print(n.word)'
                    """, last: "installed", via: "connect"),
            Row(
                what: "npm installs from a registry", needs: ["node", "npm"], allow: ["index.example.org"],
                script: """
                    echo '{}' > package.json; npm install --silent --no-audit --no-fund --cafile $PWD/ca.crt \
                    --registry https://index.example.org/index/npm/ nothing-at-all && \
                    node -p "require('nothing-at-all')"
                    """, last: "installed", via: "connect"),
        ]

        static let rows = curl + git + programs

        @Test(arguments: Identity.all, rows)
        func `a real program reaches what is allowed`(_ identity: Identity, _ row: Row) throws {
            for program in row.needs where !has(program) { return }
            let internet = try Internet.shared.get()
            try ClientFixtures.served.get()
            let box = try internet.box(as: identity)
            try prepare(box, row, identity, internet)
            let options = row.allow.flatMap { ["--allow", $0] }
            let script = row.script.replacingOccurrences(of: "{fake}", with: internet.directory)
            let outcome = try box.shell(script, options: options, within: 60)
            #expect(outcome.status == 0 && outcome.lines.last == row.last, "\(outcome)")
            let vias = Set(try box.events().filter { $0.event == "net.allow" }.compactMap(\.via))
            #expect(
                vias.isSubset(of: Set(row.via.split(separator: "|").map(String.init))) && !vias.isEmpty,
                "\(vias)")
        }

        @Test(arguments: Identity.all, rows)
        func `the same program without a rule reaches nothing`(_ identity: Identity, _ row: Row) throws {
            for program in row.needs where !has(program) { return }
            // Compilers and package managers are slow, and the refusal is the same.
            guard !["a program in Go", "Java's HttpClient"].contains(row.what) else { return }
            let internet = try Internet.shared.get()
            try ClientFixtures.served.get()
            let box = try internet.box(as: identity)
            try prepare(box, row, identity, internet)
            let mark = try internet.mark()
            let script = row.script.replacingOccurrences(of: "{fake}", with: internet.directory)
            // pip and npm try again and again.
            let outcome = try box.shell(
                "export PIP_RETRIES=0 npm_config_fetch_retries=0\n" + script,
                options: ["--allow", "other.example.com"],
                within: 60)
            #expect(outcome.lines.last != row.last && !outcome.timedOut, "\(outcome)")
            let seen = (try internet.packets(since: mark), try internet.questions(since: mark))
            #expect(seen.0.isEmpty && seen.1.isEmpty, "\(seen)")
            #expect(try internet.ownConnections(since: mark).isEmpty)
        }

        private func prepare(_ box: Box, _ row: Row, _ identity: Identity, _ internet: Internet) throws {
            let project = box.scratch.project
            try box.scratch.write(try Host.text(internet.authority), to: project + "/ca.crt")
            for (name, text) in row.files { try box.scratch.write(text, to: "\(project)/\(name)") }
            guard row.needs.contains("ssh") else { return }
            try box.scratch.write(
                try Host.text(internet.directory + "/ssh/key"), to: project + "/key", mode: 0o600)
            if identity == .user {
                _ = try Host.shell("chown '\(try Identity.userName.get())' '\(project)/key'")
            }
        }
    }
}
