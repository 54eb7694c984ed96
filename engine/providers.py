"""Which provider serves a definition when the embedding program names none. Built on first use: each brings its own needs."""

from ..core.definition import SessionDefinition
from ..core.errors import DefinitionError
from ..core.ports import Provider
from ..transports.providers.local import LocalProvider
from ..transports.providers.openai import AzureProvider, OpenAIProvider
from ..transports.providers.openrouter import OpenRouterProvider

__all__ = ["default_provider"]


def default_provider(definition: SessionDefinition) -> Provider:
    """The built-in provider of this name, configured from the environment. Raises DefinitionError TL202 where there is none."""
    match definition.provider:
        case "openai":
            return OpenAIProvider()
        case "azure":
            return AzureProvider()
        case "local":
            return LocalProvider()
        case "openrouter":
            return OpenRouterProvider()
    raise DefinitionError(
        "TL202",
        f"provider {definition.provider!r} has no built-in service",
        f"pass it to the engine: Engine(app, providers={{{definition.provider!r}: …}})",
        field="provider",
    )
