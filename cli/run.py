"""`turnlog run`: an app's handlers and tools in this process, for an engine elsewhere that keeps the logs."""

import asyncio

import click

from ..engine.loading import load_app
from ..engine.nodes.dialling import run_node
from ..transports.providers.dial import PING_S

__all__ = ["command"]


@click.command("run")
@click.argument("app", metavar="MODULE:APP")
@click.option("--engine", metavar="URL", envvar="TURNLOG_ENGINE", required=True, help="Of `turnlog serve`. Also $TURNLOG_ENGINE.")
@click.option("--key", metavar="KEY", envvar="TURNLOG_KEY", default="", help="A key of the scope admin. Also $TURNLOG_KEY.")
@click.option(
    "--ping-s",
    metavar="SECONDS",
    type=click.FloatRange(0.05, 3600),
    envvar="TURNLOG_PING_S",
    default=PING_S,
    show_default=True,
    help="How often the engine is pinged, and how long it may take to answer.",
)
def command(app: str, engine: str, key: str, ping_s: float) -> None:
    """Run the sessions of an app here, e.g. `turnlog run hotel:app --engine http://127.0.0.1:8080`, until Ctrl-C.

    Callers connect to the engine, which has the provider's line, decides what happens and keeps the log; what the handlers ask
    for and what the tools return travels there. A link that is lost is opened again, and the sessions go on.
    """
    loaded = load_app(app)

    def connected() -> None:
        targets = ", ".join(one.target for one in loaded.sessions.values()) or "none"
        click.echo(f"connected to {engine}  sessions: {targets}")

    asyncio.run(run_node(loaded, engine, key, on_connected=connected, ping_s=ping_s))
