"""A control plane's memory in place of the HTTP client's requests: what the SDK would send is seen here."""

from typing import Any

import httpx

__all__ = ["asked", "keep_here"]

asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []


def keep_here(agent: Any) -> None:
    """Answer the agent's memory requests."""
    kept: dict[str, Any] = {}

    async def request(method: str, url: str, **kwargs: Any) -> httpx.Response:
        body = kwargs["json"]
        asked.append((url.rpartition("/")[2], body, kwargs["headers"]))
        kept.setdefault(body["key"], body.get("data"))
        return httpx.Response(200, json={"data": kept[body["key"]]}, request=httpx.Request(method, url))

    agent.client._async_request = request
