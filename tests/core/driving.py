"""Drives a SessionCore as the live loop does: data in, staged events out, time by hand. No engine, no I/O."""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.codec import decode, encode
from turnlog.core.core import SessionCore, Staged
from turnlog.core.definition import SessionDefinition
from turnlog.core.ports import Recorded
from turnlog.core.state import State

__all__ = ["MS", "SITE", "START_NS", "Drive", "anatomy", "recorded", "replayed"]

MS = 1_000_000
START_NS = 1_000 * MS
SITE = c.Site("desk.py", 7)
_DELIVERED = (
    *(e.SayRequested, e.CallCompleted, e.CallFailed, e.EndRequested, e.TurnEnded),
    *(e.SaySettled, e.CallersGone, e.SessionEnding, e.TimerFired),
)


class Drive:
    """A session under test. Each input takes the clock on by `step_ms` and does a whole round of the live loop."""

    def __init__(
        self,
        *,
        answers: str = "handler",
        transcription: str | None = "whisper",
        rules: Sequence[e.ToolRules] = (),
        **options: Any,
    ) -> None:
        self.core = SessionCore()
        self.now_ns = START_NS
        self.log: list[Staged] = []
        self.index = 0
        self.confirms = False  # whether the provider confirms each change of its configuration at once
        definition = SessionDefinition(
            name="desk",
            provider="scripted",
            transport="in_process",
            answers=answers,  # type: ignore[arg-type] # "handler" or "model"
            transcription=transcription,
            **{"tools": ["find"], **options},
        )
        started = e.SessionStarted(session="s1", target="hotel.desk", definition=definition, tools=list(rules))
        self.core.record(started, e.Root.START, self.now_ns)
        self.round()

    # --- the loop ---

    def round(self) -> list[e.Event]:
        """What is due by now: returns the events of this round."""
        self.core.time_passed(self.now_ns)
        self.core.sends_due(self.now_ns)
        if not any(isinstance(staged.event, _DELIVERED) for staged in self.core.staged):
            self.core.close_when_done(self.now_ns)
        taken = self.core.events_to_append()
        self.log += taken
        return [staged.event for staged in taken]

    def settle(self) -> list[e.Event]:
        """Rounds until one brings nothing."""
        events: list[e.Event] = []
        while new := self.round() or self._confirmed():
            events += new
        return events

    def _confirmed(self) -> list[e.Event]:
        links = self.core.state.links
        if self.core.ended or not (self.confirms and links.provider_ready and links.unconfirmed):
            return []
        seq = self.core.record(e.TransportReceived(link="p1", n=len(self.log), data=b"{}"), e.Root.WIRE, self.now_ns)
        self.core.decide("p1", s.ProviderConfigured(session={}), seq, self.now_ns)
        return self.round()

    def wait(self, ms: float) -> list[e.Event]:
        """Let time go by, waking at each deadline as the live loop does."""
        until = self.now_ns + round(ms * MS)
        events: list[e.Event] = []
        while (due := self.core.next_deadline()) is not None and due <= until:
            self.now_ns = max(self.now_ns, due)
            new = self.settle()
            assert new or self.core.next_deadline() != due, f"the deadline {due} brought nothing: the live loop would spin"
            events += new
        self.now_ns = until
        return events + self.settle()

    # --- data in ---

    def signal(self, link: str, *signals: s.Signal) -> list[e.Event]:
        """Messages of a link, in one round."""
        for signal in signals:
            seq = self.core.record(e.TransportReceived(link=link, n=len(self.log), data=b"{}"), e.Root.WIRE, self.now_ns)
            self.core.decide(link, signal, seq, self.now_ns)
        return self.settle()

    def command(self, command: c.Command) -> list[e.Event]:
        """What the handler asks for."""
        self.index += 1
        self.core.command(self.index, command, SITE, self.core.seq, self.now_ns)
        return self.settle()

    def say(self, text: str, **options: Any) -> str:
        """The handler's say; returns its id."""
        self.command(c.Say(text=text, **options))
        return f"say_{self.index}"

    def fact(self, event: e.Event, cause: int = e.Root.HOST) -> list[e.Event]:
        """What the host reports."""
        self.core.record(event, cause, self.now_ns)
        return self.settle()

    def open_provider(self) -> "Drive":
        """A provider's link, confirmed."""
        self.fact(e.LinkOpened(link="p1", side="provider", transport="in_process"))
        self.signal("p1", s.ProviderConfigured(session={}))
        return self

    def open_caller(self, link: str = "c1") -> "Drive":
        """A caller's link."""
        self.fact(e.LinkOpened(link=link, side="caller", transport="in_process"))
        return self

    def close(self, link: str, code: int | None = None) -> list[e.Event]:
        """The end of a link: callers hang up, others are lost, unless a code says otherwise."""
        code = code or (1000 if link.startswith("c") else 1006)
        self.core.link_closed(e.LinkClosed(link=link, code=code), self.now_ns)
        return self.settle()

    def end(self, *, drain: bool) -> list[e.Event]:
        """The embedding program ends the session."""
        self.core.ending(e.SessionEnding(reason="enough", drain=drain), self.now_ns)
        return self.settle()

    def begin(self, response: str, say: str | None, attempt: int = 1, *, in_band: bool | None = None) -> list[e.Event]:
        """response.created."""
        in_band = say is None if in_band is None else in_band
        return self.signal("p1", s.ResponseBegan(response=response, say=say, attempt=attempt if say else 0, in_band=in_band))

    def sound(self, response: str) -> list[e.Event]:
        """The response's first audio is delivered."""
        return self.fact(e.AudioStarted(response=response), e.Root.WIRE)

    def finish(
        self,
        response: str,
        ms: int = 0,
        transcript: str = "",
        status: str = "completed",
        code: str = "",
        parts: Sequence[e.PartGenerated] = (),
    ) -> list[e.Event]:
        """response.done."""
        return self.signal(
            "p1",
            s.ResponseFinished(
                response=response,
                status=status,
                code=code,
                message="",
                generated_ms=ms,
                transcript=transcript,
                usage=None,
                parts=list(parts),
            ),
        )

    def refuse(self, say: str | None, attempt: int = 1, code: str = "conversation_already_has_active_response") -> list[e.Event]:
        """An error that answers a response.create."""
        return self.signal("p1", s.ResponseRefused(say=say, attempt=attempt, code=code, message="busy"))

    def spoken(self, text: str, ms: int = 1000) -> str:
        """A whole say, heard to its end; returns its id."""
        say = self.say(text)
        self.begin(f"r_{say}", say)
        self.sound(f"r_{say}")
        self.finish(f"r_{say}", ms, text)
        self.wait(ms)
        return say

    # --- facts out ---

    def of(self, *kinds: type[e.Event]) -> list[e.Event]:
        """The log's events of some types."""
        return [staged.event for staged in self.log if isinstance(staged.event, kinds)]

    def turns(self) -> list[e.TurnEnded]:
        """The turns so far."""
        return [event for event in self.of(e.TurnEnded) if isinstance(event, e.TurnEnded)]

    def outcome(self, say: str) -> e.SaySettled:
        """The one outcome of a say."""
        (settled,) = [event for event in self.of(e.SaySettled) if isinstance(event, e.SaySettled) and event.say == say]
        return settled

    def why(self, kind: type[e.Event]) -> e.Event | e.Root:
        """The cause of the latest event of a type: an event, or a Root."""
        staged = next(staged for staged in reversed(self.log) if isinstance(staged.event, kind))
        return e.Root(staged.cause) if staged.cause < 0 else self.log[staged.cause - 1].event


def recorded(staged: Staged) -> Recorded:
    """A staged event as the log holds it."""
    type_, version, data = encode(staged.event, bytes(16))
    return Recorded(staged.seq, type_, version, staged.at_ns, 1, staged.cause, b"", b"", data)


def replayed(log: list[Staged]) -> State:
    """The state that the log's bytes fold to."""
    state = State()
    for staged in log:
        state.apply(staged.seq, staged.at_ns, decode(recorded(staged)))
    return state


def anatomy(value: object) -> object:
    """All that a state holds, as plain values that compare deeply."""
    match value:
        case msgspec.Struct() | Enum() | str() | bytes() | int() | float() | None:
            return value
        case dict():
            return [(key, anatomy(item)) for key, item in value.items()]
        case list() | tuple() | deque():
            return [anatomy(item) for item in value]
        case set():
            return sorted(value)
    slots = [slot for slot in type(value).__slots__ if slot != "_folds"]  # type: ignore[attr-defined] # a fold or a part of one
    return {slot: anatomy(getattr(value, slot)) for slot in slots}
