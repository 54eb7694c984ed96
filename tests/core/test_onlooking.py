"""What is entered of a proxied session: facts by what passed and by the clock, and never a dispatch of ours."""

from typing import Any

from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import SessionCore
from turnlog.core.definition import define_session

S = 1_000_000_000
DEFINITION = define_session("line", provider="openai", transport="websocket", answers="model")


def passing(*, words: bool = True) -> SessionCore:
    """A session whose provider has greeted; words: it transcribes."""
    core = SessionCore()
    core.record(e.SessionStarted(session="s", target="calls.line", definition=DEFINITION, replayable=False), e.Root.START, 0)
    core.record(e.LinkOpened(link="p1", side="provider", transport="websocket"), e.Root.HOST, 0)
    core.record(e.LinkOpened(link="c1", side="caller", transport="websocket"), e.Root.HOST, 0)
    session = {"audio": {"input": {"transcription": {"model": "words"} if words else None}}}
    core.observe("p1", s.ProviderGreeted(provider_session="x", session=session), 1, 0)
    core.events_to_append()
    return core


def seen(core: SessionCore, *signals: s.Signal, at_ns: int = S, link: str = "p1") -> list[Any]:
    """The events that these bring."""
    for signal in signals:
        core.observe(link, signal, 1, at_ns)
    return [staged.event for staged in core.events_to_append()]


def test_words_that_do_not_come_end_their_turn_late() -> None:
    """Three seconds after its commit a turn ends without them; what comes then changes nothing."""
    core = passing()
    assert seen(core, s.AudioCommitted(item="u1", previous_item=None)) == [e.InputCommitted(item="u1")]
    assert core.observed_deadline() == 4 * S
    core.observed_time(4 * S)
    told: list[Any] = [staged.event for staged in core.events_to_append()]
    assert [type(one) for one in told] == [e.InputTranscribed, e.TurnEnded] and told[1].transcript_status == "late"
    assert core.observed_deadline() is None
    late = seen(core, s.TranscriptCompleted(item="u1", transcript="hello"), at_ns=5 * S)
    assert late == [e.TranscriptArrivedLate(item="u1", transcript="hello")]


def test_a_session_without_transcription_ends_its_turns_at_once() -> None:
    """Where none is in force no words are waited for; a failed one ends its turn, too."""
    told = seen(passing(words=False), s.AudioCommitted(item="u1", previous_item=None))
    assert told[-1].transcript_status == "none"
    failed = seen(
        passing(), s.AudioCommitted(item="u1", previous_item=None), s.TranscriptFailed(item="u1", code="c", message="m")
    )
    assert failed[-1].transcript_status == "failed"


def test_digits_typed_items_and_cancels_are_told() -> None:
    """A digit is a turn; what was typed is one when it is answered; the caller's cancel cuts what sounds."""
    core = passing()
    pressed = seen(core, s.DigitDialled(digit="5"))
    assert [type(one) for one in pressed] == [e.DigitPressed, e.TurnEnded]
    typed = s.ItemAdded(item="t1", previous_item=None, kind="message", role="user", text="a room", has_audio=False)
    began = s.ResponseBegan(response="r1", say=None, attempt=0, in_band=True)
    told = seen(core, typed, began)
    assert [type(one) for one in told] == [e.ItemSeeded, e.TurnEnded, e.ResponseStarted] and told[1].text == "a room"
    audio = s.OutputAudio(audio=b"AAAA", ms=1000, response="r1", item="a1", content_index=0)
    assert seen(core, audio, audio) == [e.AudioStarted(response="r1")]
    cut = seen(core, s.CancelRequested(event_id=None), link="c1")
    assert [type(one) for one in cut] == [e.CallerCancelled, e.PlayoutCut]


def test_speech_that_the_provider_is_told_not_to_interrupt_for_cuts_nothing() -> None:
    """interrupt_response false is the caller's own choice: its client goes on playing."""
    core = passing()
    held = {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}}
    seen(core, s.ProviderConfigured(session=held), s.ResponseBegan(response="r1", say=None, attempt=0, in_band=True))
    seen(core, s.OutputAudio(audio=b"AAAA", ms=1000, response="r1", item="a1", content_index=0))
    assert seen(core, s.SpeechBegan(item="u1", audio_start_ms=0)) == [e.SpeechStarted(item="u1", audio_start_ms=0)]
    assert [type(one) for one in seen(core, s.ProviderError(code="c", message="m", param=None, event_id=None))] == [e.PeerFaulted]
