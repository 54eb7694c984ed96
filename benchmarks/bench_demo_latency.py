"""How long a caller waits for the first sound of an answer, in the demo: offline speech, in one process.

Measured in samples, on the timeline that the caller's two recordings share: from the last sample of a question that is louder
than 1 % of full scale to the first such sample of the answer. So it holds everything: the end of turn, which is only known
after 500 ms of silence, recognition, the handler (one question in three calls a tool), and synthesis.

    python benchmarks/bench_demo_latency.py [--quick]
"""

import asyncio
import statistics
import sys
import tempfile
from array import array
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from turnlog.cli.call import Held, Question, hold_spoken
from turnlog.core.errors import MissingExtra
from turnlog.engine.app import App
from turnlog.examples import hotel
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.realtime.audio import read_wav

__all__ = ["main"]

RATE = 24_000
LOUD = 328  # 1 % of full scale
PAUSE_S = 1.0  # the caller's silence between two questions is longer, within a question it is not digital silence


class Span(NamedTuple):
    """A stretch of samples: first and one past the last loud one."""

    start: int
    end: int


def questions(rounds: int) -> list[Question]:
    """The demo's recordings, all but the goodbye `rounds` times, the goodbye last."""
    with resources.as_file(resources.files(hotel.__package__ or "") / "audio") as folder:
        asked = [Question(path.name, read_wav(path)[0]) for path in sorted(folder.glob("*.wav"))]
    return asked[:-1] * rounds + asked[-1:]


async def call(folder: Path, rounds: int) -> Held:
    """Hold the demo's conversation."""
    provider = LocalProvider()
    await provider.warm()
    app = App(hotel.app.name)
    app.tool(hotel.find_room)
    app.session("frontdesk", provider="local", transport="in_process", tools=["find_room"])(hotel.frontdesk)
    return await hold_spoken(app, {"local": provider}, folder, questions(rounds), lambda ms, who, line: None)


def spans(pcm16: bytes) -> Iterator[Span]:
    """The stretches that are separated by more than a pause without a loud sample."""
    start = end = None
    for n, sample in enumerate(array("h", pcm16)):
        if -LOUD < sample < LOUD:
            continue
        if start is not None and end is not None and n - end > PAUSE_S * RATE:
            yield Span(start, end)
            start = None
        start, end = (n if start is None else start), n + 1
    if start is not None and end is not None:
        yield Span(start, end)


def waits(said: bytes, heard: bytes) -> list[float]:
    """Seconds from the end of each question to the beginning of what is heard next, before another question."""
    answers = [span.start for span in spans(heard)]
    asked = list(spans(said))
    ends = [span.start for span in asked[1:]] + [len(said)]
    found = []
    for question, until in zip(asked, ends, strict=True):
        begun = next((start for start in answers if question.end < start < until), None)
        if begun is None:
            raise SystemExit(f"no answer to the question that ends at {question.end / RATE:.2f} s")
        found.append((begun - question.end) / RATE)
    return found


def main() -> None:
    """Hold the call, measure its recordings, print."""
    rounds = 1 if "--quick" in sys.argv else 4
    with tempfile.TemporaryDirectory() as folder:
        try:
            held = asyncio.run(call(Path(folder), rounds))
        except MissingExtra as error:
            print(f"demo latency: not measured: {error}")
            return
        said, heard = (read_wav(path)[0] for path in held.recordings)
        measured = sorted(waits(said, heard))
    p50, p95 = statistics.median(measured), measured[min(len(measured) - 1, round(len(measured) * 0.95))]
    print(f"demo latency: {len(measured)} spoken turns, offline speech in one process, end of turn (500 ms) included")
    print("  " + "  ".join(f"{wait:.2f}" for wait in measured) + " s")
    print(f"  p50 {p50:.2f} s, p95 {p95:.2f} s")
    print(f"goal p50 <= 1.3 s: measured {p50:.2f} s: {'met' if p50 <= 1.3 else 'missed'}")
    print(f"aim p50 <= 0.8 s: measured {p50:.2f} s: {'met' if p50 <= 0.8 else 'missed'}")


if __name__ == "__main__":
    main()
