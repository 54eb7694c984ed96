"""Which addresses are offered and which servers are asked: those that were named, and no others."""

import asyncio
from typing import Any

import ifaddr
import pytest
from aioice import ice as aioice_ice
from aioice import stun

from tests.webrtc.peers import LOOPBACK, Told
from turnlog.core.errors import LinkError
from turnlog.transports.webrtc.ice import IceServer, IceSettings
from turnlog.transports.webrtc.peer import Peer


def candidates(sdp: str) -> set[str]:
    """The addresses in a description."""
    return {line.split(" ")[4] for line in sdp.splitlines() if line.startswith("a=candidate:")}


async def test_only_the_named_hosts_are_offered() -> None:
    """Strict loopback."""
    peer = Peer(Told(), LOOPBACK)
    assert candidates(await peer.offer()) == {"127.0.0.1"}
    await peer.close()


async def test_without_names_the_interfaces_are_offered() -> None:
    """Loopback is not among them where there is another."""
    peer = Peer(Told())
    offered = candidates(await peer.offer())
    await peer.close()
    others = {str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4} - {"127.0.0.1"}
    assert {address for address in offered if ":" not in address} == (others or {"127.0.0.1"})


async def test_loopback_is_offered_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network still has calls."""
    monkeypatch.setattr(aioice_ice, "get_host_addresses", lambda **_: [])
    peer = Peer(Told())
    assert candidates(await peer.offer()) == {"127.0.0.1"}
    await peer.close()


async def test_an_address_that_is_not_ours_is_named() -> None:
    """TL301, and the peer is closed."""
    peer = Peer(Told(), IceSettings(hosts=("192.0.2.200",)))
    with pytest.raises(LinkError, match=r"TL301 no address to be reached at: 192\.0\.2\.200"):
        await peer.offer()


async def test_no_server_is_asked_unless_one_is_named() -> None:
    """aiortc's own default is a public STUN server."""
    peer = Peer(Told(), LOOPBACK)
    await peer.offer()
    ice = peer._connection.getTransceivers()[0].receiver.transport.transport._connection
    assert (ice.stun_server, ice.turn_server) == (None, None)
    await peer.close()


async def test_the_named_servers_are_those_that_are_asked() -> None:
    """STUN and TURN, with the user's name and password."""
    servers = (
        IceServer(url="stun:127.0.0.1:3478"),
        IceServer(url="turns:turn.example:443?transport=tcp", username="ann", credential="secret"),
    )
    peer = Peer(Told(), IceSettings(servers=servers, hosts=("127.0.0.1",)))
    ice = peer._connection.getTransceivers()[0].receiver.transport.transport._connection
    assert ice.stun_server == ("127.0.0.1", 3478)
    assert (ice.turn_server, ice.turn_ssl, ice.turn_transport) == (("turn.example", 443), True, "tcp")
    assert (ice.turn_username, ice.turn_password) == ("ann", "secret")
    await peer.close()


class Mirror(asyncio.DatagramProtocol):
    """A STUN server that sees everyone at 203.0.113.9, port 4000."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        asked = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=asked.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", 4000)
        self.transport.sendto(bytes(answer), addr)


async def test_a_named_stun_server_gives_the_address_that_others_see() -> None:
    """It stands in the offer beside the own one."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Mirror, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    peer = Peer(Told(), IceSettings(servers=(IceServer(url=f"stun:127.0.0.1:{port}"),), hosts=("127.0.0.1",)))
    assert candidates(await peer.offer()) == {"127.0.0.1", "203.0.113.9"}
    await peer.close()
    transport.close()
    await asyncio.sleep(0)


def test_settings_come_from_the_environment() -> None:
    """Comma separated; a TURN server's user stands before its host."""
    settings = IceSettings.from_environment(
        {
            "TURNLOG_ICE_SERVERS": "stun:stun.example, turn:ann:s3cret@turn.example:3478?transport=udp",
            "TURNLOG_ICE_HOSTS": "192.0.2.1,fd00::2",
        }
    )
    assert settings.hosts == ("192.0.2.1", "fd00::2")
    assert settings.servers == (
        IceServer(url="stun:stun.example"),
        IceServer(url="turn:turn.example:3478?transport=udp", username="ann", credential="s3cret"),
    )
    assert IceSettings.from_environment({}) == IceSettings()


@pytest.mark.parametrize("url", ["http://x", "stun:", "stun:a b", "turn:host", "stun:host?transport=udp", "turn:a:b@c:d:e", "x"])
def test_a_url_that_is_no_server_is_named(url: str) -> None:
    """TL311; a password never stands in the message."""
    with pytest.raises(LinkError, match="TL311"):
        IceSettings.from_environment({"TURNLOG_ICE_SERVERS": url})
    with pytest.raises(LinkError, match="TL311"):
        IceServer(url=url)


def test_a_password_is_never_shown() -> None:
    """Neither in a message nor in a repr."""
    with pytest.raises(LinkError) as refused:
        IceSettings.from_environment({"TURNLOG_ICE_SERVERS": "turn:ann:s3cret@host:port"})
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(IceServer(url="turn:host", username="ann", credential="s3cret"))
