"""AgentField's agents as their users have them: loaded by commands, in packages of several modules, with the SDK's own memory."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from turnlog.core import events as e
from turnlog.engine.loading import load_app, load_handler
from turnlog.engine.offline.replay import replay
from turnlog.testing.kit import Kit

__all__: list[str] = []

pytest.importorskip("agentfield", reason="AgentField's SDK has no release for this Python")


def test_a_command_can_print_once_an_agent_is_loaded() -> None:
    """The SDK replaces stdout and stderr by streams that click cannot write to; what a command prints arrives all the same."""
    here = Path(__file__).parent
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *filter(None, sys.path)])}
    command = (sys.executable, "-m", "turnlog", "check", "agentfield_desk:app")
    done = subprocess.run(command, env=paths, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("agentfield_desk:app: 2 handlers, nothing found\n", "")


def test_an_agent_of_several_modules_has_its_memory_and_replays(turnlog: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's memory and a reasoner's app.ctx are the session's; fields with aliases and a parameter `target` come through."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    app = load_app("agentfield_clinic.node:app")
    memories = sys.modules["agentfield_clinic.memories"]
    memories.asked.clear()

    async def script(call: Any) -> None:
        await call.caller.says("help")
        await call.caller.hears("nine to five True to the ward")

    call = turnlog.run(app, "clinic.desk", script)
    scopes = [(what, body.get("scope")) for what, body, _ in memories.asked]
    assert scopes == [("set", "global"), ("get", "global"), ("set", None)]
    session = call.of(e.SessionStarted)[0].session
    assert {headers["X-Session-ID"] for _, _, headers in memories.asked} == {session}
    node = sys.modules["agentfield_clinic.node"].app
    assert node.memory is None and node.ctx is None  # elsewhere it is as it was
    assert replay(call.log, load_handler("agentfield_clinic.desk:desk")).complete
    assert len(memories.asked) == 3
