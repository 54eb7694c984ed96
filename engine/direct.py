"""A direct call: the provider holds it with the caller itself. What it is opened with, and the lines that it has here."""

from collections.abc import Coroutine
from functools import partial
from typing import Any, NamedTuple

from ..core import events as e
from ..core.definition import DEFAULT_MODELS, SessionDefinition
from ..core.ports import Calls, Link, Provider, TakenCall
from ..transports.callers.direct import DirectCaller
from ..transports.realtime.direct_leg import DirectLeg
from ..transports.realtime.session_wire import call_session
from ..transports.realtime.sideband_leg import SidebandLeg
from .inbox import OfCall
from .run import SessionRun
from .sideband import Sideband

__all__ = ["Held", "calls_of", "configuration", "enter"]

Work = Coroutine[Any, Any, None]


def calls_of(definition: SessionDefinition, provider: Provider) -> Calls | None:
    """The provider, where it takes a caller's own offer: it can, and the session's transport is WebRTC."""
    return provider if definition.transport == "webrtc" and isinstance(provider, Calls) else None


def configuration(run: SessionRun, settings: dict[str, Any]) -> dict[str, Any]:
    """What a call is opened with: what its sideband will ask of it, too. settings: what the caller asked for with its offer."""
    state = run.core.state
    definition = state.life.definition
    asked = e.ConfigurationDispatched(link="", settings={**state.links.settings, **settings}, answers=state.links.answers)
    model = definition.model or DEFAULT_MODELS.get(definition.provider, "")
    return call_session(definition, asked, run.effects.definitions(), model=model)


class Held(NamedTuple):
    """A call that the provider holds: its answer, the caller's line, and what keeps that line and a sideband."""

    taken: TakenCall
    caller: DirectCaller
    works: tuple[Work, Work]


def enter(run: SessionRun, calls: Calls, taken: TakenCall, name: str, peer: str, settings: dict[str, Any]) -> Held:
    """Enter a call that was taken, and the lines that it has here; `name` is the caller's."""
    caller, provider = DirectCaller(partial(calls.hang_up, taken.call_id)), run.core.state.life.definition.provider

    def beside(n: int, link: Link) -> Work:
        return run.attach(f"p{n}", link, SidebandLeg(f"p{n}", run.effects.definitions()), "sideband", provider)

    reading = run.attach(name, caller, DirectLeg(), "direct", peer)
    run.inbox.put(OfCall(e.CallOpened(call_id=taken.call_id, link=name), settings))
    return Held(taken, caller, (reading, Sideband(calls, taken.call_id, caller, run.inbox.put, beside).follow()))
