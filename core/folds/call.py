"""The call that the provider holds with the caller itself, if there is one: what it plays, and what is in force there."""

from collections import deque
from typing import Any

from .. import events as e

__all__ = ["REASSERTED_MOST", "Call", "governed"]

REASSERTED_MOST = 5  # so many overrides in a minute are answered; the next one when that minute is over
_KEPT_ITEMS = 64


def governed(session: dict[str, Any]) -> dict[str, Any]:
    """The parts of an effective session by which another could speak, listen or act in our place."""
    audio = session.get("audio")
    input_ = audio.get("input") if isinstance(audio, dict) else None
    given = input_ if isinstance(input_, dict) else {}
    detection, transcription = given.get("turn_detection"), given.get("transcription")
    whether = detection if isinstance(detection, dict) else {}
    return {
        "instructions": session.get("instructions") or "",
        "tools": session.get("tools") or [],
        "transcription": transcription.get("model") if isinstance(transcription, dict) else None,
        "create_response": whether.get("create_response"),
        "interrupt_response": whether.get("interrupt_response"),
    }


class Call:
    """A direct call, from its opening to its end. The sideband may come and go meanwhile."""

    __slots__ = (
        *("clear_owed", "effective", "id", "link", "ours", "overridden", "playing", "reasserted_ns"),
    )

    def __init__(self) -> None:
        self.id = ""  # the provider's name for it; "" where there is none
        self.link = ""  # the caller's line; also when the call is over
        self.playing = ""  # the response that the provider plays
        self.clear_owed = 0  # what would call for its end: its start, or its cut; 0: it was asked for
        self.effective: dict[str, Any] = {}  # what was in force when we were last told that it is ours
        self.overridden = 0  # seq of the override that no configuration of ours has answered yet
        self.reasserted_ns: deque[int] = deque(maxlen=REASSERTED_MOST)  # when the last ones were answered
        self.ours: deque[str] = deque(maxlen=_KEPT_ITEMS)  # items that came into the conversation by us

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.CallOpened():
                self.id, self.link = event.call_id, event.link
            case e.CallEnded():
                self.id, self.playing, self.overridden = "", "", 0
            case e.LinkClosed() if event.link.startswith("p"):
                self.playing, self.overridden = "", 0
            case e.PlayoutBuffered(state="started"):
                self.playing, self.clear_owed = event.response, seq
            case e.PlayoutBuffered() if event.response == self.playing:
                self.playing = ""
            case e.PlayoutCut() if event.response == self.playing and self.clear_owed:
                self.clear_owed = seq
            case e.PlayoutEnded(interrupted=False) if event.response == self.playing:
                self.playing = ""  # its end was never told
            case e.OutputClearDispatched():
                self.clear_owed = 0
            case e.ItemForwarded() | e.ItemSeeded():
                self.ours.append(event.item)
            case _:
                self._apply_configuration(seq, at_ns, event)

    def _apply_configuration(self, seq: int, at_ns: int, event: e.Event) -> None:
        match event:
            case e.LinkReady() | e.ConfigurationConfirmed():
                self.effective = governed(event.session)
            case e.ConfigurationOverridden():
                self.overridden = seq
            case e.ConfigurationDispatched() if self.overridden:
                self.overridden = 0
                self.reasserted_ns.append(at_ns)
