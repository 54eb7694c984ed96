"""OpenRouter's wire without HTTP: events out of bytes, bodies out of items, errors in plain words."""

import io
import json
import wave
from base64 import b64decode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.errors import LinkError
from turnlog.transports.providers.openrouter_wire import Events, Refusal, chat_body, failure, read_refusal, speech_rate, wav
from turnlog.transports.realtime.session_config import ResponseSettings

STREAM = b": OPENROUTER PROCESSING\r\n\r\ndata: {\"a\":1}\n\nevent: x\ndata: one\r\ndata:two\r\n\r\nid: 3\n\ndata: [DONE]\n\n"


def settings(**fields: object) -> ResponseSettings:
    """The settings of a spoken response."""
    given: dict[str, object] = {
        "in_band": True, "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto",
        "max_output_tokens": "inf", "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": {"id": "v1"}},
        "input": None, "metadata": None, "request": {},
    }  # fmt: skip
    return ResponseSettings(**{**given, **fields})  # type: ignore[arg-type] # each is right


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    """Comments, names and ids are passed over, lines of one event joined, both line ends taken."""
    events, places = Events(), [0, *sorted(cuts), len(STREAM)]
    found = [data for a, b in pairwise(places) for data in events.feed(STREAM[a:b])]
    assert found == [b'{"a":1}', b"one\ntwo", b"[DONE]"]


def test_an_event_without_end_is_not_gathered_for_ever() -> None:
    """Beyond eight megabytes it is TL340, in one line or in many."""
    for piece in (b"data: " + b"x" * 65_536, b"data: " + b"x" * 65_536 + b"\n"):
        events = Events()
        with pytest.raises(LinkError, match="has no end"):
            for _ in range(200):
                list(events.feed(piece))


def test_a_recording_is_a_wav_that_others_read() -> None:
    """16-bit mono at the rate, all samples in it."""
    with wave.open(io.BytesIO(b64decode(wav(b"\1\2" * 160)))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 16000, 160)


def test_items_become_messages() -> None:
    """Words as text, the last sound as audio, calls side by side in one message, what holds nothing left out."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    spoken = {"type": "input_audio", "transcript": None, "pcm16": b"\0\0"}
    items: list[dict[str, Any]] = [
        {"id": "1", "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "hello"}]},
        {"id": "2", "type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": ""}]},
        call, {**call, "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"id": "3", "type": "message", "role": "user", "content": [spoken]},
    ]  # fmt: skip
    tool = {"type": "function", "name": "f"}
    body = chat_body("acme/voice", settings(tool_choice=tool, tools=[tool]), items)
    assert body["audio"] == {"voice": "v1", "format": "pcm16"}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    user, calls, output, last = body["messages"]
    assert user == {"role": "user", "content": "hello"}
    assert [one["id"] for one in calls["tool_calls"]] == ["c1", "c2"] and calls["content"] is None
    assert output == {"role": "tool", "tool_call_id": "c1", "content": "1"}
    assert last["content"][0]["input_audio"]["format"] == "wav"
    json.dumps(body)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error": {"code": 429, "message": "slow"}}', 429, "slow"),
        (b'{"error": {"message": "no code"}}', 500, "no code"),
        (b'{"error": "a word"}', 500, "a word"),
        (b"<html>  gone\n</html>", 500, "<html> gone </html>"),
        (b"\xff\xfe", 500, "\ufffd\ufffd"),
        (b"[" * 100_000, 500, "[" * 4096),
    ],
)
def test_an_error_is_read_from_any_body(body: bytes, code: int, message: str) -> None:
    """OpenRouter's, another's, a page, garbage: a code and words each."""
    assert read_refusal(500, body) == Refusal(code=code, message=message)


def test_a_failure_names_what_to_do() -> None:
    """The status decides the hint; how long to wait is told; what the model's provider said stands behind the message."""
    error = failure("to answer", Refusal(code="402", message="Insufficient", metadata={"raw": {"a": 1}, "provider_name": "Acme"}))
    assert error.message == 'OpenRouter refused to answer (402): Insufficient [Acme: {"a": 1}]' and "credits" in error.hint
    assert failure("to speak", Refusal(code=429, message="x"), retry_after="7").hint.endswith("it asks to wait 7 s")
    assert "errors-and-debugging" in failure("to speak", Refusal(code="odd", message="x")).hint


@pytest.mark.parametrize("kind", ["audio/mpeg", "audio/pcm;rate=24000;channels=2", "audio/pcm;rate=fast", "audio/pcm;rate=1", ""])
def test_samples_that_are_none_are_refused(kind: str) -> None:
    """Compressed, stereo, without a rate that can be: TL340."""
    with pytest.raises(LinkError) as raised:
        speech_rate(kind)
    assert raised.value.code == "TL340"


def test_the_rate_is_that_of_the_content_type() -> None:
    """24 kHz where it names none."""
    kinds = ("audio/pcm; rate=16000", "Audio/PCM", "audio/pcm;rate=48000;channels=1")
    assert [speech_rate(kind) for kind in kinds] == [16000, 24000, 48000]
