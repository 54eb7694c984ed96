"""One contender of bench_live_loop in a process of its own: holds SESSIONS sessions and measures itself.

    python benchmarks/live_contender.py NAME PORT SESSIONS SECONDS FOLDER

NAME is one of CONTENDERS, with "+uvloop" to run on uvloop. Prints one line of JSON. CPU is user and system time of the whole
process (the log's writer thread included) for SECONDS, from when all sessions have been under way for a second.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from live_meter import Contender, Meter, watched
from live_turnlog import TURNLOG

__all__ = ["CONTENDERS"]


async def floor(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """No session at all: receive from the socket with `websockets` and look for the audio. What nobody can be cheaper than."""
    from websockets.asyncio.client import connect

    async def one() -> None:
        async with connect(f"ws://127.0.0.1:{port}/v1/realtime", max_size=None, compression=None) as connection:
            await connection.send('{"type":"session.update","session":{"type":"realtime"}}')
            while True:
                message = await connection.recv(decode=False)
                if message.startswith(b'{"type":"response.output_audio.delta"'):
                    meter.base64(message, message.find(b'"delta":"') + 9)

    tasks = [asyncio.create_task(one()) for _ in range(sessions)]
    return await watched(tasks, meter.window(seconds))


async def openai_agents(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """openai-agents: RealtimeRunner over OpenAIRealtimeWebSocketModel, events read with `async for`. Keeps no log."""
    from agents.realtime import RealtimeAgent, RealtimeRunner
    from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel

    async def one() -> None:
        runner = RealtimeRunner(RealtimeAgent(name="desk", instructions="You are helpful."), model=OpenAIRealtimeWebSocketModel())
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
        session = await runner.run(model_config={"url": url, "api_key": "none"})
        async with session:
            async for event in session:
                if event.type == "audio":
                    meter.pcm(event.audio.data)

    tasks = [asyncio.create_task(one()) for _ in range(sessions)]
    return await watched(tasks, meter.window(seconds))


async def pipecat(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """pipecat-ai: a pipeline of OpenAIRealtimeLLMService and a processor that takes the audio. Keeps no log."""
    from loguru import logger

    logger.remove()
    from pipecat.frames.frames import TTSAudioRawFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

    class Sink(FrameProcessor):  # type: ignore[misc] # untyped in an environment without pipecat
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, TTSAudioRawFrame):
                meter.pcm(frame.audio)
            await self.push_frame(frame, direction)

    async def one() -> None:
        service = OpenAIRealtimeLLMService(api_key="none", base_url=f"ws://127.0.0.1:{port}/v1/realtime")
        task = PipelineTask(Pipeline([service, Sink()]), params=PipelineParams(), idle_timeout_secs=None)
        await PipelineRunner(handle_sigint=False).run(task)

    tasks = [asyncio.create_task(one()) for _ in range(sessions)]
    return await watched(tasks, meter.window(seconds))


CONTENDERS: dict[str, Contender] = {
    "floor": floor,
    **TURNLOG,
    "openai-agents": openai_agents,
    "pipecat": pipecat,
}


def main() -> None:
    """Run the contender that the command line names."""
    name, port, sessions, seconds, folder = sys.argv[1:6]
    os.environ.setdefault("OPENAI_API_KEY", "none")
    os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
    contender, _, loop = name.partition("+")
    work = report(CONTENDERS[contender], int(port), int(sessions), float(seconds), Path(folder))
    if loop == "uvloop":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


async def report(contender: Contender, port: int, sessions: int, seconds: float, folder: Path) -> None:
    """Print what was measured and go: not every peer's tasks can be cancelled."""
    print(json.dumps(await contender(Meter(), port, sessions, seconds, folder)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
