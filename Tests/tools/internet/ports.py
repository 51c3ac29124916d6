"""What listens on the ports of the pretended internet and of the pretended host. Every connection that arrives is a
line in tcp.log, and so is what became of it where that is evidence.

80 8080  http            443 8443  https        22  ssh (see forge.py), else a banner
25 7000  banner, silent  7001  reset at once    7002  reset after the first bytes
7003  reads slowly       7004  32 MiB, then the end    7005  reads to the end, then says the digest of it
7006  says hello, ends its side, and reads on         7007  takes what comes and never answers nor ends
7777  echo               9999  accepts and never answers   3128  a company's HTTP proxy with a password
5432  as much of PostgreSQL as one query needs
"""

import asyncio
import hashlib

from . import authority, company, database, forge, web

PIECE = 1 << 18
PLENTY = 32 << 20
BACKLOG = 4096
# Nothing else holds on to what waits for ever; without this they would be collected, and their connections closed.
WAITING = set()


async def echo(reader, writer, tell):
    first = True
    while data := await reader.read(PIECE):
        if first:
            tell(first=data[:80].decode("latin1"))
            first = False
        writer.write(data)
        await writer.drain()


async def banner(reader, writer, _):
    writer.write(b"SSH-2.0-fake\r\n")
    await writer.drain()
    await reader.read(1000)


async def resets(_, writer, __):
    web.reset(writer)


async def resets_late(reader, writer, _):
    await reader.read(1)
    web.reset(writer)


async def reads_slowly(reader, writer, tell):
    total, digest = 0, hashlib.sha256()
    while data := await reader.read(1 << 16):
        total += len(data)
        digest.update(data)
        await asyncio.sleep(0.001)
    writer.write(digest.hexdigest().encode())
    await writer.drain()
    tell(total=total)


async def plenty(_, writer, tell):
    sent, piece = 0, bytes(range(256)) * (PIECE // 256)
    try:
        while sent < PLENTY:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    finally:
        tell(sent=sent)


async def digests(reader, writer, tell):
    total, digest = 0, hashlib.sha256()
    while data := await reader.read(PIECE):
        total += len(data)
        digest.update(data)
    tell(total=total)
    writer.write(digest.hexdigest().encode())
    await writer.drain()


async def ends_first(reader, writer, tell):
    writer.write(b"hello")
    writer.write_eof()
    data = await reader.read(-1)
    tell(after=data[:80].decode("latin1"), total=len(data))


async def takes(reader, _, __):
    while await reader.read(PIECE):
        pass
    await asyncio.Event().wait()


async def hole(*_):
    await asyncio.Event().wait()


async def shell(folder, reader, writer, tell):
    """The forge's ssh, or the banner alone where there is none."""
    if forge.has_ssh():
        await forge.shell(folder, reader, writer)
    else:
        await banner(reader, writer, tell)


def guarded(serve, log, *before):
    """A server's handler that logs each connection and how it failed, and always closes."""

    async def handle(reader, writer):
        task = asyncio.current_task()
        WAITING.add(task)
        task.add_done_callback(WAITING.discard)
        local, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")

        def tell(**fields):
            log(to=local[0], port=local[1], **fields)

        tell(event="accept", peer=peer[0])
        try:
            await serve(*before, reader, writer, tell)
        except (OSError, EOFError, ValueError, LookupError, asyncio.IncompleteReadError) as error:
            tell(error=repr(error)[:200])
        finally:
            writer.close()

    return handle


async def start(folder, addresses, logs, zone=None):
    """Starts every server on these addresses; the internet's side has a company's proxy too."""
    secure = authority.contexts(folder)
    pages = {tls: web.Web(folder, logs["http"], tls) for tls in (False, True)}

    def page(tls):
        async def serve(reader, writer, _):
            await pages[tls](reader, writer)

        return serve

    servers = {
        22: lambda r, w, t: shell(folder, r, w, t), 25: banner, 7000: banner, 7001: resets, 7002: resets_late,
        7003: reads_slowly, 7004: plenty, 7005: digests, 7006: ends_first, 7007: takes, 7777: echo, 9999: hole,
        80: page(False), 8080: page(False), 5432: database.serve,
    }
    if zone is not None:
        servers[3128] = lambda r, w, t: company.serve(zone, logs["proxy"], r, w, t)
    for address in addresses:
        for port, serve in servers.items():
            await asyncio.start_server(guarded(serve, logs["tcp"]), address, port, backlog=BACKLOG)
        for port in (443, 8443):
            await asyncio.start_server(
                guarded(page(True), logs["tcp"]), address, port, ssl=secure, backlog=BACKLOG
            )


def run(folder, addresses, logs, ready, zone=None):
    """Serves for as long as the process lives; sets the event when everything listens."""

    async def main():
        await start(folder, addresses, logs, zone)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(main())
