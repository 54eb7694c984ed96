"""Rederive: a session's turns decided anew from the messages it received, compared with what was decided live.

What is a turn is decided by today's rules (core.decide), on the recorded messages at their recorded times; everything else
is taken as recorded. An old log never diverges because of better rules: this compares the two on purpose.
"""

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import count, zip_longest
from typing import Literal

import msgspec

from ...core import events as e
from ...core import signals as s
from ...core.codec import decode
from ...core.core import Staged
from ...core.decide import decide
from ...core.due import timeouts
from ...core.errors import StoreError, TurnlogError
from ...core.heads import ClockPlayheads
from ...core.playing import Heads
from ...core.ports import Recorded
from ...core.state import State
from ...store.messages import scan_messages
from ...store.port import Store
from ...transports.realtime.audio_leg import AudioLeg
from ...transports.realtime.caller_leg import CallerLeg
from ...transports.realtime.direct_leg import DirectLeg
from ...transports.realtime.provider_leg import ProviderLeg
from ...transports.realtime.sideband_leg import SidebandLeg
from ...transports.realtime.voice_leg import VoiceLeg
from ...transports.realtime.wire import parse
from ..caller_legs import HANDED
from ..line import Leg

__all__ = ["Rederived", "TurnFact", "rederive"]

_DERIVED = (
    e.SpeechStarted,
    e.SpeechStopped,
    e.InputCommitted,
    e.InputTranscribed,
    e.TranscriptArrivedLate,
    e.TurnEnded,
    e.TurnDiscarded,
    e.ItemSeeded,
    e.InputCommitAsked,
    e.InputClearAsked,
    e.AnswerAsked,
)
_SIGNALS = (
    s.SpeechBegan,
    s.SpeechCeased,
    s.AudioCommitted,
    s.TranscriptCompleted,
    s.TranscriptFailed,
    s.ItemCreated,
    s.ItemAdded,
    s.ResponseBegan,
    s.CommitRequested,
    s.AudioCleared,
    s.AnswerRequested,
)


class TurnFact(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that ended or was discarded, without the ids that are made anew each time. `seq` of it, or of its message."""

    seq: int
    what: Literal["ended", "discarded"]
    text: str
    channel: str = ""
    item: str = ""  # the provider's; "" for typed turns
    start_ms: int | None = None
    end_ms: int | None = None
    status: str = ""


class Rederived(msgspec.Struct, frozen=True, kw_only=True):
    """Both decisions. `equal`: turns that are the same; each difference is (live, today), None where a side has no turn."""

    session: str
    messages: int
    equal: int
    differences: list[tuple[TurnFact | None, TurnFact | None]]


def rederive(store: Store, session: str) -> Rederived:
    """Decide the turns of a session anew. Blocks.

    Raises StoreError TL407 for a log without a beginning, TL411 if a message was erased, TL408 for no such session.
    """
    run = _Rederivation(store, session)
    for recorded in store.scan(session):
        run.receive(recorded)
    if run.state.life.started is None:
        raise StoreError("TL407", f"the log of {session} has no SessionStarted", "it was never started, or its log is cut")
    run.pass_round(None)
    live, today = run.live, run.today
    differences: list[tuple[TurnFact | None, TurnFact | None]] = []
    equal = 0
    keys = [[msgspec.msgpack.encode(msgspec.structs.replace(fact, seq=0)) for fact in side] for side in (live, today)]
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if tag == "equal":
            equal += i2 - i1
            continue
        differences += zip_longest(live[i1:i2], today[j1:j2])
    return Rederived(session=session, messages=run.messages, equal=equal, differences=differences)


class _Rederivation:
    """One pass over a log. `live` are the recorded turns, `today` those that are decided now."""

    def __init__(self, store: Store, session: str) -> None:
        self.state = State()
        self.live: list[TurnFact] = []
        self.today: list[TurnFact] = []
        self.messages = 0
        self._audio = _Audio(store, session)
        self._legs: dict[str, Leg] = {}
        self._round_ns = 0
        self._seq = 0
        self._ids = count(1)
        self._losses: set[int] = set()  # the places of LinkClosed

    def receive(self, recorded: Recorded) -> None:
        """Take the log's next event: as it stands, or, where it is about turns, decided anew."""
        if recorded.at_ns != self._round_ns:
            self.pass_round(recorded.at_ns)
        self._seq = recorded.seq
        event = decode(recorded)
        match event:
            case e.Erased(type="TransportReceived"):
                raise StoreError("TL411", f"message {recorded.seq} was erased", "what was said in it cannot be decided anew")
            case e.TransportReceived():
                self._message(recorded, event)
            case e.Unknown() | e.Erased() | e.TransportSent() | e.MediaRecorded():
                return
            case e.TurnEnded() if recorded.cause == e.Root.API:
                self.state.apply(recorded.seq, recorded.at_ns, event)  # a fork's script said it: no message did
            case e.InputCommitAsked() | e.InputClearAsked() if recorded.cause in self._losses:
                self.state.apply(recorded.seq, recorded.at_ns, event)  # for a caller that was lost: no message asked for it
            case _ if isinstance(event, _DERIVED):
                self.live += _facts(recorded.seq, event)
            case _:
                self._apply(Staged(recorded.seq, recorded.at_ns, recorded.cause, event))

    def pass_round(self, at_ns: int | None) -> None:
        """What the clock decided at the end of the round before: words that did not come in time."""
        for group in list(timeouts(self.state, self._heads, self._round_ns, {})) if self.state.life.started else ():
            for event in group:
                self._decided(event, self._seq, self._round_ns)
        self._round_ns = at_ns or self._round_ns

    def _message(self, recorded: Recorded, received: e.TransportReceived) -> None:
        self.messages += 1
        leg = self._legs.get(received.link)
        if leg is None:
            return
        for raw in self._audio.before(received.link, received.n):
            self._signals(leg, raw)
        for signal in self._signals(leg, received.data):
            if isinstance(signal, _SIGNALS) and self.state.life.phase.value != "ended":
                for event in decide(self.state, self._heads, received.link, signal, recorded.at_ns):
                    self._decided(event, recorded.seq, recorded.at_ns)

    @property
    def _heads(self) -> Heads:
        return Heads(ClockPlayheads(self.state), self._round_ns)

    def _signals(self, leg: Leg, raw: bytes) -> list[s.Signal]:
        try:
            return leg.receive(parse(raw))
        except TurnlogError:
            return []  # it meant nothing then either: its fault is in the log
        finally:
            leg.owed()

    def _decided(self, event: e.Event, seq: int, at_ns: int) -> None:
        if not isinstance(event, _DERIVED):
            return  # what speech does to the playout is taken as it is recorded
        self.today += _facts(seq, event)
        self._apply(Staged(seq, at_ns, seq, event))

    def _apply(self, staged: Staged) -> None:
        event = staged.event
        self.state.apply(staged.seq, staged.at_ns, event)
        if isinstance(event, e.LinkOpened):
            self._legs[event.link] = self._leg(event)
        for leg in self._legs.values():
            try:
                leg.present(staged, self.state)
            except TurnlogError:
                leg.owed()  # as live: a peer that breaks its own protocol hears of it, and the session goes on
        if isinstance(event, e.LinkClosed):
            self._legs.pop(event.link, None)
            self._losses.add(staged.seq)

    def _leg(self, opened: e.LinkOpened) -> Leg:
        match opened.side:
            case "provider":
                return SidebandLeg(opened.link, []) if opened.transport == "sideband" else ProviderLeg(opened.link, [])
            case "voice":
                return VoiceLeg(opened.link)
            case "caller" if opened.transport == "direct":
                return DirectLeg()
            case "caller" if opened.transport == HANDED:
                return AudioLeg(opened.link)
        return CallerLeg(opened.link, self.state.life.definition.model or "", lambda kind: f"{kind}_again_{next(self._ids)}")


class _Audio:
    """The callers' audio in the order of their messages: whether a commit has anything to commit hangs on it."""

    def __init__(self, store: Store, session: str) -> None:
        self._store = store
        self._session = session
        self._tracks: dict[str, Iterator[tuple[int, bytes]]] = {}
        self._next: dict[str, tuple[int, bytes] | None] = {}

    def before(self, link: str, n: int) -> Iterator[bytes]:
        """The media messages of a caller that came before its n-th message."""
        if not link.startswith("c"):
            return  # a provider's audio decides nothing about turns
        if link not in self._tracks:
            self._tracks[link] = self._read(link)
            self._next[link] = next(self._tracks[link], None)
        while (found := self._next[link]) and found[0] < n:
            yield found[1]
            self._next[link] = next(self._tracks[link], None)

    def _read(self, link: str) -> Iterator[tuple[int, bytes]]:
        for message in scan_messages(self._store, self._session, f"{link}.in"):
            yield message.ordinal, message.raw


def _facts(seq: int, event: e.Event) -> list[TurnFact]:
    match event:
        case e.TurnEnded():
            item = event.item if event.channel == "audio" else ""  # a typed item may have got its id from us
            return [
                TurnFact(
                    seq=seq,
                    what="ended",
                    text=event.text,
                    channel=event.channel,
                    item=item,
                    start_ms=event.start_ms,
                    end_ms=event.end_ms,
                    status=event.transcript_status,
                )
            ]
        case e.TurnDiscarded():
            return [TurnFact(seq=seq, what="discarded", text=event.reason, item=event.item)]
    return []
