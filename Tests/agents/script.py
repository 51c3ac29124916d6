"""script: what the conversation of a request has come to, and what its script says next."""
import json
import re

# The agents' names for a tool that runs a command, and what its argument is called.
SHELLS = {
    "Bash": lambda command: {"command": command, "description": "As asked"},
    "exec_command": lambda command: {"cmd": command},
    "shell_command": lambda command: {"command": command},
    "shell": lambda command: {"command": ["bash", "-c", command]},
}
# A text answer says which step it was, for agents that call no tools and send nothing but text back.
MARK = "(step {})"
TEXT_STEP = re.compile(r"\(step (\d+)\)")
SCRIPT_NAME = re.compile(r"\[([a-z][a-z0-9-]*)\]")


def texts(value):
    """All strings in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def history(body):
    """The messages of a request, whatever the protocol calls them."""
    messages = body.get("messages") or body.get("input") or []
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


def tool_results(body):
    """What the agent's tools have answered so far, as texts."""
    found = []
    for message in history(body):
        kind = message.get("type", "")
        if kind in ("function_call_output", "custom_tool_call_output"):
            found.append(" ".join(texts(message.get("output"))))
        elif message.get("role") == "tool":
            found.append(" ".join(texts(message.get("content"))))
        elif message.get("role") == "user" and isinstance(message.get("content"), list):
            for block in message["content"]:
                if block.get("type") == "tool_result":
                    found.append(" ".join(texts(block.get("content"))))
    return found


def steps_done(body):
    """How many steps of its script a conversation has behind it."""
    said = [
        int(number)
        for message in history(body)
        if message.get("role") == "assistant"
        for text in texts(message.get("content"))
        for number in TEXT_STEP.findall(text)
    ]
    return max([len(tool_results(body))] + said)


def tool_names(body):
    """The tools that a request offers, with their kinds. Codex may offer them in messages, and in name spaces."""
    names = {}
    offered = list(body.get("tools") or [])
    for message in history(body):
        if message.get("type") == "additional_tools":
            offered.extend(message.get("tools") or [])
    while offered:
        tool = offered.pop()
        offered.extend(tool.get("tools") or [])
        function = tool.get("function") or {}
        names[tool.get("name") or function.get("name") or tool.get("type", "")] = tool.get("type", "function")
    return names


def patch(path, text):
    """A new file in the form of `apply_patch`."""
    lines = "".join(f"+{line}\n" for line in text.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n"


def listing(path, text):
    """A whole file in the form that aider asks of models it does not know."""
    return f"{path}\n```\n{text}```\n"


def program(step):
    """A step as a program, for codex's tool that runs JavaScript in which the other tools are functions."""
    if "write" in step:
        return f"text(await tools.apply_patch({json.dumps(patch(step['write'], step['text']))}))"
    return f"text(await tools.exec_command({{cmd: {json.dumps(step['run'])}}}))"


class Reply:
    """An answer: text, one call of a tool, or an error."""

    def __init__(self, number, text="", tool=None, arguments=None, free_form=False, status=200):
        self.number = number
        self.text = text
        self.tool = tool
        self.arguments = arguments
        self.free_form = free_form
        self.status = status

    def __str__(self):
        if self.status != 200:
            return f"fails with {self.status}"
        return f"calls {self.tool}" if self.tool else f"says {self.text.splitlines()[0]}"


def said_by(body, *roles):
    """All that some roles have said."""
    return " ".join(
        text for message in history(body) if message.get("role") in roles for text in texts(message.get("content"))
    )


def next_step(body, scripts):
    """The step that a conversation has come to, with its number; a conversation of no script gets an "ok"."""
    name = next((found for found in SCRIPT_NAME.findall(said_by(body, "user")) if found in scripts), None)
    # aider asks for its commits' messages with the conversation in the question.
    if name is None or "commit message" in said_by(body, "system"):
        return {"say": "ok"}
    done = steps_done(body)
    return dict(scripts[name][min(done, len(scripts[name]) - 1)], number=done + 1)


def reply_to(body, step, number):
    """What a step is in the terms of the agent that asks."""
    tools = tool_names(body)
    mark = MARK.format(step["number"]) if "number" in step else ""
    if "fail" in step:
        return Reply(number, status=step["fail"])
    if "say" in step:
        return Reply(number, text=f"{step['say']} {mark}".rstrip())
    if tools.get("exec") == "custom":
        return Reply(number, tool="exec", arguments=program(step), free_form=True)
    if "write" in step:
        path, text = step["write"], step["text"]
        if "Write" in tools:
            return Reply(number, tool="Write", arguments={"file_path": path, "content": text})
        if "apply_patch" in tools:
            change = patch(path, text)
            if tools["apply_patch"] == "custom":
                return Reply(number, tool="apply_patch", arguments=change, free_form=True)
            return Reply(number, tool="apply_patch", arguments={"input": change})
        if not tools:
            return Reply(number, text=f"{mark}\n{listing(path, text)}")
        step = {"run": f"cat >'{path}' <<'END'\n{text}END"}
    shell = next((shell for shell in SHELLS if shell in tools), None)
    if shell is None:
        return Reply(number, text=f"there is no shell among {sorted(tools)} {mark}")
    return Reply(number, tool=shell, arguments=SHELLS[shell](step["run"]))
