"""The command `turnlog`: its subcommands, and how errors reach people.

Exit codes: 0 well, 1 error, 2 usage, 3 divergence, 130 Ctrl-C. An error is one line and a hint on stderr; TURNLOG_DEBUG=1 adds
the traceback. A subcommand's module is imported when it is used, so that each needs only its own extra.
"""

import importlib
import os
import sys
import traceback
import warnings

import click

from _turnlog_start import INTERRUPTED, quiet_imports

from ..core.errors import Divergence, MissingExtra, TurnlogError
from ..transports.speech.installed import installed_version

__all__ = ["cli", "main"]

# name: (module, or module:attribute where the command is not called `command`; one line for the overview; the extra whose
# packages the module imports)
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "capture": ("capture", "Write a test that replays a session, and its archive.", ""),
    "chain": ("chain", "What an event came from, and what came of it.", ""),
    "check": ("check", "Look through an app's handlers for what would not replay.", ""),
    "config": ("config", "What `turnlog serve` would run with here, and where each value is from.", "server"),
    "db": ("db", "A store's file: its revision, its tables, its upgrade.", ""),
    "demo": ("demo", "A spoken (or typed) conversation, its log, and its replay.", "local"),
    "doctor": ("doctor", "What works on this machine, and what is missing.", ""),
    "export": ("archive:export_command", "Write a session to one file that checks itself.", ""),
    "fork": ("fork", "A new session with another one's past and a scripted rest.", ""),
    "import": ("archive:import_command", "Enter an archived session in a store.", ""),
    "keys": ("keys", "The API keys of a store: make, list, revoke.", ""),
    "projections": ("projections", "How far the tables made of the log are; build one anew.", ""),
    "provider": ("provider", "Serve offline speech as a Realtime service, by WebSocket and WebRTC.", "local"),
    "rederive": ("rederive", "Decide a session's turns anew from its messages, and compare.", ""),
    "replay": ("replay", "Run today's handler on a recorded session, offline.", ""),
    "run": ("run", "Run an app's handlers for an engine elsewhere.", ""),
    "says": ("says", "How the handlers' words fared: played, heard, interrupted.", ""),
    "search": ("search", "Find what was said, in all sessions of a store.", ""),
    "serve": ("serve", "Serve an app's sessions to Realtime clients.", "server"),
    "sessions": ("sessions", "List the sessions of a store, newest first.", ""),
    "show": ("show", "A session's events, one a line.", ""),
    "state": ("state", "What stood at one place of a session.", ""),
    "tail": ("tail", "A live session's events as they come.", ""),
    "verify": ("verify", "Whether a session's log says what was written.", ""),
    "why": ("why", "Why it was silent, why it was late, why it was said.", ""),
}


class _Commands(click.Group):
    """Loads a command's module when the command is asked for; the overview loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name. Raises MissingExtra if its module needs what is not installed."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, extra = _COMMANDS[cmd_name]
        try:
            name, _, attribute = module.partition(":")
            with quiet_imports():
                loaded: click.Command = getattr(importlib.import_module(f"{__package__}.{name}"), attribute or "command")
        except ModuleNotFoundError as error:
            if not extra or (error.name or "turnlog").partition(".")[0] == "turnlog":
                raise
            raise MissingExtra(extra, f"turnlog {cmd_name} ({error.name} is not installed)") from error
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line, _) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version("turnlog") or "(not installed)", prog_name="turnlog", message="%(prog)s %(version)s")
def cli() -> None:
    """turnlog: live voice sessions whose every event is in a log. Replay them, look into them, serve them."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = cli.main(prog_name="turnlog", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        _fall_silent()
        return INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has left: nothing more to say, also not at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        cause = _first(error)
        _report(cause)
        return 3 if isinstance(cause, Divergence) else 1


def _fall_silent() -> None:
    """What the interrupt left half made (an event loop, a coroutine that was not begun) goes without a word."""
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore")


def _first(error: Exception) -> Exception:
    """The error itself, or the first that a group of tasks met."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _report(error: Exception) -> None:
    if os.environ.get("TURNLOG_DEBUG"):
        traceback.print_exception(error)
    match error:
        case TurnlogError():
            lines = [f"error {error.code}: {error.message}", *(f"  {line}" for line in error.hint.splitlines())]
        case click.ClickException():
            lines = [f"error: {error.format_message()}"]
        case _:
            lines = [
                f"error: turnlog failed with {type(error).__name__}: {error}",
                "  this is a fault of turnlog or of its installation; TURNLOG_DEBUG=1 shows where",
            ]
    click.echo("\n".join(lines), err=True)
