"""What may be the echo of what callers are played, where their end does not keep that out of the microphone.

With guard speech that began over sound, or within a second behind it, is suspect until the engine's ears have heard a voice in
it: the callers are not told of it, it holds no say back, and words that the engine itself said make no turn.
"""

from .definition import Echo
from .folds.floor import Speech
from .state import State
from .words import behind_echo, repeats

__all__ = ["echo_policy", "is_echo", "is_suspect", "may_echo", "own_words", "speaking", "unmasked_ns"]

_MS = 1_000_000
_LATEST_MS = 400  # an echo comes back by then: network, buffers and room
_ROUNDING_MS = 100
_VOICE_MS = 1000  # a voice alone is measured by then (docs/design.md)
_SUSPECT_PERCENT = 50  # so many of its words repeated make suspect speech an echo
_VOICE_PERCENT = 95  # and so many speech in which a voice was measured


def echo_policy(state: State) -> Echo:
    """Who keeps what is played out of what is heard: as declared, else guard where a caller comes by WebSocket.

    In a direct call it is always the caller's device.
    """
    declared = state.life.definition.echo
    if state.call.link:  # nothing of what sounds, or is heard, comes by here
        return "client_aec"
    if declared is not None:
        return declared
    return "guard" if "websocket" in state.floor.caller_transports.values() else "client_aec"


def may_echo(state: State, now_ns: int) -> bool:
    """Whether speech that begins now may be what callers are played. Before its first sample a response has no echo."""
    match echo_policy(state):
        case "client_aec":
            return False
        case "half_duplex":
            return state.floor.is_sounding
        case "guard":
            return state.floor.is_sounding or now_ns < state.floor.echoes_until_ns


def is_suspect(state: State, speech: Speech) -> bool:
    """Whether speech may still prove to be an echo."""
    return speech.held and speech.over_sound and speech.proved_ns is None and echo_policy(state) == "guard"


def speaking(state: State) -> list[Speech]:
    """Speech under way, or whose words are awaited, that is no suspect."""
    return [one for one in state.floor.speech.values() if not is_suspect(state, one)]


def unmasked_ns(state: State) -> int:
    """When speech that goes on though nothing sounds can be no echo any more: an echo's end has been noticed by then."""
    silence_ms = (state.life.definition.turn_detection or {}).get("silence_duration_ms", 500)
    return state.floor.silent_ns + (_LATEST_MS + int(silence_ms) + _ROUNDING_MS) * _MS


def is_echo(state: State, speech: Speech, words: str, said: str) -> bool:
    """Whether the words of speech over sound are those that were said; of suspect speech one is enough, and half of several."""
    if echo_policy(state) == "client_aec" or (speech.proved_ns is not None and not speech.during_sound):
        return False
    if is_suspect(state, speech):
        return repeats(words, said, percent=_SUSPECT_PERCENT, least=0)
    return repeats(words, said, percent=_VOICE_PERCENT) if speech.cut else repeats(words, said)


def own_words(state: State, speech: Speech, words: str, said: str) -> str:
    """The words of speech without the echo that it began with: to the provider both were one stretch of speech.

    An echo was there if the voice in it was measured late. Else the user may well answer in the words that were offered.
    """
    late = speech.proved_ns is not None and speech.proved_ns - speech.began_ns >= _VOICE_MS * _MS
    return behind_echo(words, said) if late and echo_policy(state) == "guard" else words
