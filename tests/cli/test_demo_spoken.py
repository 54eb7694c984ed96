"""`turnlog demo` with real speech, in real time: recorded questions, a recording of the user's own, and over real sockets.

The three conversations are held at the same time, once, and looked at by several tests.
"""

import itertools
import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from tests.cli.commands import Command, finish
from turnlog.core.codec import decode
from turnlog.core.events import SaySettled, TurnEnded
from turnlog.store import open_store
from turnlog.transports.realtime.audio import read_wav
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.resample import read_audio
from turnlog.transports.speech.synthesise import PiperSynthesiser

pytestmark = pytest.mark.realtime

RATE = 24000
LOUD = 500  # of 32767: above the noise of a recording, below any word


class Demo(NamedTuple):
    """A demo that has ended."""

    folder: Path
    code: int
    out: str
    err: str

    def turns(self) -> list[str]:
        """What was recognised, from the log."""
        return [event.text for event in self.events() if isinstance(event, TurnEnded)]

    def events(self) -> list[object]:
        """The whole log."""
        with closing(sqlite3.connect(self.folder / "demo.db")) as database:
            (session,) = database.execute("SELECT key FROM sessions").fetchone()
        return [decode(recorded) for recorded in open_store(self.folder / "demo.db", read_only=True).scan(session)]

    def samples(self, name: str) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
        """A WAV file of the demo."""
        pcm16, rate = read_wav(self.folder / name)
        assert rate == RATE
        return np.frombuffer(pcm16, "<i2")


def write_flac(path: Path, speech: bytes) -> None:
    """PCM16 mono at 44100 Hz as a FLAC file in stereo."""
    samples = np.frombuffer(speech, "<i2")
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None, :], format="s16", layout="stereo")
    frame.sample_rate = 44100
    cut = av.AudioResampler(format="s16", layout="stereo", rate=44100, frame_size=4096)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=44100, layout="stereo")
        for piece in (*cut.resample(frame), *cut.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def demos(
    tmp_path_factory: pytest.TempPathFactory,
    recogniser: MoonshineRecogniser,
    piper: PiperSynthesiser,
    librivox: dict[Path, str],
) -> dict[str, Demo]:
    """The recorded questions offline, a LibriVox sentence as a FLAC file, and the questions by a child `turnlog provider`."""
    folder = tmp_path_factory.mktemp("demo")
    command = Command(folder)
    recording = next(path for path, words in librivox.items() if words.startswith("he was not an ill"))
    write_flac(folder / "my.flac", read_audio(recording, 44100))
    provider = command.start("provider", "--port", "0")
    assert provider.stdout is not None
    try:
        url = provider.stdout.readline().strip().replace("ws://", "http://").removesuffix("/realtime")
        running = {
            "offline": command.start("demo", "--out", "offline"),
            "wav": command.start("demo", "--wav", "my.flac", "--out", "wav"),
            "sockets": command.start("demo", "--provider", "openai", "--out", "sockets", OPENAI_BASE_URL=url),
        }
        done = {name: finish(process) for name, process in running.items()}
    finally:
        provider.send_signal(signal.SIGINT)
        ended = finish(provider)
    assert (ended.returncode, ended.stderr) == (0, "")
    return {name: Demo(folder / name, one.returncode, one.stdout, one.stderr) for name, one in done.items()}


@pytest.mark.parametrize("name", ["offline", "sockets"])
def test_recorded_questions_become_turns_and_are_answered(demos: dict[str, Demo], name: str) -> None:
    """Four spoken questions are recognised by their key words; a tool is called; every answer is played to its end."""
    demo = demos[name]
    assert (demo.code, demo.err) == (0, "")
    turns = [text.lower() for text in demo.turns()]
    assert len(turns) == 4
    for text, word in zip(turns, ("room", "breakfast", "swimming pool", "bye"), strict=True):
        assert word in text
    assert "find_room(nights=2)" in demo.out and "{'room': 12, 'price': 180}" in demo.out
    settled = [event for event in demo.events() if isinstance(event, SaySettled)]
    assert [event.status for event in settled] == ["played"] * 5
    assert all(event.heard_ms > 1000 for event in settled)
    assert "ended: completed" in demo.out


@pytest.mark.parametrize("name", ["offline", "sockets"])
def test_the_answers_are_heard(demos: dict[str, Demo], recogniser: MoonshineRecogniser, name: str) -> None:
    """Recognised back from heard.wav, the answers are the handler's words (the recogniser may miss one of nine)."""
    pcm16, rate = read_wav(demos[name].folder / "heard.wav")
    heard = recogniser.recognise(pcm16, rate).lower()
    words = ("help", "room", "free", "euros", "breakfast", "garden", "swimming", "roof", "journey")
    assert sum(word in heard for word in words) >= len(words) - 1, heard


@pytest.mark.parametrize("name", ["offline", "sockets"])
def test_both_recordings_are_of_one_timeline(demos: dict[str, Demo], name: str) -> None:
    """The files are equally long; questions and answers take turns in them, each answer within 3 s of its question."""
    said, heard = demos[name].samples("caller.wav"), demos[name].samples("heard.wav")
    assert len(said) == len(heard)
    questions, answers = stretches(said), stretches(heard)
    assert len(questions) == 4
    for (_, end), following in itertools.zip_longest(questions, questions[1:]):
        first = next(start for start, _ in answers if start > end)
        assert 0 < (first - end) / RATE < 3
        assert following is None or first < following[0]


def stretches(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> list[tuple[int, int]]:
    """Where there is sound: (first, last) sample of each stretch, pauses of up to 0.8 s inside."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD)
    cuts = np.flatnonzero(np.diff(loud) > 0.8 * RATE)
    return list(zip(loud[np.r_[0, cuts + 1]].tolist(), loud[np.r_[cuts, len(loud) - 1]].tolist(), strict=True))


@pytest.mark.parametrize("name", ["offline", "wav", "sockets"])
def test_the_log_tells_it_again(demos: dict[str, Demo], name: str) -> None:
    """The log verifies; a changed handler diverges; the same one is identical, many times faster than it was spoken."""
    out = demos[name].out
    *_, speed, last = out.splitlines()
    assert re.fullmatch(r"replay: identical \(\d+ commands\)", last)
    times = re.search(r"([\d,]+) times real time", speed)
    assert times and int(times[1].replace(",", "")) > 100
    assert "; verifies" in out
    assert "TL101 divergence in sess_" in out and 'NOW       say("Certainly. ' in out


def test_the_first_line_names_the_engines(demos: dict[str, Demo]) -> None:
    """Offline: voice activity, recognition and synthesis; by OpenAI: where it goes."""
    first = demos["offline"].out.splitlines()[0]
    assert re.match(r"voice activity: silero.*; recognition: moonshine.*; synthesis: piper", first)
    assert demos["sockets"].out.startswith("speech: by provider openai at http://127.0.0.1:")


def test_a_recording_of_the_users_own_is_asked(
    demos: dict[str, Demo], word_error_rate: Callable[[str, str], float], librivox: dict[Path, str]
) -> None:
    """A FLAC file of 44.1 kHz in stereo is heard as what was read; after its answer the caller hangs up."""
    demo = demos["wav"]
    assert (demo.code, demo.err) == (0, "")
    words = next(words for words in librivox.values() if words.startswith("he was not an ill"))
    assert word_error_rate(words, " ".join(demo.turns())) <= 0.3
    assert "You said: " in demo.out and "ended: caller_gone" in demo.out
    assert len(stretches(demo.samples("heard.wav"))) >= 2  # the greeting, and the answer


async def test_ctrl_c_amid_speech_loses_nothing(
    turnlog_in: Command, recogniser: MoonshineRecogniser, piper: PiperSynthesiser
) -> None:
    """SIGINT while a question is spoken: the session ends in order, exit code 130, and the log verifies and replays."""
    process = turnlog_in.start("demo")
    assert process.stdout is not None
    while "speaks: 1-room.wav" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.returncode, done.stderr) == (130, "")
    assert "ended: interrupted" in done.stdout and "; verifies" in done.stdout
    store = open_store(turnlog_in.folder / "out" / "demo.db", read_only=True)
    (row,) = await store.sessions()
    assert row.status == "ended"
    assert (await store.verify(row.session)).ok
    assert await store.tracks(row.session) == ["c1.in", "c1.out", "p1.in", "p1.out"]
