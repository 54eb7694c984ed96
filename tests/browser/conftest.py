"""One browser for all tests here, on an event loop that lives as long: tests say `pytest.mark.asyncio(loop_scope="session")`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.chromium import Chromium, chromium


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chrome(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    """Debian's chromium."""
    async with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running
