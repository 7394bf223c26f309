"""The SQLite store, put together."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Self

from hookkit.model import Emission, Endpoint
from hookkit.stores import outbox
from hookkit.stores.grouping import GroupCommit
from hookkit.stores.rows import Coder, Sealer
from hookkit.stores.sqlite._claims import SQLiteClaims
from hookkit.stores.sqlite._database import SQLITE, Database, Synchronous, is_common
from hookkit.stores.sqlite._deliveries import Deliveries
from hookkit.stores.sqlite._lines import Lines
from hookkit.stores.sqlite._log import SQLiteLog
from hookkit.stores.sqlite._pruning import SQLitePruning
from hookkit.stores.sqlite._resealing import SQLiteResealing
from hookkit.stores.sqlite._settling import SQLiteSettling
from hookkit.stores.sqlite._webhooks import Part, SQLiteOutbox, SQLiteWebhooks
from hookkit.stores.threaded import ThreadedStore
from hookkit.stores.unreadable import Unreadable
from hookkit.work import Planned

__all__ = ["AsyncSQLiteStore", "SQLiteStore"]

_log: Final = logging.getLogger("hookkit.stores.sqlite")
_told: Final[set[str]] = set()
"""The files that were said to be unsealed: once each in a process, however often they are opened."""


class SQLiteStore(
    SQLiteWebhooks, SQLiteOutbox, SQLiteClaims, SQLiteSettling, SQLiteLog, SQLitePruning, SQLiteResealing
):
    """A store in one SQLite file, in WAL mode. Usable from any thread, and from several processes on one machine.

    It implements :class:`~hookkit.protocols.WebhookStore`, :class:`~hookkit.protocols.Outbox` (``tx=`` takes the host's
    own connection to the same file: sqlite3's, Django's, or a connection or session of SQLAlchemy's),
    :class:`~hookkit.protocols.DeliveryQueue` and :class:`~hookkit.protocols.LogStore`. The tables are made, and
    upgraded, when the file is opened; their names begin with ``hookkit_``, so it may be the host's own database.

    Open it after a fork, not before. Back it up with ``VACUUM INTO`` or the backup API: copying the file by other
    means, or only opening it, within a process that uses it can lose data.

    A webhook whose secrets do not open, for want of a vault key or because its row was damaged, stops nothing else. Its
    events are stored. Its deliveries wait, unattempted, and are looked at again every minute, and the log says why.
    :meth:`get_webhook` raises StoreError, :meth:`list_webhooks` has it without keys and headers; it can be disabled,
    enabled and removed.

    Args:
        path: The file. Its folder must exist.
        vault: Seals signing keys and custom headers; a :class:`hookkit.vault.Vault`. Webhooks that were stored without
            one are read as they are, and sealed when they are next written; :meth:`rekey` seals them all. None: they
            are stored as they are, which is said once in the log for each file.
        synchronous: ``FULL``: what was emitted survives a power loss. ``NORMAL``: faster, and it may lose the last
            commits in one (never in a crash of the process).

    Raises:
        StoreError: The file cannot be opened, or has a newer schema than this version knows.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, vault: Sealer | None = None, synchronous: Synchronous = "FULL"
    ) -> None:
        self._assemble(Database(path, synchronous), path, vault)
        self._group = GroupCommit(self._enqueue, is_common)
        self._enqueued = self._enqueue_with_others

    def _enqueue_with_others(self, part: Part) -> list[Emission]:
        self._database.ready()  # after a fork nobody would lead what was under way
        return self._group(part)

    def _assemble(self, database: Database, path: str | os.PathLike[str], vault: Sealer | None) -> None:
        self._database = database
        self._coder = Coder(vault)
        self._lines = Lines(self._database, self._coder)
        self._deliveries = Deliveries(self._database, self._lines)
        self._unreadable = Unreadable(_log)
        self._enqueued = lambda part: self._enqueue([part])[0]
        self._wake_key = f"sqlite:{os.path.realpath(path)}"
        if vault is None and self._wake_key not in _told:
            _told.add(self._wake_key)
            _log.info(
                "%s: signing keys and custom headers are stored unsealed; give the store a vault= to seal them", path
            )

    @property
    def wake_key(self) -> object:
        """What stores of the same file share within a process: an emit through one wakes a worker on another."""
        return self._wake_key

    def close(self) -> None:
        """Close every connection. Repeating it is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncSQLiteStore(ThreadedStore):
    """The async twin of :class:`SQLiteStore`: the same file, through two threads. Arguments and errors are the same.

    ``tx=`` takes connections that are awaited, too: SQLAlchemy's ``AsyncSession`` and ``AsyncConnection``, or that of
    aiosqlite. A sync one is used on the caller's thread.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, vault: Sealer | None = None, synchronous: Synchronous = "FULL"
    ) -> None:
        self._sqlite = SQLiteStore(path, vault=vault, synchronous=synchronous)
        super().__init__(self._sqlite)

    async def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """As :meth:`hookkit.protocols.WebhookStore.subscribers`; `tx` may be awaited."""
        if tx is None:
            return await super().subscribers(tenant, event_type)
        database, coder = self._sqlite._database, self._sqlite._coder  # noqa: SLF001 - its twin's
        return await database.joined_async(outbox.subscribers(SQLITE, coder, tenant, event_type), tx)

    async def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        """As :meth:`hookkit.protocols.Outbox.enqueue`; `tx` may be awaited."""
        if tx is None:
            return await super().enqueue(planned, now=now)
        database = self._sqlite._database  # noqa: SLF001 - its twin's
        return await database.joined_async(outbox.enqueue(SQLITE, planned, now), tx)

    async def seals(self) -> dict[str, int]:
        """As :meth:`SQLiteStore.seals`."""
        return await self._read(self._sqlite.seals)

    async def rekey(self, *, limit: int = 100, dry_run: bool = False) -> int:
        """As :meth:`SQLiteStore.rekey`."""
        return await self._write(self._sqlite.rekey, limit=limit, dry_run=dry_run)
