"""A client's connection of the library `websockets` that hands text messages on as they are read.

Strategy: a generator a level, an object a frame, a future, two coroutines and a task's step lie between a socket and recv():
half of what a message costs. Only whole, plain frames of ASCII take the short way, between two frames that the library has
parsed, and only while no message waits on the long way: order stays as it was, everything else is the library's to judge.
"""

import threading
from asyncio import BufferedProtocol
from collections.abc import Callable
from types import GeneratorType
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, Protocol, State
from websockets.streams import StreamReader

__all__ = ["DirectConnection"]

_READ_BYTES: Final = 64 * 1024
_WHOLE_TEXT: Final = 0x81  # FIN, no extension's bit, opcode 1
_LONG: Final = 126  # the length follows in two bytes; above, in eight, or the frame is masked


class _Reading(threading.local):
    """What a thread's connections read into, one after the other: a loop fills it and hands it on without a pause between.

    Strategy: asyncio makes a buffer of 256 KiB for every read otherwise, which the allocator takes from the system and gives
    back each time: 20 us of the 45 that a message of 2 KB took (measured). One for each connection was a third of what a
    session that waits takes.
    """

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_READ_BYTES))


_reading: Final = _Reading()


class DirectConnection(ClientConnection, BufferedProtocol):
    """Give it as `create_connection`. `on_text` gets each message that can take the short way; recv() the others.

    What it raises goes to `on_failure`; the connection is aborted then.
    """

    on_text: Callable[[bytes], None] | None = None
    on_failure: Callable[[Exception], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._buffer = _reading.buffer  # of the thread whose loop makes and reads it; nothing in it outlives buffer_updated
        self._between = False  # whether the parser stands between two frames
        self._limit = _limit(self.protocol)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport puts what it reads next."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """The transport has read that much."""
        taken = self._take_texts(nbytes) if self._between else 0
        if taken < nbytes:
            self.data_received(bytes(self._buffer[taken:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Let the library parse."""
        super().data_received(data)
        self._between = _is_between_frames(self.protocol)

    def process_event(self, event: Event) -> None:
        """The library has parsed a frame."""
        take = self.on_text
        if take is not None and type(event) is Frame and event.opcode is Opcode.TEXT and event.fin:
            message = bytes(event.data)
            if message.isascii() and not self.recv_messages.frames.queue:
                try:
                    take(message)
                except Exception as error:
                    self._failed(error)
                return
        super().process_event(event)

    def _failed(self, error: Exception) -> None:
        self.on_text = None
        self.on_failure(error)
        self.transport.abort()

    def _take_texts(self, size: int) -> int:
        """Hand on the whole text frames that stand first; returns how many bytes they took."""
        buffer, at, protocol = self._buffer, 0, self.protocol
        while size - at >= 4 and buffer[at] == _WHOLE_TEXT and protocol.state is State.OPEN:
            start, length = at + 2, buffer[at + 1]
            if length >= _LONG:
                if length > _LONG:
                    break
                start, length = at + 4, buffer[at + 2] << 8 | buffer[at + 3]
            end = start + length
            if length > self._limit or end > size:
                break
            message = bytes(buffer[start:end])
            take = self.on_text
            if take is None or not message.isascii() or self.recv_messages.frames.queue:
                break
            at = end
            try:
                take(message)
            except Exception as error:
                self._failed(error)
        return at


def _limit(protocol: Protocol) -> int:
    """The size of a frame that the library would let pass."""
    sizes = (protocol.max_message_size, protocol.max_fragment_size)
    return min((size for size in sizes if size is not None), default=_READ_BYTES)


def _is_between_frames(protocol: Protocol) -> bool:
    """Whether what comes next is the beginning of a message that needs nothing of the library's state.

    Strategy: the parser is a generator, and where it waits is asked of the interpreter. Should another version of the
    library wait elsewhere, every message takes the long way.
    """
    if protocol.state is not State.OPEN or protocol.current_size is not None or protocol.extensions:
        return False
    waits: object = protocol.parser
    while isinstance(waits, GeneratorType) and waits.gi_yieldfrom is not None:
        waits = waits.gi_yieldfrom
    return isinstance(waits, GeneratorType) and waits.gi_code is StreamReader.at_eof.__code__ and not protocol.reader.buffer
