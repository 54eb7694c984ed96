"""`turnlog serve`: an app's sessions for any client of the Realtime protocol."""

import asyncio

import click

from ..engine.app import load_app
from ..server.serve import serve as serve_app
from ..server.settings import ServerSettings
from ..transports.providers.dial import is_loopback
from .options import db_option

__all__ = ["command", "unheard_outside"]


def unheard_outside(host: str, keys: tuple[str, ...]) -> str:
    """What to say of an address that others can reach and that lets none of them in; "" where there is nothing to say."""
    if keys or is_loopback(host):
        return ""
    return f"without --key only callers on this machine get in, though {host} can be reached from others"


@click.command("serve")
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--key", "keys", multiple=True, envvar="TURNLOG_KEYS", help="A key that callers must show; may be repeated.")
@db_option
def command(app: str, host: str, port: int, keys: tuple[str, ...], db: str) -> None:
    """Serve an app, e.g. `turnlog serve turnlog.examples.hotel:app`, until Ctrl-C; its sessions then end in order.

    A client connects to ws://HOST:PORT/v1/realtime?model=APP.SESSION, a browser to the page at http://HOST:PORT/. Without a
    key only callers on this machine get in.
    """
    loaded = load_app(app)

    if warning := unheard_outside(host, keys):
        click.echo(warning, err=True)

    def listening(url: str) -> None:
        targets = ", ".join(one.target for one in loaded.sessions.values()) or "none"
        click.echo(f"{url}/v1/realtime  sessions: {targets}  log: {db}")
        click.echo(f"{url}/  a page to talk in a browser")

    asyncio.run(serve_app(loaded, host, port, db, settings=ServerSettings(keys=keys), on_listening=listening))
