"""A session's audio as a file: every side in its place, what was cut ends there, whatever the format was on the wire."""

import wave
from array import array
from pathlib import Path

import pytest

from turnlog import App, RealtimeSession
from turnlog.core import events as e
from turnlog.core.errors import MediaError, StoreError
from turnlog.engine.recording import Side, record
from turnlog.engine.scratch import Mono, Scratch, at_rate, wav
from turnlog.engine.transcript import as_text, as_vtt, transcript_of
from turnlog.testing import Call, Kit

app = App("hotel")


@app.session("desk", provider="openai", transport="websocket", echo="client_aec")
async def desk(session: RealtimeSession) -> None:
    """Talks for long, and answers whoever cuts in."""
    await session.say("We have rooms with a view of the bay, of the garden, of the street, and of the wall behind the house")
    async for _ in session.turns():
        await session.say("Very well")


async def samples(call: Call, side: Side, folder: Path) -> tuple[int, list["array[int]"]]:
    """The rate of a recording, and its channels."""
    store = call.engine.store
    file = record(store, call.session.id, side, await store.tracks(call.session.id))
    (folder / "call.wav").write_bytes(file.read(0, file.size))
    with wave.open(str(folder / "call.wav")) as read:
        frames = array("h", read.readframes(read.getnframes()))
        return read.getframerate(), [frames[n :: read.getnchannels()] for n in range(read.getnchannels())]


def sound_ms(channel: "array[int]", rate: int) -> tuple[int, int]:
    """When the first and the last sound of a channel is."""
    loud = [at for at, sample in enumerate(channel) if abs(sample) > 200]
    return loud[0] * 1000 // rate, loud[-1] * 1000 // rate


@pytest.mark.parametrize(("kind", "rate"), [("audio/pcm", 24_000), ("audio/pcmu", 8000)])
async def test_a_cut_say_ends_where_it_was_cut(turnlog: Kit, tmp_path: Path, kind: str, rate: int) -> None:
    """The agent's channel falls silent at the cut, the caller's begins where it spoke; G.711 on both sides makes 8 kHz."""
    async with turnlog.call(app, "hotel.desk") as call:
        form = {"type": kind, "rate": rate}
        audio = {"input": {"format": form}, "output": {"format": form}}
        call.caller.sends({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        await call.caller.hears("of the bay")
        await call.caller.interrupts("the garden please")
        await call.caller.hears("Very well")
        found, (caller, agent) = await samples(call, "both", tmp_path)
        assert found == rate and len(caller) == len(agent)
        log, spoken = call.log, transcript_of(call.session.id, call.log)
    cut, turn, *_ = spoken.lines
    assert cut.cut and cut.text.startswith("We have rooms") and "house" not in cut.text
    assert "user: the garden please" in as_text(spoken)
    started_ns = log[0].at_ns
    cut_ms = next((one.at_ns - started_ns) // 1_000_000 for one in log if one.type == e.PlayoutCut.__name__)
    assert sound_ms(agent[: cut.ended_ms * rate // 1000 + rate // 2], rate)[1] <= cut_ms + 100
    assert abs(sound_ms(caller, rate)[0] - turn.began_ms) < 400


async def test_a_typed_call_has_no_recording(turnlog: Kit, tmp_path: Path) -> None:
    """TL418 says so, and not an empty file; the words are there all the same."""
    typed = App("hotel")
    typed.session("desk", provider="openai", transport="websocket", modalities=["text"])(desk)
    async with turnlog.call(typed, "hotel.desk") as call:
        call.caller.types("hello")
        await call.caller.hears("Very well")
        with pytest.raises(StoreError) as raised:
            await samples(call, "both", tmp_path)
        assert raised.value.code == "TL418"
        assert [line.who for line in transcript_of(call.session.id, call.log).lines][-1] == "handler"


def test_audio_over_audio_is_mixed_and_kept_within_bounds() -> None:
    """Two callers who speak at once are both heard; silence fills what lies between."""
    mono = Mono(8000)
    mono.put(4, array("h", [30_000] * 4).tobytes())
    mono.put(6, array("h", [30_000, -10_000, 5]).tobytes())
    assert array("h", mono.read(0, 10)).tolist() == [0, 0, 0, 0, 30_000, 30_000, 32_767, 20_000, 5, 0]
    file = wav([mono, Mono(8000)])
    assert file.size == 44 + 9 * 4
    assert array("h", file.read(44, file.size))[8:12].tolist() == [30_000, 0, 30_000, 0]


def test_the_two_rates_of_the_protocol_are_made_of_each_other() -> None:
    """A line between the samples one way, every third one the other: what was is what is."""
    at_8 = array("h", [0, 300, -300]).tobytes()
    at_24 = at_rate(at_8, 8000, 24_000)
    assert array("h", at_24).tolist() == [0, 100, 200, 300, 100, -100, -300, -300, -300]
    assert at_rate(at_24, 24_000, 8000) == at_8 and at_rate(at_8, 8000, 8000) is at_8


def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files that is not there, or is full, is TL604, with what to look at."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(MediaError) as raised:
        Mono(8000)
    assert raised.value.code == "TL604" and "TMPDIR" in raised.value.hint
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scratch = Scratch()
    with pytest.raises(MediaError):
        scratch.write(2**62, b"too far")
    assert list(tmp_path.iterdir()) == []  # no name is left


async def test_broken_audio_and_sound_that_comes_slowly_keep_their_places(turnlog: Kit, tmp_path: Path) -> None:
    """What was no base64 then is left out; a pause of the caller's is a pause in its channel."""
    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears("of the bay")
        call.caller.sends({"type": "input_audio_buffer.append", "audio": "not base64!"})
        await call.caller.interrupts("the garden please")
        await call.caller.hears("Very well")
        await call.caller.is_silent(2)
        await call.caller.says("thank you")
        await call.caller.hears("Very well")
        rate, (caller,) = await samples(call, "caller", tmp_path)
        lines = [line for line in transcript_of(call.session.id, call.log).lines if line.who == "user"]
    middle = (lines[0].ended_ms + lines[1].began_ms) // 2 * rate // 1000
    assert not any(abs(sample) > 200 for sample in caller[middle : middle + rate // 10])
    assert abs(sound_ms(caller[middle:], rate)[0] + middle * 1000 // rate - lines[1].began_ms) < 400


async def test_a_transcript_as_captions(turnlog: Kit) -> None:
    """Cues in order, each long enough to be read, markup escaped; before the end it is not complete."""
    async with turnlog.call(app, "hotel.desk") as call:
        call.caller.types("a <b> & c")
        await call.caller.hears("Very well")
        spoken = transcript_of(call.session.id, call.log)
    cues = as_vtt(spoken).split("\n\n")
    assert cues[0] == "WEBVTT" and not spoken.complete
    assert any(cue.endswith("<v user>a &lt;b&gt; &amp; c\n") or cue.endswith("<v user>a &lt;b&gt; &amp; c") for cue in cues)
    assert transcript_of(call.session.id, call.log).complete
