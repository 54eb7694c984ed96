"""What `turnlog check` looks for: calls by their dotted names, each with why it does not belong into a handler and what does.

Pure tables. A name ending in ".*" stands for everything below it.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

__all__ = [
    "AS_COMPLETED",
    "BLOCKING_METHODS",
    "CALLS",
    "CLOCK",
    "GENERATOR",
    "GLOBAL",
    "NOW_WITHOUT_ARGUMENTS",
    "OUTSIDE",
    "RANDOM",
    "SET_ORDER",
    "UNAWAITED",
    "Rule",
    "rule_of",
]


class Rule(NamedTuple):
    """A name to be found by, why, and the remedy."""

    name: str
    why: str
    remedy: str


_STEP = "await session.call(…) or session.step(fn, …) does it outside and logs the result"

CLOCK = Rule("wall-clock", "the clock shows another time in a replay", "session.now() is the time of the event it stands at")
RANDOM = Rule("random", "a replay draws other numbers", "draw from session.random")
UUID = Rule("uuid", "a replay makes another id", "session.uuid() makes one that is the same in every replay")
BLOCKING = Rule("blocking", "it holds up every session of the process, and a replay does it again", _STEP)
IO = Rule("io", "a handler's loop has no I/O: it raises TL104", _STEP)
THREADS = Rule("threads", "a thread runs at its own pace, which no replay repeats: it raises TL104", _STEP)
ALL_TASKS = Rule("all-tasks", "it is a set of the process's tasks, in the order of their addresses", "keep a list of your own")
FUTURE = Rule(
    "bare-future", "a bare Future orders by its address in sets", "asyncio.get_running_loop().create_future() orders by creation"
)
AS_COMPLETED = Rule(
    "as-completed",
    "it starts bare coroutines in the order of their addresses: it raises TL104",
    "give it tasks: [asyncio.create_task(one()), asyncio.create_task(two())]",
)
SET_ORDER = Rule("set-order", "the order of a set differs between processes", "iterate over sorted(…), or keep a list or a dict")
UNAWAITED = Rule("not-awaited", "what it raises or returns is lost", "await it, or give it to asyncio.create_task(…)")
GLOBAL = Rule(
    "global-state",
    "other sessions and earlier runs change it, and no log holds it",
    "keep it in the handler's own variables, or behind session.call(…)",
)
GENERATOR = Rule(
    "open-generator",
    "an async generator that is left early runs its cleanup whenever it is collected",
    "async with contextlib.aclosing(generator()) as items: async for … in items",
)

CALLS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (CLOCK, ("time.time", "time.time_ns", "time.monotonic*", "time.perf_counter*", "time.process_time*", "time.thread_time*")),
    (CLOCK, ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today")),
    (RANDOM, ("random.*", "secrets.*", "os.urandom", "os.getrandom", "numpy.random.*")),
    (UUID, ("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "uuid.uuid8")),
    (BLOCKING, ("open", "input", "io.open", "time.sleep", "os.system", "os.popen", "subprocess.*", "socket.*", "shutil.*")),
    (BLOCKING, ("os.listdir", "os.scandir", "os.walk", "os.remove", "os.rename", "os.mkdir", "os.makedirs", "os.stat")),
    (BLOCKING, ("requests.*", "urllib.request.*", "http.client.*", "httpx.get", "httpx.post", "httpx.request", "httpx.Client")),
    (BLOCKING, ("sqlite3.connect", "psycopg.connect", "psycopg2.connect", "pymysql.connect", "smtplib.*", "ftplib.*")),
    (IO, ("asyncio.open_connection", "asyncio.open_unix_connection", "asyncio.start_server", "asyncio.start_unix_server")),
    (IO, ("asyncio.create_subprocess_*", "aiohttp.ClientSession", "httpx.AsyncClient", "websockets.connect", "asyncpg.connect")),
    (THREADS, ("threading.Thread", "threading.Timer", "concurrent.futures.*", "multiprocessing.*", "asyncio.to_thread")),
    (ALL_TASKS, ("asyncio.all_tasks",)),
    (FUTURE, ("asyncio.Future",)),
)

NOW_WITHOUT_ARGUMENTS = {"time.localtime": 0, "time.gmtime": 0, "time.ctime": 0, "time.asctime": 0, "time.strftime": 1}
"""These read the clock when they get no more than so many arguments."""

BLOCKING_METHODS = {
    **dict.fromkeys(("read_text", "read_bytes", "write_text", "write_bytes"), BLOCKING),
    "run_in_executor": THREADS,
}
"""By the name of a method, whatever it is called on."""

OUTSIDE = frozenset({"step", "stream", "to_thread", "run_in_executor"})
"""Calls whose arguments are run elsewhere."""

_FINE = frozenset({"random.Random"})  # with a seed; without one it is looked at


def rule_of(dotted: str, arguments: int) -> Rule | None:
    """The rule that a call of this name breaks."""
    if dotted in _FINE:
        return None if arguments else RANDOM
    if dotted in NOW_WITHOUT_ARGUMENTS:
        return CLOCK if arguments <= NOW_WITHOUT_ARGUMENTS[dotted] else None
    for rule, names in CALLS:
        if any(fnmatchcase(dotted, name) for name in names):
            return rule
    return None
