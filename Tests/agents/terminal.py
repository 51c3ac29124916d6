"""terminal: a program with a pseudo-terminal, watched and typed into."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

# What programs ask a terminal, and what a plain one answers: where the cursor is, what it is.
QUESTIONS = {b"\x1b[6n": b"\x1b[1;1R", b"\x1b[c": b"\x1b[?62;c", b"\x1b[0c": b"\x1b[?62;c"}
# Commands with a string, with parameters, and short ones.
ESCAPES = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_].*?\x1b\\|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]", re.S
)


class Terminal:
    """A program that has a terminal of its own as standard input, output and error."""

    def __init__(self, command, **more):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))

        def take_terminal():
            """Between fork and exec: makes it the controlling terminal."""
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(  # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
            command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=take_terminal, **more
        )
        os.close(slave)
        self.output = b""
        self.asked = 0
        self.latest = time.monotonic()

    def read(self, seconds):
        """Reads what there is, waiting for it at most so long; whether there may be more."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            data = b""
        self.output += data
        self.latest = time.monotonic()
        while question := self.question():
            self.send(QUESTIONS[question])
        return bool(data)

    def question(self):
        """The next question that has not been answered."""
        found = [(self.output.find(ask, self.asked), ask) for ask in QUESTIONS]
        place, ask = min(((place, ask) for place, ask in found if place >= 0), default=(0, None))
        if ask:
            self.asked = place + len(ask)
        return ask

    def text(self):
        """What was written, without escape sequences and without spaces: programs move the cursor instead."""
        return re.sub(r"\s+", "", ESCAPES.sub(b"", self.output).decode(errors="replace"))

    def quiet(self, seconds):
        """Whether nothing was written or typed for so long."""
        return time.monotonic() - self.latest > seconds

    def send(self, data):
        """Types."""
        self.latest = time.monotonic()
        with contextlib.suppress(OSError):  # it has ended meanwhile
            os.write(self.master, data)

    def wait_for(self, condition, seconds):
        """Reads until the condition is true; whether it became so before the program's end and in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or not self.read(0.1):
                return condition()
        return True

    def wait(self, seconds):
        """Reads until the program has ended; its status, or None if it goes on."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.read(0.1):
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(max(0.1, end - time.monotonic()))
        return None

    def close(self):
        """Ends the program if it goes on."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            if self.wait(10) is None:
                self.process.kill()
                self.process.wait()
        os.close(self.master)
