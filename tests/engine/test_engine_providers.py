"""Built-in providers by name."""

import pytest

from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import DefinitionError
from turnlog.engine.providers import default_provider
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.providers.openai import AzureProvider, OpenAIProvider
from turnlog.transports.providers.openrouter import OpenRouterProvider


@pytest.mark.parametrize(
    ("name", "transport", "kind"),
    [
        ("openai", "websocket", OpenAIProvider),
        ("azure", "websocket", AzureProvider),
        ("openrouter", "audio_turns", OpenRouterProvider),
        ("local", "in_process", LocalProvider),
    ],
)
def test_a_definition_finds_its_provider(name: str, transport: str, kind: type) -> None:
    """Each name that is built in gives its provider; none is connected to by that."""
    assert type(default_provider(SessionDefinition(name="desk", provider=name, transport=transport))) is kind


def test_the_scripted_provider_must_be_given() -> None:
    """A provider that only tests have is refused with TL202 and the way to pass it."""
    with pytest.raises(DefinitionError) as raised:
        default_provider(SessionDefinition(name="desk", provider="scripted", transport="in_process"))
    assert (raised.value.code, raised.value.field) == ("TL202", "provider")
    assert "providers={'scripted'" in raised.value.hint
