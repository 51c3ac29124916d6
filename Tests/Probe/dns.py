#!/usr/bin/env python3
"""dns.py FILE: asks the name server on 127.0.0.1:53 and prints one line of JSON for each question.

FILE is a JSON list of {"key", "name", "type", "over": "udp" or "tcp"} or {"key", "raw": hexadecimal, "over"}.
The line: "key", "end" (answer, silence, eof, or an errno), "code" (RCODE), "name" as it came back, "addresses", "same"
(whether the id and the question are those that were sent), "flags", "ms".
"""

import errno
import ipaddress
import json
import socket
import struct
import sys
import time

SERVER = ("127.0.0.1", 53)
IDENTIFIER = 0x1234


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode("latin1") for label in name.split(".") if label)
    return struct.pack(">HHHHHH", IDENTIFIER, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def name_at(packet, at):
    """The name at an offset and where it ends."""
    labels = []
    while packet[at]:
        if packet[at] >= 0xC0:
            rest, _ = name_at(packet, struct.unpack(">H", packet[at : at + 2])[0] & 0x3FFF)
            return ".".join([*labels, rest]), at + 2
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin1"))
        at += packet[at] + 1
    return ".".join(labels), at + 1


def read(packet, asked):
    """What an answer says."""
    identifier, flags, questions, answers, _, _ = struct.unpack(">HHHHHH", packet[:12])
    told = {"end": "answer", "code": flags & 15, "flags": flags, "addresses": []}
    at = 12
    if questions:
        told["name"], at = name_at(packet, at)
        at += 4
    told["same"] = identifier == IDENTIFIER and (not questions or packet[12:at] == asked[12:at])
    for _ in range(answers):
        _, at = name_at(packet, at)
        kind, _, _, size = struct.unpack(">HHIH", packet[at : at + 10])
        if kind in (1, 28):
            told["addresses"].append(str(ipaddress.ip_address(packet[at + 10 : at + 10 + size])))
        at += 10 + size
    return told


def ask(packet, over):
    """The server's answer, empty if it ends the connection."""
    if over == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(1)
            datagrams.connect(SERVER)
            datagrams.send(packet)
            return datagrams.recv(4096)
    with socket.create_connection(SERVER, timeout=2) as stream:
        stream.sendall(struct.pack(">H", len(packet)) + packet)
        stream.settimeout(2)
        head = stream.recv(2)
        return stream.recv(*struct.unpack(">H", head)) if len(head) == 2 else b""


def carry_out(wanted):
    asked = bytes.fromhex(wanted["raw"]) if "raw" in wanted else question(wanted["name"], wanted["type"])
    began = time.monotonic()
    try:
        answer = ask(asked, wanted["over"])
        told = read(answer, asked) if answer else {"end": "eof"}
    except TimeoutError:
        told = {"end": "silence"}
    except OSError as error:
        told = {"end": errno.errorcode.get(error.errno, repr(error))}
    return {"key": wanted["key"], **told, "ms": int((time.monotonic() - began) * 1000)}


with open(sys.argv[1]) as file:
    for one in json.load(file):
        print(json.dumps(carry_out(one)), flush=True)
