"""An AgentField agent in a process of its own, as commands load it."""

import os
import subprocess
import sys
from pathlib import Path

__all__: list[str] = []


def test_a_command_can_print_once_an_agent_is_loaded() -> None:
    """The SDK replaces stdout and stderr by streams that click cannot write to; what a command prints arrives all the same."""
    here = Path(__file__).parent
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *filter(None, sys.path)])}
    command = (sys.executable, "-m", "turnlog", "check", "agentfield_desk:app")
    done = subprocess.run(command, env=paths, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("agentfield_desk:app: 2 handlers, nothing found\n", "")
