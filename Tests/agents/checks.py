"""checks: what has to hold for every agent in box. Each is one line of the result."""
import re
import time

from world import REFUSED, SECONDS, Door, Failed, command_lines, expect, last

CHECKS = []


def check(title):
    """Adds a function to the checks, under a title."""

    def add(function):
        CHECKS.append((title, function))
        return function

    return add


@check("works from an empty home without a terminal, with status 0")
def works(world):
    """The session that the next checks are about."""
    commands = [
        {"run": "cat notes.txt; echo inside-uid=$(id -u); echo changed by the agent >>notes.txt"},
        {"write": "made.txt", "text": "made by the agent\n"},
        {"run": f"curl -sS http://{REFUSED}/; curl -sS https://{REFUSED}/"},
    ]
    world.api.scripts["work"] = world.agent.steps(*commands)
    world.before = world.manifest()
    status, world.output = world.run("work", "--card")
    expect(status == 0, f"status {status}: {last(world.output)}")
    expect(world.api.turns("work"), f"the API was not asked: {last(world.output)}")


@check("shows the key to the API")
def shows_key(world):
    """The variable got in, and what the agent made of it got out."""
    headers = " ".join(" ".join(turn["headers"].values()) for turn in world.api.turns("work"))
    expect(world.agent.key in headers, "no request had the key in its headers")


@check("runs a command, not as root")
def runs_command(world):
    """What the command printed came back to the model."""
    seen = world.api.seen("work")
    expect(world.secret in seen, "the command's output did not reach the model")
    expect(re.search(r"inside-uid=[1-9]", seen), "the command ran as root")


@check("edits files: box diff shows it, and the host's project is untouched")
def edits(world):
    """The stage has the edit, the project not."""
    expect(world.manifest() == world.before, "the host's project has changed")
    diff = world.ask_box("diff", "-s", "work")
    for line in ("+changed by the agent", "+made by the agent"):
        expect(line in diff.splitlines(), f"box diff has no line {line}")


@check("is refused a host, and the model reads how to allow it")
def refused(world):
    """The refusal's text came back to the model, and is in the log."""
    seen = world.api.seen("work").replace("\\", "")
    expect("blocked_by_box" in seen, "the refusal's text did not reach the model")
    expect(f"box allow {REFUSED}" in seen, "the refusal does not say what would allow it")
    expect("403" in seen.split("CONNECT", 1)[-1][:60], "the refusal of the tunnel did not reach the model")
    denied = {event.get("port") for event in world.events("work") if event.get("host") == REFUSED}
    expect(denied >= {80, 443}, f"the log has refusals for the ports {denied} only")


@check("waits for a host, and box allow opens it within a second")
def waits(world):
    """From a second process, while the agent's command waits."""
    door = world.door = Door()
    script = [
        {"write": "waited.txt", "text": "waited\n"},
        {"run": f"curl -sS --noproxy '' http://localhost:{door.port}/"},
    ]
    world.api.scripts["wait"] = world.agent.steps(*script)
    with world.start("wait", "--hold", "60") as running:
        try:
            waiting = world.wait_for_event(
                "wait", running, lambda event: event.get("port") == door.port and "held" in event
            )
            shown = [line for line in command_lines() if world.agent.key in line]
            before = time.monotonic()
            if waiting:
                world.ask_box("allow", f"localhost:{door.port}")
        finally:
            status, output = world.finish(running)
    expect(waiting, f"no connection waited: {last(output)}")
    expect(door.reached, "the connection was not opened")
    expect(0 < door.reached[0] - before < 1, f"it took {door.reached[0] - before:.1f} s")
    expect(door.word in world.api.seen("wait"), "what the host answered did not reach the model")
    expect(status == 0, f"status {status}: {last(output)}")
    expect(not shown, f"a process shows the key on its command line: {shown}")


@check("works from an empty home at a terminal, with status 0")
def at_terminal(world):
    """Typed to, and left as people leave it."""
    world.empty_home()
    script = [{"write": "typed.txt", "text": "typed by the agent\n"}, {"run": "echo it-was-$((6 * 7)); tty"}]
    world.api.scripts["terminal"] = world.agent.steps(*script)
    terminal = world.at_terminal("terminal", "--quiet")
    try:
        talk(world, terminal)
        leave(world, terminal)
        status = terminal.wait(SECONDS)
    finally:
        terminal.close()
    expect(status == 0, f"status {status}")
    expect("it-was-42" in world.api.seen("terminal"), "the command's output did not reach the model")
    expect("+typed by the agent" in world.ask_box("diff", "-s", "terminal"), "box diff does not show the edit")


def talk(world, terminal):
    """Agrees to what may be asked once, types the prompt if it was no argument, and waits for the last word."""
    if world.agent.typed:
        expect(terminal.wait_for(lambda: ">" in terminal.text(), SECONDS), f"no prompt: {screen(terminal)}")
        terminal.send(b"Please do as the script says: [terminal]\r")

    answered = {}

    def finished():
        # A dialog that has just come may not listen yet, and forget what was typed before it does.
        for question, answer in world.agent.dialogs.items() if terminal.quiet(1) else ():
            if question in terminal.text() and answered.get(question) in (None, len(terminal.output)):
                terminal.send(answer)
                answered[question] = len(terminal.output)
        return world.agent.finished(terminal.text())

    expect(terminal.wait_for(finished, SECONDS), f"it did not come to its end: {screen(terminal)}")


def leave(world, terminal):
    """Types the word that ends it, and then return: together they would be taken for a paste."""
    terminal.send(world.agent.leave)
    expect(
        terminal.wait_for(lambda: world.agent.leave.decode() in terminal.text(), SECONDS)
        or terminal.process.poll() is not None,
        f"it shows nothing of what is typed: {screen(terminal)}",
    )
    terminal.send(b"\r")


def screen(terminal):
    """The end of what a terminal was sent."""
    return terminal.text()[-300:]


@check("two at once on one project have a view each")
def two_at_once(world):
    """Both are in the middle of their work at the same time."""
    for name in ("left", "right"):
        script = world.agent.steps({"write": f"{name}.txt", "text": f"{name}\n"}, {"run": "ls"})
        world.api.scripts[name] = [dict(script[0], meet=2), *script[1:]]
    with world.start("left") as left, world.start("right") as right:
        ends = {}
        for name, running in (("left", left), ("right", right)):
            try:
                ends[name] = world.finish(running)
            except Failed as problem:
                ends[name] = (None, str(problem))
    for name, other in (("left", "right"), ("right", "left")):
        status, output = ends[name]
        expect(status == 0, f"{name}: status {status}: {last(output)}")
        changed = world.ask_box("diff", "-s", name, "--name-only").split()
        expect(f"{name}.txt" in changed, f"{name} lacks its own edit: {changed}")
        expect(f"{other}.txt" not in changed, f"{name} has the edit of {other}")
    expect(world.api.met == 2, f"{world.api.met} came together")


@check("ends with the agent's own status when that fails")
def status_passes(world):
    """The API refuses, or where the agent's status does not tell that, its arguments are wrong."""
    world.api.scripts["fail"] = [{"fail": 400}]
    arguments, expected = world.agent.failing("Please do as the script says: [fail]")
    status, output = world.run("fail", arguments=arguments)
    expect(status == expected, f"status {status} instead of {expected}: {last(output)}")


@check("box apply brings the edit to the host")
def applies(world):
    """And nothing else."""
    world.ask_box("apply", "--yes", "-s", "work")
    now = world.manifest()
    expect(now.get("made.txt", (0, b""))[1] == b"made by the agent\n", "made.txt is not there")
    notes = world.before["notes.txt"][1] + b"changed by the agent\n"
    expect(now["notes.txt"][1].startswith(notes), "notes.txt is not as the agent left it")


@check("leaves no key in box's records, plan or output")
def keeps_keys(world):
    """Only the agents' own homes may have it."""
    expect(world.api.turns("work"), "no run has got the key")
    found = world.files_with(world.agent.key)
    expect(not found, f"the key is in {found}")
    command = world.command("plan", world.agent.arguments("[work]"))
    arguments = ["plan", *(word for word in command[command.index("--allow") :])]
    expect(world.agent.key not in world.ask_box(*arguments, **world.agent.environment()), "box plan shows the key")
    expect(world.agent.key not in world.output, "the run's output shows the key")
    expect(world.events("work"), "the session has no record")
