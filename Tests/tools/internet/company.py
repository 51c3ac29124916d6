"""The HTTP proxy of a company's network: CONNECT and absolute-form requests, Basic authentication, a log."""

import asyncio
import base64
from urllib.parse import urlsplit

from . import zone as names

USER, PASSWORD = "worker", "pa:ss@word"
EXPECTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


async def pipe(reader, writer):
    while data := await reader.read(1 << 18):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def serve(zone, log, reader, writer, _):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin1").split("\r\n")
    method, target, version = lines[0].split(" ")
    headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:] if ":" in line}
    parts = urlsplit(target if "://" in target else f"//{target}")
    host, port = parts.hostname, parts.port or 80
    authorized = headers.get("proxy-authorization") == EXPECTED
    log(method=method, target=target, version=version, authorized=authorized, host=headers.get("host"))
    if not authorized:
        writer.write(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"company\"\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        return await writer.drain()
    found = [word for word in names.look_up(zone, host) or [] if "." in word or ":" in word]
    if not found:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return await writer.drain()
    onward_reader, onward = await asyncio.open_connection(found[0], port)
    if method == "CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kept = [line for line in lines[1:] if line and not line.lower().startswith("proxy-")]
        onward.write(f"{method} {path} HTTP/1.1\r\n".encode() + "\r\n".join([*kept, "", ""]).encode("latin1"))
    await asyncio.gather(pipe(reader, onward), pipe(onward_reader, writer), return_exceptions=True)
    onward.close()
