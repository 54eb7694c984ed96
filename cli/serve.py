"""`turnlog serve`: an app's sessions for any client of the Realtime protocol."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click

from ..core.errors import DefinitionError
from ..engine.loading import load_app
from ..engine.observing import Observer
from ..server.config import Config, load_config
from ..server.logs import log_to
from ..server.options import EngineOptions, LogOptions, ServeOptions
from ..server.redact import Redactor
from ..server.serve import serve as serve_app
from ..server.settings import ServerSettings
from ..transports.extras import load
from ..transports.providers.dial import is_loopback
from .options import config_option

__all__ = ["command", "unheard_outside"]


def unheard_outside(host: str, keys: tuple[str, ...]) -> str:
    """What to say of an address that others can reach and that lets none of them in; "" where there is nothing to say."""
    if keys or is_loopback(host):
        return ""
    return f"without --key only callers on this machine get in, though {host} can be reached from others"


@click.command("serve")
@click.argument("app", metavar="MODULE:APP", required=False)
@click.option(
    "--answers", type=click.Choice(["handler", "model"]), help="Who answers in an AgentField app's sessions.  [default: handler]"
)
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.  [default: 8080]")
@click.option("--key", "keys", multiple=True, help="A key that callers must show; may be repeated. Also $TURNLOG_KEYS.")
@click.option("--db", "store", metavar="URL", help="The store, as sqlite:///calls.db. Also $TURNLOG_DB.  [default: turnlog.db]")
@click.option("--drain", "drain_s", type=float, help="Seconds that sessions may run on after SIGTERM.  [default: 20]")
@click.option("--tls-cert", metavar="FILE", help="Serve https and wss: the certificate with its chain, in PEM.")
@click.option("--tls-key", metavar="FILE", help="Its private key, in PEM.")
@click.option("--log-format", "format", type=click.Choice(["text", "json"]), help="Of what is logged on stderr.  [default: text]")
@config_option
def command(config: str | None, **given: Any) -> None:
    """Serve an app, e.g. `turnlog serve turnlog.examples.hotel:app`, until Ctrl-C; its sessions then end in order.

    A client connects to ws://HOST:PORT/v1/realtime?model=APP.SESSION, a browser to the page at http://HOST:PORT/. Without a
    key only callers on this machine get in. What no option says is in turnlog.toml or the environment: `turnlog config` shows it.
    """
    loaded = load_config(config, given=_by_path(given))
    serving, engine = loaded.section(ServeOptions), loaded.section(EngineOptions)
    _log(loaded)
    loaded.export(os.environ)
    if not serving.app:
        raise DefinitionError("TL206", "no app is named", "`turnlog serve MODULE:APP`, or `app` under [serve] in turnlog.toml")
    app = load_app(serving.app, answers=serving.answers)
    settings = loaded.section(ServerSettings)
    if warning := unheard_outside(serving.host, settings.keys):
        click.echo(warning, err=True)

    def listening(url: str) -> None:
        targets = ", ".join(one.target for one in app.sessions.values()) or "none"
        click.echo(f"{url}/v1/realtime  sessions: {targets}  log: {engine.store}")
        click.echo(f"{url}/  a page to talk in a browser")

    async def run() -> None:
        async with _observers(loaded) as observers:
            arguments = engine.arguments() | {"observers": observers}
            where = (serving.host, serving.port, engine.store)
            await serve_app(app, *where, settings=settings, on_listening=listening, **arguments)

    asyncio.run(run())


@asynccontextmanager
async def _observers(config: Config) -> AsyncIterator[list[Observer]]:
    """Who is told of each append, as [log] wants it. Raises MissingExtra."""
    if not config.section(LogOptions).traces:
        yield []
        return
    module = load("traces", "otel", "traces", package="turnlog.server")
    async with module.tracing() as observer:
        yield [observer]


def _log(config: Config) -> None:
    options = config.section(LogOptions)
    log_to(form=options.format, level=options.level, redactor=Redactor(config.secrets()))


_SECTIONS = {  # else server
    **dict.fromkeys(("app", "answers", "host", "port"), "serve"),
    "store": "engine",
    "format": "log",
}


def _by_path(given: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """What the command line says, by the options' paths."""
    return {(_SECTIONS.get(name, "server"), name): value for name, value in given.items() if value not in (None, ())}
