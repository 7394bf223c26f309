"""What a store really holds, read behind its back: the rows that the invariants are checked against."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from hookkit.stores.memory import MemoryStore
from hookkit.stores.memory._tables import Delivery
from hookkit.stores.sql import to_us

__all__ = ["MemoryRows", "Row", "SQLiteRows", "Seen", "Standing"]


class Row(NamedTuple):
    """One delivery. Times are microseconds since 1970, as in the SQLite file."""

    id: str
    event_id: str
    endpoint_id: str
    state: str
    lane: str
    due_at: int | None
    counted: int
    attempts: int
    schedule_start: int
    claim_id: str | None
    lease_until: int | None
    reason: str
    has_body: bool


class Standing(NamedTuple):
    """One endpoint, as webhook and as queue."""

    id: str
    enabled: bool
    cap: int
    state: str
    held: bool
    in_flight: int


class Seen(NamedTuple):
    """Everything at one moment, by id."""

    rows: dict[str, Row]
    standings: dict[str, Standing]


class MemoryRows:
    """The rows of a :class:`MemoryStore`. One that has not changed is the same object as before."""

    def __init__(self, store: MemoryStore) -> None:
        self._tables = store._tables
        self._known: dict[str, tuple[tuple[Any, ...], Row]] = {}
        self._seen = Seen({}, {})
        self._leases: list[str] = []

    def read(self, *, idle: bool = False) -> Seen:
        """Return what there is.

        Args:
            idle: The call that was just made found nothing to do, so that only leases can have run out.
        """
        leases = list(self._tables.leases)
        if not idle or leases != self._leases:
            self._leases = leases
            self._seen = Seen(self._rows(), self._standings())
        return self._seen

    def _rows(self) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        for one in self._tables.deliveries.values():
            now = (
                one.state,
                one.lane,
                one.due_at,
                one.counted,
                len(one.attempts),
                one.schedule_start,
                one.claim_id,
                one.lease_until,
                one.reason,
                one.body is None,
            )
            known = self._known.get(one.id)
            if known is None or known[0] != now:
                known = self._known[one.id] = (now, _row(one))
            rows[one.id] = known[1]
        return rows

    def _standings(self) -> dict[str, Standing]:
        standings = {}
        for endpoint_id, line in self._tables.lines.items():
            webhook = self._tables.webhooks[endpoint_id]
            standings[endpoint_id] = Standing(
                endpoint_id, webhook.enabled, webhook.max_in_flight, line.state.state, line.held, line.in_flight
            )
        return standings

    def close(self) -> None:
        """Do nothing."""


def _row(one: Delivery) -> Row:
    return Row(
        one.id,
        one.event_id,
        one.endpoint_id,
        one.state,
        one.lane or "",
        None if one.due_at is None or one.state != "pending" else to_us(one.due_at),
        one.counted,
        len(one.attempts),
        one.schedule_start,
        one.claim_id,
        None if one.lease_until is None else to_us(one.lease_until),
        one.reason,
        one.body is not None,
    )


class SQLiteRows:
    """The rows of a SQLite file, through a connection of their own."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._version = -1
        self._seen = Seen({}, {})

    def read(self, *, idle: bool = False) -> Seen:
        """Return what there is, read anew if anybody has committed something."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            self._seen = Seen(self._rows(), self._standings())
        return self._seen

    def _rows(self) -> dict[str, Row]:
        before = self._seen.rows
        rows: dict[str, Row] = {}
        for row in self._connection.execute(_ROWS):
            now, known = Row(*row[:-1], bool(row[-1])), before.get(row[0])
            rows[row[0]] = known if known == now else now
        return rows

    def _standings(self) -> dict[str, Standing]:
        found = self._connection.execute(_LINES)
        return {row[0]: Standing(row[0], bool(row[1]), row[2], row[3], bool(row[4]), row[5]) for row in found}

    def close(self) -> None:
        self._connection.close()


_ROWS = (
    "SELECT id, event_id, endpoint_id, state, lane, CASE WHEN state = 'pending' THEN due_at END, counted, "
    "(SELECT count(*) FROM hookkit_attempts a WHERE a.delivery = d.seq), schedule_start, claim_id, lease_until, "
    "reason, body IS NOT NULL FROM hookkit_deliveries d"
)
_LINES = (
    "SELECT w.id, w.enabled, w.max_in_flight, e.state, e.held, e.in_flight FROM hookkit_webhooks w "
    "JOIN hookkit_endpoints e ON e.endpoint_id = w.id"
)
