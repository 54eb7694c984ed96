"""The tools of a running engine: those that the app declares, its MCP servers', and other nodes' by a control plane."""

from ..core.errors import DefinitionError
from ..transports.control_plane import ControlPlane
from .app import App
from .mcp_servers import McpServers
from .toolbox import Elsewhere, Toolbox
from .tools import AnyTool

__all__ = ["OpenTools"]


class OpenTools:
    """What an app's tools need while its engine runs. plane: where reasoners of other nodes are run, if anywhere."""

    def __init__(self, app: App, plane: ControlPlane | None) -> None:
        if not app.mcp_sources:  # else what tools there are is known when they are listed
            app.check_tools()
        self.elsewhere = Elsewhere(plane)
        self.box = Toolbox(app.name, app.tools, self.elsewhere)
        self._app = app
        self._mcp = McpServers(app.mcp_sources)

    async def start(self) -> None:
        """Start the MCP servers; `box` has their tools then. Raises as McpServers.start, DefinitionError TL201 and TL204."""
        self.box = Toolbox(self._app.name, self._app.tools, self.elsewhere)  # with those that were declared meanwhile
        if not self._app.mcp_sources:
            return
        listed = await self._mcp.start()
        try:
            if twice := sorted(listed.keys() & self._app.tools.keys()):
                problem = f"an MCP server has a tool {twice[0]!r}, and app {self._app.name!r} declares one"
                raise DefinitionError("TL201", problem, "give the server a prefix=", field="mcp")
            tools: dict[str, AnyTool] = {**self._app.tools, **listed}
            self._app.check_tools(tools)
        except DefinitionError:
            await self._mcp.stop()
            raise
        self.box = Toolbox(self._app.name, tools, self.elsewhere)

    async def stop(self) -> None:
        """Stop what was started. Twice does nothing."""
        await self._mcp.stop()
        await self.elsewhere.close()
