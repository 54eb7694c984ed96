"""Which sessions there are, by target `<node>.<session>`: those of the engine's app and of the nodes that are there."""

from collections.abc import Collection

from ..core.errors import DefinitionError
from .app import App, Declared
from .nodes.hub import Connection, Nodes
from .nodes.registered import Registered, RegisteredNode
from .tools import AnyTool

__all__ = ["Directory"]


class Directory:
    """The declared sessions that an engine can start."""

    def __init__(self, app: App, connected: Nodes) -> None:
        self.registered = Registered(app.name)
        self._app = app
        self._connected = connected

    def nodes(self) -> Collection[str]:
        """The names of the nodes that are known."""
        return [self._app.name, *dict.fromkeys([*self._connected.names(), *self.registered.names()])]

    def of(self, node: str) -> Collection[Declared]:
        """The sessions of a node; none where it is not known."""
        if node == self._app.name:
            return list(self._app.sessions.values())
        home = self.home(node)
        return home.declared() if home else []

    def home(self, target: str) -> Connection | RegisteredNode | None:
        """Where the sessions of a target or node run; None is here. One that runs its handlers itself comes first."""
        node = target.partition(".")[0]
        return self._connected.newest(node) or self.registered.get(node)

    def tool_at(self, node: str, name: str) -> AnyTool | None:
        """A tool of a node that is registered over HTTP; None where there is none."""
        home = self.registered.get(node)
        return home.tools.get(name) if home else None

    def is_own(self, target: str) -> bool:
        """Whether it is of the engine's app."""
        return target.partition(".")[0] == self._app.name

    def all(self) -> list[Declared]:
        """The sessions of all nodes."""
        return [declared for node in self.nodes() for declared in self.of(node)]

    def resolve(self, target: str) -> Declared:
        """The session of a target. Raises DefinitionError TL204, listing what there is."""
        for declared in self.of(target.partition(".")[0]):
            if declared.target == target:
                return declared
        known = ", ".join(declared.target for declared in self.all()) or "none"
        raise DefinitionError("TL204", f"no session {target!r} is declared", f"declared: {known}", field="target")
