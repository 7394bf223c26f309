"""The protocol of an inbox for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from hookkit.clock import SYSTEM_CLOCK
from hookkit.errors import StoreError
from hookkit.inbox._inbox import warn_overtaken, warn_unreleased
from hookkit.inbox._receipt import LEASE, Receipt
from hookkit.signing import Verified

__all__ = ["AsyncInbox"]

T = TypeVar("T")
Tx_contra = TypeVar("Tx_contra", contravariant=True)


class AsyncInbox(Protocol[Tx_contra]):
    """The async twin of :class:`~hookkit.inbox.Inbox`: derive from it, and :meth:`receive` comes with the steps."""

    @property
    def keep(self) -> timedelta:
        """As :attr:`Inbox.keep`."""
        ...

    async def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Tx_contra | None = None
    ) -> Receipt:
        """As :meth:`Inbox.claim`. A claim that is cancelled may still happen: then it lasts until its lease ends."""
        ...

    async def finish(self, receipt: Receipt) -> bool:
        """As :meth:`Inbox.finish`."""
        ...

    async def release(self, receipt: Receipt, *, tx: Tx_contra | None = None) -> bool:
        """As :meth:`Inbox.release`."""
        ...

    async def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """As :meth:`Inbox.prune`."""
        ...

    @asynccontextmanager
    async def receive(
        self,
        verified: Verified,
        *,
        source: str,
        now: datetime | None = None,
        lease: timedelta | float = LEASE,
        tx: Tx_contra | None = None,
    ) -> AsyncGenerator[Receipt, None]:
        """As :meth:`Inbox.receive`, with ``async with``. A block that is cancelled has raised."""
        at = SYSTEM_CLOCK.now() if now is None else now
        receipt = await self.claim(source, verified.dedupe_key, now=at, lease=lease, tx=tx)
        try:
            yield receipt
        except BaseException:
            if receipt.first:
                await _give_back(self, receipt, tx)
            raise
        if receipt.first and tx is None and not await _whatever_comes(self.finish(receipt)):
            warn_overtaken(receipt)


async def _whatever_comes(step: Coroutine[Any, Any, T]) -> T:
    """Await a step that happens even if the waiting is cancelled: the event must not stay claimed for that."""
    return await asyncio.shield(asyncio.ensure_future(step))


async def _give_back(inbox: AsyncInbox[Tx_contra], receipt: Receipt, tx: Tx_contra | None) -> None:
    try:
        await _whatever_comes(inbox.release(receipt, tx=tx))
    except StoreError as error:  # what made the block fail matters more, and the lease will run out
        warn_unreleased(receipt, error, within=tx is not None)
