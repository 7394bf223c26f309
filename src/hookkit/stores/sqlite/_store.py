"""The SQLite store, put together."""

from __future__ import annotations

import logging
import os
from typing import Final, Self

from hookkit.stores.rows import Coder, Sealer
from hookkit.stores.sqlite._claims import SQLiteClaims
from hookkit.stores.sqlite._database import Database, Synchronous
from hookkit.stores.sqlite._deliveries import Deliveries
from hookkit.stores.sqlite._lines import Lines
from hookkit.stores.sqlite._log import SQLiteLog
from hookkit.stores.sqlite._pruning import SQLitePruning
from hookkit.stores.sqlite._settling import SQLiteSettling
from hookkit.stores.sqlite._webhooks import SQLiteOutbox, SQLiteWebhooks
from hookkit.stores.threaded import ThreadedStore

__all__ = ["AsyncSQLiteStore", "SQLiteStore"]

_log: Final = logging.getLogger("hookkit.stores.sqlite")
_told: Final[set[str]] = set()
"""The files that were said to be unsealed: once each in a process, however often they are opened."""


class SQLiteStore(SQLiteWebhooks, SQLiteOutbox, SQLiteClaims, SQLiteSettling, SQLiteLog, SQLitePruning):
    """A store in one SQLite file, in WAL mode. Usable from any thread, and from several processes on one machine.

    It implements :class:`~hookkit.protocols.WebhookStore`, :class:`~hookkit.protocols.Outbox` (``tx=`` takes the host's
    own ``sqlite3.Connection`` to the same file), :class:`~hookkit.protocols.DeliveryQueue` and
    :class:`~hookkit.protocols.LogStore`. The tables are made, and upgraded, when the file is opened; their names begin
    with ``hookkit_``, so it may be the host's own database.

    Open it after a fork, not before. Back it up with ``VACUUM INTO`` or the backup API: copying the file by other
    means, or only opening it, within a process that uses it can lose data.

    Args:
        path: The file. Its folder must exist.
        vault: Seals signing keys and custom headers; a :class:`hookkit.vault.Vault`. None: they are stored as they are.
        synchronous: ``FULL``: what was emitted survives a power loss. ``NORMAL``: faster, and it may lose the last
            commits in one (never in a crash of the process).

    Raises:
        StoreError: The file cannot be opened, or has a newer schema than this version knows.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, vault: Sealer | None = None, synchronous: Synchronous = "FULL"
    ) -> None:
        self._database = Database(path, synchronous)
        self._coder = Coder(vault)
        self._lines = Lines(self._database, self._coder)
        self._deliveries = Deliveries(self._database, self._lines)
        self._wake_key = f"sqlite:{os.path.realpath(path)}"
        if vault is None and self._wake_key not in _told:
            _told.add(self._wake_key)
            _log.info("%s: signing keys are stored unsealed; give the store a vault= to seal them", path)

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
    """The async twin of :class:`SQLiteStore`: the same file, through two threads. Arguments and errors are the same."""

    def __init__(
        self, path: str | os.PathLike[str], *, vault: Sealer | None = None, synchronous: Synchronous = "FULL"
    ) -> None:
        super().__init__(SQLiteStore(path, vault=vault, synchronous=synchronous))
