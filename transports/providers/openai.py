"""Links to the OpenAI Realtime service and to Azure's, which is the same with another path and another header.

Keys and addresses come from the arguments or from the environment, read when a link is opened: an application can be
imported, checked and replayed without them. Any service that speaks the protocol is reached by its base URL.
"""

import asyncio
import hashlib
import os
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from ...core.definition import DEFAULT_MODELS, SessionDefinition
from ...core.errors import LinkError
from ...core.ports import Link, TakenCall
from ...core.relaying import Upgrade
from ..environment import setting
from ..extras import load
from ..links.frames import FrameConnection
from ..links.websocket import WebSocketLink
from ..webrtc.ice import IceSettings
from .dial import Credential, DialSettings, dial, dial_frames, is_loopback
from .openai_calls import Calls

__all__ = ["AzureProvider", "OpenAIProvider", "split_base_url"]

_OPENAI_URL: Final = "https://api.openai.com/v1"
_FOR_CALLS: Final = "OPENAI_API_KEY is required for provider=openai transport=webrtc"  # AgentField's words
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class OpenAIProvider:
    """Provider "openai": `base_url` or OPENAI_BASE_URL (default https://api.openai.com/v1), key or OPENAI_API_KEY.

    A base URL on this machine (`turnlog provider`) needs no key. `ice` is for the transport "webrtc", in place of
    TURNLOG_ICE_SERVERS and TURNLOG_ICE_HOSTS.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        settings: DialSettings | None = None,
        ice: IceSettings | None = None,
    ) -> None:
        self._base_url = base_url
        self._given = _bearer(api_key)
        self._settings = settings
        self._ice = ice

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A new link. Raises LinkError TL303 (no key, or refused) or TL301 (unreachable), MissingExtra for WebRTC."""
        base, credential = self._reach(_missing("OPENAI_API_KEY"))
        model = definition.model or DEFAULT_MODELS["openai"]
        if definition.transport == "webrtc":
            # The first time this reads some hundred files: no other session is to wait for that.
            webrtc = await asyncio.to_thread(load, "providers.openai_webrtc", "webrtc", "a provider by WebRTC")
            ice = IceSettings.from_environment() if self._ice is None else self._ice
            opening = {"type": "realtime", "model": model}
            link: Link = await webrtc.call(Calls(base.geturl(), credential), opening, ice, safety=_safety_identifier(session))
            return link
        return await dial(_realtime_url(base, "/realtime", ("model", model)), credential, self._settings)

    async def open_frames(self, definition: SessionDefinition, upgrade: Upgrade) -> FrameConnection:
        """A connection to be handed through: see core.relaying.Relays."""
        base, credential = self._reach(_missing("OPENAI_API_KEY"))
        url = _realtime_url(base, "/realtime", ("model", definition.model or DEFAULT_MODELS["openai"]), *upgrade.query)
        return await dial_frames(url, credential, upgrade, self._settings)

    async def take_call(self, offer: str, session: str, configuration: dict[str, Any]) -> TakenCall:
        """Pass a caller's offer on; see core.ports.Calls.

        Raises LinkError TL303, TL301, also where the answer names no call, and MissingExtra without httpx.
        """
        opened = await self._calls().open(offer, configuration, safety=_safety_identifier(session))
        if not opened.call_id:
            raise LinkError("TL301", "the provider has answered an offer without naming the call (Location)", "is it OpenAI's?")
        return TakenCall(opened.sdp, opened.call_id)

    async def join_call(self, call_id: str) -> WebSocketLink:
        """A sideband of a call, with the server's key. Raises LinkError TL312 (no such call), TL303 or TL301."""
        base, credential = self._reach(_missing("OPENAI_API_KEY", _FOR_CALLS))
        return await dial(_realtime_url(base, "/realtime", ("call_id", call_id)), credential, self._settings, absent="TL312")

    async def hang_up(self, call_id: str) -> None:
        """End a call; one that has ended is no error. Raises LinkError TL303 or TL301."""
        try:
            await self._calls().hang_up(call_id)
        except LinkError as error:
            if error.code != "TL312":
                raise

    def _calls(self) -> Calls:
        base, credential = self._reach(_missing("OPENAI_API_KEY", _FOR_CALLS))
        return Calls(base.geturl(), credential)

    def _reach(self, missing: LinkError) -> tuple[SplitResult, Credential | None]:
        """Where the service is, and the key. Raises LinkError TL301, or `missing` where it wants a key and none is set."""
        base = split_base_url(self._base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL, "OPENAI_BASE_URL")
        credential = self._given or _bearer(setting("OPENAI_API_KEY"))
        if credential is None and not is_loopback(base.hostname):
            raise missing
        return base, credential


class AzureProvider:
    """Provider "azure": `endpoint` or AZURE_OPENAI_ENDPOINT, key or AZURE_OPENAI_API_KEY; the model is the deployment."""

    def __init__(self, *, endpoint: str | None = None, api_key: str | None = None, settings: DialSettings | None = None) -> None:
        self._endpoint = endpoint
        self._given = _azure_key(api_key)
        self._settings = settings

    async def connect(self, definition: SessionDefinition, session: str) -> WebSocketLink:
        """A new link. Raises LinkError TL303 (no key, or refused) or TL301 (no endpoint, or unreachable)."""
        url, credential = self._address(definition)
        return await dial(url, credential, self._settings)

    async def open_frames(self, definition: SessionDefinition, upgrade: Upgrade) -> FrameConnection:
        """A connection to be handed through: see core.relaying.Relays."""
        url, credential = self._address(definition, *upgrade.query)
        return await dial_frames(url, credential, upgrade, self._settings)

    def _address(self, definition: SessionDefinition, *query: tuple[str, str]) -> tuple[str, Credential]:
        endpoint = self._endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise LinkError(
                "TL301", "provider=azure has no endpoint", "set AZURE_OPENAI_ENDPOINT, e.g. https://NAME.openai.azure.com"
            )
        credential = self._given or _azure_key(setting("AZURE_OPENAI_API_KEY"))
        if credential is None:
            raise _missing("AZURE_OPENAI_API_KEY")
        base = split_base_url(endpoint, "AZURE_OPENAI_ENDPOINT")
        model = ("model", definition.model or DEFAULT_MODELS["azure"])
        return _realtime_url(base, "/openai/v1/realtime", model, *query), credential


# Strategy: the key is a local variable nowhere on the stack of an error that a user may see.


def _bearer(key: str | None) -> Credential | None:
    return Credential(key, header="Authorization", prefix="Bearer ", source="OPENAI_API_KEY") if key else None


def _azure_key(key: str | None) -> Credential | None:
    return Credential(key, header="api-key", source="AZURE_OPENAI_API_KEY") if key else None


def _safety_identifier(session: str) -> str:
    """What the provider may know of who is on the call: the same for the same session, and nothing else."""
    return hashlib.sha256(session.encode()).hexdigest()[:32]


def _missing(source: str, text: str = "") -> LinkError:
    return LinkError("TL303", text or f"{source} is not set", f"export {source}=… (it is read when a session starts)")


def split_base_url(url: str, source: str, example: str = _OPENAI_URL) -> SplitResult:
    """A service's base URL in parts. Raises LinkError TL301, naming `source`, for one that is none."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port or a bracket that is none
        usable = False
    if not usable:
        raise LinkError("TL301", f"the address in {source} is not an http(s) or ws(s) URL", f"set {source} to e.g. {example}")
    return parts


def _realtime_url(base: SplitResult, path: str, what: tuple[str, str], *more: tuple[str, str]) -> str:
    """The base's own query (a gateway's, an api-version) is kept. what: ("model", …), or ("call_id", …) of a call that stands.

    more: what else a caller asked for; what is ours comes first.
    """
    query = [(key, value) for key, value in parse_qsl(base.query, keep_blank_values=True) if key != "model"]
    return base._replace(
        scheme=_SCHEMES[base.scheme], path=base.path.rstrip("/") + path, query=urlencode([*query, what, *more]), fragment=""
    ).geturl()
