"""`turnlog provider`: offline speech as a Realtime service of its own, for engines and for any client of the protocol."""

import asyncio
import contextlib
import signal

import click

from ..transports.providers.local import LocalProvider

__all__ = ["command"]


@click.command("provider")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--echo", is_flag=True, help="Answer what is no say by repeating the user; else it fails with no_model.")
@click.option("--key", envvar="TURNLOG_PROVIDER_KEY", help="The key clients must send. Without one only this machine gets in.")
def command(port: int, host: str, echo: bool, key: str | None) -> None:
    """Serve offline speech at ws://HOST:PORT/v1/realtime until Ctrl-C.

    Prints the address when it listens. Say OPENAI_BASE_URL=http://HOST:PORT/v1 to reach it as provider "openai".
    """
    asyncio.run(_serve(port, host, echo, key))


async def _serve(port: int, host: str, echo: bool, key: str | None) -> None:
    provider = LocalProvider(echo=echo)
    engines = (await provider.warm()).engines
    for kind in (engines.voice_activity, engines.recognition, engines.synthesis):
        if not kind.name:
            click.echo(str(kind), err=True)
    stopped = _stopped()
    async with provider.server.serve(host, port, key=key) as url:
        click.echo(url)
        await stopped.wait()


def _stopped() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM. Where the loop takes no signal handlers (Windows), Ctrl-C cancels instead."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, stopped.set)
    return stopped
