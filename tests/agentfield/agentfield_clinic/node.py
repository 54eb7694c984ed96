"""The agent. What it offers is declared in modules beside this one."""

from typing import Any

from agentfield import Agent

from . import memories

__all__ = ["app"]


class _Clinic(Agent):
    """Its model is here, its memory the SDK's own."""

    async def ai(self, *args: Any, **kwargs: Any) -> Any:
        """An answer in the shape that was asked for."""
        return kwargs["schema"](isUrgent=True)


app = _Clinic(node_id="clinic", agentfield_server="http://127.0.0.1:9")
memories.keep_here(app)


@app.reasoner()
async def send(text: str, target: str, copies: int = 1) -> dict[str, Any]:
    """Send a note to somebody."""
    return {"text": text, "target": target, "copies": copies, "session": app.ctx.session_id if app.ctx else None}


from . import desk  # noqa: E402, F401 # as its users write it: declared when the agent is there
