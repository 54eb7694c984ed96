"""The store of an engine and the projections that follow it: opened and closed with the engine."""

import asyncio
from collections.abc import Sequence

from ..store.open import open_store
from ..store.port import Store
from .nonces import Nonces
from .projections import Projection, Projections
from .projections.declare import check
from .relay.orphans import end_orphans

__all__ = ["Kept"]


class Kept:
    """given: a store's URL or path, which is opened here and closed here, or an open one, which its owner closes.

    Raises DefinitionError TL208 for projections that cannot be.
    """

    def __init__(self, given: str | Store, durability: str, projections: Sequence[Projection]) -> None:
        check(projections)
        self._given = given
        self._durability = durability
        self._declared = tuple(projections)

    async def open(self, nonces: Nonces) -> None:
        """Open what is to be opened; what another process has left behind in a file that is ours gets its end, see relay/orphans.

        Raises StoreError TL401, TL404, TL405 or TL406.
        """
        if isinstance(self._given, str):
            self.store: Store = await asyncio.to_thread(open_store, self._given, durability=self._durability)
            try:
                await end_orphans(self.store, nonces)
            except BaseException:
                await self.store.close()
                raise
        else:
            self.store = self._given
        self.projections = Projections(self.store, self._declared)
        self.projections.start()

    async def close(self) -> None:
        """Stop following, and close what was opened here."""
        try:
            await self.projections.stop()
        finally:
            if isinstance(self._given, str):
                await self.store.close()
