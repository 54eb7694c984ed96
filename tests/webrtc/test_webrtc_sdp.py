"""What is no offer for a call is refused by name before aiortc sees it; what is beside the call is refused in the answer."""

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webrtc.peers import LOOPBACK, Told
from turnlog.core.errors import ProtocolError
from turnlog.transports.webrtc.peer import Peer
from turnlog.transports.webrtc.sdp import MAX_SDP_BYTES, check_answer, check_offer, has_data_channel, keep_call, put_back

OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host
a=candidate:2 1 udp 2113937151 6d6b8a3c-1b1f-4f0f-9d0a-3c1d7a2f9f11.local 50001 typ host
a=end-of-candidates
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:0 PCMU/8000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:1
a=sctp-port:5000
"""
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\nc=IN IP4 0.0.0.0\na=mid:v\na=rtcp-mux\na=rtpmap:96 VP8/90000\n"


def refusal(body: bytes | str) -> str:
    """The message with which an offer is refused."""
    with pytest.raises(ProtocolError) as refused:
        check_offer(body)
    assert refused.value.code == "TL310"
    assert refused.value.hint
    return refused.value.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the offer is no session description (SDP)"),
        (b"\xff\xfe\x00", "the offer is no text"),
        ("hello", "the offer is no session description (SDP)"),
        ('{"type":"offer","sdp":"v=0"}', "the offer is no session description (SDP)"),
        ("v=0\nm=audio\n", "the offer is no session description (SDP)"),
        ("v=0\ns=-\n", "the offer has no media"),
        (OFFER.replace("m=audio", "m=video"), "the offer has no audio, only application, video"),
        (OFFER.replace("m=audio 9", "m=audio 0"), "the offer refuses audio (port 0)"),
        (OFFER.replace("opus/48000/2", "G722/8000"), "the offer has no Opus"),
        (OFFER.replace("a=ice-ufrag:abcd\n", ""), "the offer lacks a=ice-ufrag for its audio"),
        (OFFER.replace("a=fingerprint:sha-256 AA:BB\n", ""), "the offer lacks a=fingerprint for its audio"),
        (OFFER.replace("a=rtcp-mux\n", ""), "the offer wants RTCP on a port of its own"),
        (OFFER.replace("a=rtcp-mux", "a=rtcp-mux\na=sendonly"), "the offer does not want to hear us"),
        (OFFER.replace("BUNDLE 0 1", "BUNDLE 0"), "the offer does not bundle audio and data"),
        (OFFER + "a=x\n" * MAX_SDP_BYTES, f"the offer has {len(OFFER) + 4 * MAX_SDP_BYTES} bytes; the limit is 65536"),
    ],
)
def test_an_offer_that_is_none_for_a_call_is_named(body: bytes | str, said: str) -> None:
    """TL310, with what was wrong and what to do."""
    assert refusal(body) == said


def test_names_that_nobody_can_resolve_are_left_out() -> None:
    """.local candidates go, and the end of candidates with them; others stay, and so does all of an offer without any."""
    checked = check_offer(OFFER.encode())
    assert ".local" not in checked
    assert "end-of-candidates" not in checked
    assert "192.0.2.7" in checked
    plain = OFFER.replace(".local", ".example")
    assert check_offer(plain) == plain.replace("\n", "\r\n")


def test_an_audio_section_may_wait_for_its_bundle() -> None:
    """Port 0 with a=bundle-only is an offer (RFC 9143), and so are credentials for the whole session."""
    bundled = OFFER.replace("m=audio 9", "m=audio 0").replace("a=mid:0", "a=mid:0\na=bundle-only")
    assert "m=audio 0" in check_offer(bundled)
    shared = OFFER.replace("a=fingerprint:sha-256 AA:BB\n", "").replace("t=0 0\n", "t=0 0\na=fingerprint:sha-256 AA:BB\n")
    assert check_offer(shared)


def test_an_answer_says_who_starts_dtls() -> None:
    """TL310 otherwise; a refused audio section is no audio."""
    assert check_answer(OFFER.replace("actpass", "active"))
    with pytest.raises(ProtocolError, match="TL310 the answer does not say"):
        check_answer(OFFER.replace("a=setup:actpass\n", ""))
    with pytest.raises(ProtocolError, match="TL310 the answer refuses audio"):
        check_answer(OFFER.replace("m=audio 9", "m=audio 0"))


def test_a_description_says_whether_it_has_a_data_channel() -> None:
    """A refused one is none."""
    assert has_data_channel(OFFER)
    assert not has_data_channel(OFFER.replace("m=application 9", "m=application 0"))
    assert not has_data_channel(OFFER[: OFFER.index("m=application")])


def test_what_is_beside_the_call_is_taken_out_and_put_back_as_refused() -> None:
    """Video and a second audio keep their places; the bundle does not name them."""
    second = OFFER[OFFER.index("m=audio") : OFFER.index("m=application")].replace("a=mid:0", "a=mid:b")
    head, call = OFFER.split("m=audio", 1)
    offer = check_offer(head.replace("BUNDLE 0 1", "BUNDLE v 0 b 1") + VIDEO + "m=audio" + call + second)
    kept, refused = keep_call(offer)
    assert kept == check_offer(OFFER)
    assert [(one.place, one.kind, one.mid) for one in refused] == [(0, "video", "v"), (3, "audio", "b")]
    answer = put_back(kept, refused)
    assert [line for line in answer.splitlines() if line.startswith("m=")] == [
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=audio 0 UDP/TLS/RTP/SAVPF 111 0",
    ]


async def test_a_camera_beside_the_microphone_is_refused_and_the_call_stands() -> None:
    """A stock peer that offers audio, video and data gets port 0 for video; our answer speaks Opus alone."""
    told = Told()
    ours = Peer(told, LOOPBACK)
    stock = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    stock.addTransceiver("audio")
    stock.addTransceiver("video")
    stock.createDataChannel("oai-events")
    await stock.setLocalDescription(await stock.createOffer())
    answer = await ours.answer(stock.localDescription.sdp)
    media = SessionDescription.parse(answer).media
    assert [(one.kind, one.port == 0) for one in media] == [("audio", False), ("video", True), ("application", False)]
    assert [codec.mimeType for codec in media[0].rtp.codecs] == ["audio/opus"]
    await stock.close()
    await ours.close()
    assert told.reasons == []


async def test_an_offer_without_a_data_channel_is_a_call() -> None:
    """What is sent to it goes nowhere, and nothing piles up."""
    ours, other = Peer(Told(), LOOPBACK, limit_bytes=10), Peer(Told(), LOOPBACK)
    answer = await ours.answer(_without_data(await other.offer()))
    assert "m=application" not in answer
    for _ in range(5):
        ours.send(b"x" * 100)
    await ours.close()
    await other.close()


def _without_data(offer: str) -> str:
    return offer[: offer.index("m=application")].replace("BUNDLE 0 1", "BUNDLE 0")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, len(OFFER) - 1), max_size=5))
def test_garbage_gives_tl310_and_nothing_else(noise: bytes, cuts: list[int]) -> None:
    """Whatever bytes come, and whatever is cut out of an offer: checked text or ProtocolError."""
    bodies = [noise, b"v=0\r\n" + noise, OFFER.encode() + noise]
    bodies += [OFFER.encode()[:cut] + noise + OFFER.encode()[cut + 7 :] for cut in cuts]
    for body in bodies:
        try:
            keep_call(check_offer(body))
        except ProtocolError as error:
            assert error.code == "TL310"


async def test_two_answers_to_one_offer_are_refused() -> None:
    """TL310 for the second; the peer is then closed."""
    caller, callee = Peer(Told(), LOOPBACK), Peer(Told(), LOOPBACK)
    answer = await callee.answer(await caller.offer())
    await caller.accept(answer)
    with pytest.raises(ProtocolError, match="TL310"):
        await caller.accept(answer)
    await caller.close()
    await callee.close()
