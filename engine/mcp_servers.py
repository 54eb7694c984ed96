"""Tools of MCP servers: listed when the engine starts, called as if they were declared here.

Each server has one task that opens its connection, holds it and closes it, because that is what its library asks for. The
package `mcp` (extra `mcp`) is imported when the first server is opened.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from ..core import events as e
from ..core.errors import DefinitionError, LinkError, MissingExtra
from .tools import NAME, ArgumentError, arguments_of, as_json, checked_timeout, stored, tool_rules

__all__ = ["START_S", "McpServers", "McpSource", "McpTool", "McpToolError", "declare_source"]

log = logging.getLogger("turnlog")

START_S = 30.0  # for a server to start and to list its tools
_STOP_S = 10.0
_OTHER = re.compile(r"[^A-Za-z0-9_-]")


class McpSource(msgspec.Struct, frozen=True, kw_only=True):
    """A declared MCP server: a command to be run, or the URL of one that runs. rules, timeout_s: of each of its tools."""

    name: str
    command: list[str] = []
    url: str = ""
    env: dict[str, str] = {}
    prefix: str = ""
    rules: e.ToolRules
    timeout_s: float | None = None


class McpToolError(Exception):
    """A tool of an MCP server answered that it failed; the words are its own."""


class McpTool:
    """A tool of an MCP server under the name that it has here. Has what Tool has, and checks no types: its server does."""

    def __init__(self, source: McpSource, listed: Any, client: Any) -> None:
        self.name = _OTHER.sub("_", source.prefix + listed.name)
        if not NAME.fullmatch(self.name):
            hint = "a tool's name has at most 64 characters: choose a shorter prefix"
            raise DefinitionError("TL201", f"MCP server {source.name!r}: no tool can be called {self.name!r}", hint, field="mcp")
        self.rules = msgspec.structs.replace(source.rules, name=self.name)
        self.timeout_s = source.timeout_s
        self._listed = listed
        self._client = client

    def definition(self) -> dict[str, Any]:
        """The tool as the Realtime protocol declares it in session.tools."""
        schema = {key: value for key, value in self._listed.input_schema.items() if key != "$schema"}
        return {"type": "function", "name": self.name, "description": self._listed.description or "", "parameters": schema}

    async def invoke(self, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Call it; its result as msgpack. Raises ArgumentError, McpToolError, and what the library raises."""
        if args:
            raise ArgumentError(self.name, "its arguments are given by name")
        result = await self._client.call_tool(self._listed.name, kwargs)
        if result.is_error:
            raise McpToolError("\n".join(_words(result.content)) or "it failed without a word")
        return stored(_plain(result), self.name)

    async def invoke_json(self, arguments: str) -> str:
        """Call it with the JSON arguments of a model; the result as JSON text."""
        return as_json(await self.invoke([], arguments_of(self.name, arguments)))


def _plain(result: Any) -> Any:
    """What a tool gave: its structured content, else its text, else its blocks."""
    if result.structured_content is not None:
        return result.structured_content
    if len(words := _words(result.content)) == len(result.content):
        return "\n".join(words)
    return [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]


def _words(content: Sequence[Any]) -> list[str]:
    return [block.text for block in content if block.type == "text"]


class _Listed(NamedTuple):
    """What a server offers, and the client through which it is called."""

    client: Any
    tools: list[Any]


class McpServers:
    """The connections to all declared servers, from start to stop."""

    def __init__(self, sources: Sequence[McpSource]) -> None:
        self._sources = sources
        self._enough = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, McpTool]:
        """Open every server; their tools by name.

        Raises LinkError TL301 for one that does not start or answer, DefinitionError TL201 for two tools of one name,
        MissingExtra without the package `mcp`.
        """
        loop = asyncio.get_running_loop()
        found: list[asyncio.Future[_Listed]] = []
        for source in self._sources:
            found.append(loop.create_future())
            self._tasks.append(asyncio.create_task(self._hold(source, found[-1]), name=f"MCP server {source.name}"))
        try:
            async with asyncio.timeout(START_S):
                listed = await asyncio.gather(*found)
            return _by_name(zip(self._sources, listed, strict=True))
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                late = [source.name for source, one in zip(self._sources, found, strict=True) if one.cancelled()]
                problem = f"MCP server {', '.join(map(repr, late))}: no list of tools within {START_S:g} s"
                raise LinkError("TL301", problem, "does it speak MCP on stdin and stdout?") from None
            raise

    async def stop(self) -> None:
        """Close every connection; servers that were started here end."""
        self._enough.set()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=_STOP_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        self._tasks = []

    async def _hold(self, source: McpSource, found: asyncio.Future[_Listed]) -> None:
        """One server from its start to the end. What goes wrong before its tools are known is what `found` raises."""
        try:
            async with _opened(source) as client:
                listed = _Listed(client, await _list(client))
                if not found.done():
                    found.set_result(listed)
                await self._enough.wait()
        except Exception as error:
            if found.done():
                log.warning("MCP server %r: its connection did not end in order: %r", source.name, error)
            elif isinstance(error, MissingExtra):
                found.set_exception(error)
            else:
                what = "; ".join(_reasons(error))
                problem = f"MCP server {source.name!r} cannot be used: {what}"
                found.set_exception(LinkError("TL301", problem, "run its command by hand, or open its URL"))


@asynccontextmanager
async def _opened(source: McpSource) -> AsyncGenerator[Any, None]:
    try:
        from mcp import Client, StdioServerParameters
    except ImportError:
        raise MissingExtra("mcp", f"the MCP server {source.name!r}") from None
    where = source.url or StdioServerParameters(
        command=source.command[0], args=source.command[1:], env=dict(source.env) or None
    )
    async with Client(where) as client:
        yield client


async def _list(client: Any) -> list[Any]:
    listed: list[Any] = []
    page = await client.list_tools()
    listed += page.tools
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        listed += page.tools
    return listed


def _reasons(error: BaseException) -> list[str]:
    """What an error says; of a group what each within it says."""
    if isinstance(error, BaseExceptionGroup):
        return [reason for one in error.exceptions for reason in _reasons(one)]
    return [f"{type(error).__name__}: {error}"]


def _by_name(found: Iterable[tuple[McpSource, _Listed]]) -> dict[str, McpTool]:
    tools: dict[str, McpTool] = {}
    for source, (client, listed) in found:
        for one in listed:
            tool = McpTool(source, one, client)
            if tool.name in tools:
                problem = f"MCP server {source.name!r}: another one has a tool {tool.name!r}, too"
                raise DefinitionError("TL201", problem, "give one of them a prefix=", field="mcp")
            tools[tool.name] = tool
    return tools


def declare_source(
    name: str,
    command: Sequence[str] | None,
    url: str | None,
    env: Mapping[str, str] | None,
    prefix: str,
    **options: Any,
) -> McpSource:
    """A McpSource. options: timeout, filler, after_ms, cancel_on_interruption. Raises DefinitionError TL201."""
    if (command is None) == (url is None):
        raise DefinitionError("TL201", f"MCP server {name!r} has a command or a URL", "give one of the two", field="mcp")
    if command is not None and (isinstance(command, str) or not command):
        problem = f"MCP server {name!r}: command={command!r} is no list of words"
        raise DefinitionError("TL201", problem, 'for example ["my-server", "--stdio"]', field="command")
    timeout_s = checked_timeout(options.pop("timeout", None))
    try:
        fields = {"command": list(command or []), "url": url or "", "env": dict(env or {}), "prefix": prefix}
        rules = tool_rules("", **options)
        return msgspec.convert({"name": name, "rules": rules, "timeout_s": timeout_s, **fields}, McpSource)
    except (TypeError, ValueError, msgspec.ValidationError) as error:
        raise DefinitionError("TL201", f"MCP server {name!r}: {error}", "correct the named option", field="mcp") from None
