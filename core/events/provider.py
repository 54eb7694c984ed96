"""The provider: what goes to it, what it answers, and what was heard of it."""

from typing import Any, Literal

from .base import Event
from .playout import PartGenerated, PlayoutSource

__all__ = [
    "AnswerDispatched",
    "AnswerRefused",
    "AudioStarted",
    "ClientToolCalled",
    "ConfigurationConfirmed",
    "ConfigurationDispatched",
    "ConfigurationRefused",
    "InputClearDispatched",
    "InputCommitDispatched",
    "ItemForwarded",
    "ResponseEnded",
    "ResponseStarted",
    "SayDispatched",
    "SayRefused",
    "SayResumed",
    "SaySettled",
    "SaySpoken",
    "ToolAnswered",
    "ToolOutputDispatched",
    "ToolRequested",
]


class ConfigurationDispatched(Event, frozen=True, kw_only=True):
    """session.update with our configuration is on its way. settings: what callers asked for, merged over the definition."""

    link: str
    settings: dict[str, Any] = {}
    answers: str = ""  # who answers by it: "handler" or "model"; "" in logs that do not say: as the session was declared
    answer_held: bool = False  # the model answers, but not by itself while a say is open


class ConfigurationConfirmed(Event, frozen=True, kw_only=True):
    """The provider has confirmed a later session.update (the first one is LinkReady).

    session: the effective one, in a direct call, where others may change it.
    """

    link: str
    session: dict[str, Any] = {}


class ConfigurationRefused(Event, frozen=True, kw_only=True):
    """The provider has refused a session.update; the session is as before."""

    link: str
    code: str
    message: str


class SayDispatched(Event, frozen=True, kw_only=True):
    """An attempt to have a say spoken."""

    say: str
    attempt: int
    link: str
    text: str = ""
    part: int = 0  # which of the say's pieces this is: 0, 1, 2…


class SayRefused(Event, frozen=True, kw_only=True):
    """The provider refused an attempt; the say stays owed."""

    say: str
    attempt: int
    code: str
    message: str = ""


class SayResumed(Event, frozen=True, kw_only=True):
    """What cut a say was no speech: what was not heard of it, `text`, is owed again."""

    say: str
    text: str


class SaySpoken(Event, frozen=True, kw_only=True):
    """The words that were spoken for a say beside those asked for; similarity is 0 to 1 over words, case and marks aside."""

    say: str
    requested: str
    spoken: str
    similarity: float


class ItemForwarded(Event, frozen=True, kw_only=True):
    """A contribution that the provider's conversation lacks is on its way there: a caller's item, or what was heard of a say.

    previous: the item behind which it belongs; "" for the end.
    """

    link: str
    item: str
    raw: dict[str, Any]
    previous: str = ""


class AnswerDispatched(Event, frozen=True, kw_only=True):
    """The model was asked to answer (response.create). cause: the caller's ask or a tool's answer."""

    link: str
    request: dict[str, Any] = {}


class AnswerRefused(Event, frozen=True, kw_only=True):
    """The provider refused to answer. answer: seq of the AnswerDispatched that it refused, 0 where it does not say."""

    link: str
    code: str
    message: str = ""
    answer: int = 0


class InputCommitDispatched(Event, frozen=True, kw_only=True):
    """The caller's explicit commit of its audio is on its way to the provider."""

    link: str


class InputClearDispatched(Event, frozen=True, kw_only=True):
    """The caller's clear of its uncommitted audio is on its way to the provider."""

    link: str


class ToolOutputDispatched(Event, frozen=True, kw_only=True):
    """A tool's output (JSON text) is on its way to the model."""

    link: str
    call_id: str
    output: str = ""


class ResponseStarted(Event, frozen=True, kw_only=True):
    """The provider began a response: the words of `say`, or the model's own. A dead one is never delivered.

    It is dead from the start if its say was settled meanwhile, or its attempt was given up. link: the line that it comes by,
    the provider's or that of this machine's own voice; "" in logs that do not say: the provider's.
    """

    response: str
    say: str | None = None
    attempt: int = 0
    in_band: bool = False
    dead: bool = False
    link: str = ""


class AudioStarted(Event, frozen=True, kw_only=True):
    """The first audio of a response was delivered to the callers."""

    response: str


class ResponseEnded(Event, frozen=True, kw_only=True):
    """The provider finished a response; audio may still be playing at the caller."""

    response: str
    status: str
    code: str = ""
    message: str = ""
    generated_ms: int = 0
    transcript: str = ""
    usage: dict[str, Any] | None = None
    parts: list[PartGenerated] = []


class SaySettled(Event, frozen=True, kw_only=True):
    """The one terminal state of a say. heard_ms is a measurement by `source`, good to error_ms."""

    say: str
    status: Literal["played", "interrupted", "cancelled", "failed"]
    code: str = ""
    requested_ms: int = 0
    generated_ms: int = 0
    heard_ms: int = 0
    source: PlayoutSource = "none"
    error_ms: int = 0
    heard_text: str = ""


class ToolRequested(Event, frozen=True, kw_only=True):
    """The model calls a tool. One that it was not offered is not allowed: it is answered with an error and never runs."""

    response: str
    item: str
    call_id: str
    name: str
    arguments: str
    output_index: int = 0  # its place in the response: outputs go in this order
    allowed: bool = True


class ClientToolCalled(Event, frozen=True, kw_only=True):
    """The model calls a tool that a client has brought (`client_tools`): the client answers it, by an item of its own."""

    response: str
    item: str
    call_id: str
    name: str
    arguments: str


class ToolAnswered(Event, frozen=True, kw_only=True):
    """A tool called by the model returned or failed; `output` is the JSON text the model will read."""

    call_id: str
    output: str
    ok: bool = True
