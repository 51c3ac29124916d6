"""The DNS server of the pretended internet. Every question is a line in dns.log."""

import ipaddress
import socket
import struct
import threading

from . import zone as names

A, AAAA, CNAME = 1, 28, 5
OK, SERVFAIL, NXDOMAIN = 0x8580, 0x8582, 0x8583
TRUNCATED = 0x8780
ADDRESS = ("10.66.0.1", 53)


def question(packet):
    """The name, the kind and the bytes of a packet's one question."""
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin1"))
        at += packet[at] + 1
    (kind,) = struct.unpack(">H", packet[at + 1 : at + 3])
    return ".".join(labels), kind, packet[12 : at + 5]


def encoded(name):
    """A name as labels with their lengths."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class Answers:
    """Answers questions out of a zone; remembers how often a name was asked for."""

    def __init__(self, zone, log):
        self.zone, self.log, self.asked = zone, log, {}

    def found(self, name):
        """The words for a name, after the specials that depend on the count."""
        words = names.look_up(self.zone, name)
        if words == ["rebind"]:
            self.asked[name] = self.asked.get(name, 0) + 1
            # A and AAAA of the first look-up both count as the first.
            return [names.REBIND[0 if self.asked[name] <= 2 else 1]]
        return names.MANY if words in (["many"], ["truncated"]) else words

    def records(self, words, kind):
        """The answer section and the number of its records."""
        out, count, owner = b"", 0, b"\xc0\x0c"
        if words[0] == "cname":
            target = encoded(words[1])
            out += owner + struct.pack(">HHIH", CNAME, 1, 60, len(target)) + target
            owner, count, words = target, 1, self.found(words[1]) or []
        for text in words:
            address = ipaddress.ip_address(text)
            if (kind, address.version) in ((A, 4), (AAAA, 6)):
                out += owner + struct.pack(">HHIH", kind, 1, 0, len(address.packed)) + address.packed
                count += 1
        return out, count

    def __call__(self, packet, over):
        """The answer to a packet that came over `udp` or `tcp`; None for silence."""
        name, kind, asked = question(packet)
        self.log(name=name, type=kind, over=over)
        words, head = self.found(name), packet[:2]

        def reply(flags, count=0, records=b""):
            return head + struct.pack(">HHHHH", flags, 1, count, 0, 0) + asked + records

        if words is None or words == ["nxdomain"]:
            return reply(NXDOMAIN)
        if words == ["timeout"]:
            return None
        if words == ["servfail"]:
            return reply(SERVFAIL)
        if words == ["garbage"]:
            return head + b"\xff" * 40
        out, count = self.records(words, kind)
        whole = reply(OK, count, out)
        cut = len(whole) > 1200 or names.look_up(self.zone, name) == ["truncated"]
        return reply(TRUNCATED) if cut and over == "udp" else whole


def serve(zone, log):
    """Starts both servers on threads of their own."""
    answers = Answers(zone, log)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(ADDRESS)
    streams = socket.create_server(ADDRESS, backlog=64)

    def answer_datagrams():
        while True:
            packet, peer = datagrams.recvfrom(4096)
            try:
                if answer := answers(packet, "udp"):
                    datagrams.sendto(answer, peer)
            except (IndexError, struct.error) as error:
                log(error=repr(error))

    def answer_stream(connection):
        with connection, connection.makefile("rb") as questions:
            try:
                while len(size := questions.read(2)) == 2:
                    answer = answers(questions.read(*struct.unpack(">H", size)), "tcp")
                    if answer:
                        connection.sendall(struct.pack(">H", len(answer)) + answer)
            except (IndexError, struct.error, OSError) as error:
                log(error=repr(error))

    def answer_streams():
        while True:
            connection, _ = streams.accept()
            threading.Thread(target=answer_stream, args=(connection,), daemon=True).start()

    for loop in (answer_datagrams, answer_streams):
        threading.Thread(target=loop, daemon=True).start()
