"""What all sessions of one engine have in common."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Self

from ..core.definition import SessionDefinition
from ..core.ports import Provider
from ..transports.providers.voice import Voice
from .nonces import Nonces
from .observing import Observers
from .providers import default_provider
from .sources import Sources

__all__ = ["Shared"]

_ID_SIZE = 10


class Shared(NamedTuple):
    """Where time, chance, ids and providers come from, and who is told."""

    providers: Mapping[str, Provider]
    sources: Sources
    voice: Voice
    nonces: Nonces
    ids: Nonces
    observers: Observers

    @classmethod
    def of(cls, providers: Mapping[str, Provider], sources: Sources, observers: Observers) -> Self:
        """All of it, from one source of random bytes."""
        entropy = sources.entropy
        voice = Voice(sources.voice, entropy=entropy)
        return cls(dict(providers), sources, voice, Nonces(entropy=entropy), Nonces(_ID_SIZE, entropy=entropy), observers)

    def provider(self, definition: SessionDefinition) -> Provider:
        """Who serves a definition. Raises DefinitionError TL202, and what the built-in one needs: MissingExtra."""
        return self.providers.get(definition.provider) or default_provider(definition)

    def now_ns(self) -> int:
        """The time."""
        return self.sources.clock().now_ns()

    def session_id(self) -> str:
        """A new session's, in AgentField's form: sess_YYYYMMDD_HHMMSS_xxxxxxxx."""
        begun = datetime.fromtimestamp(self.now_ns() // 1_000_000_000, UTC)
        return f"sess_{begun:%Y%m%d_%H%M%S}_{self.sources.entropy(4).hex()}"
