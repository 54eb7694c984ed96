"""Which sessions there are: those of the app that the engine was given, by target `<node>.<session>`."""

from collections.abc import Collection

from ..core.errors import DefinitionError
from .app import App, Declared

__all__ = ["Directory"]


class Directory:
    """The declared sessions that an engine can start."""

    def __init__(self, app: App) -> None:
        self._app = app

    def nodes(self) -> Collection[str]:
        """The names of the nodes that are known."""
        return [self._app.name]

    def of(self, node: str) -> Collection[Declared]:
        """The sessions of a node; none where it is not known."""
        return list(self._app.sessions.values()) if node == self._app.name else []

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
