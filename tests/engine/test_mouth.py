"""The mouth: pacing, cuts and the ledger, by a clock in the test's hand."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.mouths import MS, Ear, audio, words
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import Staged
from turnlog.core.ports import PartHead, Playhead
from turnlog.store.media import SegmentBuilder


def staged(ear: Ear, *events: e.Event) -> list[Staged]:
    """Facts of this moment."""
    return [Staged(seq, ear.now_ns, e.Root.WIRE, event) for seq, event in enumerate(events, 1)]


# --- pacing ---


def test_a_long_answer_is_delivered_as_it_is_played() -> None:
    """10 s that come at once leave over 10 s, and at no moment the callers have more than the lead and a piece to play."""
    ear = Ear(300)
    ear.take(*(audio(200) for _ in range(50)))
    most = 0.0
    while ear.mouth.due_ns() is not None:
        most = max(most, ear.ends_ms - ear.now_ms)
        ear.passes(1)
    assert most <= 400
    assert 9600 <= ear.now_ms - 1000 <= 10_000
    assert ear.delivered_ms() == [10_000]
    assert ear.heard() == bytes(480_000)
    assert max(one.ms for one in ear.got if isinstance(one, s.OutputAudio)) == 100


def test_what_waited_is_still_known_to_be_stored() -> None:
    """Where a piece of audio is stored leaves with it, at once or later; a piece that was cut off is stored nowhere else."""
    ear, builder = Ear(300), SegmentBuilder("p1.in")
    for n, ms in enumerate((100, 100, 100, 100, 100, 150)):
        signal = audio(ms)
        ear.mouth.take(signal, ear.now_ns, builder.add(n, n, b'"%b"' % signal.audio, (1, len(signal.audio) + 1)))
    assert ear.mouth.due_ns() is not None
    ear.passes(1000)
    assert [kept and kept.message for kept in ear.kept] == [0, 1, 2, 3, 4, None, None]


def test_the_callers_never_run_dry() -> None:
    """While something waits the callers always have audio to play."""
    ear = Ear(300)
    ear.take(audio(5000))
    while ear.mouth.due_ns() is not None:
        ear.passes(1)
        assert ear.ends_ms > ear.now_ms


def test_audio_in_time_passes_straight_through() -> None:
    """What comes as fast as it is played waits for nothing, in the pieces it came in."""
    ear = Ear()
    for _ in range(100):
        ear.take(audio(20))
        ear.passes(20)
    assert ear.order() == ["20"] * 100
    assert "held" not in ear.calls


def test_a_model_that_answers_is_not_paced() -> None:
    """Unpaced, all leaves at once and uncut; the ledger plays it by the clock all the same."""
    ear = Ear(paced=False)
    ear.take(audio(5000))
    assert ear.order() == ["5000"]
    ear.passes(1234)
    assert (ear.delivered_ms(), ear.played_ms()) == ([5000], [1234])


def test_words_keep_their_place_between_audio() -> None:
    """Words that came behind audio that waits, wait with it; words of nothing that waits leave at once."""
    ear = Ear(100)
    ear.take(words("a"), audio(100), words("b"), audio(100), words("c"), audio(100), words("d"))
    assert ear.order() == ["a", "100", "b", "100", "c"]
    ear.passes(1000)
    assert ear.order() == ["a", "100", "b", "100", "c", "100", "d"]


def test_text_answers_do_not_wait_for_another_ones_audio() -> None:
    """A response in text is not paced, whatever else waits."""
    ear = Ear()
    ear.take(audio(5000), words("in writing", response="t", spoken=False))
    assert ear.order()[-1] == "in writing"
    assert ear.mouth.sample("t", ear.now_ns).parts == [PartHead(item="i", words="in writing")]


def test_a_timer_is_asked_for_once() -> None:
    """However much comes while something waits, it is told once that there is something to wait for."""
    ear = Ear()
    ear.take(*(audio(100) for _ in range(20)))
    assert ear.calls == ["started r 0", "held"]
    ear.passes(5000)
    ear.take(*(audio(100) for _ in range(20)))
    assert ear.calls.count("held") == 2


def test_a_late_timer_is_made_up_for_by_the_next_delta() -> None:
    """What is due leaves before what comes now, though no timer has fired."""
    ear = Ear()
    ear.take(*(audio(100) for _ in range(10)))
    ear.now_ms += 600
    assert ear.delivered_ms() == [400]
    ear.take(words("later"))
    assert ear.delivered_ms() == [800]
    ear.passes(1000)
    assert ear.order()[-1] == "later"


def test_the_end_of_a_response_is_told_when_all_of_it_has_left() -> None:
    """`emptied` comes with the last piece of a response that has ended, and of no other."""
    ear = Ear(300)
    ear.take(audio(1000))
    ear.mouth.observe(staged(ear, e.ResponseEnded(response="r", status="completed", generated_ms=1000)))
    assert ear.mouth.sample("r", ear.now_ns).waiting
    ear.passes(2000)
    ear.take(audio(1000, response="endless"))
    ear.passes(2000)
    assert [call for call in ear.calls if "emptied" in call] == ["emptied 640"]
    assert not ear.mouth.sample("r", ear.now_ns).waiting


def test_what_nobody_hears_is_not_delivered() -> None:
    """Without a caller audio passes in its time, uncounted; one who joins hears from there on."""
    ear = Ear(100)
    ear.there = False
    ear.take(audio(1000))
    ear.passes(500)
    assert (ear.delivered_ms(), ear.calls) == ([0], ["held"])
    ear.there = True
    ear.passes(1000)
    assert 300 <= sum(ear.delivered_ms()) <= 500
    assert ear.played_ms() == ear.delivered_ms()
    assert [call.split()[0] for call in ear.calls] == ["held", "started"]


def test_what_nobody_hears_of_a_model_is_gone_at_once() -> None:
    """Unpaced, the clock does not run for it."""
    ear = Ear(paced=False)
    ear.there = False
    ear.take(audio(5000))
    ear.there = True
    ear.take(audio(100))
    ear.passes(100)
    assert ear.played_ms() == [100]


# --- the play clock ---


def test_a_gap_is_not_heard() -> None:
    """Time in which the callers had nothing to play is not counted as played."""
    ear = Ear()
    ear.take(audio(100))
    ear.passes(500)
    ear.take(audio(100))
    ear.passes(40)
    head = ear.mouth.sample("r", ear.now_ns)
    assert ear.played_ms() == [140]
    assert head.ends_ns == (1000 + 500 + 100) * MS


def test_parts_are_played_in_the_order_of_their_delivery() -> None:
    """Two items of one response: the second is heard when the first has been."""
    ear = Ear(paced=False)
    ear.take(audio(500, item="a"), words("one", item="a"), audio(500, item="b"), words("two", item="b"), audio(100, item="a"))
    ear.passes(700)
    assert ear.mouth.sample("r", ear.now_ns) == Playhead(
        parts=[
            PartHead(item="a", received_ms=600, delivered_ms=600, played_ms=500, words="one"),
            PartHead(item="b", received_ms=500, delivered_ms=500, played_ms=200, words="two"),
        ],
        source="clock",
        error_ms=300,
        ends_ns=2100 * MS,
        arrived_ns=1000 * MS,
    )


def test_parts_stand_in_the_order_of_their_first_audio() -> None:
    """Words that come first do not make a part the first one."""
    ear = Ear()
    ear.take(words("two", item="b"), audio(20, item="a"), audio(20, item="b"), words("written", item="c"))
    assert [part.item for part in ear.mouth.sample("r", ear.now_ns).parts] == ["a", "b", "c"]


def test_a_part_that_begins_with_nothing_is_one_part() -> None:
    """An empty piece before the first audio counts its part once: what was delivered is not counted twice."""
    ear = Ear()
    ear.take(audio(0), audio(20), audio(20))
    assert ear.delivered_ms() == [40]


def test_g711_is_counted_like_pcm() -> None:
    """Pieces of 99.75 ms add up to the second that came."""
    ear = Ear()
    ear.take(audio(1000, rate=8))
    ear.passes(2000)
    assert (ear.delivered_ms(), ear.played_ms()) == ([1000], [1000])


def test_thirds_of_a_millisecond_lose_none() -> None:
    """Three deltas of 16 bytes at 48 bytes a ms are one ms."""
    ear = Ear()
    ear.take(*(audio(data=bytes(16)) for _ in range(3)))
    ear.passes(10)
    assert ear.played_ms() == [1]


def test_a_response_unheard_of_has_an_empty_playhead() -> None:
    """Nothing came: nothing is known."""
    assert Ear().mouth.sample("r", 5) == Playhead()


def test_many_parts_need_no_memory() -> None:
    """Parts that were played are attributed, also if nobody asks for them."""
    ear = Ear(paced=False)
    for n in range(1000):
        ear.take(audio(20, response=f"r{n}"))
        ear.passes(20)
        ear.mouth.forget(f"r{n - 1}")
    assert len(ear.mouth._clock._spans) < 20


# --- cuts ---


def test_a_cut_drops_what_waits_and_all_that_comes() -> None:
    """After a cut nothing of the response is delivered: audio, words, what waited or comes later. It is still counted."""
    ear = Ear(300)
    ear.take(audio(1000), words("cut off"))
    ear.passes(200)
    had = list(ear.got)
    ear.mouth.cut("r", ear.now_ns)
    assert (ear.mouth.due_ns(), ear.played_ms()) == (None, [200])
    ear.take(audio(500), words(" and more"))
    ear.passes(2000)
    assert ear.got == had
    head = ear.mouth.sample("r", ear.now_ns)
    assert head.parts == [PartHead(item="i", received_ms=1500, delivered_ms=500, played_ms=200, words="cut off and more")]
    assert (head.waiting, head.ends_ns) == (False, 1200 * MS)


def test_the_next_response_sounds_at_once_after_a_cut() -> None:
    """What was delivered of the cut one and not played no longer stands before it."""
    ear = Ear(300)
    ear.take(audio(1000))
    ear.passes(200)
    ear.mouth.cut("r", ear.now_ns)
    ear.take(audio(100, response="next"))
    ear.passes(60)
    assert ear.played_ms("next") == [60]
    assert ear.mouth.sample("next", ear.now_ns).ends_ns == 1300 * MS


def test_what_nobody_told_the_callers_to_drop_is_played_before_the_next() -> None:
    """Callers throw away at speech only: after a cut of ours they have the lead, and the next response comes behind it."""
    for reason, behind_ms in (("replaced", 300), ("cancelled", 300), ("mismatch", 300), ("speech", 0), ("caller", 0)):
        ear = Ear(300)
        ear.take(audio(1000))
        ear.passes(200)
        ear.mouth.observe(staged(ear, e.PlayoutCut(response="r", reason=reason)))
        ear.take(audio(100, response="next"))
        ear.passes(100)
        assert ear.mouth.sample("next", ear.now_ns).ends_ns == (1300 + behind_ms) * MS, reason
        assert ear.played_ms() == [200]


def test_a_cut_leaves_the_others_alone() -> None:
    """Of two responses in the mouth the one that is not cut is delivered whole, and counted as if the other played on."""
    ear = Ear(300)
    ear.take(audio(400, response="a"), audio(400, response="b"), audio(200, response="a"))
    ear.mouth.cut("a", ear.now_ns)
    ear.passes(5000)
    assert (ear.delivered_ms("a"), ear.played_ms("a"), ear.played_ms("b")) == ([400], [0], [400])


def test_cutting_all_that_sounds_empties_the_mouth() -> None:
    """Both responses cut, in any order: the next one has the whole mouth."""
    for order in ("ab", "ba"):
        ear = Ear(paced=False)
        ear.take(audio(400, response="a"), audio(400, response="b"))
        ear.passes(100)
        for response in order:
            ear.mouth.cut(response, ear.now_ns)
        assert not ear.mouth.sounds(ear.now_ns)
        assert (ear.played_ms("a"), ear.played_ms("b")) == ([100], [0])


def test_a_cut_is_once() -> None:
    """Cut again later, the playhead stays where the first cut found it."""
    ear = Ear()
    ear.take(audio(300))
    ear.passes(100)
    ear.mouth.cut("r", ear.now_ns)
    ear.passes(100)
    ear.mouth.cut("r", ear.now_ns)
    assert ear.played_ms() == [100]
    assert ear.mouth.sample("r", ear.now_ns).ends_ns == 1100 * MS


def test_words_behind_cut_audio_of_another_response_leave_at_once() -> None:
    """They do not wait for a time that no longer comes."""
    ear = Ear(100)
    ear.take(audio(1000, response="a"), audio(100, response="b"), words("b's words", response="b"))
    ear.mouth.cut("a", ear.now_ns)
    ear.passes(0)
    assert ear.order()[-2:] == ["100", "b's words"]


def test_facts_cut_and_forget() -> None:
    """PlayoutCut and a response that is dead from its start cut; PlayoutEnded forgets, with what still waited."""
    ear = Ear(100)
    ear.take(audio(1000, response="a"), audio(1000, response="b"))
    ear.mouth.observe(staged(ear, e.PlayoutCut(response="a", reason="speech"), e.PlayoutEnded(response="a")))
    assert ear.mouth.sample("a", ear.now_ns) == Playhead()
    ear.mouth.observe(staged(ear, e.ResponseStarted(response="c", dead=True), e.ResponseStarted(response="d")))
    ear.take(audio(20, response="c"))
    ear.passes(10_000)
    assert (ear.delivered_ms("b"), ear.delivered_ms("c")) == ([1000], [0])
    ear.take(audio(1000, response="d"))
    ear.mouth.observe(staged(ear, e.PlayoutEnded(response="d"), e.ResponseEnded(response="d", status="completed")))
    assert ear.mouth.due_ns() is None
    ear.mouth.forget("never")


def test_what_is_over_leaves_nothing() -> None:
    """Responses that were dead from their start, cut before a sound, or heard: none is kept behind its last fact."""
    ear = Ear(100)
    for n in range(3):
        dead, cut, heard = f"dead{n}", f"cut{n}", f"heard{n}"
        begun = e.ResponseStarted(response=dead, dead=True)
        ear.mouth.observe(staged(ear, begun, e.ResponseEnded(response=dead, status="cancelled")))
        ear.mouth.observe(staged(ear, e.ResponseStarted(response=cut), e.PlayoutCut(response=cut, reason="speech")))
        ear.mouth.observe(staged(ear, e.ResponseEnded(response=cut, status="cancelled"), e.PlayoutEnded(response=cut)))
        ear.take(audio(20, response=heard))
        ear.mouth.observe(staged(ear, e.PlayoutEnded(response=heard)))
    assert not ear.mouth._responses


def test_words_that_lead_the_queue_are_due_at_once() -> None:
    """After a cut of the audio before them nothing holds them back."""
    ear = Ear(100)
    ear.take(audio(1000, response="a"))
    ear.take(audio(50, response="b"))
    ear.take(words("w", response="b"))
    ear.mouth._queue.remove(next(one for one in ear.mouth._queue if one[0].response == "b"))
    ear.mouth.cut("a", ear.now_ns)
    assert ear.mouth.due_ns() == 0


# --- whatever happens ---

RESPONSES = ("r", "q")
STEPS = st.one_of(
    st.tuples(st.just("audio"), st.sampled_from(RESPONSES), st.sampled_from("ab"), st.integers(1, 40_000)),
    st.tuples(st.just("words"), st.sampled_from(RESPONSES), st.sampled_from("ab")),
    st.tuples(st.just("time"), st.integers(0, 900)),
    st.tuples(st.just("skew"), st.integers(-50, 0)),
    st.tuples(st.just("cut"), st.sampled_from(RESPONSES)),
    st.tuples(st.just("there"), st.booleans()),
)


class Played:
    """Runs steps and keeps what must hold."""

    def __init__(self, lead_ms: int, *, paced: bool) -> None:
        self.ear = Ear(lead_ms, paced=paced)
        self.sent: dict[str, list[Any]] = {response: [] for response in RESPONSES}
        self.cut: set[str] = set()
        self.deaf = False
        self.before: dict[str, Playhead] = {}
        self.count = 0

    def step(self, step: tuple[Any, ...]) -> None:
        """Do one."""
        ear = self.ear
        match step:
            case ("audio", response, item, size):
                self.count += 1
                data = (self.count % 251).to_bytes(1, "big") * size
                self.sent[response].append((item, data))
                ear.take(audio(data=data, response=response, item=item))
            case ("words", response, item):
                self.count += 1
                self.sent[response].append(f"{self.count}")
                ear.take(words(f"{self.count}", response=response, item=item))
            case ("time", ms):
                ear.passes(ms)
            case ("skew", ms):
                ear.mouth.release(ear.now_ns + ms * MS)
                ear.mouth.sample("r", ear.now_ns + ms * MS)
            case ("cut", response):
                ear.mouth.cut(response, ear.now_ns)
                self.cut.add(response)
            case ("there", there):
                ear.there = there
                self.deaf = self.deaf or not there

    def check(self) -> None:
        """played <= delivered <= received, and none ever falls; nothing is ahead of the lead."""
        for response in RESPONSES:
            head = self.ear.mouth.sample(response, self.ear.now_ns)
            known = {part.item: part for part in self.before.get(response, Playhead()).parts}
            for part in head.parts:
                assert 0 <= part.played_ms <= part.delivered_ms <= part.received_ms
                old = known.get(part.item, PartHead(item=part.item))
                assert old.played_ms <= part.played_ms
                assert old.delivered_ms <= part.delivered_ms
                assert old.received_ms <= part.received_ms
                assert part.words.startswith(old.words)
            self.before[response] = head


@given(st.integers(20, 600), st.booleans(), st.lists(STEPS, max_size=40))
def test_the_ledger_holds_whatever_happens(lead_ms: int, paced: bool, steps: list[tuple[Any, ...]]) -> None:
    """For random deliveries, cuts and clocks: the ledger's order holds, and callers got a prefix of what was sent, in order."""
    played = Played(lead_ms, paced=paced)
    for step in steps:
        played.step(step)
        played.check()
        if paced:
            assert played.ear.mouth._clock.ahead_ns(played.ear.now_ns) <= (lead_ms + 100) * MS
    played.ear.passes(60_000)
    played.check()
    for response in RESPONSES:
        sent = flat(one if isinstance(one, str) else one[1] for one in played.sent[response])
        got = flat(one.text if isinstance(one, s.OutputText) else b64(one) for one in played.ear.got if one.response == response)
        if played.deaf:
            continue
        assert sent[: len(got)] == got
        if response not in played.cut:
            assert got == sent
            head = played.before[response]
            assert all(part.played_ms == part.delivered_ms == part.received_ms for part in head.parts)
            assert not head.waiting


def b64(one: s.OutputAudio) -> bytes:
    """The bytes of audio."""
    return base64.b64decode(one.audio)


def flat(parts: Any) -> list[Any]:
    """Bytes one by one and words as they are, so that cuts within audio do not show."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, str):
            found.append(part)
        else:
            found += part
    return found


@pytest.mark.parametrize("lead_ms", [20, 300, 5000])
def test_the_lead_is_what_was_declared(lead_ms: int) -> None:
    """At the first moment the lead, and at most a piece more, is with the callers."""
    ear = Ear(lead_ms)
    ear.take(audio(20_000))
    assert lead_ms < ear.ends_ms - ear.now_ms <= lead_ms + 100
