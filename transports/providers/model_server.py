"""Hosting a model behind the Realtime protocol: in this process, or for clients over the network (model_http)."""

import itertools
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from ...core.ports import Link
from ..extras import load
from ..links.in_process import InProcessLink, host
from ..links.websocket import MAX_MESSAGE_BYTES
from ..webrtc.ice import IceSettings
from .model import Model
from .model_session import ModelSession
from .opening import Opening

__all__ = ["PATH", "ModelServer"]

PATH: Final = "/v1/realtime"
_NO_ICE: Final = IceSettings()


class ModelServer:
    """Serves sessions of a model; `open_model` makes the model of one session. `name` is what session.model says.

    entropy(n): n random bytes, for the ids of a session and for client secrets. now_s(): Unix time, by which those expire.
    """

    def __init__(
        self,
        open_model: Callable[[], Awaitable[Model]],
        *,
        name: str,
        entropy: Callable[[int], bytes] = os.urandom,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._open_model = open_model
        self.entropy = entropy
        self.name = name
        self.now_s = now_s

    def connect(self, name: str | None = None) -> Link:
        """A link to a new session in this process; closing it ends the session. `name` is the model asked for."""

        async def far(link: InProcessLink) -> None:
            await self.run(link, Opening(model=name or self.name))

        return host(far)

    async def run(self, link: Link, opening: Opening) -> None:
        """Serve one link until it is closed."""
        model = await self._open_model()
        try:
            await ModelSession(link, model, _ids(self.entropy), opening).run()
        finally:
            await model.close()

    def serve(
        self,
        address: str = "127.0.0.1",
        port: int = 8765,
        *,
        key: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        ice: IceSettings = _NO_ICE,
    ) -> AbstractAsyncContextManager[str]:
        """Listen while the context is open; gives the URL of its WebSockets. `port` 0 takes a free one.

        WebRTC calls are answered by `ice`, if the extra `webrtc` is there. Raises MissingExtra without the extra `server`,
        TurnlogError TL503 if it cannot listen. Leaving closes every session with 1001.
        """
        http = load("providers.model_http", "server", "serving a model over the network")
        settings = http.HttpSettings(key=key, max_message_bytes=max_message_bytes, ice=ice)
        serving: AbstractAsyncContextManager[str] = http.serve(self, address, port, settings)
        return serving


def _ids(entropy: Callable[[int], bytes]) -> Callable[[str], str]:
    """Ids that are unique in the world by a session's prefix, and cheap: there is one in every event."""
    prefix, count = entropy(8).hex(), itertools.count(1)
    return lambda kind: f"{kind}_{prefix}{next(count):05x}"
