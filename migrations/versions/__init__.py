"""One file a version of the schema. A released file is never edited: logs of every release must open for ever."""

__all__: list[str] = []
