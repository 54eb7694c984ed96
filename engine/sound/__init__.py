"""The audio of a session: what is heard, what is said, and when it leaves."""
