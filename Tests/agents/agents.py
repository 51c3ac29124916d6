"""agents: how each real agent is started, spoken to, and made to use the fake model API."""
import json


class Agent:
    """One agent. `unattended`, `settings` and `seeds` are what its profile gives it: for runs without a profile."""

    name = ""
    key_name = ""
    unattended = []
    settings = {}
    seeds = {}
    # Texts of the dialogs that come in spite of a profile, without spaces, and what is typed to agree.
    dialogs = {}
    # What ends it at a terminal.
    leave = b""
    # Whether the prompt is typed, because it cannot be an argument at a terminal.
    typed = False
    def __init__(self, port, key):
        self.port = port
        self.key = key

    def environment(self):
        """What the user has in the environment."""
        return {self.key_name: self.key}

    def arguments(self, prompt):
        """A run without a terminal."""
        raise NotImplementedError

    def conversation(self, prompt):
        """A run at a terminal."""
        raise NotImplementedError

    def steps(self, *steps):
        """A script for it: commands and files in turn, and a last word."""
        return [*steps, {"say": "all done"}]

    def failing(self, prompt):
        """The arguments of a run that fails if the API refuses, and its status."""
        return self.arguments(prompt), 1

    def finished(self, text):
        """Whether a terminal's text, without spaces, shows that the script is at its end and more can be typed."""
        return "alldone" in text


class Claude(Agent):
    """Claude Code."""

    name = "claude"
    key_name = "ANTHROPIC_API_KEY"
    unattended = ["--dangerously-skip-permissions"]
    settings = {"CLAUDE_CODE_SANDBOXED": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    seeds = {
        ".claude.json": json.dumps({"hasCompletedOnboarding": True}),
        ".claude/settings.json": json.dumps({"skipDangerousModePermissionPrompt": True}),
    }
    dialogs = {"DoyouwanttousethisAPIkey?": b"\x1b[A\r"}
    leave = b"/exit"

    def environment(self):
        return dict(super().environment(), ANTHROPIC_BASE_URL=f"http://localhost:{self.port}")

    def arguments(self, prompt):
        return ["-p", prompt]

    def conversation(self, prompt):
        return [prompt]


class Codex(Agent):
    """Codex."""

    name = "codex"
    key_name = "OPENAI_API_KEY"
    unattended = [
        "--dangerously-bypass-approvals-and-sandbox",
        "-c",
        'projects={"{project}"={trust_level="trusted"}}',
    ]
    seeds = {
        ".codex/config.toml": "check_for_update_on_startup = false\n"
        "[features]\ndaemon_auto_start = false\nplugins = false\n[analytics]\nenabled = false\n"
    }
    leave = b"/quit"

    def provider(self):
        """Its built-in provider takes no address from the environment."""
        address = f"http://localhost:{self.port}/v1"
        table = f'name="fake",base_url="{address}",env_key="{self.key_name}",wire_api="responses"'
        return ["-c", "model_provider=fake", "-c", f"model_providers.fake={{{table}}}"]

    def arguments(self, prompt):
        return ["exec", *self.provider(), prompt]

    def conversation(self, prompt):
        return [*self.provider(), prompt]


class Aider(Agent):
    """aider. It calls no tools: it writes the files that it is told, and runs a command to test them."""

    name = "aider"
    key_name = "OPENAI_API_KEY"
    unattended = ["--yes-always"]
    settings = {"AIDER_ANALYTICS": "false", "AIDER_CHECK_UPDATE": "false"}
    leave = b"/exit"
    typed = True
    test = "true"

    def environment(self):
        return dict(super().environment(), OPENAI_API_BASE=f"http://localhost:{self.port}/v1")

    def common(self):
        """What both ways to start it need for a model that it does not know."""
        return ["--model", "openai/fake", "--no-show-model-warnings", "--auto-test", "--test-cmd", self.test]

    def arguments(self, prompt):
        return [*self.common(), "--message", prompt]

    def conversation(self, prompt):
        return self.common()

    def steps(self, *steps):
        # The commands become its test, which passes once the last file is there.
        commands = [step["run"] for step in steps if "run" in step]
        self.test = "; ".join([*commands, "test -e done.txt"])
        return [step for step in steps if "write" in step] + [{"write": "done.txt", "text": "done\n"}]

    def failing(self, prompt):
        return [*self.arguments(prompt), "--no-such-option"], 2

    def finished(self, text):
        _, last_edit, rest = text.rpartition("Appliededittodone.txt")
        return bool(last_edit) and rest.endswith(">")


AGENTS = {agent.name: agent for agent in (Claude, Codex, Aider)}
