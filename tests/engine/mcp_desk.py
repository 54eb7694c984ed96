"""An MCP server for the tests, on stdin and stdout: `python mcp_desk.py [FILE]` notes its end in FILE."""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server import MCPServer


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"


def find(name: str) -> dict[str, str]:
    """Find a guest."""
    return {"name": name.title()}


def refuse() -> str:
    """Fail."""
    raise ValueError("no vacancy")


async def hang() -> str:
    """Never come back."""
    await asyncio.Event().wait()
    return ""


def die() -> str:
    """End the server."""
    os._exit(3)


server = MCPServer("desk")
for tool in (add, refuse, hang, die):
    server.add_tool(tool)
server.add_tool(greet, structured_output=False)
server.add_tool(find, name="guest.find")

try:
    server.run()
finally:
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text("ended")
