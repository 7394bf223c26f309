"""An inbox in a SQLite file."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any, Final, Self, final

from hookkit.ids import new_id
from hookkit.inbox import _steps
from hookkit.inbox._inbox import Inbox
from hookkit.inbox._receipt import KEEP, LEASE, TOLERANCE, Receipt, check_claim, check_keep, check_now, oldest_kept
from hookkit.inbox._schema import INBOX
from hookkit.stores.sql import Steps, drive
from hookkit.stores.sqlite._database import SQLITE, Database, Schema, Synchronous

__all__ = ["SQLiteInbox"]

_SCHEMA: Final = Schema("SQLiteInbox", "MemoryInbox", INBOX)


@final
class SQLiteInbox(Inbox[Any]):
    """An :class:`~hookkit.inbox.Inbox` in a SQLite file. For any thread, and for several processes on one machine.

    ``tx=`` takes the host's own connection to the same file: sqlite3's, Django's, or a connection or session of
    SQLAlchemy's. The tables are made, and upgraded, when the file is opened; their names begin with ``hookkit_inbox``,
    so it may be the host's own database, or that of a :class:`~hookkit.stores.sqlite.SQLiteStore`. Open it after a
    fork, not before.

    Args:
        path: The file. Its folder must exist.
        keep: How long entries are kept, a timedelta or seconds. As long as your senders repeat themselves, at least:
            three days for hookkit and most others, and what is redelivered by hand comes later still.
        tolerance: The widest tolerance that you verify with.
        synchronous: ``FULL``: what is finished stays finished after a power loss. ``NORMAL``: faster, and a power loss
            may have the last events handled again (a crash of the process does not).

    Raises:
        StoreError: The file cannot be opened, or has a newer schema than this version can use.
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
        tx: Any = None,
    ) -> Receipt:
        """Claim an event."""
        steps = self._claiming(source, key, now, lease, finished=tx is not None)
        if tx is not None:
            return self._database.joined(steps, tx)
        with self._database.writing():
            return drive(steps, self._database.execute)

    def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled."""
        with self._database.writing():
            return drive(_steps.finish(SQLITE, receipt), self._database.execute)

    def release(self, receipt: Receipt, *, tx: Any = None) -> bool:
        """Give the event back unhandled."""
        steps = _steps.release(SQLITE, receipt, finished=tx is not None)
        if tx is not None:
            return not self._is_committed(receipt) and bool(self._database.rejoined(steps, tx))
        with self._database.writing():
            return drive(steps, self._database.execute)

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

    def _claiming(
        self, source: str, key: str, now: datetime, lease: timedelta | float, *, finished: bool
    ) -> Steps[Receipt]:
        leased = check_claim(source, key, now, lease, self._keep)
        wanted = Receipt(source, key, "first", new_id("clm_"))
        return _steps.claim(SQLITE, wanted, now=now, lease=leased, keep=self._keep, finished=finished)

    def _is_committed(self, receipt: Receipt) -> bool:
        # The host may have ended the transaction of the claim, and begun another on the same connection. What can be
        # seen on a connection of our own has been committed, and was handled; what cannot is in the transaction that
        # goes on, or nowhere.
        with self._database.reading():
            return drive(_steps.is_committed(SQLITE, receipt), self._database.execute)
