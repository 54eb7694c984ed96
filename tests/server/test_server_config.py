"""The configuration: a file under the environment under the command line, each value checked and its origin kept."""

import os
from pathlib import Path
from typing import Any

import pytest
from rich.pretty import pretty_repr

from turnlog.core.errors import TurnlogError
from turnlog.server.config import load_config
from turnlog.server.config_fields import OPTIONS, SECTIONS
from turnlog.server.options import EngineOptions, LogOptions, ProviderOptions, ServeOptions
from turnlog.server.settings import DEFAULTS, ServerSettings

KEY = "tl_0123456789abcdef"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a folder of its own, without a turnlog.toml."""
    monkeypatch.chdir(tmp_path)


def written(text: str) -> None:
    """A turnlog.toml."""
    Path("turnlog.toml").write_text(text)


def test_without_anything_all_is_as_the_structs_say() -> None:
    """Each section is its struct's defaults, and each origin says so."""
    config = load_config(environment={})
    assert [config.section(struct) for struct in SECTIONS.values()] == [struct() for struct in SECTIONS.values()]
    assert config.section(ServerSettings) == DEFAULTS
    assert set(config.origins.values()) == {"default"} and config.file == ""


def test_every_field_is_an_option_with_a_variable_of_its_own() -> None:
    """Whoever adds a field adds an option; two options never share a variable."""
    fields = {(name, field) for name, struct in SECTIONS.items() for field in struct.__struct_fields__}
    assert fields <= {option[:2] for option in OPTIONS}
    variables = [option.variable for option in OPTIONS.values()]
    assert len(variables) == len(set(variables))
    assert {option.name for option in OPTIONS.values() if option.secret} >= {"server.keys", "providers.openai_api_key"}


def test_the_command_line_counts_more_than_the_environment_and_that_more_than_the_file() -> None:
    """Each value has the origin that counted."""
    written('[serve]\nport = 1\nhost = "::1"\napp = "a:app"\n[server]\ndrain_s = 5\non_drain = "keep"\n')
    environment = {"TURNLOG_SERVE_PORT": "2", "TURNLOG_SERVE_HOST": "127.0.0.2", "TURNLOG_DRAIN_S": ""}
    config = load_config(environment=environment, given={("serve", "port"): 3})
    assert config.section(ServeOptions) == ServeOptions(app="a:app", host="127.0.0.2", port=3)
    assert (config.section(ServerSettings).drain_s, config.section(ServerSettings).on_drain) == (5, "keep")
    origins = [config.origins["serve", name] for name in ("port", "host", "app")]
    assert origins == ["command line", "$TURNLOG_SERVE_HOST", "turnlog.toml"]


def test_variables_are_read_as_their_options_types() -> None:
    """Lists by commas or blanks, numbers, truth; AgentField's and the providers' variables by their own names."""
    environment = {
        "TURNLOG_KEYS": "one two,three", "TURNLOG_STRICT": "true", "TURNLOG_STUCK_MS": "0", "TURNLOG_DB": "calls.db",
        "TURNLOG_ICE_HOSTS": "192.0.2.1", "TURNLOG_ICE_SERVERS": "turn:desk:pass@relay.example", "TURNLOG_LOG_FORMAT": "json",
        "OPENAI_BASE_URL": "http://127.0.0.1/v1",
    }  # fmt: skip
    config = load_config(environment=environment)
    engine = config.section(EngineOptions)
    assert config.section(ServerSettings).keys == ("one", "two", "three")
    assert (engine.store, engine.strict, engine.stuck_ms) == ("calls.db", True, 0)
    arguments = engine.arguments()
    assert (arguments["limits"].report_ms, arguments["limits"].stuck_ms) == (100, None)
    assert (arguments["ice"].hosts, arguments["ice"].servers[0].credential) == (("192.0.2.1",), "pass")
    assert config.section(LogOptions).format == "json"
    assert config.section(ProviderOptions).openai_base_url == "http://127.0.0.1/v1"


@pytest.mark.parametrize("where", ["environment", "turnlog.toml"])
def test_a_secret_may_stand_in_a_file_of_its_own(where: str) -> None:
    """…_FILE in the environment, …_file in turnlog.toml, which names it from where it is; blank space around is no part of it."""
    Path("secrets").mkdir()
    Path("secrets/keys").write_text(f"{KEY}\nanother_key\n")
    environment = {"TURNLOG_KEYS_FILE": "secrets/keys"}
    if where == "turnlog.toml":
        Path("secrets/it.toml").write_text('[server]\nkeys_file = "keys"\n')
        environment = {"TURNLOG_UNUSED": ""}
    config = load_config("secrets/it.toml" if where == "turnlog.toml" else None, environment=environment)
    assert config.section(ServerSettings).keys == (KEY, "another_key")
    assert config.secrets() == [KEY, "another_key"]


def test_what_is_shown_holds_no_secret() -> None:
    """Neither the shown values nor any repr; passwords in addresses are left out, too."""
    environment = {
        "TURNLOG_KEYS": KEY, "OPENAI_API_KEY": "sk-secretsecret", "TURNLOG_ICE_SERVERS": "turn:desk:secretpass@relay.example",
        "TURNLOG_DB": "postgresql://desk:secretpass@db/calls",
    }  # fmt: skip
    config = load_config(environment=environment)
    shown = [config.shown(option) for option in OPTIONS.values()]
    sections = [config.section(struct) for struct in (ServerSettings, EngineOptions, ProviderOptions)]
    text = " ".join([*shown, repr(config), pretty_repr(config), *map(repr, sections[:1]), *map(pretty_repr, sections[2:])])
    assert "secret" not in text and KEY not in text
    assert '["••••"]' in shown and '"postgresql://••••@db/calls"' in shown
    exported: dict[str, str] = {}
    config.export(exported)
    assert exported == {"OPENAI_API_KEY": "sk-secretsecret"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\ndran_s = 5", r"turnlog\.toml: \[server\] dran_s is unknown\n  did you mean drain_s\?"),
        ("[sever]\nx = 1", r"\[sever\] is unknown\n  did you mean server\?"),
        ("[kitchen]\nx = 1", r"\[kitchen\] is unknown\n  there are: serve, server"),
        ("drain_s = 5", "unknown"),
        ('[server]\ndrain_s = "5"', r"server\.drain_s \(turnlog\.toml\): Expected float, got text"),
        ("[server]\ndrain_s = -1", "drain_s .*>= 0"),
        ("[server]\ndrain_s = nan", "drain_s"),
        ('[server]\non_drain = "maybe"', "on_drain .*maybe"),
        ("[serve]\nport = 65536", "port .*<= 65535"),
        (f'[server]\nkeys = "{KEY}"', r"server\.keys \(turnlog\.toml\): it is not valid"),
        ('[server]\nkeys = ["a"]\nkeys_file = "b"', "both set"),
        ('[server]\nkeys_file = "not/there"', "cannot be read: No such file"),
        ('[server]\nkeys_file = "/dev/null"', "names /dev/null, which is empty"),
        ("[server\n", "is no TOML"),
        ("\x00", "is no TOML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_tl210(text: str, says: str) -> None:
    """It names the file, the option and what there is; never the value of a secret."""
    written(text)
    with pytest.raises(TurnlogError, match=says) as raised:
        load_config(environment={})
    assert raised.value.code == "TL210" and KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"TURNLOG_SERVE_PORT": "many"}, r"serve\.port \(\$TURNLOG_SERVE_PORT\)"),
        ({"TURNLOG_STRICT": "perhaps"}, r"engine\.strict \(\$TURNLOG_STRICT\)"),
        ({"TURNLOG_KEYS": "a", "TURNLOG_KEYS_FILE": "b"}, r"\$TURNLOG_KEYS and \$TURNLOG_KEYS_FILE are both set"),
        ({"TURNLOG_KEYS_FILE": os.devnull}, r"\$TURNLOG_KEYS_FILE names /dev/null, which is empty"),
        ({"OPENAI_API_KEY_FILE": os.sep}, r"\$OPENAI_API_KEY_FILE names /, which cannot be read: Is a directory"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_tl210(environment: dict[str, str], says: str) -> None:
    """It names the variable."""
    with pytest.raises(TurnlogError, match=says) as raised:
        load_config(environment=environment)
    assert raised.value.code == "TL210"


def test_a_file_that_is_named_must_be_there() -> None:
    """TL210; only the file that nobody named may be absent."""
    with pytest.raises(TurnlogError, match=r"TL210 other\.toml cannot be read: No such file"):
        load_config("other.toml", environment={})


def test_what_looks_like_an_option_is_told() -> None:
    """A misspelt variable, and no other: not those of secrets' files, of other commands, or of somebody else's name."""
    environment = dict.fromkeys(("TURNLOG_DRIAN_S", "TURNLOG_DEBUG", "TURNLOG_CONFIG", "DRAIN_S"), "1")
    assert load_config(environment=environment).unknown == ["TURNLOG_DRIAN_S"]


def test_values_given_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's values pass the same types; the process's environment is read where none is given."""
    given: dict[tuple[str, ...], Any] = {("server", "drain_s"): float("inf")}
    with pytest.raises(TurnlogError, match=r"server\.drain_s \(command line\)"):
        load_config(given=given)
    monkeypatch.setenv("TURNLOG_SERVE_PORT", "4711")
    assert load_config().section(ServeOptions).port == 4711


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_key_is_refused_and_leaves_no_server_open(empty: str) -> None:
    """`--key "$KEY"` where KEY is not set, or the same in a program: a server that was to have keys does not start without."""
    config = load_config(environment={}, given={("server", "keys"): (empty,)})
    with pytest.raises(TurnlogError, match="TL210 one of the keys is empty"):
        config.section(ServerSettings)
    with pytest.raises(TurnlogError, match="TL210 one of the keys is empty"):
        ServerSettings(keys=("one", empty))
