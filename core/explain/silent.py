"""Why is it silent: at any moment exactly one party is to act next, or the line is not silent at all.

The rules stand in `_case`, in order: what is nearer to the caller's ear goes first. A caller that is not there and a
provider that is not ready hold everything else up; then comes what the handler is busy with, and the user last.
"""

from .. import events as e
from ..awaiting import is_awaited
from ..due import HANDLER_GRACE_S
from ..folds.delivery import OpenSay
from ..saying import needs_voice
from ..states import SayState, SessionState
from .listening import handler_waits, user_first
from .moment import Moment
from .speaking import cutting, say_waits, sounding
from .trail import Trail
from .waiter import MS, Case, S, Waiter

__all__ = ["Waiter", "why_silent"]


def why_silent(trail: Trail, *, seq: int | None = None, at_ns: int | None = None) -> Waiter:
    """The one who is to act next: right after an event, at a time, or at the end of the log.

    Raises StoreError TL418 for a place that the log does not have, TL411 where erased events hide the answer.
    """
    moment = Moment.of(trail, seq=seq, at_ns=at_ns)
    case = _case(moment)
    return Waiter(
        name=case.name,
        owner=case.owner,
        what=case.what,
        seq=moment.seq,
        at_ns=moment.now_ns,
        since_seq=case.since.seq,
        since_ns=case.since.at_ns,
        age_ms=max(0, moment.now_ns - case.since.at_ns) // MS,
        until_ns=case.until_ns,
        site=case.site or moment.site,
        stands=case.site is not None,
    )


def _case(moment: Moment) -> Case:
    state = moment.state
    says = state.delivery.says.values()
    head = next((say for say in says if say.state is not SayState.CUT), None) or next(iter(says), None)
    return (
        _end(moment)
        or sounding(moment)
        or _links(moment, head)
        or cutting(moment)
        or (say_waits(moment, head) if head else None)
        or user_first(moment)
        or handler_waits(moment)
    )


# --- the session and its links ---


def _end(moment: Moment) -> Case | None:
    state = moment.state
    ending = state.life.ending
    if state.life.phase is SessionState.ENDED:
        return Case("ended", "engine", "nothing: the session has ended", moment.latest(e.SessionEnded))
    if ending and not (ending.drain and state.delivery.says and (state.links.callers or is_awaited(state))):
        what = f"the session is ending ({ending.reason}): what is open is settled, then it ends"
        return Case("ending", "engine", what, moment.latest(e.SessionEnding))
    return None


def _links(moment: Moment, head: OpenSay | None) -> Case | None:
    links = moment.state.links
    if not links.callers:
        if links.awaited is not None and links.gone_ns is None:
            dropped = f"the caller's connection dropped ({links.awaited.reason or 'no reason given'}) and it may come back"
            what = dropped if links.awaited.link else "the session was started for a caller, which has not come yet"
            return Case("caller_awaited", "caller", what, moment.latest(e.CallerAwaited), links.awaited.until_ns)
        if links.gone_ns is None:
            return Case("no_caller", "caller", "no caller has been attached yet", moment.trail.first)
        until_ns = links.gone_ns + HANDLER_GRACE_S * S
        gone = {"caller_lost": "the caller has not come back", "no_caller": "no caller has come"}
        what = f"{gone.get(links.left, 'the caller has gone')}; the handler may finish, then the session ends"
        return Case("no_caller", "caller", what, moment.latest(e.CallersGone), until_ns)
    if head is not None and needs_voice(moment.state.life.definition, head.command):
        return None  # it waits for no provider
    if links.provider is None and moment.state.call.id:
        lost = moment.latest_of(e.CallOpened, e.LinkClosed)
        return Case("sideband", "provider", "the sideband of the call does not stand: it is being joined", lost)
    if links.provider is None:
        return Case("provider_link", "provider", "the provider's link is not open yet", moment.trail.first)
    if not links.provider_ready:
        what = "the provider's link is open and our configuration is not confirmed"
        return Case("provider_link", "provider", what, moment.latest(e.LinkOpened, lambda one: one.side == "provider"))
    return None
