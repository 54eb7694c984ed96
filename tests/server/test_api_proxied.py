"""The API and a proxied session: it is found, heard and ended like others; what only a handler could do is refused."""

import base64
import io
import json
import wave
from array import array

import httpx

from tests.server.proxying import proxying

SESSIONS = "/v1/turnlog/sessions"
SOUND = base64.b64encode(array("h", [3000, -3000] * 2400).tobytes()).decode()  # 200 ms


async def test_a_proxied_session_is_found_heard_and_ended() -> None:
    """Its recording has both sides; says and signals are 409, as no handler is there, and a replay is skipped."""
    async with proxying() as served, httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        async with served.through() as (caller, provider):
            await caller.send(json.dumps({"type": "input_audio_buffer.append", "audio": SOUND}))
            await provider.recv()
            of_response = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
            for message in (
                {"type": "response.created", "response": {"id": "r1", "object": "realtime.response", "status": "in_progress"}},
                {"type": "response.output_audio.delta", "event_id": "e1", "delta": SOUND, **of_response},
                {"type": "response.output_audio_transcript.done", "event_id": "e2", "transcript": "Hello", **of_response},
            ):
                await provider.send(json.dumps(message))
                await caller.recv()
            (one,) = (await http.get(SESSIONS, params={"status": "active"})).json()["sessions"]
            assert (one["target"], one["running"], one["transport"]) == ("calls.line", True, "websocket")
            for operation, body in (("say", {"text": "Hello?"}), ("signal", {"name": "paid"})):
                refused = await http.post(f"{SESSIONS}/{one['session']}/{operation}", json=body)
                assert refused.status_code == 409 and "proxied" in refused.json()["detail"]
            assert (await http.post(SESSIONS, json={"target": "calls.line"})).status_code == 400
            assert (await http.post(f"{SESSIONS}/{one['session']}/end", json={"reason": "enough"})).status_code == 202
        events = await served.log()
        assert events[-1].reason == "enough"
        detail = (await http.get(f"{SESSIONS}/{one['session']}")).json()
        assert detail["end"]["reason"] == "enough" and not detail["running"]
        audio = await http.get(f"{SESSIONS}/{one['session']}/audio")
        with wave.open(io.BytesIO(audio.content)) as file:
            frames = array("h", file.readframes(file.getnframes()))
        assert [max(frames[side::2]) for side in (0, 1)] == [3000, 3000]
        assert (await http.post(f"{SESSIONS}/{one['session']}/replay")).json()["status"] == "skipped"
