"""How a process that serves writes its log: on stderr, as text or as JSON, one object a line, without secrets.

A line of JSON has at (RFC 3339, UTC), level, logger and message; session, where what is told belongs to one, also where a handler
or a tool of it logs; and error, the traceback.
"""

import logging
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

from ..engine.handlers.current import SESSION
from .redact import Redactor

__all__ = ["LogLines", "log_to"]

Form = Literal["text", "json"]
_UNBROKEN = {code: f"\\x{code:02x}" for code in (*range(32), 127)}  # what came from outside must not make lines of its own


class LogLines(logging.Formatter):
    """A formatter of log records. form: "text" or "json"."""

    def __init__(self, form: Form, redactor: Redactor) -> None:
        super().__init__()
        self._form = form
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line, or for text with a traceback the lines."""
        message, error = self._redactor.redact(_message(record)), ""
        if record.exc_info:
            error = self._redactor.redact(self.formatException(record.exc_info))
        if self._form == "text":
            line = f"{record.levelname} {record.name}: {message.translate(_UNBROKEN)}"
            return f"{line}\n{error}" if error else line
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"at": at, "level": record.levelname, "logger": record.name, "message": message}
        if session := SESSION.get():
            fields["session"] = session
        if error:
            fields["error"] = error
        return msgspec.json.encode(fields).decode()


def log_to(
    stream: TextIO | None = None, *, form: Form = "text", level: str = "WARNING", redactor: Redactor | None = None
) -> None:
    """Write what is logged in this process to a stream (stderr), in place of what wrote it before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogLines(form, redactor or Redactor()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # arguments that do not fit the text: what is to be told is told all the same
        return f"{record.msg} {record.args!r} ({error})"
