"""A caller that follows a test: it speaks, types, interrupts, is silent, hangs up, and knows what it heard to the sample.

It behaves as the protocol's real clients do: speech goes out in real time in frames of 20 ms; what comes is played without
gap; at input_audio_buffer.speech_started it stops playing at once. Times are ms since it called.
"""

import asyncio
import os
from binascii import a2b_base64, b2a_base64
from typing import Any, Final, NamedTuple

import msgspec

from ..core.errors import LinkClosed
from ..core.ports import Link
from ..transports.realtime.audio import PCM16, AudioFormat, bytes_for_ms, format_from_wire, read_wav
from ..transports.realtime.g711 import from_pcm16, to_pcm16
from ..transports.speech.resample import Resampler
from .fake_speech import WORD_MS, speak
from .playout import Playout, Sound, Utterance

__all__ = ["Received", "ScriptedCaller"]

_FRAME_MS: Final = 20
_LISTENED_MS: Final = 2000  # of silence sent behind speech, at most, until the other side takes it for a turn


class Received(NamedTuple):
    """A message that the caller got, and when."""

    at_ms: float
    event: dict[str, Any]


class ScriptedCaller:
    """One caller on a link. `run` reads it; a Call does that.

    acknowledges: after a flush it tells by conversation.item.truncate how much of the item it played. word_ms: how fast it
    speaks. flushes: when it stopped playing, and how much of what it had was left.
    """

    def __init__(self, link: Link, *, acknowledges: bool = False, word_ms: int = WORD_MS) -> None:
        self.acknowledges = acknowledges
        self.word_ms = word_ms
        self.received: list[Received] = []
        self.flushes: list[tuple[float, float]] = []
        self.playout = Playout()
        self.closed: LinkClosed | None = None
        self._link = link
        self._began_s = asyncio.get_running_loop().time()
        self._formats = {"input": PCM16, "output": PCM16}
        self._words: dict[str, list[str]] = {}  # response -> transcript deltas
        self._texts: dict[str, list[str]] = {}
        self._order: list[str] = []  # responses with any output
        self._cursor = (0, 0)  # how far hears() has got: utterance, word
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Read the link to its end."""
        try:
            while True:
                self._take(msgspec.json.decode(await self._link.receive()))
        except LinkClosed as closed:
            self.closed = closed
            self._changed.set()

    # --- doing ---

    async def says(self, text: str, *, commits: bool = False) -> None:
        """Speak, in real time, then listen until it is taken for a turn. commits: say by hand that the turn is over."""
        await self._speaks(speak(text, word_ms=self.word_ms, rate=self._formats["input"].rate), commits=commits)

    async def plays(self, path: str | os.PathLike[str], *, commits: bool = False) -> None:
        """Send the sound of a WAV file (16-bit mono) as speech; another rate than the session's needs the extra "local"."""
        pcm16, rate = await asyncio.get_running_loop().run_in_executor(None, read_wav, path)
        resampler = Resampler(rate, self._formats["input"].rate)
        await self._speaks(resampler.feed(pcm16) + resampler.flush(), commits=commits)

    async def interrupts(self, text: str, *, after_ms: float = 800) -> None:
        """Speak `after_ms` after what sounds now, or next, began to sound here."""
        response = await self._sounding()
        began_ns = self.playout.started_ns(response) or self.now_ns
        await asyncio.sleep(max(0.0, (began_ns - self.now_ns) / 1e9 + after_ms / 1000))
        await self.says(text)

    def types(self, text: str) -> None:
        """A typed turn: an item, and the wish for an answer."""
        content = [{"type": "input_text", "text": text}]
        self.sends({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        self.sends({"type": "response.create"})

    async def is_silent(self, duration_s: float) -> None:
        """Let time pass. Nothing is sent: a muted microphone."""
        await asyncio.sleep(duration_s)

    async def hangs_up(self) -> None:
        """Close the link."""
        await self._link.close()

    def sends(self, event: dict[str, Any]) -> None:
        """Send any event of the protocol. Raises LinkClosed."""
        self._link.send(msgspec.json.encode(event))

    # --- hearing ---

    @property
    def now_ns(self) -> int:
        """Nanoseconds since it called."""
        return round((asyncio.get_running_loop().time() - self._began_s) * 1e9)

    @property
    def now_ms(self) -> float:
        """Milliseconds since it called."""
        return self.now_ns / 1e6

    @property
    def heard(self) -> list[Utterance]:
        """Each response that came, as far as it was heard until now."""
        return [self._utterance(response) for response in self._order]

    async def hears(self, phrase: str, *, within_s: float = 30.0) -> Utterance:
        """Wait until these words were heard (or read) in one utterance, behind what hears() found before; returns it.

        Case and punctuation do not matter. Raises AssertionError after `within_s`, or when the link has closed before.
        """
        wanted = _plain(phrase)
        until_ns = self.now_ns + round(within_s * 1e9)
        while True:
            if (found := self._find(wanted)) is not None:
                return found
            left_s = (until_ns - self.now_ns) / 1e9
            if left_s <= 0 or (self.closed and self.playout.end_ns <= self.now_ns):
                raise AssertionError(self._not_heard(phrase, within_s))
            word_ns = self.playout.next_word_ns(self.now_ns)
            await self._change(left_s if word_ns is None else min(left_s, (word_ns - self.now_ns) / 1e9))

    async def gets(self, type_: str, *, n: int = 1, within_s: float = 30.0) -> dict[str, Any]:
        """Wait for the n-th message of a type, counted from the beginning. Raises AssertionError."""
        async with asyncio.timeout(within_s) as limit:
            try:
                while len(found := self.events(type_)) < n and not self.closed:
                    self._changed.clear()
                    await self._changed.wait()
            except asyncio.CancelledError:
                if limit.expired():
                    raise AssertionError(f"the caller got {len(found)} {type_} within {within_s} s, not {n}") from None
                raise
        assert len(found) >= n, f"the link closed after {len(found)} {type_}, not {n}: {self.closed}"
        return found[n - 1]

    def events(self, type_: str) -> list[dict[str, Any]]:
        """What it got of one type."""
        return [received.event for received in self.received if received.event["type"] == type_]

    def audible_ms(self, after_ms: float, until_ms: float | None = None, *, response: str | None = None) -> float:
        """How many ms of audio it played after an instant (until another, or until now), of one response or of all."""
        until_ns = self.now_ns if until_ms is None else round(until_ms * 1e6)
        return self.playout.audible_ms(round(after_ms * 1e6), until_ns, response)

    async def falls_silent(self) -> None:
        """Wait until all that came was played."""
        while self._plays:
            await self._change((self.playout.end_ns - self.now_ns) / 1e9)

    # --- what comes ---

    def _take(self, event: dict[str, Any]) -> None:
        self.received.append(Received(self.now_ms, event))
        match event["type"]:
            case "session.created" | "session.updated":
                for side in self._formats:
                    self._formats[side] = format_from_wire(event["session"]["audio"][side]["format"])
            case "input_audio_buffer.speech_started":
                self._flush()
            case "response.output_audio.delta":
                form: AudioFormat = self._formats["output"]
                pcm16 = to_pcm16(a2b_base64(event["delta"]), form)
                self._note(event["response_id"])
                self.playout.receive(self.now_ns, event["response_id"], event["item_id"], pcm16, form.rate)
            case "response.output_audio_transcript.delta":
                self._note(event["response_id"])
                self._words.setdefault(event["response_id"], []).append(event["delta"])
            case "response.output_text.delta":
                self._note(event["response_id"])
                self._texts.setdefault(event["response_id"], []).append(event["delta"])
        self._changed.set()

    def _note(self, response: str) -> None:
        if response not in self._order:
            self._order.append(response)

    def _flush(self) -> None:
        left_ms = self.playout.audible_ms(self.now_ns, 2**63)
        cut: Sound | None = self.playout.flush(self.now_ns)
        if cut is None:
            return
        self.flushes.append((self.now_ms, left_ms))
        if self.acknowledges:
            played_ms = self.playout.item_ms(cut.item, self.now_ns)
            told = {"item_id": cut.item, "content_index": 0, "audio_end_ms": played_ms}
            self.sends({"type": "conversation.item.truncate", **told})

    # --- parts ---

    async def _speaks(self, pcm16: bytes, *, commits: bool) -> None:
        """Send speech, then silence until the other side says that it has ended."""
        form = self._formats["input"]
        size = bytes_for_ms(_FRAME_MS, PCM16) * form.rate // PCM16.rate
        before = len(self.events("input_audio_buffer.committed"))
        for start in range(0, len(pcm16), size):
            await self._frame(pcm16[start : start + size].ljust(size, b"\0"), form)
        if commits:
            self.sends({"type": "input_audio_buffer.commit"})
            return
        for _ in range(0, _LISTENED_MS, _FRAME_MS):
            if self.closed or len(self.events("input_audio_buffer.committed")) > before:
                return
            await self._frame(bytes(size), form)

    async def _frame(self, pcm16: bytes, form: AudioFormat) -> None:
        audio = b2a_base64(from_pcm16(pcm16, form), newline=False).decode()
        await asyncio.sleep(_FRAME_MS / 1000)  # it can be sent once it was spoken
        self.sends({"type": "input_audio_buffer.append", "audio": audio})

    @property
    def _plays(self) -> bool:
        return self.playout.end_ns > self.now_ns

    async def _sounding(self) -> str:
        while (sound := self.playout.sounding(self.now_ns)) is None:
            assert self.closed is None, f"the link closed before anything sounded: {self.closed}"
            self._changed.clear()
            await self._changed.wait()
        return sound.response

    async def _change(self, limit_s: float) -> None:
        """Wait until something comes, at most so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _utterance(self, response: str) -> Utterance:
        transcript, text = ("".join(parts.get(response, ())) for parts in (self._words, self._texts))
        return self.playout.utterance(response, self.now_ns, transcript=transcript, text=text)

    def _find(self, wanted: list[str]) -> Utterance | None:
        first, skip = self._cursor
        for number in range(first, len(self._order)):
            utterance = self._utterance(self._order[number])
            words = _plain(utterance.heard)
            for at in range(skip if number == first else 0, len(words) - len(wanted) + 1):
                if words[at : at + len(wanted)] == wanted:
                    self._cursor = (number, at + len(wanted))
                    return utterance
        return None

    def _not_heard(self, phrase: str, within_s: float) -> str:
        heard = "; ".join(repr(utterance.heard) for utterance in self.heard) or "nothing"
        why = f"before its link closed ({self.closed.reason})" if self.closed else f"within {within_s} s"
        return f"the caller did not hear {phrase!r} {why}; it heard: {heard}"


def _plain(text: str) -> list[str]:
    """Words without case and punctuation."""
    words = ("".join(c for c in word.casefold() if c.isalnum()) for word in text.split())
    return [word for word in words if word]
