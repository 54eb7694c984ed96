"""A provider that says other words than it was given: what the log says, and what on_mismatch makes of it."""

from collections.abc import Awaitable, Callable

import pytest

from tests.delivery.scenes import assert_sound, line, statuses
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Kit, SpeakingProvider
from turnlog.testing.provider_line import ProviderLine

ASKED = "Your table is booked for eight."
OTHER = "I am sorry, I cannot help you with that request at all."


@pytest.fixture
def paraphrases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that the provider says instead of those of the next says."""
    instead: list[str] = []
    speaks = ProviderLine._speak

    async def speaks_otherwise(self: ProviderLine, response: str, text: str, form: dict[str, object]) -> None:
        await speaks(self, response, instead.pop(0) if instead else text, form)

    monkeypatch.setattr(ProviderLine, "_speak", speaks_otherwise)
    return instead


def desk(on_mismatch: str) -> Callable[[RealtimeSession], Awaitable[None]]:
    """Say one thing and another."""

    async def talk(session: RealtimeSession) -> None:
        await session.say(ASKED, on_mismatch=on_mismatch)  # type: ignore[arg-type] # one of the three
        await session.say("Anything else?")
        await session.input()

    return talk


@pytest.mark.parametrize("speed", [8.0, None])
@pytest.mark.parametrize(
    ("on_mismatch", "outcome"), [("log", ("played", "")), ("fail", ("failed", "mismatch")), ("retry", ("played", ""))]
)
async def test_other_words(
    turnlog: Kit, paraphrases: list[str], on_mismatch: str, outcome: tuple[str, str], speed: float | None
) -> None:
    """They are logged with their likeness; left as they are, cut and failed, or cut and asked for once more."""
    from turnlog.testing import Pace

    paraphrases.append(OTHER)
    provider = SpeakingProvider(pace=Pace(speed=speed))
    async with turnlog.call(line(desk(on_mismatch)), "line.talk", provider=provider) as call:
        await call.caller.hears("anything else")
        await call.caller.falls_silent()
        heard = [one.heard for one in call.caller.heard]
    assert statuses(call) == [(ASKED, *outcome), ("Anything else?", "played", "")]
    told = call.of(e.SaySpoken)
    assert (told[0].requested, told[0].spoken) == (ASKED, OTHER) and told[0].similarity < 0.5
    assert told[-1].similarity == 1.0
    assert provider.says == ([ASKED, ASKED, "Anything else?"] if on_mismatch == "retry" else [ASKED, "Anything else?"])
    assert (heard[0] == OTHER) is (on_mismatch == "log")
    assert (ASKED in heard) is (on_mismatch == "retry")
    if on_mismatch == "retry":
        assert call.of(e.SaySettled)[0].heard_text.endswith(ASKED)
    assert_sound(call)


@pytest.mark.parametrize("on_mismatch", ["retry", "fail"])
async def test_other_words_again_and_again(turnlog: Kit, paraphrases: list[str], on_mismatch: str) -> None:
    """Once more is asked for once: after that it is taken as it is, or has failed."""
    paraphrases += [OTHER, OTHER, OTHER]
    async with turnlog.call(line(desk(on_mismatch)), "line.talk") as call:
        await call.caller.is_silent(15)
    asked = [text for text in call.provider.says if text == ASKED]
    assert len(asked) == (2 if on_mismatch == "retry" else 1)
    assert len(call.of(e.SaySettled)) == 2
    assert_sound(call)


@pytest.mark.parametrize("spoken", ["Your table is booked for 8.", "your table is booked, for eight"])
async def test_the_same_words_in_another_form(turnlog: Kit, paraphrases: list[str], spoken: str) -> None:
    """Numbers, case and marks are no other words."""
    paraphrases.append(spoken)
    async with turnlog.call(line(desk("fail")), "line.talk") as call:
        await call.caller.hears("anything else")
        await call.caller.falls_silent()
    assert statuses(call)[0] == (ASKED, "played", "")
    assert call.of(e.SaySpoken)[0].similarity == 1.0
