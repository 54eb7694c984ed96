"""How far heard_words is from the truth: the words whose last sample had been played when a say was cut.

Piper tells how many samples each phoneme has, if its model names the tensor of durations as an output; phonemes are mapped to
words by phonemising each word alone and matching that with the sentence. Each text is spoken as the local provider speaks it, and
cut at every 250 ms. Errors are in words: estimate minus truth. The goal is judged by texts to which nothing was fitted; with
--quick only those are spoken. Needs the extra `local`.
"""

import statistics
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Any

from turnlog.core.words import heard_words
from turnlog.transports.speech.synthesise import PiperSynthesiser, pieces_to_speak, piper_voice

__all__ = ["TEXTS", "TellingSynthesiser"]

GOAL_MEDIAN, GOAL_WORST = 2, 4
STEP_MS = 250
DURATIONS = b"/Ceil_output_0"
TEXTS = (
    "Good evening, and welcome to the Harbour Hotel. I have found your booking: a double room with a view of the sea, for "
    "three nights. Breakfast is served from seven to half past ten.",
    "Sure. One moment, please. I am looking that up for you now, it may take a little while because the other system is slow.",
    "Your reservation number is 4 7 1 9. The total is 240 euros, of which 60 are due today. Shall I send the bill by mail?",
    "No. I am sorry, but we are fully booked. Would Saturday do? Or Sunday? We have two rooms left then, both with a bath.",
    "The museum opens at nine in the morning and closes at six in the afternoon except on Mondays when it is closed all day "
    "long and on the first Thursday of the month when it stays open until ten at night.",
    "Wait! Did you say Paris, France, or Paris, Texas? Because, as you know, those are rather different journeys.",
    "Please have your passport, your ticket, and the confirmation ready. Then go to gate B 12, on the left, behind the cafe.",
    "Thank you. Goodbye.",
    "First, turn the machine off. Second, wait for thirty seconds. Third, hold the green button until the light blinks.",
    "Internationally recognised organisations frequently recommend straightforward communication. Yes, they do. So do I.",
    "I can offer you a table for four on the terrace at half past seven. It will be a little windy. Is that fine?",
    "The parcel left Hamburg on Tuesday, reached our depot in Leeds last night, and will be with you between 9 and 11. "
    "You need not be at home: the driver leaves it with a neighbour, or in the shed, as you like.",
    "Unfortunately that appointment is gone. The next ones are at 8, at 10, and at 3 in the afternoon. Which shall I take?",
    "Well, it depends on whether you want the flexible fare which can be changed until an hour before departure or the cheap "
    "one which cannot be changed at all once you have paid for it.",
    "Okay. Done! Your new balance is 1 2 5 0 euros. Anything else?",
)
"""Texts to which the weights in core/words.py were fitted."""
OTHER_TEXTS = (
    "I have checked with the kitchen. The soup contains celery, but the risotto does not, and neither does the fish.",
    "Our office is on the second floor, next to the library. If you come by bus, get off at the bridge and walk back.",
    "You were charged 35 pounds on the 12 of May. I have refunded it. It takes 3 to 5 days to arrive, sometimes longer.",
    "Let me repeat that: two adults, one child, one dog. Leaving Friday. Coming back Monday. Is that right?",
    "The doctor can see you tomorrow morning before her round or on Wednesday after lunch, whichever suits you better.",
    "Press the red key twice. Now it should beep. Does it? If not, take the battery out and start again from the beginning.",
    "I am afraid the line to the warehouse is very bad today so I could not understand everything that they told me about it.",
    "That is great news! Congratulations. Shall I move the meeting, then?",
)
"""Texts that played no part in that."""


def share_of_characters(transcript: str, heard_ms: int, generated_ms: int) -> str:
    """What is compared with: every character takes the same time."""
    if heard_ms >= generated_ms:
        return transcript
    cut = transcript[: len(transcript) * heard_ms // generated_ms]
    if len(cut) < len(transcript) and not transcript[len(cut)].isspace():
        cut = cut[: max((n + 1 for n, char in enumerate(cut) if char.isspace()), default=0)]
    return cut.rstrip()


def telling_voice() -> Any:
    """Piper's voice with the durations of phonemes as a second output.

    A protocol buffer is extended by appending: field 7 of the model is its graph, field 12 of that an output, field 1 of that
    its name.
    """
    import onnxruntime

    name = b"\x0a" + bytes([len(DURATIONS)]) + DURATIONS
    output = b"\x62" + bytes([len(name)]) + name
    voice = PiperSynthesiser()._voice
    with open(piper_voice(), "rb") as model, tempfile.NamedTemporaryFile(suffix=".onnx") as extended:
        extended.write(model.read() + b"\x3a" + bytes([len(output)]) + output)
        extended.flush()
        voice.session = onnxruntime.InferenceSession(extended.name, providers=["CPUExecutionProvider"])
    return voice


class TellingSynthesiser:
    """A Synthesiser by Piper that knows when each word of each text had been spoken, and how long it all was (ms)."""

    def __init__(self) -> None:
        self._voice = telling_voice()
        self.rate: int = self._voice.config.sample_rate
        self.spoken: dict[str, tuple[list[float], int]] = {}

    def synthesise(self, text: str) -> Iterator[bytes]:
        """As the local provider's voice speaks it. `spoken` has its pieces as they are taken."""
        ends: list[float] = []
        spoken = 0
        for piece in pieces_to_speak(text):
            phonemes: list[str] = []
            until: list[int] = []
            chunks = list(self._voice.synthesize(" ".join(piece.split()), include_alignments=True))
            for chunk in chunks:
                at = spoken
                for part in chunk.phoneme_alignments:
                    at += part.num_samples
                    phonemes.append(part.phoneme)
                    until.append(at)
                spoken += len(chunk.audio_int16_bytes) // 2
            ends.extend(until[last] * 1000 / self.rate for last in _last_phonemes(self._voice, piece.split(), phonemes))
            self.spoken[text] = ends, spoken * 1000 // self.rate
            for chunk in chunks:  # who listens may stop at any of them
                yield bytes(chunk.audio_int16_bytes)


def _last_phonemes(voice: Any, words: list[str], phonemes: list[str]) -> Iterator[int]:
    alone = [[char for sentence in voice.phonemize(word) for char in sentence if char.isalpha()] for word in words]
    joined = [char for word in alone for char in word]
    alike = SequenceMatcher(None, joined, phonemes, autojunk=False).get_matching_blocks()
    places = {one + n: other + n for one, other, size in alike for n in range(size)}
    last = 0
    for end in accumulate(len(word) for word in alone):
        last = max(last, places.get(end - 1, last))
        yield last


def errors(estimate: Callable[[str, int, int], str], measured: list[tuple[str, list[float], int]]) -> list[int]:
    """Words too many or too few, at every cut of every text."""
    return [
        len(estimate(text, ms, length).split()) - sum(end <= ms for end in ends)
        for text, ends, length in measured
        for ms in range(STEP_MS, length, STEP_MS)
    ]


def main() -> int:
    """Measure, print a line each, and say whether the goal is met."""
    voice = TellingSynthesiser()
    median = worst = 0.0
    for group, texts in (("fitted", TEXTS), ("other", OTHER_TEXTS)):
        if group == "fitted" and "--quick" in sys.argv[1:]:
            continue
        for text in texts:
            deque(voice.synthesise(text), maxlen=0)
        measured = [(text, *voice.spoken[text]) for text in texts]
        for name, estimate in (("share of characters", share_of_characters), ("heard_words", heard_words)):
            found = errors(estimate, measured)
            sizes = sorted(map(abs, found))
            median, worst = statistics.median(sizes), sizes[-1]
            print(
                f"{group} texts, {name}: {len(found)} cuts, words: mean {statistics.fmean(sizes):.2f}, median {median:g}, "
                f"p95 {sizes[len(sizes) * 95 // 100]}, worst {worst}, bias {statistics.fmean(found):+.2f}"
            )
    met = "met" if median <= GOAL_MEDIAN and worst <= GOAL_WORST else "missed"
    print(f"goal heard words, median {GOAL_MEDIAN}, worst {GOAL_WORST}: measured {median:g}, {worst}: {met}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
