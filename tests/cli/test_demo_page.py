"""`turnlog demo --page` as a process: it serves the page, and Ctrl-C ends it in order. Calls from it: tests/browser."""

import signal
import socket

import httpx

from tests.cli.commands import Command, finish
from turnlog.transports.speech.engines import Speech


def test_the_demo_serves_its_page_until_ctrl_c(turnlog_in: Command, speech: Speech) -> None:
    """The address is printed when the engines are ready; the page and its target are there; nothing is left to say at the end."""
    process = turnlog_in.start("demo", "--page", "--port", "0")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("voice activity: ") and process.stdout.readline() == "\n"
    line = process.stdout.readline()
    url = line.split()[0]
    assert url.startswith("http://127.0.0.1:") and "open this in a browser" in line
    assert "Ctrl-C" in process.stdout.readline()
    try:
        assert "<title>Talk – turnlog</title>" in httpx.get(url).text
        targets = httpx.get(f"{url}v1/turnlog/targets").json()["targets"]
        assert [one["target"] for one in targets] == ["hotel.frontdesk"]
    finally:
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_page_needs_is_named(turnlog_in: Command) -> None:
    """A taken port, an engine or an extra that is missing: an error with what to do; two ways to ask are a mistake in usage."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = turnlog_in.run("demo", "--page", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1 and done.stderr.startswith("error TL503: ") and "--port" in done.stderr
    done = turnlog_in.without("piper", "espeakng_loader", "moonshine_voice").run("demo", "--page")
    assert done.returncode == 1 and done.stderr.startswith("error TL603: ")
    done = turnlog_in.without("uvicorn").run("demo", "--page")
    assert done.returncode == 1 and done.stderr.startswith("error TL601: ") and "turnlog[server]" in done.stderr
    done = turnlog_in.run("demo", "--page", "--text")
    assert done.returncode == 2 and "exclude each other" in done.stderr
