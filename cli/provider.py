"""`turnlog provider`: offline speech as a Realtime service of its own, for engines and for any client of the protocol."""

import asyncio
import contextlib
import signal

import click
import msgspec

from ..transports.providers.local import LocalProvider
from ..transports.speech.installed import installed_version
from ..transports.webrtc.ice import IceSettings

__all__ = ["command"]


@click.command("provider")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--echo", is_flag=True, help="Answer what is no say by repeating the user; else it fails with no_model.")
@click.option("--key", envvar="TURNLOG_PROVIDER_KEY", help="The key clients must send. Without one only this machine gets in.")
@click.option("--ice-host", "ice_hosts", multiple=True, help="An address of this machine for WebRTC; may be repeated.")
def command(port: int, host: str, echo: bool, key: str | None, ice_hosts: tuple[str, ...]) -> None:
    """Serve offline speech at ws://HOST:PORT/v1/realtime, and over WebRTC, until Ctrl-C.

    Prints the address when it listens. Say OPENAI_BASE_URL=http://HOST:PORT/v1 to reach it as provider "openai". Without
    --ice-host $TURNLOG_ICE_HOSTS counts, and else all addresses; $TURNLOG_ICE_SERVERS names STUN and TURN servers.
    """
    ice = IceSettings.from_environment()
    if ice_hosts:
        ice = msgspec.structs.replace(ice, hosts=ice_hosts)
    asyncio.run(_serve(port, host, echo, key, ice))


async def _serve(port: int, host: str, echo: bool, key: str | None, ice: IceSettings) -> None:
    provider = LocalProvider(echo=echo)
    engines = (await provider.warm()).engines
    for kind in (engines.voice_activity, engines.recognition, engines.synthesis):
        if not kind.name:
            click.echo(str(kind), err=True)
    stopped = _stopped()
    if not installed_version("aiortc"):
        click.echo("WebRTC: none (the extra webrtc is not installed)", err=True)
    async with provider.server.serve(host, port, key=key, ice=ice) as url:
        click.echo(url)
        await stopped.wait()


def _stopped() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM. Where the loop takes no signal handlers (Windows), Ctrl-C cancels instead."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, stopped.set)
    return stopped
