"""What the provider is to be configured as, and when. Live only."""

from . import events as e
from .calling import reassert_ns
from .state import State

__all__ = ["configuration", "configuration_owed", "mouth_is_ours"]


def configuration_owed(state: State, now_ns: int) -> int | None:
    """What calls for a session.update. While a say is open the model must not answer by itself."""
    links = state.links
    if links.configuration_owed is not None:
        return links.configuration_owed
    if (again_ns := reassert_ns(state)) is not None and now_ns >= again_ns:
        return state.call.overridden
    if links.provider_ready and state.model_answers and links.answer_held is not bool(state.delivery.says):
        return next(iter(state.delivery.says.values())).seq if state.delivery.says else links.answer_held_seq
    return None


def configuration(state: State, provider: str) -> e.ConfigurationDispatched:
    """The session.update that is due."""
    links = state.links
    answers = links.switch or links.answers
    held = answers == "model" and bool(state.delivery.says)
    return e.ConfigurationDispatched(link=provider, settings=links.settings, answers=answers, answer_held=held)


def mouth_is_ours(state: State) -> bool:
    """Where the model answers, a say waits until the provider has confirmed that it will not answer meanwhile."""
    return not state.model_answers or (state.links.answer_held and state.links.unconfirmed == 0)
