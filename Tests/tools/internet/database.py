"""As much of PostgreSQL's protocol (version 3) as a client needs for one connection and simple queries."""

import struct

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


def message(kind, payload):
    return kind + struct.pack(">I", len(payload) + 4) + payload


def text(value):
    return value.encode() + b"\0"


def row(column, value):
    """One column, one row."""
    described = struct.pack(">H", 1) + text(column) + struct.pack(">IHIHIH", 0, 0, 25, 0xFFFF, 0xFFFFFFFF, 0)
    data = struct.pack(">HI", 1, len(value)) + value.encode()
    return message(b"T", described) + message(b"D", data) + message(b"C", text("SELECT 1"))


async def serve(reader, writer, tell):
    while True:
        size, code = struct.unpack(">II", await reader.readexactly(8))
        options = await reader.readexactly(size - 8)
        if code not in (SSL_REQUEST, GSS_REQUEST):
            break
        writer.write(b"N")
    ready = message(b"Z", b"I")
    settings = {"server_version": "15.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    writer.write(message(b"R", struct.pack(">I", 0)))
    for name, value in settings.items():
        writer.write(message(b"S", text(name) + text(value)))
    writer.write(ready)
    tell(startup=options.decode("latin1"))
    while True:
        kind = await reader.readexactly(1)
        (size,) = struct.unpack(">I", await reader.readexactly(4))
        query = (await reader.readexactly(size - 4)).rstrip(b"\0").decode()
        if kind == b"X":
            return
        if kind == b"Q":
            tell(query=query)
            writer.write(row("answer", f"you asked: {query}") + ready)
            await writer.drain()
