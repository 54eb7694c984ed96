"""`turnlog config`, and `turnlog serve` that runs with what it shows."""

import json
import signal
import subprocess
import tomllib

import httpx

from tests.cli.commands import Command, finish

TOML = """
serve = {app = "desk:app", port = 0}
server.keys_file = "keys"
engine.store = "calls.db"
log.format = "json"
"""
APP = """
import logging
import turnlog

app = turnlog.App("desk")

@app.session("front", provider="local", transport="in_process", modalities=["text"])
async def front(session):
    logging.getLogger("desk").warning("key tl_0123456789abcdef of %s", session.session_id)
    await session.end()
"""


def test_the_configuration_in_force_is_shown_without_secrets(turnlog_in: Command) -> None:
    """Each option with its origin; without the first line's name and the origins it is a turnlog.toml that says the same."""
    (turnlog_in.folder / "turnlog.toml").write_text('[server]\nkeys = ["tl_0123456789abcdef"]\n[serve]\nport = 4711\n')
    done = turnlog_in.run("config", TURNLOG_DRAIN_S="7", OPENAI_API_KEY="sk-secretsecretsecret")
    assert done.returncode == 0 and done.stdout.startswith("# turnlog.toml\n\n[serve]\n"), done.stderr
    lines = {line.split("  ")[0]: line.rsplit("# ", 1)[-1] for line in done.stdout.splitlines() if " = " in line}
    assert lines["port = 4711"] == "turnlog.toml" and lines["drain_s = 7.0"] == "$TURNLOG_DRAIN_S"
    assert lines['openai_api_key = "••••"'] == "$OPENAI_API_KEY" and lines['host = "127.0.0.1"'] == "default"
    assert "0123456789" not in done.stdout and "secretsecret" not in done.stdout
    assert turnlog_in.run("config", TURNLOG_DRIAN_S="7").stdout.splitlines()[1] == "# $TURNLOG_DRIAN_S is set, and is no option"
    tomllib.loads(done.stdout)  # each table stands there once
    rows = [json.loads(line) for line in turnlog_in.run("config", "--json").stdout.splitlines()]
    (row,) = [row for row in rows if row["option"] == "serve.port"]
    assert row == {"option": "serve.port", "value": "4711", "origin": "turnlog.toml", "variable": "TURNLOG_SERVE_PORT"}


def test_a_configuration_that_is_wrong_is_named(turnlog_in: Command) -> None:
    """TL210, exit 1, for both commands; and an app must be named somewhere."""
    (turnlog_in.folder / "other.toml").write_text("[server]\ndran_s = 1\n")
    for words in (("config", "--config", "other.toml"), ("serve", "--config", "other.toml", "x:app")):
        done = turnlog_in.run(*words)
        assert done.returncode == 1 and done.stderr.startswith("error TL210: other.toml: [server] dran_s is unknown"), done.stderr
    assert turnlog_in.run("serve").stderr.startswith("error TL206: no app is named")


def test_serve_runs_with_its_file(turnlog_in: Command) -> None:
    """The app, port, store, keys and log of turnlog.toml; the log is JSON with the session's id and without keys."""
    (turnlog_in.folder / "desk.py").write_text(APP)
    (turnlog_in.folder / "keys").write_text("tl_0123456789abcdef\n")
    (turnlog_in.folder / "turnlog.toml").write_text(TOML)
    process = turnlog_in.start("serve", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    base = process.stdout.readline().split("/v1/")[0]
    start = f"{base}/api/v1/session-targets/desk.front/start"
    with httpx.Client(trust_env=False) as http:
        assert http.post(start).status_code == 401
        session = http.post(start, headers={"X-API-Key": "tl_0123456789abcdef"}).json()["session_id"]
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert done.returncode == 0
    logged = [json.loads(line) for line in done.stderr.splitlines()]
    (own,) = [line for line in logged if line["logger"] == "desk"]
    assert own["session"] == session and own["message"] == f"key •••• of {session}"
    assert session in turnlog_in.run("sessions", "--db", "calls.db").stdout


def test_traces_need_their_extra(turnlog_in: Command) -> None:
    """TL601 with what to install, where traces are asked for and OpenTelemetry is not there."""
    (turnlog_in.folder / "desk.py").write_text(APP)
    done = turnlog_in.without("opentelemetry").run("serve", "desk:app", "--port", "0", TURNLOG_TRACES="true")
    assert done.returncode == 1 and done.stderr.startswith("error TL601: ") and "turnlog[otel]" in done.stderr, done.stderr
