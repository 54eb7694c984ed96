"""Names that a connection remembers for a while: messages about what is long over do not come any more. Pure."""

__all__ = ["REMEMBERED", "Recent"]

REMEMBERED = 1000


class Recent:
    """The last REMEMBERED names that were added; adding one again changes nothing."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember one more, and forget the oldest if there are too many."""
        self._names[name] = None
        if len(self._names) > REMEMBERED:
            del self._names[next(iter(self._names))]
