import Foundation

/// What package managers download: a wheel and a tarball, made once.
enum ClientFixtures {
    static let served = Result { () throws -> Void in
        let internet = try Internet.shared.get()
        let outcome = try Host.run(
            ["/usr/bin/env", "python3", "-c", make, internet.directory + "/www"],
            directory: internet.directory)
        guard outcome.status == 0 else { throw HarnessError(description: "\(outcome)") }
    }

    private static let make = """
        import base64, hashlib, io, json, os, sys, tarfile, zipfile
        root = sys.argv[1]
        for folder in ('simple/nothing-at-all', 'npm/files'): os.makedirs(f'{root}/{folder}', exist_ok=True)
        info = 'nothing_at_all-1.0.dist-info'
        with zipfile.ZipFile(f'{root}/simple/nothing-at-all/nothing_at_all-1.0-py3-none-any.whl', 'w') as wheel:
            wheel.writestr('nothing_at_all.py', "word = 'installed'\\n")
            wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\\nName: nothing-at-all\\nVersion: 1.0\\n')
            wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nGenerator: a\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
            wheel.writestr(f'{info}/RECORD', f'nothing_at_all.py,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n')
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode='w:gz') as archive:
            files = {'package.json': json.dumps({'name': 'nothing-at-all', 'version': '1.0.0', 'main': 'index.js'}),
                     'index.js': "module.exports = 'installed'"}
            for name, text in files.items():
                entry = tarfile.TarInfo(f'package/{name}'); entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        with open(f'{root}/npm/files/nothing-at-all-1.0.0.tgz', 'wb') as file: file.write(data.getvalue())
        dist = {'tarball': 'https://index.example.org/index/npm/files/nothing-at-all-1.0.0.tgz',
                'shasum': hashlib.sha1(data.getvalue()).hexdigest()}
        about = {'name': 'nothing-at-all', 'dist-tags': {'latest': '1.0.0'},
                 'versions': {'1.0.0': {'name': 'nothing-at-all', 'version': '1.0.0', 'dist': dist}}}
        with open(f'{root}/npm/nothing-at-all', 'w') as file: json.dump(about, file)
        """

    static let pythonSocket = """
        import socket, ssl
        context = ssl.create_default_context(cafile='ca.crt')
        with socket.create_connection(('github.com', 443), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname='github.com') as secure:
                secure.sendall(b'GET / HTTP/1.1\\r\\nHost: github.com\\r\\nConnection: close\\r\\n\\r\\n')
                print(secure.recv(15).decode())
        """

    static let nodeWebSocket = """
        const https = require('https');
        const request = https.request({ host: 'github.com', path: '/ws', headers: {
            Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': Buffer.from('0123456789abcdef').toString('base64') } });
        request.on('upgrade', (answer, socket) => {
            const text = Buffer.from('hello'), frame = Buffer.alloc(11);
            frame[0] = 0x81; frame[1] = 0x80 | text.length; text.copy(frame, 6);
            socket.write(frame);
            socket.on('data', data => { console.log('echoed: ' + data.subarray(2).toString()); socket.destroy(); });
        });
        request.on('error', error => { console.log(error.code); process.exit(1); });
        request.end();
        """

    static let cProgram = """
        #include <netdb.h>
        #include <stdio.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <unistd.h>
        int main(int count, char **words) {
            struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
            int failure = getaddrinfo(words[1], words[2], &hints, &list);
            if (failure) return puts(gai_strerror(failure)), 1;
            for (struct addrinfo *one = list; one; one = one->ai_next) {
                int file = socket(one->ai_family, one->ai_socktype, 0);
                if (connect(file, one->ai_addr, one->ai_addrlen)) { close(file); continue; }
                dprintf(file, "GET / HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n", words[1]);
                char text[16] = "";
                read(file, text, 15);
                return puts(text), 0;
            }
            return puts("no connection"), 1;
        }
        """

    static let goProgram = """
        package main
        import ("fmt"; "net/http"; "os")
        func main() {
            answer, err := http.Get("https://github.com/")
            if err != nil { fmt.Println(err); os.Exit(1) }
            fmt.Println(answer.Status)
        }
        """

    static let javaProgram = """
        import java.net.URI;
        import java.net.http.*;
        public class Get {
            public static void main(String[] words) throws Exception {
                var request = HttpRequest.newBuilder(URI.create("http://four.example.com/")).build();
                System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
            }
        }
        """
}
