"""What is written down: one line of JSON for everything that arrived."""

import json
import os
import socket
import struct
import threading
import time

ALL_PROTOCOLS = 3
OUTGOING = 4


class Log:
    """A file of JSON lines that everybody may read."""

    def __init__(self, path, **always):
        self.file, self.always, self.lock = open(path, "a", buffering=1), always, threading.Lock()
        os.chmod(path, 0o644)

    def __call__(self, **fields):
        with self.lock:
            self.file.write(json.dumps({"t": round(time.time(), 3), **self.always, **fields}) + "\n")


def described(frame):
    """Protocol, address and port of a frame that asks for something: a SYN, a datagram, anything else of IP."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        start, protocol = 14 + (frame[14] & 15) * 4, frame[23]
        to = socket.inet_ntop(socket.AF_INET, frame[30:34])
    elif kind == b"\x86\xdd":
        start, protocol = 54, frame[20]
        to = socket.inet_ntop(socket.AF_INET6, frame[38:54])
    else:
        return None
    if to.startswith("ff02:") or protocol == socket.IPPROTO_ICMPV6:
        return None  # neighbours and groups: the kernel's own, whatever happens
    if protocol == socket.IPPROTO_TCP:
        if frame[start + 13] & 0x12 != 0x02:
            return None
        return {"protocol": "tcp", "to": to, "port": struct.unpack(">H", frame[start + 2 : start + 4])[0]}
    if protocol == socket.IPPROTO_UDP:
        return {"protocol": "udp", "to": to, "port": struct.unpack(">H", frame[start + 2 : start + 4])[0]}
    return {"protocol": str(protocol), "to": to}


def watch(interface, log):
    """Logs what comes in by an interface, before any socket sees it."""
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    sniffer.bind((interface, ALL_PROTOCOLS))

    def loop():
        while True:
            try:
                frame, where = sniffer.recvfrom(128)
            except OSError:  # the interface is gone: the end
                return
            if where[2] == OUTGOING:
                continue
            if found := described(frame):
                log(**found)

    threading.Thread(target=loop, daemon=True).start()
