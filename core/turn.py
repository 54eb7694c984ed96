"""SessionTurn: one finished contribution of the user. AgentField's field names.

`text` is what to read: typed text, or the transcript of speech ("" when transcription failed or came too late).
`transcript` is set for speech only. `audio` stays None until turns carry their recording (`await turn.audio.read()`).
"""

from typing import Any

import msgspec

__all__ = ["SessionTurn"]


class SessionTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What `session.input()` returns.

    metadata: item (id), turn (1, 2, …), seq, and for speech start_ms, end_ms (on the input timeline) and
    transcript_status ("completed", "failed", "late", "none").
    """

    text: str = ""
    transcript: str | None = None
    audio: Any = None
    audio_format: str | None = None
    channel: str = "audio"  # audio | text
    metadata: dict[str, Any] = {}
