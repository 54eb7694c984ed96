"""What a model is told when its call comes to nothing: one JSON form for all that can go wrong."""

import msgspec

__all__ = ["CANCELLED", "told", "unknown_tool"]

CANCELLED = "the user spoke before it was done; it was stopped"


def told(type_: str, message: str, field: str = "") -> str:
    """{"error": {"type", "message"}} as JSON text, with "field" where one argument is at fault."""
    error = {"type": type_, "message": message} | ({"field": field} if field else {})
    return msgspec.json.encode({"error": error}).decode()


def unknown_tool(name: str, offered: list[str]) -> str:
    """The answer to a call of what was not offered."""
    return told("unknown_tool", f"there is no tool {name!r} in this conversation; there are: {', '.join(offered) or 'none'}")
