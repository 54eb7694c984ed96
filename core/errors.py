"""Every error turnlog raises on purpose.

One class per thing a caller may want to catch; one code per cause. A code is added to CODES first:
TL1xx handlers and replay, TL2xx declarations, TL3xx links and providers, TL4xx the log, TL5xx callers and server,
TL6xx media, speech and what is installed, TL7xx turnlog.testing. docs/reference/errors.md is generated from CODES.
"""

import math

from .divergence import DivergenceReport, headline, remedy

__all__ = [
    "CODES",
    "DefinitionError",
    "Divergence",
    "Fenced",
    "HandlerError",
    "HandlerStuck",
    "LimitExceeded",
    "LinkClosed",
    "LinkError",
    "MediaError",
    "MissingExtra",
    "ProtocolError",
    "SessionEnded",
    "StepError",
    "StoreError",
    "TurnlogError",
    "VoiceLocked",
    "WrongExpectedSeq",
]

CODES: dict[str, str] = {
    "TL101": "Replay diverged: the handler asked for something else than the log holds.",
    "TL102": "The session has ended; the handler can neither read nor speak any more.",
    "TL103": "A call or step failed; the error says which and how.",
    "TL104": "The handler asked its loop for something that cannot be replayed (I/O, threads, executors).",
    "TL105": "An argument cannot be encoded faithfully into the log.",
    "TL106": "The handler raised.",
    "TL107": "The handler waits for something that no event can bring.",
    "TL108": "The handler did not yield: it was stopped, because no other session could go on.",
    "TL109": "The session cannot be replayed: it ran with replay=False, or was proxied and has no handler.",
    "TL110": "The session's voice cannot change any more: the caller has heard it.",
    "TL111": "The say cannot be: an option of it is none, or its key was used for other words.",
    "TL112": "A session's handler asks its AgentField agent for something that cannot be kept in the log.",
    "TL201": "A session definition is not valid.",
    "TL202": "This provider does not exist or cannot be reached by this transport.",
    "TL203": "The turn detection settings are not valid.",
    "TL204": "No session, tool or application of that name is declared.",
    "TL205": "A tool's parameters have no JSON Schema.",
    "TL206": "The handler, module or application cannot be imported.",
    "TL207": "The upcasters of events do not fit together: doubled, missing, circular, or leading nowhere.",
    "TL208": "The declaration of a projection is not valid.",
    "TL210": "The configuration is not valid: a file, a variable or an option of it cannot be meant.",
    "TL301": "The link to the peer could not be opened.",
    "TL302": "The link was closed.",
    "TL303": "The provider refused the credentials.",
    "TL304": "A message is not valid JSON or not a Realtime event.",
    "TL305": "A base64 payload cannot be decoded.",
    "TL306": "A message is larger than the configured maximum.",
    "TL307": "A call breaks the order of the Realtime protocol.",
    "TL308": "The provider reported an error.",
    "TL309": "The scripted provider met another message than its script expects.",
    "TL310": "The session description (SDP) cannot be used for a call.",
    "TL311": "The address of a STUN or TURN server is not valid.",
    "TL312": "The call is not there any more: it has ended, or never was.",
    "TL313": "The client of a direct call has changed its configuration, and the session refuses that.",
    "TL314": "The provider of a proxied session has refused the connection, or it was lost.",
    "TL320": "The node that runs the session's handler is gone.",
    "TL321": "A node and an engine do not understand each other.",
    "TL322": "A node sends more than the engine reads at once; it is read more slowly.",
    "TL323": "The process that passed a proxied session died before the session had an end.",
    "TL330": "A control plane that runs reasoners of other nodes cannot be reached, or refused.",
    "TL331": "What was told of an execution is none.",
    "TL340": "OpenRouter has refused a request, could not be reached, or gave an answer that is none.",
    "TL401": "Another process owns this store.",
    "TL402": "Another writer has appended to this session since it was read.",
    "TL403": "This writer has lost the session to a newer owner.",
    "TL404": "The store cannot be opened or read.",
    "TL405": "The store was written by a newer turnlog.",
    "TL406": "The store could not write (disk full, read-only, or an I/O error).",
    "TL407": "The log does not verify: a digest or the hash chain is broken.",
    "TL408": "No such session in this store.",
    "TL409": "A session of this name exists already.",
    "TL410": "The store is closed, or was opened only for reading.",
    "TL411": "The event that is needed was erased.",
    "TL412": "The file is no turnlog archive.",
    "TL413": "The archive is cut: its end is missing.",
    "TL414": "The archive is altered: a part of it is not what was written.",
    "TL415": "An event of an older version could not be brought to today's form.",
    "TL416": "The cursor is not one of this store's feed.",
    "TL417": "The projection cannot be read: it is not built yet, unknown, or stopped before its first end.",
    "TL418": "The log holds nothing by that name: no such event, turn, say or time.",
    "TL419": "No API key of that id in this store.",
    "TL501": "The caller's key is missing or wrong.",
    "TL502": "The caller asked for a session target that is not declared.",
    "TL503": "The server cannot listen on this address.",
    "TL504": "The request is not one that this server answers.",
    "TL505": "The session cannot take this call: it has another one, or audio of another format.",
    "TL506": "The key has asked for more than its limits allow.",
    "TL507": "The key lacks the scope that this needs.",
    "TL508": "The server is draining: it takes no new sessions, and those that run end or are left as they stand.",
    "TL509": "The request to turnlog's own API cannot be meant.",
    "TL510": "A page of this origin may not ask.",
    "TL601": "An optional dependency is not installed.",
    "TL602": "The audio cannot be read or decoded.",
    "TL603": "No engine for this part of speech works on this machine.",
    "TL604": "An audio file cannot be written.",
    "TL701": "Virtual time stands still: nothing is left that could happen, or the event loop is not on virtual time.",
}


class TurnlogError(Exception):
    """Base of all turnlog errors: `code` (a key of CODES), `message` (what and where), `hint` (what to do)."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        if code not in CODES:
            raise ValueError(f"{code} is not in turnlog.core.errors.CODES")
        super().__init__(f"{code} {message}" + (f"\n  {hint}" if hint else ""))
        self.code = code
        self.message = message
        self.hint = hint


class DefinitionError(TurnlogError):
    """A declaration (session, tool, application) is wrong; `field` names the part of it."""

    def __init__(self, code: str, message: str, hint: str = "", *, field: str = "") -> None:
        super().__init__(code, message, hint)
        self.field = field


class HandlerError(TurnlogError):
    """The handler did something it must not do, or raised."""


class HandlerStuck(HandlerError):
    """Raised inside a handler that has not yielded for too long (TL108), wherever it is. Caught or not, its session ends."""

    def __init__(self) -> None:
        # Invariant: no times and no lines. These words are in the log, and a replay on another machine must say the same.
        super().__init__(
            "TL108",
            "the handler did not yield",
            "await something in every loop, and do long work outside: await session.call(…) or session.step(…)",
        )


class Divergence(TurnlogError):
    """Replay asked for something else than was recorded (TL101): `report` says what, and where."""

    def __init__(self, report: DivergenceReport) -> None:
        super().__init__("TL101", headline(report), remedy(report))
        self.report = report


class SessionEnded(TurnlogError):
    """Raised in a handler that reads or speaks after the session's end (TL102). Escaping with it is a normal end."""


class StepError(TurnlogError):
    """A tool call, step or stream failed (TL103): `type_name` of the original exception, its message, and `data`.

    data: what the exception carried in its attribute `data`, if that is plain (None, bool, int, float, str, bytes, lists,
    dicts with string keys); else None.
    """

    def __init__(self, type_name: str, message: str, data: object = None) -> None:
        super().__init__("TL103", f"{type_name}: {message}")
        self.type_name = type_name
        self.detail = message
        self.data = data


class VoiceLocked(TurnlogError):
    """session.update(voice=) after the caller has heard the session's voice (TL110): providers lock it then."""


class LinkError(TurnlogError):
    """A link could not be opened, or its peer refused."""


class LinkClosed(LinkError):
    """The link is closed (TL302): `close_code` and `reason` as the peer gave them."""

    def __init__(self, close_code: int = 1000, reason: str = "") -> None:
        super().__init__("TL302", f"the link was closed ({close_code}{': ' + reason if reason else ''})")
        self.close_code = close_code
        self.reason = reason


class ProtocolError(TurnlogError):
    """A message breaks the Realtime protocol."""


class StoreError(TurnlogError):
    """The log could not be opened, read or written."""


class WrongExpectedSeq(StoreError):
    """The session's head is not where the writer thought (TL402): `expected` and `actual` seq."""

    def __init__(self, session: str, expected: int, actual: int) -> None:
        super().__init__(
            "TL402",
            f"session {session}: expected the head at seq {expected}, it is at {actual}",
            "read the session again and decide anew",
        )
        self.session = session
        self.expected = expected
        self.actual = actual


class Fenced(StoreError):
    """A newer owner has taken the session (TL403): `epoch` of this writer and `actual` epoch."""

    def __init__(self, session: str, epoch: int, actual: int) -> None:
        super().__init__(
            "TL403",
            f"session {session}: written with epoch {epoch}, but the session is at epoch {actual}",
            "stop driving the session here; its newer owner goes on",
        )
        self.session = session
        self.epoch = epoch
        self.actual = actual


class LimitExceeded(TurnlogError):
    """A key has asked for more than its limits allow (TL506); `retry_after_s`: when it may ask again."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__("TL506", message, f"ask again in {math.ceil(retry_after_s)} s, or have the key's limits raised")
        self.retry_after_s = retry_after_s


class MediaError(TurnlogError):
    """Audio that cannot be read, decoded or produced."""


class MissingExtra(TurnlogError):
    """An optional dependency is absent (TL601); the hint holds the exact pip command."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__("TL601", f"{needed_for} needs the extra {extra!r}", f'pip install "turnlog[{extra}]"')
        self.extra = extra
