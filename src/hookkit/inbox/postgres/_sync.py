"""The PostgreSQL inbox for threads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self, final

import psycopg_pool

from hookkit.ids import new_id
from hookkit.inbox import Inbox, _steps
from hookkit.inbox._receipt import KEEP, LEASE, TOLERANCE, Receipt, check_claim, check_keep, check_now, oldest_kept
from hookkit.inbox._schema import INBOX
from hookkit.stores.postgres._migrating import Schema
from hookkit.stores.postgres._sync.database import Database
from hookkit.stores.postgres._tables import dialect_of

__all__ = ["PostgresInbox"]


@final
class PostgresInbox(Inbox[Any]):
    """An :class:`~hookkit.inbox.Inbox` in a PostgreSQL database (13 or newer), for any number of machines.

    ``tx=`` takes the host's own connection or session of whatever kind: see :mod:`hookkit.stores.hosts`. A repeat that
    arrives while the event is being handled in somebody's transaction is busy at once: it does not wait for that one's
    end. :meth:`migrate` makes the tables, and nothing else does. They may lie beside a store's, in the same schema.

    Leases go by the `now` of each call, so the machines' clocks should agree, to within a fraction of the lease. In a
    transaction of more than ``READ COMMITTED`` a claim forgets no old entries; where there are no others, call
    :meth:`prune` now and then. Open it after a fork, not before.

    Args:
        dsn_or_pool: Where the database is, as ``postgresql://…`` or in ``key=value`` pairs: the inbox then has a pool
            of its own. Or a pool of psycopg's, which is open, and which the host closes.
        schema: The schema with the tables: 1 to 48 of ``a-z``, ``0-9`` and ``_``.
        keep: How long entries are kept, a timedelta or seconds. As long as your senders repeat themselves, at least:
            three days for hookkit and most others, and what is redelivered by hand comes later still.
        tolerance: The widest tolerance that you verify with.

    Raises:
        ValueError: The DSN, or the schema's name, cannot be used, or `keep` is shorter than twice the tolerance.
            Nothing is connected to yet.
    """

    def __init__(
        self,
        dsn_or_pool: str | psycopg_pool.ConnectionPool[Any],
        *,
        schema: str = "hookkit",
        keep: timedelta | float = KEEP,
        tolerance: timedelta | float = TOLERANCE,
    ) -> None:
        self._keep = check_keep(keep, tolerance)
        self._dialect = dialect_of(schema)
        self._database = Database(dsn_or_pool, Schema("PostgresInbox", self._dialect, INBOX))

    @property
    def keep(self) -> timedelta:
        """How long an entry is kept."""
        return self._keep

    def migrate(self) -> None:
        """Make the tables, or bring them to this version's schema. To repeat it, even at the same time, is harmless."""
        self._database.migrate()

    def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Any = None
    ) -> Receipt:
        """Claim an event."""
        leased = check_claim(source, key, now, lease, self._keep)
        wanted = Receipt(source, key, "first", new_id("clm_"))
        steps = _steps.claim(self._dialect, wanted, now=now, lease=leased, keep=self._keep, finished=tx is not None)
        return self._database.transact(steps) if tx is None else self._database.joined(steps, tx)

    def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled."""
        return self._database.run(_steps.finish(self._dialect, receipt))

    def release(self, receipt: Receipt, *, tx: Any = None) -> bool:
        """Give the event back unhandled."""
        steps = _steps.release(self._dialect, receipt, finished=tx is not None)
        return bool(self._database.run(steps) if tx is None else self._database.rejoined(steps, tx))

    def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """Forget old entries."""
        check_now(now)
        return self._database.transact(_steps.prune(self._dialect, before=oldest_kept(now, self._keep), limit=limit))

    def close(self) -> None:
        """Close the connections, but not those of a host's pool. Repeating it is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
