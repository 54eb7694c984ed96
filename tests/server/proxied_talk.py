"""What is said in proxied calls of the tests: a whole spoken call, and its parts."""

import base64
import json
from typing import Any

from tests.server.proxying import Proxying

__all__ = ["SESSION", "SILENCE", "audio", "say", "spoken_call"]

SESSION = {"type": "realtime", "id": "sess_p", "audio": {"input": {"transcription": {"model": "words"}}}}
SILENCE = base64.b64encode(bytes(48_000)).decode()  # a second


async def say(sender: Any, receiver: Any, *messages: dict[str, Any]) -> None:
    """Send messages and wait until the other side has them."""
    for message in messages:
        await sender.send(json.dumps(message))
        assert json.loads(await receiver.recv()) == message


async def spoken_call(running: Proxying) -> list[Any]:
    """A greeted caller speaks, is answered for a second, speaks over it, and its client says what it had heard."""
    async with running.through() as (caller, provider):
        await say(provider, caller, {"type": "session.created", "session": SESSION})
        await say(caller, provider, {"type": "input_audio_buffer.append", "audio": SILENCE})
        await say(
            provider,
            caller,
            {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 100},
            {"type": "input_audio_buffer.speech_stopped", "item_id": "u1", "audio_end_ms": 900},
            {"type": "input_audio_buffer.committed", "item_id": "u1", "previous_item_id": None},
            {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u1", "transcript": "Is there a room?"},
            {"type": "response.created", "response": {"id": "r1", "object": "realtime.response"}},
            {"type": "response.output_item.added", "response_id": "r1", "item": {"id": "a1", "type": "message"}},
            *audio("r1", "a1", "There is one with a view of the sea."),
            {"type": "response.done", "response": {"id": "r1", "status": "completed"}},
            {"type": "input_audio_buffer.speech_started", "item_id": "u2", "audio_start_ms": 1500},
        )
        heard = {"item_id": "a1", "content_index": 0, "audio_end_ms": 500}
        await say(caller, provider, {"type": "conversation.item.truncate", **heard})
        await say(provider, caller, {"type": "error", "error": {"type": "server_error", "code": "odd", "message": "Odd."}})
    return await running.log()


def audio(response: str, item: str, words: str) -> list[dict[str, Any]]:
    """A second of an answer."""
    part = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
    return [
        {"type": "response.output_audio_transcript.delta", **part, "delta": words},
        {"type": "response.output_audio.delta", **part, "delta": SILENCE},
        {"type": "response.output_audio_transcript.done", **part, "transcript": words},
    ]
