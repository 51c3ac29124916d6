"""stage_scene: the scratch space of scripts/bench-stage: programs, a project, what is run in it."""
import os
import shutil

from measuring import Unavailable, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = os.environ.get("BOX_BINARIES", os.path.join(ROOT, ".build-bin"))
PROGRAMS = ("interleave", "readall", "change-files", "rename-times")
# The overlay as box mounts it (docs/threat-model.md has the reasons).
OVERLAY = "userxattr,redirect_dir=nofollow,metacopy=off,index=off"


class Scene:
    """Scratch space with the programs, the project and what the contenders make of it. Paths of file systems in files
    are in another directory, `images`."""

    def __init__(self, directory, images, files, rounds):
        self.directory = directory
        self.images = images
        self.files = files
        self.rounds = rounds
        self.box = self.at("bin", "box")
        self.project = self.at("project")
        self.made = 0

    def at(self, *parts):
        return os.path.join(self.directory, *parts)

    def new(self, name):
        """A path that was not used before."""
        self.made += 1
        return self.at(f"{name}-{self.made}")

    def program(self, name):
        return self.at("bin", name)

    def environment(self, state="state"):
        """The caller's, with a state directory of its own for box; nothing of the caller's git settings."""
        own = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "BOX_"))}
        return {**own, "XDG_STATE_HOME": self.at(state), "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C.UTF-8"}

    def run_box(self, *options, project=None):
        """The arguments of a `box run` in the project, without the command."""
        where = ["-C", project or self.project]
        return [self.box, "run", "--quiet", "--on-exit", "keep", *where, *options, "--"]

    def inside(self, *command, options=(), project=None):
        """Runs one of the programs of the benchmark in a session; its output."""
        readable = ["--read", self.at("bin")]
        arguments = self.run_box("--net", "none", *readable, *options, project=project)
        return run([*arguments, *command], cwd=self.directory, env=self.environment())

    def overlay(self, script, *arguments, lower=None, options=""):
        """The command that runs a shell script in a plain overlay of the project, in namespaces without privileges."""
        layers = self.new("overlay")
        for part in ("upper", "work", "merged"):
            os.makedirs(os.path.join(layers, part))
        mount = (
            f'mount -t overlay -o "{OVERLAY}{options},lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/merged" && '
            f'cd "$2/merged" && shift 2 && {script}'
        )
        return ["unshare", "-Urm", "sh", "-c", mount, "sh", lower or self.project, layers, *arguments]

    def interleave(self, rounds, contenders, *options):
        """Median milliseconds of commands that take milliseconds, as the C program measures them."""
        race = [word for name, command in contenders.items() for word in ("---", name, *command)]
        limit = ["-n", str(rounds), "-t", "30"]
        told = run([self.program("interleave"), *options, *limit, *race], cwd=self.project, env=self.environment())
        medians = {}
        for line in told.splitlines():
            name, count, failures, middle, *_ = line.split("\t")
            if int(count) == 0 or int(failures) > 0:
                medians[name] = Unavailable(f"fails here (status {int(failures)})")
            else:
                medians[name] = float(middle)
        return medians

    def changes(self, count, tag):
        """A list of changes for change-files: six of ten files modified, three added, one deleted; spread out."""
        tracked = run(["git", "-C", self.project, "ls-files"], env=self.environment()).splitlines()
        chosen = tracked[:: max(1, len(tracked) // count)][:count]
        lines = []
        for number, path in enumerate(chosen):
            kind = "mmmmmmaaad"[number % 10]
            lines.append(f"{kind} {path if kind != 'a' else f'{path}.{tag}'}\n")
        path = self.at(f"changes-{tag}")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(lines)
        return path

    def change(self, where, changes):
        """Makes the changes of a list in a directory of the host."""
        with open(changes, "rb") as file:
            run([self.program("change-files")], cwd=where, stdin=file)

    def change_inside(self, changes, *options):
        """Makes the changes of a list in a session, whose stage is kept."""
        with open(changes, "rb") as file:
            command = self.run_box("--net", "none", "--read", self.at("bin"), *options)
            run([*command, self.program("change-files")], stdin=file, env=self.environment())


def make_scene(scene):
    """The programs, the project and its repository."""
    os.makedirs(scene.at("bin"))
    for name in PROGRAMS:
        source = os.path.join(ROOT, "Tests", "bench", f"{name}.c")
        run(["gcc", "-O2", "-Wall", "-static", "-pthread", "-o", scene.program(name), source])
    for name in ("box", "box-proxy"):
        shutil.copy(os.path.join(BINARIES, name), scene.at("bin"))
    run([os.path.join(ROOT, "Tests", "bench", "mkrepo.py"), scene.project, str(scene.files)])
    # The objects are elsewhere, so that cp and rsync need not copy them, and in one uncompressed pack, so that git
    # need not unpack: every peer gets its best case.
    objects = scene.at("objects")
    os.makedirs(os.path.join(objects, "pack"))
    environment = {**scene.environment(), "GIT_OBJECT_DIRECTORY": objects}
    settings = ["-c", "core.bigFileThreshold=1", "-c", "core.compression=0"]
    person = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    git = ["git", "-C", scene.project]
    run(["git", "init", "-q", scene.project], env=scene.environment())
    run([*git, *settings, "add", "-A"], env=environment)
    tree = run([*git, "write-tree"], env=environment).strip()
    commit = run([*git, *person, "commit-tree", "-m", "all", tree], env=environment).strip()
    run([*git, "update-ref", "HEAD", commit], env=environment)
    with open(os.path.join(scene.project, ".git/objects/info/alternates"), "w", encoding="utf-8") as file:
        file.write(objects + "\n")
    run([*git, "update-index", "-q", "--refresh"], env=scene.environment())
