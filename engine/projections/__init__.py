"""Projections: tables made of the feed. Declared with a decorator, built in a folder beside the log, always buildable anew."""

from .builds import catch_up, folder_of
from .declare import Projection, ProjectionContext, projection
from .runner import Projections
from .says import Said, said, says
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
    "Said",
    "catch_up",
    "folder_of",
    "projection",
    "said",
    "says",
    "search",
    "session_index",
    "status_of",
    "transcripts",
    "usage",
]

BUILT_IN_PROJECTIONS = (session_index, transcripts, usage, says)
"""The projections that come with turnlog, as `turnlog search`, `turnlog says` and `turnlog projections` know them."""
