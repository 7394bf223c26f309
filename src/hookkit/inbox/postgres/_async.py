"""The PostgreSQL inbox for asyncio."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self, final

import psycopg_pool

from hookkit.ids import new_id
from hookkit.inbox import AsyncInbox, _steps
from hookkit.inbox._receipt import KEEP, LEASE, TOLERANCE, Receipt, check_claim, check_keep, check_now, oldest_kept
from hookkit.inbox._schema import INBOX
from hookkit.stores.postgres._async.database import AsyncDatabase
from hookkit.stores.postgres._migrating import Schema
from hookkit.stores.postgres._tables import dialect_of

__all__ = ["AsyncPostgresInbox"]


@final
class AsyncPostgresInbox(AsyncInbox[Any]):
    """The async twin of :class:`~hookkit.inbox.PostgresInbox`: the same tables. Arguments and errors are the same.

    A pool is an ``AsyncConnectionPool``, which is open. ``tx=`` takes connections that are awaited, and those that are
    not; the latter are used on the caller's thread.
    """

    def __init__(
        self,
        dsn_or_pool: str | psycopg_pool.AsyncConnectionPool[Any],
        *,
        schema: str = "hookkit",
        keep: timedelta | float = KEEP,
        tolerance: timedelta | float = TOLERANCE,
    ) -> None:
        self._keep = check_keep(keep, tolerance)
        self._dialect = dialect_of(schema)
        self._database = AsyncDatabase(dsn_or_pool, Schema("AsyncPostgresInbox", self._dialect, INBOX))

    @property
    def keep(self) -> timedelta:
        """How long an entry is kept."""
        return self._keep

    async def migrate(self) -> None:
        """Make the tables, or bring them to this version's schema. To repeat it, even at the same time, is harmless."""
        await self._database.migrate()

    async def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Any = None
    ) -> Receipt:
        """Claim an event."""
        leased = check_claim(source, key, now, lease, self._keep)
        wanted = Receipt(source, key, "first", new_id("clm_"))
        steps = _steps.claim(self._dialect, wanted, now=now, lease=leased, keep=self._keep, finished=tx is not None)
        return await self._database.transact(steps) if tx is None else await self._database.joined(steps, tx)

    async def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled."""
        return await self._database.run(_steps.finish(self._dialect, receipt))

    async def release(self, receipt: Receipt, *, tx: Any = None) -> bool:
        """Give the event back unhandled."""
        steps = _steps.release(self._dialect, receipt, finished=tx is not None)
        return bool(await self._database.run(steps) if tx is None else await self._database.rejoined(steps, tx))

    async def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """Forget old entries."""
        check_now(now)
        return await self._database.transact(
            _steps.prune(self._dialect, before=oldest_kept(now, self._keep), limit=limit)
        )

    async def aclose(self) -> None:
        """Close the connections, but not those of a host's pool. Repeating it is harmless."""
        await self._database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
