#!/usr/bin/env python3
"""storm.py ACT...: many tunnels at once through the proxy on 127.0.0.1:3128; prints what became of them as JSON.

short COUNT TOGETHER TARGET   opens a tunnel, sends a byte, waits for its echo, closes; COUNT times
leave COUNT TARGET            asks for tunnels and goes away before there is an answer
idle COUNT TARGET             opens tunnels, prints {"open": N} and, after a line on standard input, echoes in each
plain COUNT URL               GET requests, one connection each; counts the statuses
"""

import asyncio
import collections
import json
import sys
import time

PROXY = ("127.0.0.1", 3128)


async def tunnel(target):
    """An open tunnel, or the status that refused it."""
    reader, writer = await asyncio.open_connection(*PROXY)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = head[9:12].decode()
    if status != "200":
        writer.close()
    return status, reader, writer


async def echoed(reader, writer):
    writer.write(b"x")
    return await asyncio.wait_for(reader.readexactly(1), 10) == b"x"


async def short(count, together, target):
    results, room, times = collections.Counter(), asyncio.Semaphore(int(together)), []

    async def one():
        async with room:
            began = time.monotonic()
            try:
                status, reader, writer = await tunnel(target)
                if status == "200":
                    results["ok" if await echoed(reader, writer) else "wrong"] += 1
                    writer.close()
                    await writer.wait_closed()
                else:
                    results[status] += 1
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                results[type(error).__name__] += 1
            times.append(time.monotonic() - began)

    await asyncio.gather(*[one() for _ in range(int(count))])
    return {**results, "slowest_ms": int(max(times) * 1000)}


async def leave(count, target):
    for _ in range(int(count)):
        _, writer = await asyncio.open_connection(*PROXY)
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        await writer.drain()
        writer.transport.abort()
    return {"left": int(count)}


async def idle(count, target):
    tunnels = []
    for _ in range(0, int(count), 50):
        tunnels += await asyncio.gather(*[tunnel(target) for _ in range(50)])
    tunnels = [t for t in tunnels if t[0] == "200"]
    print(json.dumps({"open": len(tunnels)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    good = 0
    for _, reader, writer in tunnels:
        good += await echoed(reader, writer)
        writer.close()
    return {"echoed": good}


async def plain(count, url):
    results = collections.Counter()
    host = url.split("/")[2]
    for _ in range(int(count)):
        reader, writer = await asyncio.open_connection(*PROXY)
        writer.write(f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        results[(await reader.read(-1))[9:12].decode() or "nothing"] += 1
        writer.close()
    return dict(results)


acts = {"short": short, "leave": leave, "idle": idle, "plain": plain}
print(json.dumps(asyncio.run(acts[sys.argv[1]](*sys.argv[2:]))), flush=True)
