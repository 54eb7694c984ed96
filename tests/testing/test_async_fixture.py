"""The fixture in tests of both kinds."""

import asyncio

from tests.testing.desk import GREETING, app
from turnlog.testing import Call, Kit, VirtualLoop


async def test_an_async_test_runs_on_virtual_time(turnlog: Kit) -> None:
    """A test that asks for the fixture runs on a VirtualLoop, although pytest-asyncio is in auto mode here."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears(GREETING)
        call.caller.types("what a day, bye")
        await call.caller.hears("what a day, bye")
        assert (await call.ended()).reason == "completed"


def test_a_plain_test_runs_a_script(turnlog: Kit) -> None:
    """A sync test gives the script, and gets the call that is over."""

    async def script(call: Call) -> None:
        await call.caller.hears("how can I help")
        await call.caller.hangs_up()
        await call.ended()

    call = turnlog.run(app, "hotel.desk", script)
    assert call.provider.says == [GREETING]


class TestInAClass:
    """Methods are tests too."""

    async def test_a_method_runs_on_virtual_time(self, turnlog: Kit) -> None:
        """The fixture works in a method."""
        assert isinstance(asyncio.get_running_loop(), VirtualLoop)
        assert turnlog.random.random() == Kit(turnlog.seed).random.random()
