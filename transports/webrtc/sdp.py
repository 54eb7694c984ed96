"""Session descriptions: what is checked before aiortc sees one, and what aiortc cannot do with them. Text in, text out.

aiortc cannot refuse a media section (RFC 3264: port 0), so what is not the call's audio or its data channel is taken out of
an offer and put into the answer as refused.
"""

import re
from typing import Final, NamedTuple

from ...core.errors import ProtocolError

__all__ = ["MAX_SDP_BYTES", "Refused", "check_answer", "check_offer", "has_data_channel", "keep_call", "put_back"]

MAX_SDP_BYTES: Final = 64 * 1024
"""A browser's offer with audio and data is 3-6 KB."""

_SDP_HINT: Final = "send the text of an RTCSessionDescription with one audio track"
_OPUS: Final = re.compile(r"a=rtpmap:\d+ opus/48000\b", re.IGNORECASE)


class Refused(NamedTuple):
    """A media section that the answer refuses."""

    place: int  # among all sections of the offer
    kind: str
    protocol: str
    formats: str
    mid: str


def check_offer(body: bytes | str) -> str:
    """The offer, fit for a call: lines ended by CR LF, candidates of unresolvable names (.local) left out.

    Raises ProtocolError TL310: too large, no SDP, no audio, no Opus, or no way to connect.
    """
    return _join(_checked(body, "offer"))


def check_answer(body: bytes | str) -> str:
    """The same for an answer, which must also say who starts DTLS. Raises ProtocolError TL310."""
    sections = _checked(body, "answer")
    for section in sections[1:]:
        if _kind(section) in ("audio", "application") and _accepted(section) and not _is_set(sections, section, "a=setup:"):
            raise ProtocolError("TL310", "the answer does not say who starts DTLS (a=setup)", _SDP_HINT)
    return _join(sections)


def has_data_channel(sdp: str) -> bool:
    """Whether the description offers or accepts a data channel."""
    return any(_kind(section) == "application" and _accepted(section) for section in _split(sdp)[1:])


def keep_call(offer: str) -> tuple[str, tuple[Refused, ...]]:
    """The offer with its first audio section and its first data section alone, and what was taken out."""
    head, *media = _split(offer)
    kept: list[list[str]] = []
    refused: list[Refused] = []
    for index, section in enumerate(media):
        kind = _kind(section)
        if kind in ("audio", "application") and _accepted(section) and kind not in map(_kind, kept):
            kept.append(section)
        else:
            _, protocol, formats = section[0].removeprefix("m=").split(" ", 1)[1].split(" ", 2)
            refused.append(Refused(index, kind, protocol, formats, _value(section, "a=mid:")))
    gone = {one.mid for one in refused}
    head = [_without(line, gone) if line.startswith("a=group:BUNDLE") else line for line in head]
    return _join([head, *kept]), tuple(refused)


def put_back(answer: str, refused: tuple[Refused, ...]) -> str:
    """The answer with the refused sections at their places."""
    head, *media = _split(answer)
    for one in refused:
        section = [f"m={one.kind} 0 {one.protocol} {one.formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
        media.insert(one.place, [*section, f"a=mid:{one.mid}"] if one.mid else section)
    return _join([head, *media])


def _checked(body: bytes | str, what: str) -> list[list[str]]:
    raw = body if isinstance(body, bytes) else body.encode(errors="replace")
    if len(raw) > MAX_SDP_BYTES:
        raise ProtocolError("TL310", f"the {what} has {len(raw)} bytes; the limit is {MAX_SDP_BYTES}", _SDP_HINT)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ProtocolError("TL310", f"the {what} is no text", _SDP_HINT) from None
    sections = _split(text)
    if not sections or sections[0][0] != "v=0" or not all(_is_media(section[0]) for section in sections[1:]):
        raise ProtocolError("TL310", f"the {what} is no session description (SDP)", _SDP_HINT)
    audio = [section for section in sections[1:] if _kind(section) == "audio" and _accepted(section)]
    if not audio:
        kinds = sorted({_kind(section) for section in sections[1:]})
        lacks = "refuses audio (port 0)" if "audio" in kinds else f"has no audio, only {', '.join(kinds)}"
        raise ProtocolError(
            "TL310", f"the {what} {lacks if kinds else 'has no media'}", "add an audio track or transceiver: a call is audio"
        )
    _check_audio(sections, audio[0], what)
    return _without_local(sections)


def _check_audio(sections: list[list[str]], audio: list[str], what: str) -> None:
    if not any(_OPUS.match(line) for line in audio):
        raise ProtocolError("TL310", f"the {what} has no Opus", "WebRTC ends must speak Opus (RFC 7874): do not take it out")
    for line in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not _is_set(sections, audio, line):
            raise ProtocolError("TL310", f"the {what} lacks {line[:-1]} for its audio", _SDP_HINT)
    if "a=rtcp-mux" not in audio:
        raise ProtocolError("TL310", f"the {what} wants RTCP on a port of its own", "set rtcpMuxPolicy to 'require'")
    if what == "offer" and ("a=sendonly" in audio or "a=inactive" in audio):
        raise ProtocolError("TL310", "the offer does not want to hear us", "offer audio as sendrecv, or as recvonly")
    data = [_value(section, "a=mid:") for section in sections[1:] if _kind(section) == "application" and _accepted(section)]
    bundled = _value(sections[0], "a=group:BUNDLE").split()
    if data and (_value(audio, "a=mid:") not in bundled or data[0] not in bundled):
        raise ProtocolError("TL310", f"the {what} does not bundle audio and data", "set bundlePolicy to 'max-bundle'")


def _without_local(sections: list[list[str]]) -> list[list[str]]:
    """Leave out candidates whose host is an mDNS name: nobody here can resolve it, and trying costs a second.

    The end of candidates goes with them: the peer is then found by its own checks, and nothing must give up before.
    """
    if not any(_is_local(line) for section in sections for line in section):
        return sections
    return [[line for line in section if not _is_local(line) and line != "a=end-of-candidates"] for section in sections]


def _is_local(line: str) -> bool:
    parts = line.split(" ")
    return line.startswith("a=candidate:") and len(parts) > 4 and parts[4].endswith(".local")


def _split(sdp: str) -> list[list[str]]:
    """The session's lines, then those of each media section."""
    sections: list[list[str]] = []
    for line in sdp.splitlines():
        if not line.strip():
            continue
        if not sections or line.startswith("m="):
            sections.append([])
        sections[-1].append(line.rstrip())
    return sections


def _join(sections: list[list[str]]) -> str:
    return "".join(f"{line}\r\n" for section in sections for line in section)


def _is_media(line: str) -> bool:
    return re.fullmatch(r"m=\S+ \d+(/\d+)? \S+ \S.*", line) is not None


def _kind(section: list[str]) -> str:
    return section[0].removeprefix("m=").split(" ", 1)[0]


def _accepted(section: list[str]) -> bool:
    """Port 0 refuses a section, unless it only waits for the bundle."""
    return section[0].split(" ", 2)[1] != "0" or "a=bundle-only" in section


def _value(section: list[str], prefix: str) -> str:
    return next((line.removeprefix(prefix).strip() for line in section if line.startswith(prefix)), "")


def _is_set(sections: list[list[str]], section: list[str], prefix: str) -> bool:
    return bool(_value(section, prefix) or _value(sections[0], prefix))


def _without(group: str, mids: set[str]) -> str:
    return " ".join(word for word in group.split(" ") if word not in mids)
