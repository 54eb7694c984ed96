"""The provider "openrouter", transport "audio_turns": a turn is heard to its end, then answered over HTTP by OpenRouter's API.

The Realtime protocol is spoken by this process's own server; the turns are found here, by Silero. Key and addresses are read
when a session starts, as those of the other providers are.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from ...core.definition import DEFAULT_MODELS, DEFAULT_TRANSCRIPTION, SessionDefinition
from ...core.errors import LinkError
from ...core.ports import Link
from ..environment import setting
from ..extras import load
from ..speech.engines import load_voice_activity
from ..speech.vad import VoiceActivity
from .dial import Credential, is_loopback
from .model_server import ModelServer
from .openai import split_base_url
from .openrouter_model import Models, OpenRouterModel

__all__ = ["OpenRouterProvider"]

_URL: Final = "https://openrouter.ai/api/v1"
_TRANSCRIPTION: Final = "openai/gpt-4o-mini-transcribe"
_SPEECH: Final = "openai/gpt-4o-mini-tts-2025-12-15"
_MISSING: Final = "OPENROUTER_API_KEY is required for provider=openrouter transport=audio_turns"  # AgentField's form


class OpenRouterProvider:
    """`base_url` or OPENROUTER_BASE_URL (default https://openrouter.ai/api/v1), key or OPENROUTER_API_KEY.

    speech_model: who speaks says, or OPENROUTER_SPEECH_MODEL; the transcription model is the definition's, if it is one of
    OpenRouter's (author/slug). hear: what finds speech, in place of Silero. A base URL on this machine needs no key.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        speech_model: str | None = None,
        hear: Callable[[], VoiceActivity] | None = None,
    ) -> None:
        self._base_url = base_url
        self._given = _bearer(api_key)
        self._speech_model = speech_model
        self._hear = hear
        self._tls: ssl.SSLContext | None = None  # made when first needed, and kept: it costs 20 ms

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A link to a new session in this process; the service is reached when there is something to ask.

        Raises LinkError TL303 (no key) or TL301 (an address that is none), MissingExtra without the extras `http` and
        `local` (its voice activity), TurnlogError TL603 where that does not work.
        """
        base = split_base_url(self._base_url or os.environ.get("OPENROUTER_BASE_URL") or _URL, "OPENROUTER_BASE_URL", _URL)
        credential = self._given or _bearer(setting("OPENROUTER_API_KEY"))
        if credential is None and not is_loopback(base.hostname):
            raise LinkError("TL303", _MISSING, "export OPENROUTER_API_KEY=… (it is read when a session starts)")
        if credential is not None:
            credential.headers()  # one that no header can carry is refused now, not at the first word
        http = await asyncio.to_thread(load, "providers.openrouter_http", "http", "provider=openrouter")
        if self._tls is None and base.scheme in ("https", "wss"):
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        hear = self._hear or (await asyncio.to_thread(load_voice_activity)).stream
        models = self._models(definition)
        url = base._replace(scheme={"ws": "http", "wss": "https"}.get(base.scheme, base.scheme)).geturl()
        opening = partial(_open, lambda: OpenRouterModel(http.Service(url, credential, self._tls), models, hear))
        return ModelServer(opening, name=models.chat).connect()

    def _models(self, definition: SessionDefinition) -> Models:
        chosen = definition.transcription
        unwanted = chosen is None and definition.answers == "handler"  # a model's own history needs words, whoever wants them
        named = chosen if chosen and chosen != DEFAULT_TRANSCRIPTION else _TRANSCRIPTION
        return Models(
            chat=definition.model or DEFAULT_MODELS["openrouter"],
            transcription="" if unwanted else named,
            speech=self._speech_model or os.environ.get("OPENROUTER_SPEECH_MODEL") or _SPEECH,
            language=definition.language,
        )


async def _open(make: Callable[[], OpenRouterModel]) -> OpenRouterModel:
    return make()


# Strategy: the key is a local variable nowhere on the stack of an error that a user may see.


def _bearer(key: str | None) -> Credential | None:
    return Credential(key, header="Authorization", prefix="Bearer ", source="OPENROUTER_API_KEY") if key else None
