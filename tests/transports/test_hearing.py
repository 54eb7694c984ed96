"""What one session hears: words are always those of the audio that an item holds, however early they were guessed."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from turnlog.transports.providers.ears import Guess
from turnlog.transports.providers.hearing import Hearing
from turnlog.transports.providers.model import Ask, Delta
from turnlog.transports.speech.endpointer import Resumed
from turnlog.transports.speech.vad import VoiceActivity

__all__: list[str] = []


class Reader:
    """A model that reads bytes as text, as if somebody had said them."""

    takes_audio = False

    def voice_activity(self) -> VoiceActivity | None:
        """It cuts no audio into turns."""
        return None

    async def transcribe(self, pcm16: bytes) -> str:
        """What was said."""
        return pcm16.decode()

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """Nothing."""
        for nothing in list[Delta]():
            yield nothing

    async def close(self) -> None:
        """Nothing is held."""


def speech_goes_on(hearing: Hearing) -> None:
    """The pause was none."""
    hearing.note(Resumed(), lambda: "item")


def the_client_clears(hearing: Hearing) -> None:
    """input_audio_buffer.clear."""
    hearing.clear()


def the_client_commits(hearing: Hearing) -> None:
    """input_audio_buffer.commit of what is buffered."""
    hearing.commit_by_hand("before")


@pytest.mark.parametrize("happens", [speech_goes_on, the_client_clears, the_client_commits])
async def test_a_guess_is_no_words_of_other_audio(happens: Callable[[Hearing], None]) -> None:
    """Words that were guessed at a pause are thrown away when speech goes on, and when a client clears or commits by hand."""
    hearing = Hearing(Reader(), asyncio.create_task)
    hearing.note(Guess(pcm16=b"a room"), lambda: "item")
    happens(hearing)
    assert await hearing.commit("item", b"a room for two") == "a room for two"


async def test_a_guess_is_the_words_of_its_turn() -> None:
    """Where nothing comes between, the guess is what the item says: nothing is recognised twice."""
    hearing = Hearing(Reader(), asyncio.create_task)
    hearing.note(Guess(pcm16=b"a room"), lambda: "item")
    assert await hearing.commit("item", b"a room and silence") == "a room"


async def test_a_client_that_commits_in_a_pause_gets_its_own_words() -> None:
    """What a client commits by hand is recognised as it is, not as it was guessed to end."""
    hearing = Hearing(Reader(), asyncio.create_task)
    hearing.note(Guess(pcm16=b"a room"), lambda: "item")
    words, seconds = hearing.commit_by_hand("item")
    assert (await words, seconds) == ("", 0)
