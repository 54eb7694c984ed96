"""What a handler hands to say(), as a command: words, a stream that is spoken as it comes, or a recording."""

from typing import Any, get_args

from ...core import commands as c
from ...core.errors import HandlerError
from .clip import AudioClip
from .handles import ItemStream

__all__ = ["MAX_TEXT", "Spoken", "say_command"]

Spoken = str | ItemStream | AudioClip
MAX_TEXT = 100_000  # characters: an hour and a half of talk
_CHOICES = {
    name: get_args(c.Say.__annotations__[name]) for name in ("when", "mode", "on_mismatch", "on_stale")
}


def say_command(spoken: Spoken, *, turn: int, live: bool, options: dict[str, Any]) -> c.Say:
    """The command. `turn`: the last turn that the handler has taken. Offline (not live) a recording's file is not needed.

    Raises HandlerError TL105 for what is nothing to say, TL111 for an option that is none; MediaError TL602.
    """
    _check(options)
    given = {**options, "turn": turn}
    given["metadata"] = c.plain(given.get("metadata") or {}, "say(metadata)")
    match spoken:
        case AudioClip():
            return c.Say(text="", clip=spoken.asked() if live else spoken.described, **given)
        case ItemStream():
            return _of_stream(spoken, given)
        case str() if type(spoken) is str and spoken.strip():
            if len(spoken) > MAX_TEXT:
                hint = f"say at most {MAX_TEXT:,} characters at once"
                raise HandlerError("TL111", f"say() of {len(spoken):,} characters", hint)
            return c.Say(text=spoken, **given)
    hint = "pass a string with at least one word, session.stream(…), or turnlog.clip(…)"
    raise HandlerError("TL105", f"say({spoken!r:.80}): there is nothing to say", hint)


def _of_stream(stream: ItemStream, given: dict[str, Any]) -> c.Say:
    if stream.spoken:
        raise HandlerError("TL111", "say(): this stream is being spoken already", "one stream is one say")
    items = stream.speak()
    wrong = next((item for item in items if type(item) is not str), None)
    if wrong is not None:
        raise HandlerError("TL105", f"say(stream): it yields {type(wrong).__name__}", "let the function yield pieces of text")
    if stream.end is None:
        return c.Say(text="".join(items), stream=stream.index, after=stream.came, **given)
    if not isinstance(stream.end, StopAsyncIteration):
        raise stream.end
    return say_command("".join(items), turn=given.pop("turn"), live=True, options=given)


def _check(options: dict[str, Any]) -> None:
    for name, choices in _CHOICES.items():
        if (given := options.get(name, choices[0])) not in choices:
            known = ", ".join(repr(choice) for choice in choices if choice)
            raise HandlerError("TL111", f"say({name}={given!r}) is no choice", f"choose from {known}")
    if type(options.get("interruptible", True)) is not bool:
        raise HandlerError("TL111", f"say(interruptible={options['interruptible']!r}) is no bool", "pass True or False")
    if type(options.get("key", "")) is not str:
        raise HandlerError("TL111", f"say(key={options['key']!r}) is no string", "pass a string")
    if not isinstance(options.get("metadata"), dict | None):
        raise HandlerError("TL105", f"say(metadata={options['metadata']!r}): it is no dict", "pass a dict with string keys")
