"""The local provider through real links: the official SDK over sockets, raw messages in one process, real speech both ways."""

import asyncio
import json
import threading
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from turnlog.core.definition import SessionDefinition, define_session
from turnlog.core.errors import LinkClosed, LinkError
from turnlog.core.ports import Link
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.realtime.audio import PCM16, PCMA, PCMU, AudioFormat
from turnlog.transports.realtime.g711 import from_pcm16, to_pcm16
from turnlog.transports.realtime.say_form import compose
from turnlog.transports.speech.engines import EngineStatus, Speech, SpeechEngines, detect
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.resample import Resampler, read_audio
from turnlog.transports.speech.synthesise import PiperSynthesiser
from turnlog.transports.speech.vad import SileroModel

Json = dict[str, Any]
WORDS = "The train to London leaves at nine in the morning. Please be there early."
DONE = "response.done"
TRANSCRIBED = "conversation.item.input_audio_transcription."


@pytest.fixture(scope="session")
def speech(silero: SileroModel, recogniser: MoonshineRecogniser, piper: PiperSynthesiser) -> Speech:
    """All engines."""
    return Speech(engines=detect(), voice_activity=silero, recogniser=recogniser, synthesiser=piper)


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    """Every test leaves the tasks and threads that it found."""
    threads = set(threading.enumerate())
    yield
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    for thread in set(threading.enumerate()) - threads:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive() or thread.name.startswith("asyncio_"), f"{thread.name} is left behind"


def definition(transport: str = "in_process") -> SessionDefinition:
    """A session on the local provider."""
    return define_session("s", provider="local", transport=transport)


class Client(NamedTuple):
    """Raw messages over a link of either kind."""

    link: Link

    def send(self, type_: str, **fields: Any) -> None:
        """Send an event."""
        self.link.send(msgspec.json.encode({"type": type_, **fields}))

    def configure(self, **audio_input: Any) -> None:
        """Set the input side: transcription on, no automatic answer, unless told otherwise."""
        given = {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad", "create_response": False}}
        self.send("session.update", session={"type": "realtime", "audio": {"input": {**given, **audio_input}}})

    def speak(self, payload: bytes, size: int = 4800) -> None:
        """Append audio, 100 ms of 24 kHz PCM at a time."""
        for start in range(0, len(payload), size):
            self.send("input_audio_buffer.append", audio=b64encode(payload[start : start + size]).decode())

    def say(self, text: str, **fields: Any) -> None:
        """Ask for a say as the engine does it."""
        request = {"conversation": "none", "input": [], "instructions": compose(text), "metadata": {"turnlog_say": "say_1"}}
        self.send("response.create", response={**request, **fields})

    def write(self, text: str) -> None:
        """Add a user's text to the conversation."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        self.send("conversation.item.create", item=item)

    async def until(self, *types: str) -> list[Json]:
        """All events up to the first of one of these types."""
        seen = []
        async with asyncio.timeout(30):
            while True:
                seen.append(json.loads(await self.link.receive()))
                if seen[-1]["type"] in types:
                    return seen


@asynccontextmanager
async def calling(provider: LocalProvider) -> AsyncIterator[Client]:
    """A session in this process."""
    link = await provider.connect(definition(), "sess_1")
    try:
        yield Client(link)
    finally:
        await link.close()


@asynccontextmanager
async def sdk(provider: LocalProvider) -> AsyncIterator[AsyncRealtimeConnection]:
    """The official SDK on the served provider."""
    async with provider.server.serve(port=0) as url:
        base = url.removesuffix("/realtime")
        async with AsyncOpenAI(api_key="x", base_url=base.replace("ws", "http"), websocket_base_url=base) as client:
            async with client.realtime.connect(model="local") as connection:
                yield connection


def types(events: list[Json]) -> list[str]:
    """The types in order, deltas once."""
    names = [event["type"] for event in events]
    return [name for place, name in enumerate(names) if not (name.endswith("delta") and name in names[:place])]


def spoken(events: list[Json], form: AudioFormat = PCM16) -> bytes:
    """The audio of a response as PCM16."""
    return to_pcm16(
        b"".join(b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta"), form
    )


def said(events: list[Json]) -> str:
    """The transcript deltas, joined."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_audio_transcript.delta")


def written(events: list[Json]) -> list[str]:
    """The texts of text responses."""
    return [event["text"] for event in events if event["type"] == "response.output_text.done"]


def question(piper: PiperSynthesiser, text: str, form: AudioFormat = PCM16) -> bytes:
    """A spoken sentence with half a second before and a second behind it, as a payload."""
    resampler = Resampler(piper.rate, form.rate)
    pcm16 = b"".join(resampler.feed(piece) for piece in piper.synthesise(text)) + resampler.flush()
    return from_pcm16(bytes(form.rate) + pcm16 + bytes(2 * form.rate), form)


# --- through the official SDK ---


async def test_the_sdk_hears_a_say(speech: Speech, word_error_rate: Callable[[str, str], float]) -> None:
    """session.update, a text item and a say: its audio, recognised, is the text; its transcript is the text exactly."""
    async with sdk(LocalProvider(speech=speech)) as connection:
        await connection.session.update(session={"type": "realtime", "instructions": "x"})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "When?"}]}
        )
        await connection.response.create(
            response={"conversation": "none", "input": [], "instructions": compose(WORDS), "metadata": {"turnlog_say": "s1"}}
        )
        events = []
        async for event in connection:
            events.append(event)
            if event.type == "response.done":
                break
    audio = b"".join(b64decode(event.delta) for event in events if event.type == "response.output_audio.delta")
    names = [event.type for event in events]
    assert names[:4] == ["session.created", "session.updated", "conversation.item.added", "conversation.item.done"]
    assert events[-1].type == "response.done" and events[-1].response.status == "completed"
    assert events[-1].response.metadata == {"turnlog_say": "s1"}
    assert names.index("response.output_audio_transcript.delta") < names.index("response.output_audio.delta")
    assert "".join(event.delta for event in events if event.type == "response.output_audio_transcript.delta") == WORDS
    assert speech.recogniser is not None
    assert word_error_rate(WORDS, speech.recogniser.recognise(audio, 24000)) <= 0.1


async def test_the_sdk_speaks_a_persons_words(
    speech: Speech, librivox: dict[Path, str], word_error_rate: Callable[[str, str], float]
) -> None:
    """A LibriVox recording streamed in becomes one turn with the right words, in the protocol's order."""
    path, words = next(iter(librivox.items()))
    pcm16 = read_audio(path, 24000) + bytes(48000)
    async with sdk(LocalProvider(speech=speech)) as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "audio": {
                    "input": {
                        "transcription": {"model": "whisper-1"},
                        "turn_detection": {"type": "server_vad", "create_response": False},
                    }
                },
            }
        )
        for start in range(0, len(pcm16), 960):
            await connection.input_audio_buffer.append(audio=b64encode(pcm16[start : start + 960]).decode())
        events = []
        async for event in connection:
            events.append(event)
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert word_error_rate(words, event.transcript) <= 0.2
                break
    assert [event.type for event in events[2:]] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]


# --- in one process ---


async def test_two_spoken_turns(speech: Speech, piper: PiperSynthesiser, word_error_rate: Callable[[str, str], float]) -> None:
    """Each utterance is its own item with its own words; times are the audio's, however fast it is sent."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.configure()
        sentences = ["I would like to book a room.", "For two nights, please."]
        stops = []
        for sentence in sentences:
            client.speak(question(piper, sentence))
            events = await client.until(TRANSCRIBED + "completed")
            assert word_error_rate(sentence, events[-1]["transcript"]) <= 0.2
            stops += [event["audio_end_ms"] for event in events if event["type"] == "input_audio_buffer.speech_stopped"]
            items = {event["item_id"] for event in events if "item_id" in event}
            assert len(items) == 1
            assert events[-1]["usage"]["seconds"] > 0.5
        assert len(stops) == 2 and stops[1] > stops[0] + 1000


@pytest.mark.parametrize("form", [PCMU, PCMA])
async def test_g711_both_ways(
    form: AudioFormat, speech: Speech, piper: PiperSynthesiser, word_error_rate: Callable[[str, str], float]
) -> None:
    """A telephone's format is heard and spoken: 8 kHz mu-law or A-law."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.configure(format={"type": form.type})
        client.send("session.update", session={"type": "realtime", "audio": {"output": {"format": {"type": form.type}}}})
        client.speak(question(piper, "I would like to book a room.", form), 160)
        events = await client.until(TRANSCRIBED + "completed")
        assert word_error_rate("I would like to book a room.", events[-1]["transcript"]) <= 0.3
        client.say(WORDS)
        audio = spoken(await client.until(DONE), form)
        assert speech.recogniser is not None
        assert word_error_rate(WORDS, speech.recogniser.recognise(audio, 8000)) <= 0.3


async def test_words_come_with_their_audio_in_small_deltas(speech: Speech) -> None:
    """The first sentence's words and audio are out before the last sentence's words; deltas last at most 200 ms."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.say(WORDS)
        events = await client.until(DONE)
    deltas = [event for event in events if event["type"].endswith("delta")]
    kinds = ["words" if "transcript" in event["type"] else "audio" for event in deltas]
    second = kinds.index("words", 1)
    assert kinds[0] == "words" and "audio" in kinds[1:second] and "audio" in kinds[second:]
    assert all(len(b64decode(event["delta"])) <= 9600 for event, kind in zip(deltas, kinds, strict=True) if kind == "audio")


async def test_text_modality_gives_text(speech: Speech) -> None:
    """A say with output_modalities ["text"] comes as output_text, word for word, without audio."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.say("Two  spaces, \U0001f600 and\nlines.", output_modalities=["text"])
        events = await client.until(DONE)
    assert [event["text"] for event in events if event["type"] == "response.output_text.done"] == [
        "Two  spaces, \U0001f600 and\nlines."
    ]
    assert spoken(events) == b""


@pytest.mark.parametrize("text", ["", "...", "\ud800 half", "a\x00b", "Well…  \n\n«Yes!»  "])
async def test_odd_texts_are_said(text: str, speech: Speech) -> None:
    """Nothing to pronounce, half a character, control characters: the response completes and its transcript is the text."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.say(text)
        events = await client.until(DONE)
    assert events[-1]["response"]["status"] == "completed"
    assert said(events) == text.encode(errors="replace").decode()


async def test_what_is_no_say_fails_with_no_model(speech: Speech) -> None:
    """Asked or by voice activity: there is no language model here, and the session goes on."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.write("Hello?")
        client.send("response.create")
        done = (await client.until(DONE))[-1]["response"]
        assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "no_model")
        client.say("Still here.")
        assert (await client.until(DONE))[-1]["response"]["status"] == "completed"


async def test_echo_says_what_the_user_said(
    speech: Speech, piper: PiperSynthesiser, word_error_rate: Callable[[str, str], float]
) -> None:
    """With echo an automatic response waits for the words and repeats them; so does one to a text, without a transcription."""
    async with calling(LocalProvider(echo=True, speech=speech)) as client:
        client.configure(transcription=None, turn_detection={"type": "server_vad"})
        client.speak(question(piper, "The parrot repeats every word."))
        events = await client.until(DONE)
        names = types(events)
        assert names.index("conversation.item.done") < names.index("response.created")
        assert not [name for name in names if name.startswith(TRANSCRIBED)]
        assert word_error_rate("The parrot repeats every word.", said(events)) <= 0.2
        assert speech.recogniser is not None
        assert word_error_rate(said(events), speech.recogniser.recognise(spoken(events), 24000)) <= 0.2
        client.write("And this.")
        client.send("response.create", response={"output_modalities": ["text"]})
        assert written(await client.until(DONE)) == ["And this."]


async def test_manual_commit_and_clear(
    speech: Speech, piper: PiperSynthesiser, word_error_rate: Callable[[str, str], float]
) -> None:
    """Without turn detection nothing happens until the commit, which has exactly what was appended after the clear."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.configure(turn_detection=None)
        client.speak(question(piper, "Forget this sentence."))
        client.send("input_audio_buffer.clear")
        client.speak(question(piper, "Keep this one instead."))
        client.send("input_audio_buffer.commit")
        events = await client.until(TRANSCRIBED + "completed")
        assert [name for name in types(events) if name.startswith("input_audio_buffer")] == [
            "input_audio_buffer.cleared",
            "input_audio_buffer.committed",
        ]
        assert word_error_rate("Keep this one instead.", events[-1]["transcript"]) <= 0.25
        client.send("input_audio_buffer.commit")
        assert (await client.until("error"))[-1]["error"]["code"] == "input_audio_buffer_commit_empty"


async def test_speech_cuts_an_in_band_response_but_no_say(speech: Speech, piper: PiperSynthesiser) -> None:
    """Barge-in: speech_started, then the cancelled response's end; an out-of-band say goes on to its end."""
    interruption = question(piper, "Stop it now.")
    async with calling(LocalProvider(echo=True, speech=speech)) as client:
        client.configure()
        client.write("This is quite a long sentence to repeat. " * 12)
        client.send("response.create")
        client.say(WORDS)
        events = await client.until("response.output_audio.delta")
        client.speak(interruption)
        events += await client.until(TRANSCRIBED + "completed")
        while [event["type"] for event in events].count(DONE) < 2:
            events += await client.until(DONE)
    done = {event["response"]["metadata"] is None: event for event in events if event["type"] == DONE}
    cancelled, say = done[True]["response"], done[False]["response"]
    assert (cancelled["status"], cancelled["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert say["status"] == "completed"
    began = next(place for place, event in enumerate(events) if event["type"] == "input_audio_buffer.speech_started")
    ended = events.index(done[True])
    assert began < ended
    assert not [event for event in events[ended + 1 :] if event.get("response_id") == cancelled["id"]]


async def test_a_clients_faults_are_answered(speech: Speech) -> None:
    """Malformed JSON, base64 and types each get an error that names them, and the session goes on."""
    async with calling(LocalProvider(speech=speech)) as client:
        faults = [b"{nope", b"\xff", b'{"type":"input_audio_buffer.append","audio":"@@@","event_id":"e1"}', b'{"type":"x.y"}']
        for raw in faults:
            client.link.send(raw)
        errors = [(await client.until("error"))[-1]["error"] for _ in faults]
        assert [error["param"] for error in errors] == [None, None, "audio", "type"]
        assert errors[2]["event_id"] == "e1"
        client.say("Fine.", output_modalities=["text"])
        assert (await client.until(DONE))[-1]["response"]["status"] == "completed"


async def test_half_samples_are_heard(speech: Speech, piper: PiperSynthesiser) -> None:
    """Audio cut at odd bytes, and an empty append, are as good as any."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.configure()
        client.speak(question(piper, "I would like to book a room."), 1001)
        client.send("input_audio_buffer.append", audio="")
        assert "room" in (await client.until(TRANSCRIBED + "completed"))[-1]["transcript"]


async def test_a_minute_in_one_message_holds_up_nobody(speech: Speech) -> None:
    """While one session hears a long message, the event loop still turns at least twice a second."""
    async with calling(LocalProvider(speech=speech)) as client:
        client.configure(turn_detection={"type": "server_vad"})
        client.speak(bytes(60 * 48000), 60 * 48000)
        client.send("input_audio_buffer.clear")
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.create_task(turn())
        await client.until("input_audio_buffer.cleared")
        turning.cancel()
        assert turns > 100


# --- over sockets ---


async def test_the_websocket_transport_goes_to_the_url_of_the_environment(
    speech: Speech, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """transport="websocket" dials TURNLOG_LOCAL_URL; where nobody listens that is TL301."""
    provider = LocalProvider(speech=speech)
    async with provider.server.serve(port=0) as url:
        monkeypatch.setenv("TURNLOG_LOCAL_URL", url + "?model=mine")
        link = await provider.connect(definition("websocket"), "sess_1")
        client = Client(link)
        assert (await client.until("session.created"))[-1]["session"]["model"] == "mine"
        client.say("By wire.", output_modalities=["text"])
        await client.until(DONE)
        await link.close()
    monkeypatch.setenv("TURNLOG_LOCAL_URL", f"ws://127.0.0.1:{unused_tcp_port}/v1/realtime")
    with pytest.raises(LinkError) as caught:
        await provider.connect(definition("websocket"), "sess_1")
    assert caught.value.code == "TL301"


async def test_a_dropped_connection_ends_its_session(
    speech: Speech, piper: PiperSynthesiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that vanishes while it speaks and is spoken to leaves nothing running; others go on."""
    provider = LocalProvider(speech=speech)
    async with provider.server.serve(port=0) as url:
        monkeypatch.setenv("TURNLOG_LOCAL_URL", url)
        lost = await provider.connect(definition("websocket"), "sess_1")
        stays = Client(await provider.connect(definition("websocket"), "sess_2"))
        client = Client(lost)
        client.configure()
        client.say(WORDS * 5)
        client.speak(question(piper, "I am about to"))
        await client.until("response.output_audio.delta")
        lost._connection.transport.abort()  # type: ignore[attr-defined] # as a cable that is pulled
        with pytest.raises(LinkClosed):
            while True:
                await lost.receive()
        stays.say("Still here.")
        assert (await stays.until(DONE))[-1]["response"]["status"] == "completed"
        await stays.link.close()


async def test_a_message_too_large_ends_one_session(speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the maximum the server closes with 1009 and says the sizes."""
    provider = LocalProvider(speech=speech)
    async with provider.server.serve(port=0, max_message_bytes=10_000) as url:
        monkeypatch.setenv("TURNLOG_LOCAL_URL", url)
        link = await provider.connect(definition("websocket"), "sess_1")
        link.send(b"x" * 10_001)
        with pytest.raises(LinkClosed) as caught:
            while True:
                await link.receive()
        assert caught.value.close_code == 1009


async def test_closing_the_server_closes_its_sessions(speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving serve() closes open sessions with 1001."""
    provider = LocalProvider(speech=speech)
    async with provider.server.serve(port=0) as url:
        monkeypatch.setenv("TURNLOG_LOCAL_URL", url)
        link = await provider.connect(definition("websocket"), "sess_1")
        await link.receive()
    with pytest.raises(LinkClosed) as caught:
        await link.receive()
    assert caught.value.close_code == 1001


# --- what a machine may lack ---


def lacking(speech: Speech, *kinds: str) -> Speech:
    """The engines without these kinds, as load() gives them on a machine that has none."""
    none = {kind: EngineStatus(kind=kind, missing=f"no {kind}", hint="install it") for kind in kinds}  # type: ignore[arg-type] # a literal
    return Speech(
        engines=SpeechEngines(
            voice_activity=none.get("voice activity", speech.engines.voice_activity),
            recognition=none.get("recognition", speech.engines.recognition),
            synthesis=none.get("synthesis", speech.engines.synthesis),
        ),
        voice_activity=None if "voice activity" in kinds else speech.voice_activity,
        recogniser=None if "recognition" in kinds else speech.recogniser,
        synthesiser=None if "synthesis" in kinds else speech.synthesiser,
    )


async def test_the_core_install_does_text() -> None:
    """Without any engine, text in and text out works, a say comes as text, and audio fails once, naming what is missing."""
    bare = lacking(
        Speech(engines=detect(), voice_activity=None, recogniser=None, synthesiser=None),
        *("voice activity", "recognition", "synthesis"),
    )
    async with calling(LocalProvider(echo=True, speech=bare)) as client:
        client.configure()
        client.write("Hello.")
        client.send("response.create")
        events = await client.until(DONE)
        assert written(events) == ["Hello."]
        client.speak(bytes(48000))
        failed = (await client.until(TRANSCRIBED + "failed"))[-1]["error"]
        assert (failed["code"], "no voice activity (install it)" in failed["message"]) == ("TL603", True)
        client.speak(bytes(48000))
        client.say("Only once.")
        events = await client.until(DONE)
        assert TRANSCRIBED + "failed" not in types(events)
        assert (events[-1]["response"]["status"], spoken(events)) == ("completed", b"")


async def test_without_recognition_each_turn_fails(speech: Speech, piper: PiperSynthesiser) -> None:
    """Turns are still found; each one's transcription fails with what is missing."""
    async with calling(LocalProvider(speech=lacking(speech, "recognition"))) as client:
        client.configure()
        for _ in range(2):
            client.speak(question(piper, "Is anybody there?"))
            assert "no recognition" in (await client.until(TRANSCRIBED + "failed"))[-1]["error"]["message"]


class _Broken:
    """An engine that fails in use."""

    rate = 24000

    def recognise(self, pcm16: bytes, rate: int = 16000) -> str:
        """Fail."""
        raise RuntimeError("secret detail")

    def synthesise(self, text: str) -> Iterator[bytes]:
        """Fail after the first piece."""
        yield bytes(4800)
        raise RuntimeError("secret detail")


async def test_engines_that_fail_are_told(speech: Speech, piper: PiperSynthesiser, caplog: pytest.LogCaptureFixture) -> None:
    """A failing engine fails its turn or its response, with the detail in the process's log only; the session goes on."""
    broken = msgspec.structs.replace(speech, recogniser=_Broken(), synthesiser=_Broken())
    async with calling(LocalProvider(speech=broken)) as client:
        client.configure()
        client.speak(question(piper, "Is anybody there?"))
        heard = (await client.until(TRANSCRIBED + "failed"))[-1]["error"]
        client.say(WORDS)
        answered = (await client.until(DONE))[-1]["response"]
    assert (heard["code"], "secret" in heard["message"]) == ("TL603", False)
    assert (answered["status"], answered["status_details"]["error"]["code"]) == ("failed", "model_failed")
    assert answered["output"][0]["status"] == "incomplete"
    assert caplog.text.count("RuntimeError: secret detail") == 2
