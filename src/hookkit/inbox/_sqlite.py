"""An inbox in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime, timedelta
from typing import Final, Self, final

from hookkit.ids import new_id
from hookkit.inbox import _steps
from hookkit.inbox._inbox import Inbox
from hookkit.inbox._receipt import KEEP, LEASE, TOLERANCE, Receipt, check_claim, check_keep, check_now, oldest_kept
from hookkit.stores.sql import drive
from hookkit.stores.sqlite._database import SQLITE, Database, Schema, Synchronous, foreign_errors

__all__ = ["SQLiteInbox"]

_SCHEMA: Final = Schema("SQLiteInbox", "MemoryInbox", "hookkit.inbox", "hookkit_inbox_schema", 1)


@final
class SQLiteInbox(Inbox[sqlite3.Connection]):
    """An :class:`~hookkit.inbox.Inbox` in a SQLite file. For any thread, and for several processes on one machine.

    ``tx=`` takes the host's own ``sqlite3.Connection`` to the same file. The tables are made when the file is opened;
    their names begin with ``hookkit_inbox``, so it may be the host's own database, or that of a
    :class:`~hookkit.stores.sqlite.SQLiteStore`. Open it after a fork, not before.

    Args:
        path: The file. Its folder must exist.
        keep: How long entries are kept, a timedelta or seconds. As long as your senders repeat themselves, at least:
            three days for hookkit and most others, and what is redelivered by hand comes later still.
        tolerance: The widest tolerance that you verify with.
        synchronous: ``FULL``: what is finished stays finished after a power loss. ``NORMAL``: faster, and a power loss
            may have the last events handled again (a crash of the process does not).

    Raises:
        StoreError: The file cannot be opened, or has a newer schema than this version knows.
        ValueError: `keep` is shorter than twice the tolerance.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep: timedelta | float = KEEP,
        tolerance: timedelta | float = TOLERANCE,
        synchronous: Synchronous = "FULL",
    ) -> None:
        self._keep = check_keep(keep, tolerance)
        self._database = Database(path, synchronous, _SCHEMA)

    @property
    def keep(self) -> timedelta:
        """How long an entry is kept."""
        return self._keep

    def claim(
        self,
        source: str,
        key: str,
        *,
        now: datetime,
        lease: timedelta | float = LEASE,
        tx: sqlite3.Connection | None = None,
    ) -> Receipt:
        """Claim an event."""
        leased = check_claim(source, key, now, lease, self._keep)
        wanted = Receipt(source, key, "first", new_id("clm_"))
        steps = _steps.claim(SQLITE, wanted, now=now, lease=leased, keep=self._keep, finished=tx is not None)
        if tx is not None:
            return self._database.joined(steps, _checked(tx))
        with self._database.writing():
            return drive(steps, self._database.execute)

    def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled."""
        with self._database.writing():
            return drive(_steps.finish(SQLITE, receipt), self._database.execute)

    def release(self, receipt: Receipt, *, tx: sqlite3.Connection | None = None) -> bool:
        """Give the event back unhandled."""
        steps = _steps.release(SQLITE, receipt, finished=tx is not None)
        if tx is None:
            with self._database.writing():
                return drive(steps, self._database.execute)
        with foreign_errors():
            if not _checked(tx).in_transaction:
                return False  # the transaction is over: whatever became of the entry, it is not in it any more
        return self._database.joined(steps, tx)

    def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """Forget old entries."""
        check_now(now)
        with self._database.writing():
            steps = _steps.prune(SQLITE, before=oldest_kept(now, self._keep), limit=limit)
            return drive(steps, self._database.execute)

    def close(self) -> None:
        """Close every connection. Repeating it is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked(tx: object) -> sqlite3.Connection:
    # Of other kinds of connections nobody could tell, when an event is released, that the transaction it was claimed in
    # is over, and that another has begun since.
    if not isinstance(tx, sqlite3.Connection):
        raise TypeError(f"tx: SQLiteInbox joins a sqlite3.Connection, not {type(tx).__name__}")
    return tx
