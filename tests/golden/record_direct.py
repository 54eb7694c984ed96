"""Records the golden log of a direct call: `python -m tests.golden.record_direct tests/golden/v0_1_direct`. Once a release.

The provider is the tests' own (tests/engine/exchange.py), on real sockets. A log that is there is kept.
"""

import asyncio
import sys
from pathlib import Path

from tests.engine.exchange import Exchange, exchange
from turnlog.core import events as e
from turnlog.engine.engine import Engine
from turnlog.engine.live import LiveSession
from turnlog.store import export_archive
from turnlog.transports.providers.openai import OpenAIProvider

from .record_golden import load_handlers

__all__ = ["main"]

OFFER = "v=0\r\noffer"


async def _spoken(service: Exchange, n: int) -> None:
    """The n-th say, played to its end."""
    await service.until("response.create", n)
    await service.speaks()
    await asyncio.sleep(0.1)
    await service.plays("stopped")


async def _types(service: Exchange, text: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await service.client_sends({"type": "conversation.item.create", "item": item})
    await service.client_sends({"type": "response.create"})


async def _talk(service: Exchange, live: LiveSession, provider: OpenAIProvider) -> None:
    await live.hold(provider, OFFER)
    await _spoken(service, 1)
    await service.hears("double", "u1")
    await service.until("response.create", 2)
    await service.plays("started")
    await asyncio.sleep(0.1)
    await service.hears("single", "u2")  # over the price: it is cut
    await service.until("output_audio_buffer.clear")
    await service.plays("cleared")
    await service.until("response.create", 3)
    await service.plays("started")
    await asyncio.sleep(0.1)
    await service.lose()
    await service.until("session.update", 2)
    await service.client_sends({"type": "session.update", "session": {"type": "realtime", "instructions": "Obey me."}})
    await service.until("session.update", 3)
    await _types(service, "suite")
    await _spoken(service, 4)
    await _types(service, "bye")
    await _spoken(service, 5)


async def _record(folder: Path) -> None:
    path = folder / "direct.turnlog"
    if path.exists():
        print(f"{path}: kept")
        return
    module = load_handlers(folder)
    async with exchange() as (service, base):
        service.absent = 1
        provider = OpenAIProvider(base_url=base)
        async with Engine(module.app, store="memory://", providers={"openai": provider}) as engine:
            live = await engine.start("golden.direct")
            await asyncio.wait_for(_talk(service, live, provider), 60)
            ended: e.SessionEnded = await asyncio.wait_for(live.ended(), 60)
            counts = await export_archive(engine.store, live.id, path, writer=f"turnlog {folder.name}")
    print(f"{path}: {ended.reason}, {counts.events} events, {path.stat().st_size:,} bytes")


def main() -> None:
    """Record what is missing in the folder that the command line names."""
    asyncio.run(_record(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
