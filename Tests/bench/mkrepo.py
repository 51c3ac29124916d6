#!/usr/bin/env python3
"""mkrepo.py DIRECTORY FILES [SEED]: a synthetic project, the same one every time.

About a fifth of it is `src`, the rest `node_modules`. Packages have 8 to 59 files, one to four levels deep. Sizes are
lognormal with a median of 1.1 kB and a mean of about 4 kB, as packages of npm have; one file of 2,000 has 1 to 4 MB.
"""
import os
import random
import sys

LARGEST = 512 << 10
ENDINGS = ("js", "js", "js", "ts", "json", "md", "d.ts", "map")


class Project:
    """Writes one project; all that is random comes from one generator."""

    def __init__(self, directory, files, seed=1):
        self.directory = directory
        self.files = files
        self.random = random.Random(seed)
        lines = (self.line(number) for number in range(120_000))
        self.text = b"".join(lines)

    def line(self, number):
        words = bytes(self.random.choices(b"abcdefghijklmnop ", k=20))
        return b"const v%d = require('./m%d'); // %s\n" % (number, number * 7 % 977, words)

    def size(self):
        if self.random.random() < 1 / 2000:
            return self.random.randrange(1 << 20, 4 << 20)
        return max(1, min(LARGEST, int(self.random.lognormvariate(7.0, 1.6))))

    def package(self, number):
        """The directory of a package."""
        if self.random.random() < 0.2:
            return os.path.join(self.directory, "src", f"mod{number % 97}", f"c{number}")
        scope = f"@s{number % 40}" if self.random.random() < 0.3 else ""
        return os.path.join(self.directory, "node_modules", scope, f"pkg{number}")

    def put(self, path):
        size = self.size()
        start = self.random.randrange(0, len(self.text) - size)
        with open(path, "wb", buffering=0) as file:
            file.write(self.text[start : start + size])

    def make(self):
        """Writes all of it, package by package."""
        made = number = 0
        while made < self.files:
            base = current = self.package(number)
            number += 1
            os.makedirs(base)
            for index in range(min(self.files - made, self.random.randrange(8, 60))):
                if self.random.random() < 0.12:
                    deeper = (f"d{self.random.randrange(4)}" for _ in range(self.random.randrange(1, 4)))
                    current = os.path.join(base, *deeper)
                    os.makedirs(current, exist_ok=True)
                self.put(os.path.join(current, f"f{index}.{self.random.choice(ENDINGS)}"))
                made += 1


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: mkrepo.py DIRECTORY FILES [SEED]")
    Project(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:])).make()
