"""The log: SQLite and memory behind one port."""
