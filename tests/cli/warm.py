"""`python -m turnlog` in a process of its own that need not import turnlog first: a fork of one that has.

Most of a short command's time is the import. A server (this file as a program) imports once and then forks for each command:
the process has its own folder, environment, arguments and standard streams and ends by itself, as one that was started.
What a fork cannot show (what is imported, another interpreter's flags, limits of a shell) needs a real start.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, NoReturn

__all__ = ["Warm", "warm"]

PATIENCE_S = 120
MOST_TYPED = 60_000  # bytes: what a pipe takes before anybody reads


class Warm:
    """The server, and commands that it runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._address = f"{self._folder.name}/warm"
        command = [sys.executable, __file__, self._address]
        self._server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"

    def run(self, words: list[str], folder: Path, environment: dict[str, str], typed: str) -> CompletedProcess[str]:
        """Run a command to its end; one that hangs is killed, and TimeoutError raised."""
        given = typed.encode()
        assert len(given) <= MOST_TYPED
        said, types = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(PATIENCE_S)
            link.connect(self._address)
            socket.send_fds(link, [b"!"], [said, out.fileno(), err.fileno()])
            os.close(said)
            os.write(types, given)
            os.close(types)
            link.sendall(json.dumps([words, str(folder), environment]).encode() + b"\n")
            with link.makefile() as answers:
                pid = int(answers.readline())
                try:
                    code = int(answers.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise
            return CompletedProcess(["turnlog", *words], code, _text(out), _text(err))

    def close(self) -> None:
        """End the server."""
        self._server.communicate()
        self._folder.cleanup()


@cache
def warm(*environment: tuple[str, str]) -> Warm:
    """The server of this run of tests."""
    server = Warm(dict(environment))
    atexit.register(server.close)
    return server


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode().replace("\r\n", "\n")


def main() -> None:
    """Serve until the standard input ends."""
    for module, _, _ in import_module("turnlog.cli.main")._COMMANDS.values():
        with suppress(ModuleNotFoundError):  # of an extra that is not there: told by the command, if it is run
            import_module(f"turnlog.cli.{module.partition(':')[0]}")
    import_module("sqlalchemy.dialects.sqlite.aiosqlite")
    assert threading.active_count() == 1  # a fork takes no other thread along
    gc.freeze()  # a collection in a fork would copy every page that it looks at
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that stand between
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            link, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                between(link)
            link.close()


def between(link: socket.socket) -> NoReturn:
    """Fork the command and tell its pid and, when it has ended, its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(link, 1, 3)
    with link.makefile() as asked:
        words, folder, environment = json.loads(asked.readline())
    pid = os.fork()
    if pid == 0:
        link.close()
        command(words, folder, environment, streams)
    link.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    link.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def command(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> NoReturn:
    """What `python -m turnlog` does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv[1:] = words
    sys.path[0] = folder
    runpy.run_module("turnlog", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
