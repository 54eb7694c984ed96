"""Faults at every boundary, drawn from a seed: links that lose and mix up messages, providers that refuse, stores that fail.

Each boundary draws from a random source of its own, so that a fault at one does not change what happens at another. What
happened is kept; a call that fails with faults names them and their seed.
"""

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from ..core.definition import SessionDefinition
from ..core.errors import LinkClosed, LinkError, StoreError
from ..core.ports import Draft, Head, Link, Provider, Segment
from ..store.port import Store
from ..transports.links.in_process import InProcessLink, host
from ..transports.realtime.wire import encode_event
from .held_store import HeldStore

__all__ = ["FaultRates", "Faults", "Happened"]

_HELD_S: Final = 0.05  # how long a message waits at most for one that overtakes it


class FaultRates(msgspec.Struct, frozen=True, kw_only=True):
    """How likely each fault is, 0 to 1, per message, response.create, connect or append. slowest_ms: of delays and commits.

    Of a link: delay, drop, duplicate, reorder, disconnect (1006). Of a provider: its link's, refuse, expire (session_expired,
    then 1001), connect_fails (TL301). Of a store: append_fails (TL406, nothing written), slow_commit.
    """

    delay: float = 0
    drop: float = 0
    duplicate: float = 0
    reorder: float = 0
    disconnect: float = 0
    refuse: float = 0
    expire: float = 0
    connect_fails: float = 0
    append_fails: float = 0
    slow_commit: float = 0
    slowest_ms: float = 500

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not 0 <= value <= (1 if name != "slowest_ms" else 3_600_000):
                raise ValueError(f"FaultRates({name}={value!r}): between 0 and 1, slowest_ms in ms")


class Happened(NamedTuple):
    """A fault that happened: when (s of the loop's time), at which boundary, which, and to what."""

    at_s: float
    boundary: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.at_s:.3f} s {self.boundary}: {self.kind} {self.what}".rstrip()


class Faults:
    """Faults(seed, drop=0.01, delay=0.2); the rates are those of FaultRates. `happened`: what went wrong, in order."""

    def __init__(self, seed: object, **rates: float) -> None:
        self.seed = seed
        self.rates = FaultRates(**rates)
        self.happened: list[Happened] = []
        self._boundaries: dict[str, int] = {}

    def link(self, link: Link, name: str = "caller") -> Link:
        """A link in this process that leads to `link`, with faults both ways."""
        return host(partial(_relay, inner=link, dice=self._dice(name), of_provider=False))

    def provider(self, provider: Provider) -> Provider:
        """The provider, with faults in connecting and on its links."""
        return _FaultyProvider(provider, self)

    def store(self, store: Store) -> Store:
        """The store, with faults in appending."""
        return _FaultyStore(store, self._dice("store"))

    def provider_link(self, link: Link) -> Link:
        """A link to a provider: as `link`, and requests are refused and sessions expire."""
        return host(partial(_relay, inner=link, dice=self._dice("provider"), of_provider=True))

    def connects(self) -> None:
        """Raise LinkError TL301, or not."""
        if self._dice("connect").strikes("connect_fails"):
            raise LinkError("TL301", f"the connection failed on purpose (faults of seed {self.seed})")

    def __str__(self) -> str:
        """The seed, and what happened."""
        lines = [f"faults of seed {self.seed}: {len(self.happened)} happened", *map(str, self.happened[-20:])]
        return "\n  ".join(lines)

    def _dice(self, name: str) -> "_Dice":
        self._boundaries[name] = self._boundaries.get(name, 0) + 1
        boundary = f"{name} {self._boundaries[name]}"
        return _Dice(boundary, self.rates, random.Random(f"{self.seed} {boundary}"), self.happened)


class _Dice:
    """The chances of one boundary."""

    def __init__(self, boundary: str, rates: FaultRates, source: random.Random, happened: list[Happened]) -> None:
        self._boundary = boundary
        self._rates = rates
        self._random = source
        self._happened = happened

    def strikes(self, kind: str, what: str = "") -> bool:
        """Whether this fault happens now; it is kept if it does."""
        rate: float = getattr(self._rates, kind)
        if not rate or self._random.random() >= rate:
            return False
        self._happened.append(Happened(asyncio.get_running_loop().time(), self._boundary, kind, what))
        return True

    def pause_s(self) -> float:
        """How long what is slow takes."""
        return self._random.random() * self._rates.slowest_ms / 1000


class _Broken(Exception):
    """The link is to break now."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


async def _relay(far: InProcessLink, *, inner: Link, dice: _Dice, of_provider: bool) -> None:
    """Carry messages between the two until either closes."""
    async with asyncio.TaskGroup() as pumps:
        pumps.create_task(_pump(far, inner, dice, refuses=of_provider))
        pumps.create_task(_pump(inner, far, dice, refuses=False))


async def _pump(source: Link, target: Link, dice: _Dice, *, refuses: bool) -> None:
    try:
        while True:
            raw = await source.receive()
            if refuses and _refused(raw, source, dice):
                continue
            await _carry(raw, source, target, dice)
    except LinkClosed as closed:
        code, reason = closed.close_code, closed.reason
    except _Broken as broken:
        code, reason = broken.code, broken.reason
    await source.close(code, reason)
    await target.close(code, reason)


def _refused(raw: bytes, source: Link, dice: _Dice) -> bool:
    """Answer in the provider's place. Raises _Broken when its session expires."""
    event: dict[str, Any] = msgspec.json.decode(raw)
    if dice.strikes("expire"):
        _send_error(source, "session_expired", "Your session hit the maximum duration of 60 minutes.", None)
        raise _Broken(1001, "session expired")
    if event.get("type") != "response.create" or not dice.strikes("refuse", "response.create"):
        return False
    message = "Conversation already has an active response in progress. Wait until it is finished."
    _send_error(source, "conversation_already_has_active_response", message, event.get("event_id"))
    return True


def _send_error(link: Link, code: str, message: str, event_id: str | None) -> None:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": event_id}
    link.send(encode_event("error", "event_fault", error=error))


async def _carry(raw: bytes, source: Link, target: Link, dice: _Dice) -> None:
    type_ = str(msgspec.json.decode(raw).get("type"))
    if dice.strikes("disconnect", type_):
        raise _Broken(1006, "the link broke on purpose")
    if dice.strikes("drop", type_):
        return
    if dice.strikes("delay", type_):
        await asyncio.sleep(dice.pause_s())
    if dice.strikes("reorder", type_):
        try:
            async with asyncio.timeout(_HELD_S):
                target.send(await source.receive())
        except TimeoutError:
            pass  # nothing came that could overtake it
    target.send(raw)
    if dice.strikes("duplicate", type_):
        target.send(raw)


class _FaultyProvider:
    """A provider behind faults."""

    def __init__(self, inner: Provider, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """As the provider inside, or LinkError TL301."""
        self._faults.connects()
        return self._faults.provider_link(await self._inner.connect(definition, session))


class _FaultyStore(HeldStore):
    """A store whose appends are slow or fail."""

    def __init__(self, inner: Store, dice: _Dice) -> None:
        super().__init__(inner)
        self._dice = dice

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """As the store inside, or later, or StoreError TL406."""
        what = f"{len(events)} events after seq {head.seq}"
        if self._dice.strikes("slow_commit", what):
            await asyncio.sleep(self._dice.pause_s())
        if self._dice.strikes("append_fails", what):
            raise StoreError("TL406", f"session {head.session}: the append failed on purpose", "this is a test of faults")
        return await super().append(head, events, segments, status=status)
