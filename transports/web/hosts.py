"""Which host a request's Origin or Host header names. Any text may stand in them."""

from urllib.parse import urlsplit

__all__ = ["host_of"]


def host_of(header: str) -> str:
    """The host of an origin (scheme://host:port) or of host:port; "" where there is none."""
    try:
        return urlsplit(header if "//" in header else f"//{header}").hostname or ""
    except ValueError:  # a bracket that does not close
        return ""
