#!/usr/bin/env python3
"""fakeapi: a model API on 127.0.0.1 that makes a real agent do what a script says.

It speaks Anthropic's Messages, OpenAI's Responses and OpenAI's Chat Completions, each streamed or at once. A script is
a list of steps; a request gets the step that its history has come to, so any number of agents can talk to one server:

    {"run": "COMMAND"}                     a call of the agent's shell tool
    {"write": "PATH", "text": "CONTENT"}   a call of its tool for writing files (without one, a listing in text)
    {"say": "TEXT"}                        an answer; the last step of a script is one
    {"fail": STATUS}                       an error of the API's

With "meet": N beside one of these, the answer waits until N conversations have come to a step of that kind.

Which script it is, says a word of the user's: `[NAME]` anywhere in the prompt. A request without one, such as for a
title or a commit's message, is answered with "ok".

    fakeapi.py SCRIPTS [--port N] [--seconds N] [--record FILE]

SCRIPTS is a JSON object of scripts by name. --record writes each request, with its headers, as a line of JSON.
"""
import argparse
import itertools
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position  # found only now
from protocols import PROTOCOLS
from script import Reply, history, next_step, reply_to, texts


class Handler(BaseHTTPRequestHandler):
    """One connection of an agent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Requests are recorded, not printed."""

    def body(self):
        """The request's body, by length or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, value, status=200):
        """Answers with JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events):
        """Answers with server-sent events."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            self.wfile.write(((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode())
            self.wfile.flush()
        self.close_connection = True

    def do_HEAD(self):  # pylint: disable=invalid-name  # the base class looks for it
        """Whether there is a server."""
        self.server.record(self, None, None)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):  # pylint: disable=invalid-name
        """Lists of models, settings and the like: empty ones. There are no WebSockets; agents then go on without."""
        self.server.record(self, None, None)
        if self.headers.get("Upgrade"):
            self.answer({"error": {"message": "no WebSockets here"}}, status=426)
            return
        self.answer({"object": "list", "data": [], "models": []} if "/models" in self.path else {})

    def do_POST(self):  # pylint: disable=invalid-name
        """A turn of a conversation."""
        raw = self.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = {}
        path = self.path.split("?", maxsplit=1)[0]
        number = next(self.server.numbers)
        protocol = next((protocol for end, protocol in PROTOCOLS.items() if path.endswith(end)), None)
        if protocol is None:
            self.server.record(self, body, None)
            self.answer({"input_tokens": 1} if path.endswith("/count_tokens") else {})
            return
        step = next_step(body, self.server.scripts)
        reply = reply_to(body, step, number)
        self.server.record(self, body, reply)
        if "meet" in step and not self.server.meet(step["meet"]):
            reply = Reply(number, text="nobody else came")
        if reply.status != 200:
            error = {"type": "invalid_request_error", "message": "as the script says"}
            self.answer({"type": "error", "error": error}, reply.status)
            return
        whole, events = protocol(body, reply)
        if body.get("stream"):
            self.stream(events)
        else:
            self.answer(whole)


class FakeAPI(ThreadingHTTPServer):
    """The server. `requests` has what it was asked: path, headers, body, reply."""

    daemon_threads = True

    def __init__(self, scripts, port=0, record=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.scripts = scripts
        self.numbers = itertools.count(1)
        self.requests = []
        self.met = 0
        self.changed = threading.Condition()
        self.file = record
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self):
        """Where it listens."""
        return self.server_address[1]

    def start(self):
        """Serves in a thread of its own."""
        self.thread.start()
        return self

    def close(self):
        """Serves no longer."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """An agent that hangs up in the middle is none of the server's errors."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)

    def record(self, handler, body, reply):
        """Keeps a request."""
        request = {
            "method": handler.command,
            "path": handler.path,
            "headers": {name.lower(): value for name, value in handler.headers.items()},
            "body": body,
            "reply": None if reply is None else str(reply),
        }
        with self.changed:
            self.requests.append(request)
            if self.file:
                self.file.write(json.dumps(request) + "\n")
                self.file.flush()
            self.changed.notify_all()

    def meet(self, count):
        """Waits until this many conversations have come here; whether they came in a minute."""
        with self.changed:
            self.met += 1
            self.changed.notify_all()
            return self.changed.wait_for(lambda: self.met >= count, 60)

    def turns(self, name):
        """The requests so far that belong to a script."""
        return [
            request
            for request in list(self.requests)
            if request["body"] and any(f"[{name}]" in text for text in texts(history(request["body"])))
        ]

    def seen(self, name):
        """All that the model was told in a script's conversations, but for what it said itself."""
        return "\n".join(
            text
            for request in self.turns(name)
            for message in history(request["body"])
            if message.get("role") != "assistant" and not message.get("type", "").endswith("_call")
            for text in texts(message)
        )

    def wait(self, condition, seconds):
        """Waits until a condition about the requests is true; whether it became so."""
        with self.changed:
            return self.changed.wait_for(condition, seconds)


def main():
    """Serves for a while."""
    parser = argparse.ArgumentParser(description="A model API that follows a script.")
    parser.add_argument("scripts", help="a file of JSON: scripts by name")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--record")
    options = parser.parse_args()
    with open(options.scripts, encoding="utf-8") as file:
        scripts = json.load(file)
    with open(options.record or "/dev/null", "a", encoding="utf-8") as record:
        server = FakeAPI(scripts, options.port, record).start()
        print(f"http://localhost:{server.port}", flush=True)
        server.thread.join(options.seconds)
        server.close()


if __name__ == "__main__":
    main()
