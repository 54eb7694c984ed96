"""Decisions on what the provider says about tools: a call, and a refused request to go on. Live only."""

from collections.abc import Iterator

from . import events as e
from . import signals as s
from .state import State
from .tool_errors import unknown_tool

__all__ = ["ANSWER", "answer_refused", "called", "is_held", "offered", "requested"]

ANSWER = "answer_"  # event_id of our requests for an answer of the model's own: this and the seq of their dispatch


def offered(state: State) -> list[str]:
    """The tools that the model may call: those declared, or of the last session.update; none while a handler answers."""
    if not state.model_answers:
        return []
    return list(state.links.settings.get("tools", state.life.definition.tools))


def requested(signal: s.FunctionCalled, *, allowed: bool) -> e.ToolRequested:
    """The fact of a call by the model. allowed: it was offered the tool."""
    return e.ToolRequested(
        response=signal.response,
        item=signal.item,
        call_id=signal.call_id,
        name=signal.name,
        arguments=signal.arguments,
        output_index=signal.output_index,
        allowed=allowed,
    )


def called(state: State, signal: s.FunctionCalled) -> Iterator[e.Event]:
    """The model calls a tool: a client's is the client's to answer. What it was not offered is answered here, and never runs."""
    names = offered(state)
    theirs = {tool.get("name") for tool in state.links.settings.get("client_tools", ())} if state.model_answers else set()
    if signal.name in theirs and signal.name not in names:
        yield e.ClientToolCalled(
            response=signal.response,
            item=signal.item,
            call_id=signal.call_id,
            name=signal.name,
            arguments=signal.arguments,
        )
        return
    yield requested(signal, allowed=signal.name in names)
    if signal.name not in names:
        yield e.ToolAnswered(call_id=signal.call_id, output=unknown_tool(signal.name, names), ok=False)


def is_held(state: State) -> bool:
    """Whether the client asks for the answer to its outputs while our tools, which the same response called, still run.

    What the user says or types meanwhile does not wait for them.
    """
    answered = state.tools.client_calls.answered
    if not (answered and state.model_answers) or state.turns.seeded:
        return False
    return any(call.requested.response in answered for call in state.tools.model_calls.values())


def answer_refused(link: str, signal: s.ResponseRefused) -> e.AnswerRefused:
    """A request for an answer of the model's own was refused."""
    number = signal.event_id.removeprefix(ANSWER)
    answer = int(number) if number.isdecimal() and number.isascii() else 0
    return e.AnswerRefused(link=link, code=signal.code, message=signal.message, answer=answer)
