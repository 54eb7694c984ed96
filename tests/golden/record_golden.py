"""Records the golden logs of a version: `python -m tests.golden.record_golden tests/golden/v0_1`. Once a release, never again.

Runs every session of the folder's handlers.py live: typed sessions are typed to, the spoken one hears a recording of a human
voice. A log that is there is kept; only what is missing is recorded.
"""

import asyncio
import json
import linecache
import sys
from pathlib import Path
from types import ModuleType

from turnlog.cli.caller import SpokenCaller
from turnlog.core.errors import LinkClosed
from turnlog.engine.engine import Engine
from turnlog.engine.live import LiveSession
from turnlog.store import export_archive
from turnlog.transports.links.in_process import InProcessLink, pair
from turnlog.transports.realtime.audio import read_wav

__all__ = ["load_handlers", "main"]

VOICE = Path(__file__).parents[2] / "examples" / "audio" / "4-goodbye.wav"
TYPED = {"typed": ["double", "tent"], "failing": ["?!"], "journal": ["two nights please"]}
SIGNALS = {"journal": ("go", {"number": 12})}


def load_handlers(folder: Path) -> ModuleType:
    """The handlers of a version's folder. Their file is known by its path in the project: it stands in the log."""
    module = ModuleType(f"golden_{folder.name}")
    sys.modules[module.__name__] = module
    source, name = (folder / "handlers.py").read_text(encoding="utf-8"), f"tests/golden/{folder.name}/handlers.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), module.__dict__)
    return module


async def _type(link: InProcessLink, lines: list[str]) -> None:
    """Type the next line when the session has said something, then listen to the end."""
    waiting = list(lines)
    try:
        while True:
            event = json.loads(await link.receive())
            if waiting and event["type"] in ("response.done", "session.created"):
                if event["type"] == "session.created" and len(lines) > 1:
                    continue  # this one is greeted first
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": waiting.pop(0)}]}
                link.send(json.dumps({"type": "conversation.item.create", "item": item}).encode())
                link.send(json.dumps({"type": "response.create"}).encode())
    except LinkClosed:
        return


async def _speak(link: InProcessLink, folder: Path) -> None:
    caller = SpokenCaller(link, folder)
    caller.speak(read_wav(VOICE)[0])
    try:
        await caller.run()
    finally:
        caller.close()
        for path in caller.recordings:
            path.unlink()


async def _record(folder: Path) -> None:
    module = load_handlers(folder)
    async with Engine(module.app, store="memory://") as engine:
        for name, declared in module.app.sessions.items():
            path = folder / f"{name}.turnlog"
            if path.exists():
                print(f"{path}: kept")
                continue
            session: LiveSession = await engine.start(declared.target)
            mine, theirs = pair()
            await engine.attach(session.id, theirs)
            if name in SIGNALS:
                session.signal(*SIGNALS[name])
            talking = asyncio.create_task(_type(mine, TYPED[name]) if name in TYPED else _speak(mine, folder))
            ended = await asyncio.wait_for(session.ended(), 60)
            await talking
            counts = await export_archive(engine.store, session.id, path, writer=f"turnlog {folder.name}")
            print(f"{path}: {ended.reason}, {counts.events} events, {counts.segments} segments, {path.stat().st_size:,} bytes")


def main() -> None:
    """Record what is missing in the folder that the command line names."""
    asyncio.run(_record(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
