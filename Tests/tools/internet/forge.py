"""A place where git repositories are kept: over https by git's own CGI program, and over ssh as the user `git`, whose
key is FAKE_DIR/ssh/key, by dropbear where it is installed."""

import asyncio
import os
import shutil
import socket
import subprocess

SHELL_USER = "git:x:0:0::{folder}/ssh:/bin/sh\n"


def run(*words, **more):
    """Runs a program; its complaint is raised."""
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:2])}: {done.stderr}")
    return done.stdout.strip()


def has_ssh():
    return all(shutil.which(name) for name in ("dropbear", "dropbearkey", "ssh-keygen"))


def make(folder):
    """repos/project.git with one commit, that anybody may push to; keys for ssh. The user's line for passwd."""
    if shutil.which("git"):
        make_repository(f"{folder}/repos/project.git")
    if not has_ssh():
        return None
    home = f"{folder}/ssh"
    os.makedirs(f"{home}/.ssh", mode=0o700)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nobody", "-f", f"{home}/key")
    shutil.copy(f"{home}/key.pub", f"{home}/.ssh/authorized_keys")
    os.chmod(f"{home}/.ssh/authorized_keys", 0o600)
    # Read by the suite, which hands a copy to whoever shall use it.
    os.chmod(f"{home}/key", 0o600)
    run("dropbearkey", "-t", "ed25519", "-f", f"{home}/host")
    return SHELL_USER.format(folder=folder)


def make_repository(path):
    """A bare repository with one commit on the branch main."""
    os.makedirs(path)
    variables = {
        "PATH": os.environ["PATH"], "GIT_DIR": path, "HOME": path, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.invalid", "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.invalid", "GIT_COMMITTER_DATE": "1700000000 +0000",
    }
    run("git", "init", "-q", "--bare", "-b", "main", path, env=variables)
    run("git", "config", "http.receivepack", "true", env=variables)
    blob = run("git", "hash-object", "-w", "--stdin", input="from far away\n", env=variables)
    tree = run("git", "mktree", input=f"100644 blob {blob}\tREADME\n", env=variables)
    commit = run("git", "commit-tree", tree, "-m", "first", env=variables)
    run("git", "update-ref", "refs/heads/main", commit, env=variables)


async def shell(folder, reader, writer):
    """dropbear for one connection. It wants a socket as its standard input."""
    ours, theirs = socket.socketpair()
    server = await asyncio.create_subprocess_exec(
        "dropbear", "-i", "-s", "-m", "-r", f"{folder}/ssh/host", stdin=theirs,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )
    theirs.close()
    from_server, to_server = await asyncio.open_connection(sock=ours)

    async def copy(source, target):
        while data := await source.read(1 << 18):
            target.write(data)
            await target.drain()
        target.close()

    requests = asyncio.create_task(copy(reader, to_server))
    try:
        await copy(from_server, writer)
    finally:
        requests.cancel()
        to_server.close()
        await server.wait()
