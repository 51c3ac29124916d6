"""world: a scratch home and project, a fake model API, and a box that runs agents there."""
import contextlib
import http.server
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
import time

from fakeapi import FakeAPI
from terminal import Terminal

SECONDS = 120
REFUSED = "refused.example.org"


class Failed(Exception):
    """What a check found wrong."""


def expect(condition, problem):
    """Fails with a problem unless the condition holds."""
    if not condition:
        raise Failed(problem)


class Door:
    """A server on the host's loopback that nothing allows yet. Its answer cannot be guessed."""

    def __init__(self):
        self.word = secrets.token_hex(8)
        self.reached = []
        door = self

        class Answer(http.server.BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self):  # pylint: disable=invalid-name
                """Answers with the word."""
                door.reached.append(time.monotonic())
                self.send_response(200)
                self.send_header("Content-Length", str(len(door.word)))
                self.end_headers()
                self.wfile.write(door.word.encode())

            def log_message(self, *_):
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        """Serves no longer."""
        self.server.shutdown()
        self.server.server_close()


class World:
    """Where one agent is tried: an empty home, a project, the API, one key."""

    def __init__(self, kind, directory, box, programs, direct):
        self.directory = directory
        self.box = box
        self.programs = programs
        self.direct = direct
        self.home = os.path.join(directory, "home")
        self.project = os.path.join(directory, "project")
        self.door = None
        self.secret = secrets.token_hex(8)
        self.api = FakeAPI({})
        self.api.start()
        self.agent = kind(self.api.port, "sk-ant-" + secrets.token_hex(24))
        self.agent_home = os.path.join(self.home, "agent") if direct else os.path.join(self.state, "homes", kind.name)
        os.makedirs(self.home)
        os.makedirs(self.project)
        self.git("init", "-q", "-b", "main")
        self.write("notes.txt", f"the word is {self.secret}\n")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "The project")
        self.empty_home()

    def close(self, keep):
        """Ends the servers, and removes the directory unless it is to be kept."""
        self.api.close()
        if self.door:
            self.door.close()
        if not keep:
            remove(self.directory)

    # --- The project ---------------------------------------------------------------------------------------------

    def git(self, *arguments):
        """Runs git on the host's project."""
        identity = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=self.project, env=self.environment(), check=True)

    def write(self, name, text):
        """Writes a file of the host's project."""
        with open(os.path.join(self.project, name), "w", encoding="utf-8") as file:
            file.write(text)

    def manifest(self):
        """All files of the host's project with their contents. box.toml is box's own."""
        found = {}
        for directory, _, names in os.walk(self.project):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.project)] = (os.lstat(path).st_mode, file.read())
        found.pop("box.toml", None)
        return found

    # --- Running -------------------------------------------------------------------------------------------------

    def environment(self, **more):
        """A fresh account's environment, and what the agent needs of it."""
        path = f"{self.programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        user = {name: os.environ[name] for name in ("USER", "LOGNAME") if name in os.environ}
        git = {"GIT_CONFIG_NOSYSTEM": "1"}
        return {"HOME": self.home, "PATH": path, "LANG": "C.UTF-8", "TERM": "xterm-256color", **user, **git, **more}

    def program(self):
        """The agent's program on the host."""
        return os.path.join(self.programs, self.agent.name)

    def environment_directory(self):
        """The environment that the agent's package is installed in."""
        path = os.path.realpath(self.program())
        while not os.path.exists(os.path.join(path, "pyvenv.cfg")):
            path = os.path.dirname(path)
        return path

    def empty_home(self):
        """Takes away what the agent has left in its home. With --direct, makes one as the profile would."""
        if os.path.exists(self.agent_home):
            remove(self.agent_home)
        # What box knows of the home, beside it.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.agent_home + ".json")
        for name, text in self.agent.seeds.items() if self.direct else ():
            path = os.path.join(self.agent_home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)

    def command(self, name, arguments, *options):
        """box's command line for a run of the agent."""
        api = ["--allow", f"localhost:{self.api.port}"]
        command = [self.box, "run", "--name", name, "--on-exit", "keep", *api, *options]
        for variable in self.agent.environment():
            command += ["--env", variable]
        if not self.direct:
            return [*command, self.agent.name, *arguments]
        home = self.agent_home
        os.makedirs(home, exist_ok=True)
        command += ["--read", self.environment_directory(), "--write", home, "--env", f"HOME={home}"]
        for variable, value in self.agent.settings.items():
            command += ["--env", f"{variable}={value}"]
        unattended = [word.replace("{project}", self.project) for word in self.agent.unattended]
        return [*command, "--", os.path.realpath(self.program()), *unattended, *arguments]

    def start(self, name, *options, arguments=None):
        """Starts the agent without a terminal, with a prompt that names the script or with other arguments."""
        arguments = arguments or self.agent.arguments(f"Please do as the script says: [{name}]")
        return subprocess.Popen(
            self.command(name, arguments, *options),
            cwd=self.project,
            env=self.environment(**self.agent.environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def finish(self, running):
        """Waits for the end of a run: status and output."""
        try:
            output = running.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired as late:
            running.terminate()
            output = running.communicate(timeout=30)[0]
            raise Failed(f"it did not end; its last words: {last(output)}") from late
        return running.returncode, output.decode(errors="replace")

    def run(self, name, *options, arguments=None):
        """Runs the agent without a terminal."""
        with self.start(name, *options, arguments=arguments) as running:
            return self.finish(running)

    def at_terminal(self, name, *options):
        """Starts the agent at a terminal."""
        command = self.command(name, self.agent.conversation(f"Please do as the script says: [{name}]"), *options)
        return Terminal(command, cwd=self.project, env=self.environment(**self.agent.environment()))

    def ask_box(self, *arguments, **variables):
        """Runs another of box's commands in the project; its output. It has to succeed."""
        done = subprocess.run(
            [self.box, *arguments],
            cwd=self.project,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        expect(done.returncode == 0, f"box {' '.join(arguments)} ended with {done.returncode}: {last(output)}")
        return output

    # --- What box recorded ---------------------------------------------------------------------------------------

    @property
    def state(self):
        """box's state directory."""
        return os.path.join(self.home, ".local", "state", "box")

    def events(self, name):
        """The session's log."""
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(self.state, "sessions", name, "events.jsonl"), encoding="utf-8") as file:
                # The last line may be written just now.
                return [json.loads(line) for line in file.read().split("\n")[:-1]]
        return []

    def wait_for_event(self, name, running, condition):
        """Waits until the log of a run has an event; whether it came before the run's end and in time."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and running.poll() is None:
            if any(condition(event) for event in self.events(name)):
                return True
            time.sleep(0.02)
        return False

    def files_with(self, text):
        """The files of box's state that contain a text, but for the agents' own homes, which only they write to."""
        found = []
        for directory, below, names in os.walk(self.state):
            if directory == self.state and "homes" in below:
                below.remove("homes")
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        if text.encode() in file.read():
                            found.append(os.path.relpath(path, self.state))
        return found


def remove(directory):
    """Removes a tree. The kernel closes an overlay's work directory, also to its owner."""
    subprocess.run(["chmod", "-R", "u+rwX", directory], check=True)
    shutil.rmtree(directory)


def command_lines():
    """What every process of the machine has on its command line."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{number}/cmdline", "rb") as file:
                yield file.read().replace(b"\0", b" ").decode(errors="replace")


def last(output):
    """The last line that says something."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing"
