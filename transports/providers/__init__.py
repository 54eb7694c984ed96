"""The model side of a session: one module a provider."""
