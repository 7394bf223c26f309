"""Retention in the SQLite store: payloads first, entries later, a bounded number at a time."""

from __future__ import annotations

from datetime import datetime

from hookkit.stores.sql import to_us
from hookkit.stores.sqlite._database import Database
from hookkit.stores.tallies import BUCKET_US

__all__ = ["SQLitePruning"]


class SQLitePruning:
    """The forgetting half of the :class:`~hookkit.protocols.LogStore` part."""

    _database: Database

    def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """Forget what is old."""
        with self._database.writing():
            entries = self._prune_entries(to_us(entries_before), limit)
            payloads = self._prune_payloads(to_us(payloads_before), limit - entries)
            self._prune_events(to_us(payloads_before), limit)
            self._database.execute(
                "DELETE FROM hookkit_counters WHERE bucket < ?", (to_us(entries_before) - BUCKET_US,)
            )
            return entries + payloads

    def _prune_entries(self, before: int, limit: int) -> int:
        rows = self._database.execute(
            "DELETE FROM hookkit_deliveries WHERE seq IN (SELECT seq FROM hookkit_deliveries WHERE finished_at < ? "
            "AND finished_at IS NOT NULL ORDER BY finished_at LIMIT ?) RETURNING seq, body",
            (before, limit),
        )
        self._database.execute_each("DELETE FROM hookkit_attempts WHERE delivery = ?", [(row[0],) for row in rows])
        self._drop_bodies({row[1] for row in rows if row[1] is not None})
        return len(rows)

    def _prune_payloads(self, before: int, limit: int) -> int:
        rows = self._database.execute(
            "SELECT seq, body FROM hookkit_deliveries WHERE finished_at < ? AND finished_at IS NOT NULL "
            "AND body IS NOT NULL ORDER BY finished_at LIMIT ?",
            (before, limit),
        )
        self._database.execute_each(
            "UPDATE hookkit_deliveries SET body = NULL WHERE seq = ?", [(row[0],) for row in rows]
        )
        self._database.execute_each(  # an answer may hold what it answered
            "UPDATE hookkit_attempts SET response_body = NULL WHERE delivery = ? AND response_body IS NOT NULL",
            [(row[0],) for row in rows],
        )
        self._drop_bodies({row[1] for row in rows})
        return len(rows)

    def _drop_bodies(self, bodies: set[int]) -> None:
        """Delete those bodies that no delivery needs any more.

        One that only a redelivery needs no longer belongs to its event: its id and idempotency key are free again.
        """
        self._database.execute_each(
            "UPDATE hookkit_bodies SET event = NULL WHERE seq = ? AND NOT EXISTS ("
            "SELECT 1 FROM hookkit_deliveries d WHERE d.body = hookkit_bodies.seq AND d.repeats = 0)",
            [(body,) for body in sorted(bodies)],
        )
        self._database.execute_each(
            "DELETE FROM hookkit_bodies WHERE seq = ? "
            "AND NOT EXISTS (SELECT 1 FROM hookkit_deliveries d WHERE d.body = hookkit_bodies.seq)",
            [(body,) for body in sorted(bodies)],
        )

    def _prune_events(self, before: int, limit: int) -> None:
        """Free the ids and idempotency keys of events none of whose payloads is kept."""
        self._database.execute(
            "DELETE FROM hookkit_events WHERE seq IN (SELECT seq FROM hookkit_events WHERE created_at < ? "
            "AND NOT EXISTS (SELECT 1 FROM hookkit_bodies b WHERE b.event = hookkit_events.seq) "
            "ORDER BY created_at LIMIT ?)",
            (before, limit),
        )
