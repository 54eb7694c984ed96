"""A running session, seen from the embedding program: its loop, its links and its end."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from ..core import events as e
from ..core.commands import Say, plain
from ..core.decide import applicable
from ..core.definition import SessionDefinition
from ..core.errors import LinkError, TurnlogError
from ..core.ports import Calls, Link, Provider
from ..core.saying import needs_voice
from ..transports.providers.voice import Voice
from ..transports.realtime.provider_leg import ProviderLeg
from ..transports.realtime.rtp_provider_leg import RtpProviderLeg
from ..transports.realtime.voice_leg import VoiceLeg
from .caller_legs import caller_leg, handed
from .closing import close_of, left
from .direct import Held, calls_of, configuration, enter
from .handlers.callback import in_callback
from .handlers.clip import recordings
from .handlers.current import SESSION, working_for
from .handlers.host_run import HostRun
from .inbox import Attempted, Ending, Failed, OfCall
from .joining import join
from .nonces import Nonces
from .outside import signalled, told
from .run import SessionRun

__all__ = ["LiveSession"]

log = logging.getLogger("turnlog")


class LiveSession:
    """A session that this engine runs. Made by Engine.start."""

    def __init__(self, run: SessionRun, started: e.SessionStarted, provider: Provider, voice: Voice, ids: Nonces) -> None:
        self._run = run
        self._ids = ids
        self._started = started
        self._provider = provider
        self._voice = voice
        self._children: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[e.SessionEnded] = asyncio.get_running_loop().create_future()
        self._names = {"p": 0, "v": 0, "c": 0}
        self._is_direct = False  # the provider holds a caller's call, or is being asked to

    @property
    def id(self) -> str:
        """The session's id, its name in the store."""
        return self._started.session

    @property
    def target(self) -> str:
        """<app>.<session>"""
        return self._started.target

    @property
    def definition(self) -> SessionDefinition:
        """What it was declared to be."""
        return self._started.definition

    async def ended(self) -> e.SessionEnded:
        """Wait for the end: its reason, code and detail. Raises StoreError if the log could not be written any more."""
        return await asyncio.shield(self._ended)

    def end(self, reason: str = "ended", *, drain: bool = True) -> None:
        """Ask the session to end; says that are queued are spoken first if `drain`. Ending twice does nothing."""
        if type(reason) is not str:
            raise TypeError(f"end({reason!r}): the reason must be a string")
        plain(reason, "end() reason")
        self._run.inbox.put(Ending(e.SessionEnding(reason=reason, drain=drain)))

    def leave(self) -> None:
        """Stop without an end: the log stays open, complete so far; callers are told 1012, and `ended` raises TL508."""
        self._run.leave()

    def signal(self, name: str, data: Any = None, *, key: str = "") -> None:
        """Send the handler a signal (`await session.signal(name)`). One `key` is received once, however often it is sent.

        Raises HandlerError TL105 for data that cannot be stored, and a name or key that is no string.
        """
        self._run.inbox.put(signalled(name, data, key))

    def say(self, text: str, **options: Any) -> str:
        """Have something said from outside of the handler, which goes on as it was; returns the say's id in the log.

        Options: when, interruptible, key, metadata and on_stale of `session.say`. One `key` is said once, however often it is
        asked for: the words of the first time stay. Raises HandlerError TL105 for what is nothing to say, TL111 for an option.
        """
        said = told(text, turn=self._run.core.state.turns.count, made=self._id("said"), options=options)
        self._run.inbox.put(said)
        return said.event.say

    def enter(self, event: e.OutsideCallRequested | e.OutsideCallEnded, cause: int = e.Root.API) -> None:
        """Record a fact of which neither the handler nor a decision learns.

        Raises TurnlogError TL102 when the session has ended.
        """
        self._must_stand()
        self._run.inbox.put(Attempted(event, cause))

    @property
    def takes_callers(self) -> bool:
        """Whether a caller would still find somebody here: at most it drains, and it was not told that all are gone."""
        state = self._run.core.state
        ending = state.life.ending
        stays = not (self._ended.done() or self._run.left)
        return (ending is None or ending.drain) and state.links.gone_ns is None and stays

    @property
    def formats(self) -> dict[str, str]:
        """The types of the audio formats that callers have asked for, by side; "audio/pcm" is what there is else."""
        settings = self._run.core.state.links.settings
        asked = {side: settings.get(f"{side}_format") for side in ("input", "output")}
        return {side: form["type"] for side, form in asked.items() if form}

    def attach(self, link: Link, *, transport: str = "in_process", peer: str = "", seat: str = "") -> str:
        """Attach a caller: from here its audio and text reach the session, and it hears what is said. Returns the line's name.

        seat: whose place it is; the caller that has it now is closed (1001, "taken over"). Raises TurnlogError TL102 when the
        session has ended, TL505 for an AudioCaller where another caller has asked for other audio than PCM.
        """
        self._must_stand()
        transport = handed(link, transport, self.id, self.formats)
        self._dial()
        name = self._name("c")
        leg = caller_leg(name, link, transport, self.definition, self._run.lines, self._id)
        before = [line.link for line in self._run.lines.values() if seat and line.seat == seat]
        self._spawn(self._run.attach(name, link, leg, transport, peer))
        self._run.lines[name].seat = seat
        for taken in before:  # only now: somebody is always there
            self._spawn(taken.close(1001, "taken over"))
        return name

    @property
    def calls(self) -> Calls | None:
        """The provider, if it is to take a caller's own offer: it can, and was not reached in another way."""
        return None if self._names["p"] and not self._is_direct else calls_of(self.definition, self._provider)

    async def hold(self, calls: Calls, offer: str, *, peer: str = "", settings: dict[str, Any] | None = None) -> Held:
        """Let the provider hold the call of a caller, whose media goes past us; a sideband follows it.

        settings: what the caller asks of the session, as if it had sent a session.update. Raises TurnlogError TL505 where the
        session has a call already, what Calls.take_call raises (another offer may follow), and TL102 when the session has ended.
        """
        self._must_stand()
        if self._names["p"]:
            raise TurnlogError("TL505", f"session {self.id} has its call already", "start a new session for this caller")
        self._names["p"], self._is_direct = 1, True  # the sideband's
        asked = applicable(settings or {}, client_tools=self.definition.client_tools)
        try:
            taken = await calls.take_call(offer, self.id, configuration(self._run, asked))
        except BaseException as error:
            self._names["p"], self._is_direct = 0, False
            if isinstance(error, TurnlogError):
                self._run.inbox.put(OfCall(e.CallRefused(code=error.code, message=error.message)))
            if any(not line.of_provider for line in self._run.lines.values()):
                self._dial()  # somebody came meanwhile who would have been beside the call
            raise
        if self._run.core.ended:  # meanwhile
            await calls.hang_up(taken.call_id)
        self._must_stand()
        held = enter(self._run, calls, taken, self._name("c"), peer, asked)
        for work in held.works:
            self._spawn(work)
        return held

    def _must_stand(self) -> None:
        call = self._run.core.state.call
        if self._ended.done() or self._run.core.ended or (call.link and not call.id):
            what = "has ended" if self._ended.done() or self._run.core.ended else "has no call any more"
            raise TurnlogError("TL102", f"session {self.id} {what}", "start a new session for this caller")

    # --- the session's task ---

    async def begin(self) -> None:
        """Commit the session's beginning, and let the handler run to its first await."""
        self._run.effects.spawn = self._spawn
        self._run.effects.voice = self._speak_here
        join(self._run)
        with working_for(self.id):
            await self._run.round([])

    async def drive(self) -> None:
        """Run to the end. Never raises: what went wrong is what ended() raises."""
        failure: BaseException | None = None
        SESSION.set(self.id)  # of this task
        log.info("session %s of %s runs", self.id, self.target)
        try:
            if self.definition.say_mode == "tts":
                self._open_voice()
            if self.definition.transport != "webrtc":  # else a call is made for a caller
                self._dial()
            await self._run.run()
            if not self._run.core.ended:
                failure = left(self.id)
        except TurnlogError as error:
            failure = error
            log.error("session %s stopped: %s", self.id, error)
        except Exception as error:
            failure = error
            log.exception("session %s stopped by a fault of the engine", self.id)
        except BaseException:  # cancelled, or the process is to end
            failure = TurnlogError("TL102", f"session {self.id} was cancelled; its log has no end", "start the engine anew")
            raise
        finally:
            await asyncio.shield(self._close(failure))

    async def _close(self, failure: BaseException | None) -> None:
        ending = self._run.core.state.life.ending
        code, reason = close_of(ending, failure)
        while lines := list(self._run.lines.values()):  # a caller may still come while these are being closed
            self._run.lines.clear()
            closing = (asyncio.wait_for(line.link.close(code, reason), _PATIENCE_S) for line in lines)
            for error in await asyncio.gather(*closing, return_exceptions=True):
                if error is not None:
                    log.warning("session %s: a link did not close in order: %r", self.id, error)
        handler = self._run.handler
        if isinstance(handler, HostRun) and not await handler.stop(_PATIENCE_S):
            log.warning("session %s: its handler does not end; it is left running", self.id)
        while children := list(self._children):
            for child in children:
                child.cancel()
            _, left = await asyncio.wait(children, timeout=_PATIENCE_S)
            if left:
                log.warning("session %s: %d tools do not end; they are left running", self.id, len(left))
                break
        try:
            await in_callback(handler.close)
        except Exception as error:
            log.exception("session %s: its handler could not be closed", self.id)
            failure = failure or error
        self._run.log.watched.closed(failure)
        self._run.let_go()
        if failure is not None:
            self._ended.set_exception(failure)
            self._ended.exception()  # logged above; ended() raises it for whoever asks
        elif ending:
            log.info("session %s has ended: %s", self.id, ending.reason)
            self._ended.set_result(e.SessionEnded(reason=ending.reason, code=ending.code, detail=ending.detail))

    def _dial(self) -> None:
        """Reach the provider, once; a direct call has reached it, too."""
        if not self._names["p"]:
            self._spawn(self._connect(self._name("p")))

    async def _connect(self, name: str) -> None:
        try:
            link = await self._provider.connect(self.definition, self.id)
        except TurnlogError as error:
            self._run.inbox.put(Failed(error))
        except OSError as error:
            self._run.inbox.put(Failed(LinkError("TL301", f"{self.definition.provider}: {error}", "is the service up?")))
        else:
            kind = RtpProviderLeg if self.definition.transport == "webrtc" else ProviderLeg
            leg = kind(name, self._run.effects.definitions())
            await self._run.attach(name, link, leg, self.definition.transport, self.definition.provider)

    def _speak_here(self, say: Say) -> None:
        """Open the line to this machine's own voice for a say that needs it, unless it stands."""
        if needs_voice(self.definition, say):
            self._open_voice()

    def _open_voice(self) -> None:
        if any(name.startswith("v") for name in self._run.lines):
            return
        name = self._name("v")
        find = recordings(self._run.handler.journal.asking.host.clips)
        link = self._voice.connect(find, warm=self.definition.say_mode == "tts" and "audio" in self.definition.modalities)
        self._spawn(self._run.attach(name, link, VoiceLeg(name), "in_process", "voice"))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task of this session: ended with it, its failures the session's."""
        with working_for(self.id):
            task = asyncio.create_task(work)
        self._children.add(task)
        task.add_done_callback(self._child_done)

    def _child_done(self, task: asyncio.Task[None]) -> None:
        self._children.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session %s: a task failed", self.id, exc_info=error)
            detail = f"{type(error).__name__}: {error}"
            self._run.inbox.put(Ending(e.SessionEnding(reason="engine_fault", detail=detail)))

    def _name(self, side: str) -> str:
        self._names[side] += 1
        return f"{side}{self._names[side]}"

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._ids.next().hex()}"


_PATIENCE_S = 5  # for peers that answer a close, and tools that clean up when they are cancelled
