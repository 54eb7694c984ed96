"""uvicorn's WebSocket protocol, with permessage-deflate for some addresses only: uvicorn itself knows all or none.

Strategy: its implementation over the library `websockets` without I/O is the one that sends denials and headers and is not
deprecated; extensions are agreed to when the request is accepted, so they are set right before.
"""

from collections.abc import Callable

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request

__all__ = ["deflating"]

_WINDOW_BITS = 12  # 4 KiB a direction, as uvicorn's own: a connection costs some 40 KiB
_SETTINGS = {"memLevel": 5}


def deflating(deflates: Callable[[str], bool]) -> type[WebSocketsSansIOProtocol]:
    """The protocol, to be given as `ws`. deflates: whether an address (path and query) agrees to compression."""

    class Deflating(WebSocketsSansIOProtocol):
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

    return Deflating
