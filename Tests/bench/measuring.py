"""measuring: what benchmarks share: running contenders in turns, tables with ratios, file systems in files."""
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time

# Whether to print what each command took.
verbose = False


class Unavailable(Exception):
    """Why something cannot be measured here."""


def run(command, **more):
    """Runs a command to its end; its output. One that fails takes its row out."""
    more.setdefault("stdin", subprocess.DEVNULL)
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False, **more)
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} took longer than {error.timeout:.0f} s") from error
    if verbose:
        print(f"{(time.monotonic() - start) * 1e3:9.1f} ms  {' '.join(command)[:150]}", file=sys.stderr)
    if done.returncode != 0:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"{os.path.basename(command[0])} ended with {done.returncode}: {last}")
    return done.stdout.decode(errors="replace")


def timed(command, **more):
    """The milliseconds that a command takes."""
    start = time.monotonic()
    run(command, **more)
    return (time.monotonic() - start) * 1e3


def in_turns(rounds, contenders):
    """Calls each contender once in every round, with the round's number; results by name, or why there are none."""
    results = {name: [] for name in contenders}
    for number in range(rounds):
        for name, measure in contenders.items():
            if isinstance(results[name], Unavailable):
                continue
            try:
                results[name].append(measure(number))
            except Unavailable as reason:
                results[name] = reason
    return results


def median(results, key=None):
    """The median, of one value of each result if there is a key."""
    if isinstance(results, Unavailable):
        return results
    return statistics.median(result if key is None else result[key] for result in results)


def unmount(path):
    """Unmounts as soon as nobody is there any more: namespaces end a little later than their commands."""
    end = time.monotonic() + 10
    while True:
        try:
            return run(["umount", path])
        except Unavailable:
            if time.monotonic() > end:
                return run(["umount", "--lazy", path])
            time.sleep(0.02)


@contextlib.contextmanager
def loop_file_system(directory, kind, size):
    """A file system in a file, mounted for this program alone; where it is mounted."""
    if os.geteuid() != 0:
        raise Unavailable("only root can mount a file system")
    if not shutil.which(f"mkfs.{kind}"):
        raise Unavailable(f"mkfs.{kind} is not installed")
    image, home = os.path.join(directory, f"{kind}.image"), os.path.join(directory, kind)
    os.makedirs(home)
    with open(image, "wb") as file:
        file.truncate(size)
    run([f"mkfs.{kind}", "-q", image])
    run(["mount", "-o", "loop", image, home])
    try:
        yield home
    finally:
        unmount(home)
        os.unlink(image)


class Table:
    """Rows of numbers that are compared with those of a row above, which is box's."""

    def __init__(self, name, title, columns, form=".1f"):
        self.name = name
        self.title = title
        self.columns = columns
        self.form = form
        self.rows = []
        self.base = ()

    def add(self, title, *values, base=False):
        """One number for each column, None where there is none, or Unavailable, which says why; compared with the last
        base."""
        if base or not self.rows:
            self.base = values
        ratios = [
            value / first if isinstance(value, float) and isinstance(first, float) and first > 0 else None
            for value, first in zip(values, self.base)
        ]
        self.rows.append((title, values, ratios))

    def cell(self, value):
        """A number, or that there is none."""
        return format(value, self.form) if isinstance(value, float) else ""

    def markdown(self):
        """The table with a column of ratios beside each column."""
        lines = [f"{self.title}:", "", "| | " + " | × | ".join(self.columns) + " | × |"]
        lines.append("|---" * (2 * len(self.columns) + 1) + "|")
        for title, values, ratios in self.rows:
            reasons = [str(value) for value in values if isinstance(value, Unavailable)]
            if reasons:
                lines.append(f"| {title} | not measured: {reasons[0]}" + " |" * (2 * len(self.columns)))
                continue
            cells = [
                f"{self.cell(value)} | {'' if ratio is None else self.ratio(ratio)}"
                for value, ratio in zip(values, ratios)
            ]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        return "\n".join(lines)

    @staticmethod
    def ratio(value):
        """Two digits behind the point while they mean something."""
        if value < 0.01:
            return "< 0.01"
        return f"{value:.2f}" if value < 10 else f"{value:,.0f}"

    def json(self):
        """The same for programs."""
        rows = []
        for title, values, ratios in self.rows:
            cells = {}
            for column, value, ratio in zip(self.columns, values, ratios):
                there = not isinstance(value, Unavailable)
                cells[column] = {"value": value, "ratio": ratio} if there else {"unavailable": str(value)}
            rows.append({"row": title, **cells})
        return {"name": self.name, "title": self.title, "rows": rows}


def file_system(path):
    """The kind of file system that a path is on."""
    return run(["df", "--output=fstype", path]).split()[-1]


def insert(path, name, text):
    """Replaces what stands between the lines of one name."""
    with open(path, encoding="utf-8") as file:
        before, mark, rest = file.read().partition(f"<!-- make bench: {name} -->\n")
    if not mark or "<!-- end -->" not in rest:
        sys.exit(f"{path} has no lines for the table {name}")
    after = rest[rest.index("<!-- end -->") :]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{mark}\n{text}\n\n{after}")
