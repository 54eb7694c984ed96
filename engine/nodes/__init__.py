"""Sessions whose handlers live in other processes: the engine keeps their logs, the nodes run their handlers and tools."""

__all__: list[str] = []
