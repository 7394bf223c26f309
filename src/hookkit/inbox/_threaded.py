"""Any sync inbox, for asyncio: its steps on a thread, the event loop never blocked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, final

from hookkit.errors import StoreError
from hookkit.inbox import _steps
from hookkit.inbox._async import AsyncInbox
from hookkit.inbox._inbox import Inbox
from hookkit.inbox._memory import MemoryInbox
from hookkit.inbox._receipt import KEEP, LEASE, TOLERANCE, Receipt
from hookkit.inbox._sqlite import SQLiteInbox
from hookkit.stores.sqlite._database import SQLITE, Synchronous

__all__ = ["AsyncMemoryInbox", "AsyncSQLiteInbox", "ThreadedInbox"]

T = TypeVar("T")


class ThreadedInbox(AsyncInbox[Any]):
    """Gives a sync inbox the async protocol.

    Steps with ``tx=`` run on the caller's thread, because that is where a sync connection may be used.

    Args:
        inbox: The sync inbox. :meth:`aclose` closes it, if it has a ``close``.
    """

    def __init__(self, inbox: Inbox[Any]) -> None:
        self._inbox = inbox
        self._thread = ThreadPoolExecutor(1, "hookkit-inbox")

    async def _run(self, step: Callable[[], T]) -> T:
        try:
            waiting = self._thread.submit(step)
        except RuntimeError:
            raise StoreError("the inbox is closed") from None
        return await asyncio.wrap_future(waiting)

    @property
    def keep(self) -> timedelta:
        """How long an entry is kept."""
        return self._inbox.keep

    async def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Any = None
    ) -> Receipt:
        """Claim an event."""
        if tx is not None:
            return self._inbox.claim(source, key, now=now, lease=lease, tx=tx)
        return await self._run(lambda: self._inbox.claim(source, key, now=now, lease=lease))

    async def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled."""
        return await self._run(lambda: self._inbox.finish(receipt))

    async def release(self, receipt: Receipt, *, tx: Any = None) -> bool:
        """Give the event back unhandled."""
        if tx is not None:
            return self._inbox.release(receipt, tx=tx)
        return await self._run(lambda: self._inbox.release(receipt))

    async def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """Forget old entries."""
        return await self._run(lambda: self._inbox.prune(now=now, limit=limit))

    async def aclose(self) -> None:
        """Wait for what is under way, and close the sync inbox. Repeating it is harmless."""
        close: Callable[[], None] | None = getattr(self._inbox, "close", None)
        await asyncio.to_thread(self._thread.shutdown)
        if close is not None:
            close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@final
class AsyncMemoryInbox(ThreadedInbox):
    """The async twin of :class:`MemoryInbox`: no step waits for anything, so none needs a thread."""

    def __init__(
        self, *, keep: timedelta | float = KEEP, tolerance: timedelta | float = TOLERANCE, max_entries: int = 100_000
    ) -> None:
        super().__init__(MemoryInbox(keep=keep, tolerance=tolerance, max_entries=max_entries))

    async def _run(self, step: Callable[[], T]) -> T:
        return step()


@final
class AsyncSQLiteInbox(ThreadedInbox):
    """The async twin of :class:`SQLiteInbox`: the same file, through a thread. Arguments and errors are the same.

    ``tx=`` takes connections that are awaited, too: SQLAlchemy's ``AsyncSession`` and ``AsyncConnection``, or that of
    aiosqlite. A sync one is used on the caller's thread.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep: timedelta | float = KEEP,
        tolerance: timedelta | float = TOLERANCE,
        synchronous: Synchronous = "FULL",
    ) -> None:
        self._sqlite = SQLiteInbox(path, keep=keep, tolerance=tolerance, synchronous=synchronous)
        super().__init__(self._sqlite)

    async def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Any = None
    ) -> Receipt:
        """Claim an event; `tx` may be awaited."""
        if tx is None:
            return await super().claim(source, key, now=now, lease=lease)
        steps = self._sqlite._claiming(source, key, now, lease, finished=True)  # noqa: SLF001 - its twin's
        return await self._sqlite._database.joined_async(steps, tx)  # noqa: SLF001

    async def release(self, receipt: Receipt, *, tx: Any = None) -> bool:
        """Give the event back unhandled; `tx` may be awaited."""
        if tx is None:
            return await super().release(receipt)
        if await self._run(lambda: self._sqlite._is_committed(receipt)):  # noqa: SLF001
            return False
        steps = _steps.release(SQLITE, receipt, finished=True)
        return bool(await self._sqlite._database.rejoined_async(steps, tx))  # noqa: SLF001
