"""What a session of a served model starts with: the model it is to say it is, and its configuration. Pure.

Whoever opens it may be bound to a configuration (a client secret), ask for one (the `session` of a call), and name a model in
the query. Each is merged over the one before, and none may name another model than those before it did.
"""

from typing import Any

import msgspec

from ..realtime.checks import Refusal
from ..realtime.session_config import default_session, merge_session

__all__ = ["Opening", "open_with"]

_Json = dict[str, Any]
_OWN = ("id", "object", "expires_at")  # of the session object, and nobody's to set


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """`model` is what session.model says; `session` is merged into the defaults. plays: see ServerProtocol."""

    model: str
    session: _Json = {}
    plays: bool = False


def open_with(default_model: str, *asked: _Json) -> Opening | Refusal:
    """The session that these ask for, the strongest first; or the first thing that is wrong with them."""
    model = next((one["model"] for one in asked if "model" in one), default_model)
    session = default_session("", model, None)
    for one in asked:
        merged = merge_session(session, {"type": "realtime", **one}, voice_locked=False)
        if isinstance(merged, Refusal):
            return merged
        session = merged
    return Opening(model=model, session={key: value for key, value in session.items() if key not in _OWN})
