"""What a caller's loudspeaker does: which samples came when, which of them were played when, and what was thrown away.

Invariant: samples play in the order they came, without gap while there are any, each once. Times are ns on the caller's clock.
"""

import math
from dataclasses import dataclass

from .fake_speech import TAIL_MS, SpokenWord, words_in

__all__ = ["Playout", "Sound", "Utterance"]

_S = 1_000_000_000


@dataclass
class Sound:
    """One piece of audio. `played`: how many of its samples were played or will be; the rest was flushed before its turn."""

    response: str
    item: str
    received_ns: int
    start_ns: int
    pcm16: bytes
    rate: int
    played: int

    @property
    def samples(self) -> int:
        """How many came."""
        return len(self.pcm16) // 2

    @property
    def end_ns(self) -> int:
        """When its last sample that plays has been played."""
        return self.start_ns + self.played * _S // self.rate

    def played_between(self, from_ns: int, until_ns: int) -> int:
        """How many of its samples sound in [from_ns, until_ns)."""
        return max(0, self._place(until_ns) - self._place(from_ns))

    def _place(self, at_ns: int) -> int:
        return min(self.played, max(0, -(-(at_ns - self.start_ns) * self.rate // _S)))


@dataclass(frozen=True)
class Utterance:
    """A response as far as the caller has heard it. Times in ms; `started_ms` on the caller's clock, None before it sounds.

    `words` are those heard to their end: found in the samples, or, where these are no fake speech, estimated from the
    transcript. `text`: what came as text instead of audio.
    """

    response: str
    started_ms: float | None
    heard_ms: float
    received_ms: float
    words: list[SpokenWord]
    transcript: str
    text: str

    @property
    def heard(self) -> str:
        """The words heard, or the text read."""
        return self.text or " ".join(word.text for word in self.words)


class Playout:
    """The sounds of one caller, in the order they came."""

    def __init__(self) -> None:
        self.sounds: list[Sound] = []
        self._of: dict[str, list[Sound]] = {}  # response -> its sounds
        self._began_ns = 0  # of the stretch without gap under way
        self._samples = 0  # in it
        self._read: dict[str, tuple[int, list[SpokenWord]]] = {}  # response -> samples that were read, words found

    @property
    def end_ns(self) -> int:
        """When silence begins if nothing more comes."""
        return self.sounds[-1].end_ns if self.sounds else 0

    def receive(self, now_ns: int, response: str, item: str, pcm16: bytes, rate: int) -> None:
        """Queue audio: it plays behind what is queued, or at once."""
        end_ns = self._began_ns + self._samples * _S // rate
        if not self.sounds or now_ns > end_ns or self.sounds[-1].rate != rate:
            self._began_ns, self._samples = max(now_ns, self.end_ns), 0
            end_ns = self._began_ns
        sound = Sound(response, item, now_ns, end_ns, pcm16, rate, len(pcm16) // 2)
        self.sounds.append(sound)
        self._of.setdefault(response, []).append(sound)
        self._samples += len(pcm16) // 2

    def flush(self, now_ns: int) -> Sound | None:
        """Stop: nothing that is queued plays any more. Returns the sound that was cut or would have been next."""
        cut: Sound | None = None
        for sound in reversed(self.sounds):
            if sound.end_ns <= now_ns:
                break
            sound.played = sound.played_between(0, now_ns)
            sound.start_ns = min(sound.start_ns, now_ns)
            cut = sound
        self._began_ns, self._samples = now_ns, 0
        return cut

    def item_ms(self, item: str, now_ns: int) -> int:
        """Whole milliseconds of an item that were played until now."""
        return int(sum(one.played_between(0, now_ns) * 1000 / one.rate for one in self.sounds if one.item == item))

    def audible_ms(self, from_ns: int, until_ns: int, response: str | None = None) -> float:
        """Milliseconds of audio that sound in [from_ns, until_ns), of one response or of all."""
        wanted = self._after(from_ns) if response is None else self._of.get(response, [])
        return sum(one.played_between(from_ns, until_ns) * 1000 / one.rate for one in wanted)

    def sounding(self, now_ns: int) -> Sound | None:
        """What sounds at this moment."""
        return next((one for one in self._after(now_ns) if one.start_ns <= now_ns < one.end_ns), None)

    def started_ns(self, response: str) -> int | None:
        """When a response began to sound."""
        return next((one.start_ns for one in self._of.get(response, []) if one.played), None)

    def utterance(self, response: str, now_ns: int, *, transcript: str, text: str) -> Utterance:
        """A response as far as it was heard until now."""
        sounds = self._of.get(response, [])
        heard_ms = sum(one.played_between(0, now_ns) * 1000 / one.rate for one in sounds)
        received_ms = sum(one.samples * 1000 / one.rate for one in sounds)
        words = self._words(response, sounds) or _estimated(transcript, received_ms)
        started_ns = next((one.start_ns for one in sounds if one.played and one.start_ns <= now_ns), None)
        return Utterance(
            response=response,
            started_ms=None if started_ns is None else started_ns / 1e6,
            heard_ms=heard_ms,
            received_ms=received_ms,
            words=[word for word in words if word.whole and word.end_ms - TAIL_MS <= heard_ms + 1e-6],
            transcript=transcript,
            text=text,
        )

    def next_word_ns(self, now_ns: int) -> int | None:
        """When the word that sounds now, or a later one that is queued, will have been heard; None in silence."""
        for response in dict.fromkeys(sound.response for sound in self._after(now_ns)):
            sounds = self._of[response]
            for word in self._words(response, sounds):
                at_ns = _when_ns(sounds, word.end_ms - TAIL_MS)
                if word.whole and at_ns is not None and at_ns > now_ns:
                    return at_ns
        return self.end_ns if self.end_ns > now_ns else None

    def _after(self, at_ns: int) -> list[Sound]:
        """The sounds that are not over at an instant, in order."""
        first = len(self.sounds)
        while first and self.sounds[first - 1].end_ns > at_ns:
            first -= 1
        return self.sounds[first:]

    def _words(self, response: str, sounds: list[Sound]) -> list[SpokenWord]:
        """The words of all that plays of a response, by now or later; found once for so many samples."""
        played = sum(one.played for one in sounds)
        known, words = self._read.get(response, (0, []))
        if known != played:
            words = words_in(b"".join(one.pcm16[: 2 * one.played] for one in sounds), rate=sounds[0].rate)
            self._read[response] = (played, words)
        return words


def _when_ns(sounds: list[Sound], ms: float) -> int | None:
    """When so many ms of these sounds have been played; None if they never are."""
    for sound in sounds:
        lasts_ms = sound.played * 1000 / sound.rate
        if ms <= lasts_ms:
            return sound.start_ns + math.ceil(ms * 1e6)
        ms -= lasts_ms
    return None


def _estimated(transcript: str, received_ms: float) -> list[SpokenWord]:
    """The words of speech that is not ours: each character of the transcript takes as long as any other."""
    per_character = received_ms / max(1, len(transcript))
    found: list[SpokenWord] = []
    at = 0
    for word in transcript.split():
        at = transcript.index(word, at)
        found.append(SpokenWord(word, at * per_character, (at + len(word)) * per_character + TAIL_MS, True))
        at += len(word)
    return found
