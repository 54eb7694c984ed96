"""A provider's messages and RTP audio put into a WebSocket's order: what is handed on, and when."""

import base64
import json
import struct
from typing import Any

import pytest

from turnlog.core.words import spoken_ms
from turnlog.transports.realtime.rtp_output import DRAIN_MS, GRACE_MS, RtpOutput
from turnlog.transports.realtime.rtp_sounding import PIECE_MS

SILENCE = bytes(960)


def sound(level: int) -> bytes:
    """One piece of sound, told from others by its level."""
    return struct.pack("<h", level) * 480


class Line:
    """A provider's end: tells what is handed on as short names, audio as its level."""

    def __init__(self) -> None:
        self.output = RtpOutput()
        self.got: list[Any] = []

    def tells(self, type_: str, **fields: Any) -> list[Any]:
        """A message comes; what is handed on."""
        return self._take(self.output.receive(json.dumps({"type": type_, **fields}).encode()))

    def plays(self, *levels: int) -> list[Any]:
        """Pieces of audio come, 0 is silence; what is handed on."""
        return [one for level in levels for one in self._take(self.output.audio(sound(level) if level else SILENCE))]

    def begins(self, response: str, item: str = "") -> None:
        """A response is created and opens an item with audio."""
        item = item or f"item_{response}"
        self.tells("response.created", response={"id": response})
        self.tells("response.output_item.added", response_id=response, output_index=0, item={"id": item, "type": "message"})
        self.tells("conversation.item.added", item={"id": item, "type": "message"})
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        self.tells("response.content_part.added", **place, part={"type": "audio", "transcript": ""})

    def says(self, response: str, *words: str) -> list[Any]:
        """Words of it come."""
        place = {"response_id": response, "item_id": f"item_{response}", "content_index": 0}
        return [one for text in words for one in self.tells("response.output_audio_transcript.delta", **place, delta=text)]

    def finishes(self, response: str, status: str = "completed") -> list[Any]:
        """All of it was generated."""
        item = f"item_{response}"
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        given = self.tells("response.output_audio.done", **place)
        given += self.tells("response.output_audio_transcript.done", **place, transcript="…")
        given += self.tells("response.content_part.done", **place, part={"type": "audio"})
        given += self.tells("conversation.item.done", item={"id": item, "type": "message", "status": status})
        given += self.tells("response.output_item.done", response_id=response, item={"id": item, "status": status})
        return given + self.tells("response.done", response={"id": response, "status": status})

    def buffer(self, state: str, response: str) -> list[Any]:
        """output_audio_buffer.<state>."""
        return self.tells(f"output_audio_buffer.{state}", response_id=response)

    def _take(self, messages: list[bytes]) -> list[Any]:
        given = []
        for raw in messages:
            event = json.loads(raw)
            name = event["type"].removeprefix("response.").removeprefix("conversation.")
            if name == "output_audio.delta":
                given.append(struct.unpack_from("<h", base64.b64decode(event["delta"]))[0])
            elif name == "output_audio_transcript.delta":
                given.append(event["delta"])
            else:
                given.append(name)
        self.got += given
        return given


TAIL = [
    *("output_audio.done", "output_audio_transcript.done", "content_part.done", "item.done", "output_item.done", "done"),
]
QUIET = [0] * (DRAIN_MS // PIECE_MS)


def test_a_response_ends_when_it_has_sounded() -> None:
    """Its audio comes as deltas of its part; what ends part, item and response waits for `stopped` and what is on its way."""
    line = Line()
    line.begins("r1")
    assert line.buffer("started", "r1") == ["output_audio_buffer.started"]
    assert line.plays(500, 501) == [500, 501]
    assert line.finishes("r1") == []
    assert line.plays(502, 0, 503) == [502, 0, 503]
    assert line.buffer("stopped", "r1") == ["output_audio_buffer.stopped"]
    assert line.plays(504, 0, 0) == [504]
    assert line.plays(*QUIET[3:]) == TAIL
    assert line.plays(0, 0, 600) == []  # it belongs to nobody


def test_a_delta_names_its_part() -> None:
    """Response, item and both indices stand in it, as the part's own message had them."""
    output = RtpOutput()
    place = {"response_id": "r", "item_id": 'i"1', "output_index": 1, "content_index": 2}
    output.receive(json.dumps({"type": "response.content_part.added", **place, "part": {"type": "audio"}}).encode())
    output.receive(b'{"type":"output_audio_buffer.started","response_id":"r"}')
    (raw,) = output.audio(sound(99))
    assert json.loads(raw) == {"type": "response.output_audio.delta", **place, "delta": base64.b64encode(sound(99)).decode()}


def test_silence_before_the_first_sound_is_left_out() -> None:
    """Two pieces before it stay, for speech begins softly; pauses within stay whole."""
    line = Line()
    line.begins("r1")
    line.plays(0, 0)
    line.buffer("started", "r1")
    assert line.plays(0, 0, 0) == []
    assert line.plays(7, 0, 500, 0, 0, 501) == [7, 0, 500, 0, 0, 501]


def test_audio_that_is_faster_than_its_announcement_is_not_lost() -> None:
    """RTP and data channel race: what sounded just before `started` is the beginning of the response."""
    line = Line()
    line.begins("r1")
    assert line.plays(0, 0, 0, 500, 501) == []
    assert line.buffer("started", "r1") == ["output_audio_buffer.started"]
    assert line.plays(502) == [0, 0, 500, 501, 502]


@pytest.mark.parametrize(
    "words",
    [["Good", " morning", " to", " you."], ["早", "上", "好"], ["\n One,", " two.\n"]],
)
def test_words_come_with_their_audio(words: list[str]) -> None:
    """They arrive as fast as they are generated, and are handed on one by one when what is before them has about been said."""
    whole, single = Line(), Line()
    for line, deltas in ((whole, ["".join(words)]), (single, words)):
        line.begins("r1")
        assert line.says("r1", *deltas) == []
        line.buffer("started", "r1")
        assert line.plays(500)[1] == words[0]
        due = sum(spoken_ms(word) for word in words[:-1])
        given = line.plays(*[501] * (-(-due // PIECE_MS) - 1))  # one piece has sounded
        assert [one for one in given if isinstance(one, str)] == words[1:]
        assert given[-1] == words[-1]


def test_a_message_of_words_keeps_all_that_it_says() -> None:
    """Cut into its words, each piece has the other fields as they were."""
    line = Line()
    line.begins("r1")
    fields = {"response_id": "r1", "item_id": "item_r1", "content_index": 0, "event_id": "e1", "obfuscation": "x"}
    line.tells("response.output_audio_transcript.delta", **fields, delta="Two words")
    line.buffer("started", "r1")
    pieces = [json.loads(raw) for _ in range(20) for raw in line.output.audio(sound(500)) if b"transcript" in raw]
    assert pieces == [
        {"type": "response.output_audio_transcript.delta", **fields, "delta": delta} for delta in ("Two", " words")
    ]


def test_words_that_were_cleared_away_mean_nothing() -> None:
    """What nobody heard comes behind response.done, where it is recorded and counts no more."""
    line = Line()
    line.begins("r1")
    line.buffer("started", "r1")
    line.says("r1", "Goodness", " me!")
    line.plays(500)
    line.buffer("cleared", "r1")
    assert line.finishes("r1", "cancelled") == []
    given = line.plays(*QUIET)
    assert given.index("done") < given.index(" me!") < given.index("output_audio_transcript.done")
    assert sorted(given) == sorted([*TAIL, " me!"])


def test_a_cut_that_is_told_before_the_end_is_drained_too() -> None:
    """The tail of a cleared response goes on at once when it comes after the drain."""
    line = Line()
    line.begins("r1")
    line.buffer("started", "r1")
    line.plays(500)
    line.buffer("cleared", "r1")
    assert line.plays(501, *QUIET) == [501]
    assert line.finishes("r1", "cancelled")[-2:] == ["done", "output_audio_transcript.done"]


def test_the_next_response_follows_at_the_first_pause() -> None:
    """What starts right behind another gets its own audio, and the other's end comes first."""
    line = Line()
    for name in ("r1", "r2"):
        line.begins(name)
    line.buffer("started", "r1")
    line.plays(500)
    line.finishes("r1")
    assert line.finishes("r2") == []
    line.buffer("stopped", "r1")
    assert line.buffer("started", "r2") == ["output_audio_buffer.started"]
    assert line.plays(501, 0, 600) == [501, *TAIL, 0, 600]
    line.buffer("stopped", "r2")
    assert line.plays(*QUIET) == TAIL


def test_a_provider_that_tells_nothing_of_its_buffer_is_heard() -> None:
    """What sounds for 200 ms while a response with audio waits is that response's, all of it; silence ends it."""
    line = Line()
    line.begins("r1")
    line.finishes("r1")
    given = line.plays(*[500] * 12)
    assert given == [500] * 12
    assert line.plays(*[0] * (GRACE_MS // PIECE_MS))[-1] == "done"


def test_a_second_part_sounds_behind_the_first() -> None:
    """From the first pause on after its words have about been said the audio is the next one's, and its end is told."""
    line = Line()
    line.begins("r1")
    place = {"response_id": "r1", "item_id": "second", "output_index": 1, "content_index": 0}
    line.tells("response.content_part.added", **place, part={"type": "audio"})
    first = "Let me see."
    line.says("r1", first)
    line.tells("response.output_audio_transcript.done", response_id="r1", item_id="item_r1", transcript=first)
    line.tells("response.output_audio_transcript.delta", **place, delta="Yes.")
    line.buffer("started", "r1")
    pieces = spoken_ms(first) // PIECE_MS + 1
    played = [*[500] * pieces, 500, 500, 0, 501, 501]
    given = [raw for level in played for raw in line.output.audio(sound(level) if level else SILENCE)]
    items = [json.loads(raw)["item_id"] for raw in given if b"output_audio.delta" in raw]
    assert items == ["item_r1"] * (pieces + 2) + ["second"] * 3
    types = [json.loads(raw)["type"].removeprefix("response.output_audio") for raw in given[-5:]]
    assert types == [".delta", "_transcript.done", "_transcript.delta", ".delta", ".delta"]


def test_a_start_ends_what_was_never_stopped() -> None:
    """A provider that forgets `stopped` has told enough with the next `started`."""
    line = Line()
    line.begins("r1")
    line.buffer("started", "r1")
    line.plays(500)
    line.finishes("r1")
    line.begins("r2")
    assert line.buffer("started", "r2") == ["output_audio_buffer.started", *TAIL]
    assert line.plays(600) == [600]


@pytest.mark.parametrize("started", [True, False])
def test_a_provider_that_never_says_stopped_holds_nothing_for_ever(started: bool) -> None:
    """A finished response that is silent for GRACE_MS is over, whether it was said to have started or not."""
    line = Line()
    line.begins("r1")
    if started:
        line.buffer("started", "r1")
        line.plays(500)
    line.finishes("r1")
    pieces = GRACE_MS // PIECE_MS
    assert "done" not in line.plays(*[0] * (pieces - 1))
    assert line.plays(0)[-1] == "done"


def test_a_long_wait_for_its_turn_is_no_end() -> None:
    """A finished response that waits while another sounds is not given up."""
    line = Line()
    for name in ("r1", "r2"):
        line.begins(name)
    line.buffer("started", "r1")
    assert line.finishes("r2") == []
    assert "done" not in line.plays(*[500] * (2 * GRACE_MS // PIECE_MS))


def test_a_response_that_ends_before_it_sounds_ends_at_once() -> None:
    """What was cancelled, or failed, before its audio began is held back by nothing; its words were heard by nobody."""
    line = Line()
    line.begins("r1")
    assert line.finishes("r1", "cancelled")[-2:] == ["done", "output_audio_transcript.done"]


def test_calls_texts_and_all_else_pass_at_once() -> None:
    """Only what belongs to audio waits; what is no message, or of no known form, is another's to judge."""
    line = Line()
    line.begins("r1")
    line.buffer("started", "r1")
    call = {"id": "fc", "type": "function_call"}
    assert line.tells("response.output_item.added", response_id="r1", item=call) == ["output_item.added"]
    assert line.tells("response.function_call_arguments.done", response_id="r1", item_id="fc") == ["function_call_arguments.done"]
    assert line.tells("response.output_item.done", response_id="r1", item=call) == ["output_item.done"]
    text = {"response_id": "t", "item_id": "i", "part": {"type": "text"}}
    assert line.tells("response.content_part.added", **text) == ["content_part.added"]
    assert line.tells("response.done", response={"id": "t", "status": "completed"}) == ["done"]
    assert line.tells("output_audio_buffer.stopped", response_id="nobody") == ["output_audio_buffer.stopped"]
    for raw in (b"\xff{", b'{"type":1}', b'{"type":"x","item_id":3}', b"[" * 100_000):
        assert line.output.receive(raw) == [raw]


def test_a_response_that_is_over_is_not_remembered() -> None:
    """A late word about it holds nothing back and changes nothing."""
    line = Line()
    for name in ("r1", "r2", "r3"):
        line.begins(name)
        line.buffer("started", name)
        line.plays(500)
        line.finishes(name)
        line.buffer("stopped", name)
        line.plays(*QUIET)
    assert line.buffer("started", "r1") == ["output_audio_buffer.started"]
    assert line.plays(500) == []
    assert line.finishes("r1") == TAIL
    assert line.got.count("done") == 4
