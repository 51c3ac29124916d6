"""programs: installs real agents below a cache directory, from whatever package index this machine's pip uses."""
import contextlib
import fcntl
import glob
import os
import shutil
import stat
import subprocess
import sys
import tempfile

REQUIREMENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements.txt")
# Where a package has its program, below the environment that it is installed in.
PROGRAMS = {
    "claude": ("claude-agent-sdk", "lib/python3*/site-packages/claude_agent_sdk/_bundled/claude"),
    "codex": ("openai-codex-cli-bin", "lib/python3*/site-packages/codex_cli_bin/bin/codex"),
    "aider": ("aider-chat", "bin/aider"),
}


class Unavailable(Exception):
    """Why an agent cannot be had here."""


def requirement(package, latest):
    """The line of requirements.txt for a package, or only its name for the newest."""
    with open(REQUIREMENTS, encoding="utf-8") as file:
        line = next(line.strip() for line in file if line.startswith(package + "=="))
    return package if latest else line


def cache_directory():
    """A directory of this user's outside of any project, made if it is missing."""
    path = os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/tmp", f"box-agents-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, 0o755)
    found = os.lstat(path)
    # Below /var/tmp anybody could have made it.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise Unavailable(f"{path} is not a directory that is this user's alone")
    return path


def python():
    """A Python that makes environments. The system's own comes first: everybody can read it."""
    for candidate in ("/usr/bin/python3", sys.executable):
        check = [candidate, "-c", "import ensurepip, venv"]
        if os.path.exists(candidate) and subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return candidate
    raise Unavailable("no Python here makes environments (Debian: python3-venv)")


def install(environment, wanted):
    """Makes an environment with one package in it, as a whole or not at all."""
    with tempfile.TemporaryFile() as said:
        for command in (
            [python(), "-m", "venv", environment],
            [f"{environment}/bin/python", "-m", "pip", "install", "--quiet", "--no-input", wanted],
        ):
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, timeout=1200, check=False
            )
            if done.returncode != 0:
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines() or ["no message"]
                shutil.rmtree(environment, ignore_errors=True)
                # The last lines can be advice, and the errors name the index.
                raise Unavailable(f"pip cannot install {wanted}: {lines[-1]}")
    with open(os.path.join(environment, "installed"), "w", encoding="utf-8") as file:
        file.write(wanted + "\n")


def program(cache, agent, latest):
    """The agent's program, installed if it is not yet."""
    package, pattern = PROGRAMS[agent]
    wanted = requirement(package, latest)
    # A script names its environment's place in its first line, so an environment stays where it was made.
    environment = os.path.join(cache, wanted.replace("==", "-"))
    if latest or not os.path.exists(os.path.join(environment, "installed")):
        shutil.rmtree(environment, ignore_errors=True)
        print(f"installing {wanted}", file=sys.stderr, flush=True)
        install(environment, wanted)
    found = glob.glob(os.path.join(environment, pattern))
    if len(found) != 1 or not os.access(found[0], os.X_OK):
        raise Unavailable(f"{package} has no program at {pattern}")
    return found[0]


def prepare(agents, latest=False):
    """Installs agents. The directory for PATH, with a link for each; and why some are missing."""
    os.umask(0o022)
    cache, missing = cache_directory(), {}
    directory = os.path.join(cache, "bin")
    with open(os.path.join(cache, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.makedirs(directory, exist_ok=True)
        for agent in agents:
            link = os.path.join(directory, agent)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(link)
            try:
                os.symlink(program(cache, agent, latest), link)
            except (Unavailable, subprocess.TimeoutExpired) as reason:
                missing[agent] = str(reason)
    return directory, missing
