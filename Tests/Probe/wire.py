#!/usr/bin/env python3
"""wire.py FILE [TOGETHER]: carries out exchanges of bytes, so many at a time, and prints one line of JSON for each.

FILE is a JSON list of {"key", "host", "port", "steps", "within"}; bytes are text of Latin-1. Steps:
["send", BYTES]  ["pause", SECONDS]  ["shut"] ends the sending side  ["reset"]
["status"] reads the head of an HTTP answer   ["until", BYTES]   ["read", COUNT]   ["rest"] reads to the end
["hello", NAME or null, PIECE] sends a TLS hello in pieces of that size, 0 for one, with a moment between them
["tls", NAME, AUTHORITY] goes on over TLS     ["fill", COUNT] sends COUNT bytes of a pattern, its digest is told
The line: "key", "got" (the first 64 KiB), "bytes", "sha256" of all that came, "sent" (digest of what was filled),
"end" (open, eof, reset, timeout, or the errno of the connection), "at" (the step that was under way), "ms".
"""

import errno
import hashlib
import json
import socket
import ssl
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

KEPT = 1 << 16
PATTERN = bytes(range(251)) * 1024


def hello(name):
    """The bytes of a TLS hello that asks for this name, or for none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


class Exchange:
    """One connection and what was read from it."""

    def __init__(self, host, port, seconds):
        self.deadline = time.monotonic() + seconds
        self.kept, self.count = bytearray(), 0
        self.digest, self.filled = hashlib.sha256(), None
        self.unread = b""
        self.socket = socket.create_connection((host, port), timeout=seconds)

    def left(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def receive(self):
        """The next bytes, empty at the end; counted once."""
        self.socket.settimeout(self.left())
        data = self.socket.recv(1 << 18)
        self.count += len(data)
        self.digest.update(data)
        self.kept += data[: KEPT - len(self.kept)]
        return data

    def read(self, enough):
        """Reads until `enough` finds an end in what is unread; what is behind it stays unread."""
        while (end := enough(self.unread)) is None:
            data = self.receive()
            if not data:
                raise EOFError
            self.unread += data
        self.unread = self.unread[end:]

    def send(self, data):
        self.socket.settimeout(self.left())
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            # An answer that came before the end of the connection is still there to read.
            try:
                while self.receive():
                    pass
            except OSError:
                pass
            raise

    def step(self, word, *more):
        """Does one step."""
        if word == "send":
            self.send(more[0].encode("latin1"))
        elif word == "pause":
            time.sleep(more[0])
        elif word == "shut":
            self.socket.shutdown(socket.SHUT_WR)
        elif word == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        elif word == "status":
            self.read(lambda got: found(got, b"\r\n\r\n"))
        elif word == "until":
            self.read(lambda got: found(got, more[0].encode("latin1")))
        elif word == "read":
            self.read(lambda got: more[0] if len(got) >= more[0] else None)
        elif word == "rest":
            while self.receive():
                pass
            raise EOFError
        elif word == "hello":
            self.hello(*more)
        elif word == "tls":
            self.secure(*more)
        elif word == "fill":
            self.fill(more[0])
        else:
            raise ValueError(word)

    def hello(self, name, piece):
        data = hello(name)
        piece = piece or len(data)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), piece):
            self.send(data[at : at + piece])
            time.sleep(0.002 if piece < len(data) else 0)

    def secure(self, name, authority):
        context = ssl.create_default_context(cafile=authority)
        self.socket.settimeout(self.left())
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def fill(self, count):
        digest = hashlib.sha256()
        while count:
            piece = PATTERN[: min(count, len(PATTERN))]
            digest.update(piece)
            self.send(piece)
            count -= len(piece)
        self.filled = digest.hexdigest()


def found(got, end):
    """Where the text ends, if it is there."""
    at = got.find(end)
    return None if at < 0 else at + len(end)


def carry_out(wanted):
    """Does all steps of an exchange; the line about it."""
    began, end, at, exchange = time.monotonic(), "open", "connect", None
    try:
        exchange = Exchange(wanted["host"], wanted["port"], wanted.get("within", 5))
        for step in wanted["steps"]:
            at = step[0]
            exchange.step(*step)
    except EOFError:
        end = "eof"
    except (TimeoutError, socket.timeout):
        end = "timeout"
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        end = "reset"
    except ssl.SSLError as error:
        end = f"tls: {error.reason or error}"
    except socket.gaierror as error:
        end = {v: k for k, v in vars(socket).items() if k.startswith("EAI_")}.get(error.errno, str(error))
    except OSError as error:
        # What shutdown(2) says of a connection that was reset.
        end = "reset" if error.errno == errno.ENOTCONN else errno.errorcode.get(error.errno, repr(error))
    told = {"key": wanted["key"], "end": end, "at": at, "ms": int((time.monotonic() - began) * 1000)}
    if exchange:
        told.update(
            got=exchange.kept.decode("latin1"), bytes=exchange.count, sha256=exchange.digest.hexdigest(),
            sent=exchange.filled,
        )
        exchange.socket.close()
    return told


with open(sys.argv[1]) as file, ThreadPoolExecutor(int((sys.argv + ["1"])[2])) as together:
    for told in together.map(carry_out, json.load(file)):
        print(json.dumps(told), flush=True)
