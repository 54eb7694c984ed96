"""The pytest plugin of turnlog: the fixture `turnlog`, --turnlog-seed, and how to run a failed test again.

It stands outside of the package so that pytest can load it in every suite without importing turnlog; that happens when a
test asks for the fixture. An async test that asks for it runs on virtual time, whatever other plugin runs async tests.
"""

import functools
import inspect
import os
import random
import shlex
import zlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # at run time it is imported when a test asks for it
    from turnlog.testing import Kit

__all__ = ["pytest_addoption", "pytest_pycollect_makeitem", "pytest_report_header", "turnlog"]

_FIXTURE = "turnlog"


def _seed(text: str) -> int:
    return random.SystemRandom().randrange(2**32) if text == "random" else int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--turnlog-seed."""
    words = "what turnlog's tests draw ids, faults and choices from: a number, or the word random (default: 0)"
    parser.getgroup("turnlog").addoption("--turnlog-seed", type=_seed, default=0, metavar="SEED", help=words)


def pytest_report_header(config: pytest.Config) -> str | None:
    """The seed, where it is not the usual one."""
    seed = config.getoption("--turnlog-seed")
    return f"turnlog seed: {seed}" if seed else None


@pytest.fixture(name=_FIXTURE)
def turnlog(request: pytest.FixtureRequest) -> "Kit":
    """Calls on virtual time: `async with turnlog.call(app, "hotel.desk") as call:`; see turnlog.testing.Kit."""
    from turnlog.testing import Kit

    name = request.node.nodeid.rpartition("/")[2]  # the same from whatever folder pytest runs
    return Kit(zlib.crc32(f"{request.config.getoption('--turnlog-seed')} {name}".encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    """Put an async test that asks for the fixture on virtual time, before another plugin takes it for its own loop."""
    # A function: on Python 3.12 the module `inspect`, imported into a test file, passes for a coroutine function.
    if not (inspect.isfunction(obj) and inspect.iscoroutinefunction(obj)) or _FIXTURE not in inspect.signature(obj).parameters:
        return
    if isinstance(collector, pytest.Module | pytest.Class) and collector.istestfunction(obj, name):
        setattr(collector.obj, name, _on_virtual_time(obj))


def _on_virtual_time(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        from turnlog.testing import run_virtual

        run_virtual(test(*args, **kwargs))

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under a failure: the seed, and the command that runs this test with it again."""
    report = yield
    if report.failed and _FIXTURE in getattr(item, "fixturenames", ()):
        seed = item.config.getoption("--turnlog-seed")
        report.sections.append(("turnlog", f"seed {seed}; to run this test again as it was:\n{_command(item, seed)}"))
    return report


def _command(item: pytest.Item, seed: int) -> str:
    given = item.config.invocation_params
    path = os.path.relpath(item.path, given.dir)
    test = "::".join([path, *item.nodeid.split("::")[1:]])
    plugins = [part for flag, name in zip(given.args, given.args[1:], strict=False) if flag == "-p" for part in (flag, str(name))]
    return shlex.join(["python", "-m", "pytest", *plugins, test, "--turnlog-seed", str(seed)])
