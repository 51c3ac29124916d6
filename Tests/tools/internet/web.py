"""Web servers: HTTP/1.1 with paths for every kind of answer, WebSocket, and as much of HTTP/2 as one answer needs.

/                JSON: the name asked for, method, path, headers, length and digest of the body, both addresses
/bytes/N         N bytes              /chunked/N       N bytes in chunks    /slow/SECONDS  answers after that time
/drip/N          N bytes, ten a second                 /sse/N           N events, one a second
/reset/N         N bytes of twice as many, then a reset                     /redirect?to=URL
/odd/NAME        an answer that no careful reader takes (see ODD)           /ws            WebSocket that echoes
/git/...         git-http-backend     /index/...       files of FAKE_DIR/www
"""

import asyncio
import base64
import hashlib
import json
import os
import socket
import struct

PIECE = 1 << 18
# Answers with two meanings.
ODD = {
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nokokok",
    "length-and-chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "bare-feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "no-http": b"SSH-2.0-fake\r\n",
    "long-header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "nothing": b"",
    "until-close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it",
    "early": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: secret\r\nConnection: Upgrade\r\n\r\nhidden",
}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Request:
    """The head of one request, and its body once it is read."""

    def __init__(self, head):
        lines = head.decode("latin1").split("\r\n")
        self.method, self.path, _ = (lines[0].split(" ") + ["", ""])[:3]
        self.headers = [line.split(":", 1) for line in lines[1:] if ":" in line]
        self.named = {name.lower(): value.strip() for name, value in self.headers}
        self.body, self.length, self.digest = bytearray(), 0, hashlib.sha256()

    def take(self, piece):
        """Counts a piece of the body; only the first megabyte is kept."""
        self.length += len(piece)
        self.digest.update(piece)
        if len(self.body) < 1 << 20:
            self.body += piece

    async def read_body(self, reader):
        if self.named.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readline()).split(b";")[0], 16):
                self.take(await reader.readexactly(size))
                await reader.readexactly(2)
            while await reader.readline() not in (b"\r\n", b""):
                pass
        else:
            left = int(self.named.get("content-length", 0))
            while left and (piece := await reader.read(min(left, PIECE))):
                left -= len(piece)
                self.take(piece)


class Web:
    """One server's answers."""

    def __init__(self, folder, log, tls):
        self.folder, self.log, self.tls = folder, log, tls

    async def __call__(self, reader, writer):
        peer, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        connection = writer.get_extra_info("ssl_object")
        sni = getattr(connection, "asked_name", None)
        if connection and connection.selected_alpn_protocol() == "h2":
            return await self.second(reader, writer, local, sni)
        while True:
            try:
                request = Request(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    self.log(to=local[0], port=local[1], sni=sni, partial=len(error.partial))
                return
            await request.read_body(reader)
            place = {"to": local[0], "port": local[1], "sni": sni, "tls": self.tls}
            self.log(
                **place, peer=peer[0], method=request.method, path=request.path, headers=request.headers,
                host=request.named.get("host"), body=request.length,
            )
            if not await self.answer(request, reader, writer, place, peer):
                return

    async def answer(self, request, reader, writer, place, peer):
        """Answers one request; false if the connection ends with that."""
        kind, _, rest = request.path.lstrip("/").partition("/")
        if kind == "ws":
            await websocket(request, reader, writer)
            return False
        if kind == "odd":
            writer.write(ODD[rest])
            await writer.drain()
            return False
        if kind == "sse":
            await events(writer, int(rest))
            return False
        if kind == "reset":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * int(rest)) + bytes(int(rest)))
            await writer.drain()
            reset(writer)
            return False
        if kind == "chunked":
            await chunked(writer, int(rest))
            return True
        if kind == "drip":
            await drip(writer, int(rest))
            return True
        status, extra, out = await self.whole(kind, rest, request, place, peer)
        head = f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(out)}\r\n\r\n".encode()
        writer.write(head + (b"" if request.method == "HEAD" else out))
        await writer.drain()
        return request.named.get("connection", "").lower() != "close"

    async def whole(self, kind, rest, request, place, peer):
        """Status, headers and body of an answer whose length is known beforehand."""
        if kind == "bytes":
            return "200 OK", "", bytes(int(rest))
        if kind.startswith("redirect"):
            return "302 Found", f"Location: {request.path.split('to=', 1)[1]}\r\n", b""
        if kind == "git":
            return await git(self.folder, rest, request)
        if kind == "index":
            return indexed(f"{self.folder}/www", rest)
        if kind == "slow":
            await asyncio.sleep(float(rest))
        fields = {
            **place, "name": request.named.get("host"), "method": request.method, "path": request.path,
            "headers": request.headers, "body": request.length, "sha256": request.digest.hexdigest(),
            "peer": peer[0],
        }
        return "200 OK", "Content-Type: application/json\r\n", json.dumps(fields).encode()

    async def second(self, reader, writer, local, sni):
        """HTTP/2 (RFC 9113): 200 and a text for every request, whatever its headers say."""
        if await reader.readexactly(len(PREFACE)) != PREFACE:
            return
        writer.write(frame(4, 0, 0, b""))
        while True:
            try:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
            except asyncio.IncompleteReadError:
                return
            stream = int.from_bytes(head[5:], "big")
            if head[3] == 4 and not head[4] & 1:
                writer.write(frame(4, 1, 0, b""))
            if head[3] == 1:
                self.log(to=local[0], port=local[1], sni=sni, tls=True, method="h2", path="h2")
                # 0x88 is `:status: 200` of the static table (RFC 7541).
                writer.write(frame(1, 4, stream, b"\x88") + frame(0, 1, stream, b"over h2\n"))
            await writer.drain()


def frame(kind, flags, stream, payload):
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def reset(writer):
    """Ends a connection by a reset."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def events(writer, count):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for i in range(count):
        writer.write(b"data: %d\n\n" % i)
        await writer.drain()
        await asyncio.sleep(1)


async def chunked(writer, count):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while count:
        piece = min(count, 10_000)
        count -= piece
        writer.write(b"%x\r\n" % piece + bytes(piece) + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def drip(writer, count):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count)
    for _ in range(count):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.1)


async def websocket(request, reader, writer):
    """RFC 6455: echoes text frames until the other side closes."""
    key = request.named.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while True:
        first, second = await reader.readexactly(2)
        size = second & 127
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        text = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
        writer.write(bytes([first, size] if size < 126 else [first, 126, *size.to_bytes(2, "big")]) + text)
        await writer.drain()
        if first & 15 == 8:
            return


async def git(folder, rest, request):
    """git's smart protocol through its own CGI program, for the repositories in FAKE_DIR/repos."""
    path, _, query = rest.partition("?")
    variables = {
        "GIT_PROJECT_ROOT": f"{folder}/repos", "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": "/" + path,
        "QUERY_STRING": query, "REQUEST_METHOD": request.method, "REMOTE_USER": "somebody",
        "CONTENT_TYPE": request.named.get("content-type", ""), "CONTENT_LENGTH": str(request.length),
        "HTTP_CONTENT_ENCODING": request.named.get("content-encoding", ""),
        "GIT_PROTOCOL": request.named.get("git-protocol", ""), "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*", "PATH": os.environ["PATH"],
    }
    program = await asyncio.create_subprocess_exec(
        "git", "http-backend", env=variables, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await program.communicate(bytes(request.body))
    head, _, body = out.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    status = next((line[8:] for line in lines if line.startswith("Status: ")), "200 OK")
    return status, "".join(f"{line}\r\n" for line in lines if not line.startswith("Status: ")), body


def indexed(root, rest):
    """A file below the root, or a page of links to a folder's files."""
    path = os.path.normpath(f"{root}/{rest}")
    if not path.startswith(root) or not os.path.exists(path):
        return "404 Not Found", "", b"no such file\n"
    if os.path.isdir(path):
        links = "".join(f'<a href="{name}">{name}</a>\n' for name in sorted(os.listdir(path)))
        return "200 OK", "Content-Type: text/html\r\n", f"<!DOCTYPE html>\n{links}".encode()
    with open(path, "rb") as file:
        kind = "application/json" if path.endswith(".json") else "application/octet-stream"
        return "200 OK", f"Content-Type: {kind}\r\n", file.read()
