"""uvicorn's WebSocket protocol, with permessage-deflate for some addresses only, and an end for peers that have vanished.

Strategy: uvicorn itself knows compression for all addresses or none. Its implementation over the library `websockets` without
I/O is the one that sends denials and headers and is not deprecated; extensions are agreed to when the request is accepted, so
they are set right before. A peer that answers no ping is closed by it behind what still waits to be sent; one whose host is gone
takes nothing of that, and the end would never come.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request

__all__ = ["PING_S", "Sockets", "socket_protocol"]

PING_S: Final = 20.0
"""How often a WebSocket is pinged, and how long its peer may take to answer."""

_WINDOW_BITS = 12  # 4 KiB a direction, as uvicorn's own: a connection costs some 40 KiB
_SETTINGS = {"memLevel": 5}


class Sockets(NamedTuple):
    """What WebSockets are answered with. deflates: whether compression is agreed to for an address (path and query)."""

    deflates: Callable[[str], bool] = lambda address: False
    ping_s: float = PING_S


def socket_protocol(deflates: Callable[[str], bool]) -> type[WebSocketsSansIOProtocol]:
    """The protocol, to be given as `ws`."""

    class Protocol(WebSocketsSansIOProtocol):
        def keepalive_timeout(self) -> None:
            super().keepalive_timeout()
            self.transport.abort()

        def handle_connect(self, event: Request) -> None:
            if deflates(event.path):
                self.conn.available_extensions = [
                    ServerPerMessageDeflateFactory(
                        server_max_window_bits=_WINDOW_BITS,
                        client_max_window_bits=_WINDOW_BITS,
                        compress_settings=_SETTINGS,
                    )
                ]
            super().handle_connect(event)

    return Protocol
