"""Changing the vault's key in the SQLite store."""

from __future__ import annotations

from hookkit.stores import resealing
from hookkit.stores.rows import Coder
from hookkit.stores.sql import drive
from hookkit.stores.sqlite._database import SQLITE, Database, foreign_errors

__all__ = ["SQLiteResealing"]


class SQLiteResealing:
    """What the SQL stores can do beyond the protocols, because they have a vault."""

    _database: Database
    _coder: Coder

    def seals(self) -> dict[str, int]:
        """Return how many webhooks each vault key has sealed, by its id; under ``""`` those that are not sealed.

        A vault key that is not in it any more may be thrown away, but for the backups that need it.
        """
        with foreign_errors():
            return drive(resealing.seals(SQLITE), self._database.execute)

    def rekey(self, *, limit: int = 100, dry_run: bool = False) -> int:
        """Seal at most `limit` webhooks with the vault's first key: those that another key sealed, or none.

        Call it until it returns 0: then all are. It may be broken off, repeated, and called by several processes, while
        workers and registries go on. Each call is one short transaction; a webhook that is changed meanwhile is left to
        the next.

        Args:
            limit: At most so many.
            dry_run: Change nothing, and count all that would be sealed.

        Returns:
            How many.

        Raises:
            StoreError: Nothing is left but webhooks that do not open; it names them, and the keys that sealed them.
                With `dry_run`: there is one.
            ValueError: The store has no vault.
        """
        if not self._coder.sealing_key():
            raise ValueError("rekey() seals with the store's vault: open the store with vault=")
        while True:
            with foreign_errors():
                steps = resealing.stale(SQLITE, self._coder, limit=None if dry_run else limit)
                updates, reasons = drive(steps, self._database.execute)
            if reasons and (dry_run or not updates):
                raise resealing.unopened(reasons)
            if dry_run or not updates:
                return len(updates)
            with self._database.writing():
                changed = drive(resealing.store(updates), self._database.execute)
            if changed:
                return changed
