"""The sections of turnlog.toml beside [server]: what a process that serves is told of its address, engine, log and providers.

Values only. A field is an option: turnlog.toml has it under its name, the environment as TURNLOG_<NAME> unless it names another
variable. What is secret is shown by nobody; see config_fields.py.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..engine.handlers.watchdog import HandlerLimits
from ..transports.webrtc.ice import IceSettings

__all__ = ["EngineOptions", "LogOptions", "ProviderOptions", "ServeOptions"]


def _option(meaning: str, *, variable: str = "", secret: bool = False) -> Meta:
    extra: dict[str, Any] = {"secret": secret} | ({"variable": variable} if variable else {})
    return Meta(description=meaning, extra=extra)


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """[serve]: what is served, and where. Kubernetes sets TURNLOG_PORT to something else beside a service of that name."""

    app: Annotated[str, _option("MODULE:APP", variable="TURNLOG_SERVE_APP")] = ""
    answers: Annotated[
        Literal["handler", "model"], _option("of an AgentField app's sessions", variable="TURNLOG_SERVE_ANSWERS")
    ] = "handler"
    host: Annotated[str, _option("the address to listen on", variable="TURNLOG_SERVE_HOST")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535), _option("0 takes a free one", variable="TURNLOG_SERVE_PORT")] = 8080


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """[engine]: the arguments of Engine. 0 ms: never."""

    store: Annotated[str, _option("where the log is", variable="TURNLOG_DB")] = "sqlite:///turnlog.db"
    durability: Annotated[Literal["normal", "full"], _option("an append survives the process, or power loss")] = "normal"
    strict: Annotated[bool, _option("clocks, chance and blocking calls raise in handlers")] = False
    report_ms: Annotated[int, Meta(ge=0, description="after which a handler that does not await is reported; 0: never")] = 100
    stuck_ms: Annotated[int, Meta(ge=0, description="after which it is stopped; 0: never")] = 2000
    ice_servers: Annotated[tuple[str, ...], _option("STUN and TURN servers, turn:user:password@host:port", secret=True)] = ()
    ice_hosts: Annotated[tuple[str, ...], _option("addresses of this machine for calls over WebRTC")] = ()

    def arguments(self) -> dict[str, Any]:
        """Those of Engine, but for the store. Raises LinkError TL311 for a server that is none."""
        named = {"TURNLOG_ICE_SERVERS": ",".join(self.ice_servers), "TURNLOG_ICE_HOSTS": ",".join(self.ice_hosts)}
        limits = HandlerLimits(report_ms=self.report_ms or None, stuck_ms=self.stuck_ms or None)
        return {
            "durability": self.durability,
            "strict": self.strict,
            "limits": limits if self.report_ms or self.stuck_ms else None,
            "ice": IceSettings.from_environment(named),
        }

    def __repr__(self) -> str:
        return "EngineOptions(…)"  # never the password of a TURN server or a store

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("durability", self.durability)]


_FORMAT = _option("lines of text, or of JSON", variable="TURNLOG_LOG_FORMAT")
_LEVEL = _option("the least of what is logged", variable="TURNLOG_LOG_LEVEL")


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """[log]: how the process tells what it does, on stderr."""

    format: Annotated[Literal["text", "json"], _FORMAT] = "text"
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _LEVEL] = "WARNING"
    traces: Annotated[bool, _option("send OpenTelemetry spans to OTEL_EXPORTER_OTLP_ENDPOINT; needs turnlog[otel]")] = False


class ProviderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """[providers]: keys and addresses; "" is not set."""

    openai_api_key: Annotated[str, _option("of provider=openai", variable="OPENAI_API_KEY", secret=True)] = ""
    openai_base_url: Annotated[str, _option("in place of OpenAI's", variable="OPENAI_BASE_URL")] = ""
    azure_openai_api_key: Annotated[str, _option("of provider=azure", variable="AZURE_OPENAI_API_KEY", secret=True)] = ""
    azure_openai_endpoint: Annotated[str, _option("of provider=azure", variable="AZURE_OPENAI_ENDPOINT")] = ""
    openrouter_api_key: Annotated[str, _option("of provider=openrouter", variable="OPENROUTER_API_KEY", secret=True)] = ""
    openrouter_base_url: Annotated[str, _option("in place of OpenRouter's", variable="OPENROUTER_BASE_URL")] = ""
    openrouter_speech_model: Annotated[str, _option("who speaks says", variable="OPENROUTER_SPEECH_MODEL")] = ""
    local_url: Annotated[str, _option("of a `turnlog provider` for transport=websocket")] = ""

    def __repr__(self) -> str:
        return f"ProviderOptions({', '.join(name for name in self.__struct_fields__ if getattr(self, name))})"  # no values

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, "set") for name in self.__struct_fields__ if getattr(self, name)]
