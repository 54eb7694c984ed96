"""The line to this machine's own voice: which says go by it, what they wait for, and what its loss means."""

from tests.core.driving import MS, Drive, anatomy, replayed
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s

MUSIC = c.Clip(name="hold.wav", digest="ab" * 32, rate=24_000, ms=4000)


def ready(**options: object) -> Drive:
    """A session with a provider, a caller and its own voice."""
    return open_voice(Drive(**options).open_provider().open_caller())  # type: ignore[arg-type] # options of the definition


def open_voice(drive: Drive) -> Drive:
    """The voice's line stands."""
    drive.fact(e.LinkOpened(link="v1", side="voice", transport="in_process"))
    return drive


def begin(drive: Drive, response: str, say: str, attempt: int = 1) -> list[e.Event]:
    """response.created on the voice's line."""
    return drive.signal("v1", s.ResponseBegan(response=response, say=say, attempt=attempt, in_band=False))


def links(drive: Drive) -> list[str]:
    """By which lines says were asked for."""
    return [event.link for event in drive.of(e.SayDispatched) if isinstance(event, e.SayDispatched)]


def test_each_say_goes_by_the_line_that_speaks_it() -> None:
    """Mode tts and recordings by this machine's own, others by the provider's; a say's own mode counts, else the session's."""
    drive = ready()
    assert drive.core.state.links.voice == "v1"
    for options in ({"mode": "tts"}, {}, {"clip": MUSIC, "mode": "in_band"}, {"mode": "in_band"}):
        say = drive.say("Hello", **options)
        drive.signal(links(drive)[-1], s.ResponseBegan(response=f"r_{say}", say=say, attempt=1, in_band=False))
        drive.sound(f"r_{say}")
        drive.finish(f"r_{say}", 500, "Hello")
        drive.wait(500)
        assert drive.outcome(say).status == "played"
    assert links(drive) == ["v1", "p1", "v1", "p1"]
    drive = ready(say_mode="tts")
    drive.say("Hello")
    assert links(drive) == ["v1"]


def test_a_say_waits_for_its_own_line_only() -> None:
    """One of this machine's needs no provider that is ready, but its line and a caller; no deadline is in the past meanwhile."""
    drive = Drive()
    drive.fact(e.LinkOpened(link="p1", side="provider", transport="in_process"))
    drive.say("Hello", mode="tts")
    drive.open_caller()
    assert not links(drive)
    assert drive.core.next_deadline() == drive.now_ns + 30_000 * MS  # only the provider's, to become ready
    open_voice(drive)
    assert links(drive) == ["v1"]


def test_a_recording_is_one_piece_without_words() -> None:
    """It is asked for once, compares with nothing, and tells how long it is."""
    drive = ready()
    say = drive.say("", clip=MUSIC)
    begin(drive, "r1", say)
    drive.sound("r1")
    drive.finish("r1", 4000)
    drive.wait(4000)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.requested_ms, outcome.heard_ms, outcome.heard_text) == ("played", 4000, 4000, "")
    assert len(links(drive)) == 1 and not drive.of(e.SaySpoken)


def test_a_response_is_cancelled_by_the_line_that_it_came_by() -> None:
    """Also one that begins when nobody wants it any more, and one of the provider's where both run."""
    drive = ready()
    first = drive.say("Hello", mode="tts")
    begin(drive, "r1", first)
    drive.sound("r1")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.say("Late", mode="tts", on_stale="speak")
    drive.command(c.CancelSay(say="say_2"))
    begin(drive, "r2", "say_2")
    drive.begin("r3", "say_9")
    cancels = [event for event in drive.of(e.CancelDispatched) if isinstance(event, e.CancelDispatched)]
    assert [(one.link, one.response) for one in cancels] == [("v1", "r1"), ("v1", "r2"), ("p1", "r3")]
    assert anatomy(replayed(drive.log)) == anatomy(drive.core.state)


def test_a_lost_voice_fails_what_only_it_could_speak() -> None:
    """What waits or is half made fails with no_voice, what was heard of it is told; the provider's says and the session go on."""
    drive = ready()
    half, waiting, other = drive.say("Half of it", mode="tts"), drive.say("", clip=MUSIC), drive.say("Mine")
    begin(drive, "r1", half)
    drive.sound("r1")
    drive.wait(300)
    drive.close("v1")
    cut, lost = drive.outcome(half), drive.outcome(waiting)
    assert (cut.status, cut.code, cut.heard_ms) == ("interrupted", "no_voice", 300)
    assert (lost.status, lost.code) == ("failed", "no_voice")
    assert drive.core.state.links.voice is None and drive.core.state.life.ending is None
    assert links(drive)[-1] == "p1" and other in drive.core.state.delivery.says
    assert not drive.of(e.CancelDispatched), "nobody is there to be told"
    assert not drive.core.state.playout.unheard


def test_what_was_made_is_heard_though_its_voice_is_gone() -> None:
    """The callers have all of it by then, or will."""
    drive = ready()
    say = drive.say("All of it", mode="tts")
    begin(drive, "r1", say)
    drive.sound("r1")
    drive.finish("r1", 2000, "All of it")
    drive.close("v1")
    drive.wait(2000)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("played", 2000)


def test_a_voice_that_cannot_be_had_is_no_end() -> None:
    """Its says fail; the session goes on."""
    drive = Drive().open_provider().open_caller()
    say = drive.say("Hello", mode="tts")
    drive.core.link_failed(e.LinkFailed(side="voice", code="TL603", message="none"), drive.now_ns)
    drive.settle()
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("failed", "no_voice")
    assert drive.core.state.life.ending is None


def test_an_error_on_the_voices_line_is_no_providers() -> None:
    """Before a provider is ready its error ends the session; the voice's does not."""
    drive = Drive()
    drive.fact(e.LinkOpened(link="p1", side="provider", transport="in_process"))
    open_voice(drive)
    drive.signal("v1", s.ProviderError(code="session_expired", message="m", param=None, event_id=None))
    assert drive.core.state.life.ending is None
    assert drive.of(e.PeerFaulted) == [e.PeerFaulted(link="v1", code="session_expired", message="m")]


def test_the_provider_takes_only_its_own_responses_with_it() -> None:
    """The voice's goes on being known: it is cut and stopped because the session ends."""
    drive = ready()
    say = drive.say("Hello", mode="tts")
    begin(drive, "r1", say)
    drive.begin("r2", None)
    drive.core.record(e.LinkClosed(link="p1"), e.Root.HOST, drive.now_ns)
    assert list(drive.core.state.playout.responses) == ["r1"] and not drive.core.state.playout.unheard
    drive.settle()
    drive.end(drain=False)
    assert drive.outcome(say).status == "cancelled"
    assert drive.of(e.CancelDispatched) == [e.CancelDispatched(link="v1", response="r1")]
    assert drive.core.ended
