"""Projections: tables made of the feed. Declared with a decorator, built in a folder beside the log, always buildable anew."""

from .builds import catch_up, folder_of
from .declare import Projection, ProjectionContext, projection
from .runner import Projections
from .session_index import session_index
from .status import ProjectionStatus, status_of
from .transcripts import Found, search, transcripts
from .usage import usage

__all__ = [
    "BUILT_IN_PROJECTIONS",
    "Found",
    "Projection",
    "ProjectionContext",
    "ProjectionStatus",
    "Projections",
    "catch_up",
    "folder_of",
    "projection",
    "search",
    "session_index",
    "status_of",
    "transcripts",
    "usage",
]

BUILT_IN_PROJECTIONS = (session_index, transcripts, usage)
"""The projections that come with turnlog, as `turnlog search` and `turnlog projections` know them."""
