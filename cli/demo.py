"""`turnlog demo`: a caller made of recordings, or of what is typed, talks to examples/hotel.py; then the log tells it again."""

import asyncio
import importlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
from rich.text import Text

from ..core.errors import Divergence, LinkError, MediaError, MissingExtra
from ..core.ports import Provider, Recorded
from ..engine.app import App
from ..engine.offline.replay import replay
from ..examples import hotel
from ..store.open import open_store
from ..transports.providers.local import LocalProvider
from ..transports.realtime.audio import PCM16, read_wav
from ..transports.speech.engines import Speech, detect
from ..transports.speech.resample import read_audio
from .call import Held, Question, hold_spoken, hold_typed
from .options import console
from .replay import identical, speed
from .retell import edit_handler

__all__ = ["command"]

_RATE = PCM16.rate


class _Plan(NamedTuple):
    """What is to happen: who answers, and what is asked ([]: the user types)."""

    provider: Literal["local", "openai"]
    speech: Speech | None  # None: the process's engines, or none are needed
    questions: list[Question]
    folder: Path


@click.command("demo")
@click.option("--wav", type=click.Path(path_type=Path), metavar="FILE", help="Ask with this recording, of any format.")
@click.option("--text", is_flag=True, help="Type instead of speaking. Needs the core install only.")
@click.option("--page", is_flag=True, help="Talk yourself, in a browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="For the page; 0 takes a free one.")
@click.option("--provider", type=click.Choice(["local", "openai"]), default="local", show_default=True, help="Who listens.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", default="out", show_default=True, help="For log and WAVs.")
def command(wav: Path | None, text: bool, page: bool, port: int, provider: Literal["local", "openai"], out: Path) -> int:
    """A conversation with a hotel's front desk, in real time, then its replay from the log.

    Recorded questions are streamed to the engine, heard, answered by the handler of turnlog.examples.hotel, and spoken.
    With --page the front desk waits for you in a browser on this machine instead. Ctrl-C ends it in order. --provider openai
    needs OPENAI_API_KEY (OPENAI_BASE_URL names another service).
    """
    if text + (wav is not None) + page > 1:
        raise click.UsageError("--text, --wav and --page exclude each other")
    if provider == "openai" and not (os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")):
        raise LinkError("TL303", "OPENAI_API_KEY is not set", "export OPENAI_API_KEY=…; without --provider it works offline")
    logging.getLogger("turnlog").addHandler(logging.NullHandler())  # what goes wrong is told here, once
    if page and provider == "local":
        _check_engines()
    plan = _plan(wav, text, provider, out)
    _make_folder(out)
    if page:
        return asyncio.run(_serve(plan, port))
    return _finish(asyncio.run(_hold(plan)), plan)


# --- before ---


def _check_engines() -> None:
    """Raises TurnlogError TL603 unless this machine hears and speaks."""
    engines = detect()
    for kind in (engines.voice_activity, engines.recognition, engines.synthesis):
        if not kind.name:
            raise kind.error()


def _plan(wav: Path | None, text: bool, provider: Literal["local", "openai"], folder: Path) -> _Plan:
    """Name the active engines, and decide what can be done with them."""
    engines = detect()
    silent = Speech(engines=engines, voice_activity=None, recogniser=None, synthesiser=None)
    if provider == "openai":
        click.echo(f"speech: by provider openai at {os.environ.get('OPENAI_BASE_URL') or 'https://api.openai.com/v1'}")
        return _Plan(provider, None, [] if text else _questions(wav), folder)
    if text:
        click.echo("speech: none, you type")
        return _Plan(provider, silent, [], folder)
    kinds = (engines.voice_activity, engines.recognition, engines.synthesis)
    click.echo("; ".join(f"{kind.kind}: {kind.name or 'none'}" for kind in kinds))
    for kind in kinds:
        if not kind.name:
            click.echo(f"  {kind}")
    if not engines.hears and wav is not None:
        raise next(kind.error() for kind in kinds if not kind.name)
    if not engines.hears:
        click.echo("Without an ear for speech this is the typed conversation.")
        return _Plan(provider, silent, [], folder)
    return _Plan(provider, None, _questions(wav), folder)


def _questions(wav: Path | None) -> list[Question]:
    """What the caller will say, as PCM16 mono at 24 kHz. Raises MediaError TL602, MissingExtra."""
    if wav is not None:
        return [Question(wav.name, read_audio(wav, _RATE))]
    recordings = resources.files(hotel.__package__ or "") / "audio"
    with resources.as_file(recordings) as folder:
        return [Question(path.name, read_wav(path)[0]) for path in sorted(folder.glob("*.wav"))]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError("TL604", f"{folder}: {error.strerror or error}", "choose another folder with --out") from error


def _app(plan: _Plan) -> App:
    """The hotel as its module declares it, by the provider and in the modality that were chosen."""
    app = App(hotel.app.name)
    app.tool(hotel.find_room)
    declared = hotel.app.sessions["frontdesk"].definition
    app.session(
        declared.name,
        provider=plan.provider,
        transport="websocket" if plan.provider == "openai" else "in_process",
        modalities=["audio", "text"] if plan.questions else ["text"],
        tools=declared.tools,
    )(hotel.frontdesk)
    return app


# --- the conversation ---


async def _providers(plan: _Plan) -> dict[str, Provider]:
    if plan.provider != "local":
        return {}
    local = LocalProvider(speech=plan.speech)
    await local.warm()
    return {"local": local}


async def _hold(plan: _Plan) -> Held:
    providers = await _providers(plan)
    app = _app(plan)
    if plan.questions:
        return await hold_spoken(app, providers, plan.folder, plan.questions, _write)
    if sys.stdin.isatty():
        click.echo("Type what you would say (a room for two nights? breakfast? goodbye), Ctrl-D to hang up.")
    return await hold_typed(app, providers, plan.folder, _write, _prompt)


async def _serve(plan: _Plan, port: int) -> int:
    """Wait for a browser, until Ctrl-C."""
    page = _page_module()
    db = plan.folder / "demo.db"
    any_held = await page.hold_page(page.Desk(_app(plan), await _providers(plan), db), port)
    if any_held:
        click.echo(f"\nlog    {db}")
        click.echo(f"look   {_program()} show last --db {db}\n       {_program()} replay last --db {db}")
    return 0


def _page_module() -> Any:
    """cli/demo_page.py. Raises MissingExtra: only who wants the page needs what it needs, and this module is imported by all."""
    try:
        return importlib.import_module(f"{__package__}.demo_page")
    except ModuleNotFoundError as error:
        if (error.name or "turnlog").partition(".")[0] == "turnlog":
            raise
        raise MissingExtra("server", f"turnlog demo --page ({error.name} is not installed)") from error


_STYLES = {"caller": "cyan", "desk": "green", "tool": "yellow", "problem": "bold red", "session": "dim"}


def _write(ms: int, who: str, line: str) -> None:
    console().print(Text(f"{ms:>7} ms  {who:<8} {line}", _STYLES.get(who, "")), soft_wrap=True)


def _prompt() -> None:
    if sys.stdin.isatty():
        click.echo("you> ", nl=False)


# --- after ---

# What to do about an end with this code; the log keeps a failure's words, not its hint.
_HINTS = {
    "TL301": "check the network and OPENAI_BASE_URL; without --provider the demo works offline",
    "TL302": "run it again; without --provider the demo works offline",
    "TL303": "check that OPENAI_API_KEY is a key of the service that OPENAI_BASE_URL names",
}


def _finish(held: Held, plan: _Plan) -> int:
    """Where everything is, and the replays. The exit code: 130 after Ctrl-C, 1 if the session failed, 3 for a divergence."""
    db = plan.folder / "demo.db"
    verified = "verifies" if held.report.ok else f"DOES NOT VERIFY: {held.report.problems[0].detail}"
    size = f"{held.report.events} events, {held.report.segments} media segments"
    click.echo(f"\nlog    {db}: session {held.session}, {size}; {verified}")
    for name, path in zip(("caller", "heard"), held.recordings, strict=False):
        click.echo(f"{name:<6} {path}")
    click.echo(f"look   {_program()} show {held.session} --db {db}")
    log = open_store(db, read_only=True)
    _replay_edited(lambda: log.scan(held.session), plan)
    done = replay(log.scan(held.session), hotel.frontdesk)
    click.echo(f"\nThe same handler again: {speed(done)}\n{identical(done)}")
    if held.ended.code:  # last, where it is seen
        click.echo(f"error {held.ended.code}: the session ended: {held.ended.reason}: {held.ended.detail}", err=True)
        click.echo(f"  {_HINTS.get(held.ended.code, 'the log tells what led to it: the command above shows it')}", err=True)
    return 130 if held.stopped else 1 if held.ended.code or not held.report.ok else 0


def _replay_edited(scan: Callable[[], Iterator[Recorded]], plan: _Plan) -> None:
    """Change one line of the handler, replay, and show where it parts from the log."""
    edited = edit_handler(hotel, hotel.frontdesk.__name__, scan(), plan.folder)
    if edited is None:
        return
    click.echo(f'\nA changed handler on the same log: {edited.path}:{edited.line} says "{edited.after}"')
    try:
        replay(scan(), edited.handler)
    except Divergence as error:
        click.echo(f"{error.code} {error.message}")


def _program() -> str:
    """How this program was called, for people to type."""
    if Path(sys.argv[0]).name == "turnlog":
        return "turnlog" if shutil.which("turnlog") else sys.argv[0]
    python = Path(sys.executable)
    near = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{near} -m turnlog"
