"""The ASGI application for callers and control planes."""
