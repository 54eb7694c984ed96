"""A clinic's node, in several modules as a larger agent has: nothing of turnlog is in it."""
