"""The log of the SQLite store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from hookkit.errors import NotFound
from hookkit.model import DeliveryState, Health, LogEntry
from hookkit.stores.entries import ENTRY, newest, recent_queries
from hookkit.stores.rows import entry_from, optional_from_us, optional_us
from hookkit.stores.sql import Row, from_us, marks, to_us
from hookkit.stores.sqlite._counters import Counters
from hookkit.stores.sqlite._database import SQLITE, Database
from hookkit.stores.sqlite._deliveries import Deliveries
from hookkit.stores.sqlite._lines import Lines
from hookkit.stores.tallies import BUCKET_US, Class, bucket_of, build_health, class_of
from hookkit.work import EndpointState

__all__ = ["SQLiteLog"]


class SQLiteLog:
    """The reading and recording half of the :class:`~hookkit.protocols.LogStore` part."""

    _database: Database
    _lines: Lines
    _deliveries: Deliveries

    def record(self, entries: Iterable[LogEntry]) -> None:
        """Store entries of deliveries that are queued elsewhere."""
        with self._database.writing():
            for entry in entries:
                self._record(entry)

    def _record(self, entry: LogEntry) -> None:
        known = self._database.execute(
            "SELECT seq, lane, body, (SELECT count(*) FROM hookkit_attempts a WHERE a.delivery = d.seq), endpoint_id, "
            "state, attempted, active_at FROM hookkit_deliveries d WHERE id = ?",
            (entry.delivery_id,),
        )
        with Counters(self._database) as counters:
            if known:
                seq, lane, body, attempts, endpoint_id, state, attempted, active_at = known[0]
                if lane != "" or attempts > len(entry.attempts):
                    return
                if attempted:
                    counters.move(endpoint_id, active_at, class_of(state), None)
                self._database.execute("DELETE FROM hookkit_attempts WHERE delivery = ?", (seq,))
                self._database.execute("DELETE FROM hookkit_deliveries WHERE seq = ?", (seq,))
                self._database.execute("DELETE FROM hookkit_bodies WHERE seq = ?", (body,))
            self._insert_entry(entry, counters, timed=known[0][3] if known else 0)

    def _insert_entry(self, entry: LogEntry, counters: Counters, *, timed: int) -> None:
        """Insert an entry as new; its first `timed` attempts are in the histogram already."""
        body = self._database.execute("INSERT INTO hookkit_bodies (body) VALUES (?) RETURNING seq", (entry.body,))[0][0]
        active_at = entry.attempts[-1].started_at if entry.attempts else entry.created_at
        values = (
            entry.delivery_id,
            entry.event_id,
            entry.event_type,
            entry.tenant,
            entry.endpoint_id,
            body,
            entry.state,
            optional_us(entry.next_attempt_at),
            len(entry.attempts),
            int(bool(entry.attempts)),
            to_us(entry.created_at),
            to_us(active_at),
            optional_us(entry.finished_at),
            entry.reason,
        )
        made = self._database.execute(
            "INSERT INTO hookkit_deliveries (profile, lane, id, event_id, event_type, tenant, endpoint_id, body, "  # noqa: S608
            "state, due_at, counted, attempted, created_at, active_at, finished_at, reason) "
            f"VALUES ('', '', {marks(len(values))}) RETURNING seq",
            values,
        )
        self._deliveries.insert_attempts(made[0][0], entry.attempts)
        for attempt in entry.attempts[timed:]:
            if attempt.reason != "lost":
                counters.time(entry.endpoint_id, attempt)
        if entry.attempts:
            counters.move(entry.endpoint_id, to_us(active_at), None, class_of(entry.state))

    def recent(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        window: timedelta = timedelta(hours=24),
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]:
        """Return an endpoint's entries, newest first."""
        queries = recent_queries(
            endpoint_id,
            since=to_us(now - window),
            until=to_us(now),
            state=state,
            event=event,
            limit=limit,
            before=before,
        )
        with self._database.reading():
            rows = [row for sql, params in queries for row in self._database.execute(SQLITE.sql(sql), params)]
            return self._entries(newest(rows, limit))

    def entry(self, delivery_id: str) -> LogEntry:
        """Return one entry."""
        with self._database.reading():
            rows = self._database.execute(SQLITE.sql(f"{ENTRY}d.id = ?"), (delivery_id,))
            if not rows:
                raise NotFound(f"no delivery {delivery_id!r}")
            return self._entries(rows)[0]

    def _entries(self, rows: Sequence[Row]) -> list[LogEntry]:
        attempts = self._deliveries.attempts([row[11] for row in rows])
        return [entry_from(row, attempts[row[11]]) for row in rows]

    def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]:
        """Return the health of each endpoint."""
        with self._database.reading():
            lines = self._lines.standings(endpoint_ids)
            return {
                endpoint_id: build_health(
                    lines.get(endpoint_id) or self._remembered(endpoint_id),
                    self._counts(endpoint_id, to_us(now - window), to_us(now)),
                    durations=self._durations(endpoint_id, to_us(now - window), to_us(now)),
                    pending=self._waiting(endpoint_id),
                    since=now - window,
                    until=now,
                )
                for endpoint_id in endpoint_ids
            }

    def _remembered(self, endpoint_id: str) -> EndpointState:
        """Return what the log alone can tell of an endpoint that is queued elsewhere."""
        attempts = (
            "FROM hookkit_deliveries d JOIN hookkit_attempts a ON a.delivery = d.seq "
            "WHERE d.endpoint_id = ? AND d.attempted = 1 AND a.reason"
        )
        succeeded, failed = (
            self._database.execute(f"SELECT max(a.started_at) {attempts} {which}", (endpoint_id,))[0][0]
            for which in ("= ''", "NOT IN ('', 'lost')")
        )
        after = (endpoint_id, -1 if succeeded is None else succeeded)
        rows = self._database.execute(
            f"SELECT count(*) {attempts} NOT IN ('', 'lost') AND a.started_at > ?",
            after,
        )
        return EndpointState(
            endpoint_id,
            consecutive_failures=int(rows[0][0]),
            last_success_at=optional_from_us(succeeded),
            last_failure_at=optional_from_us(failed),
        )

    def _counts(self, endpoint_id: str, since: int, until: int) -> list[tuple[datetime, Class, int]]:
        """Return what the whole buckets within the window counted, and the deliveries in the pieces at its two ends."""
        first, last = bucket_of(since - 1) + BUCKET_US, bucket_of(until)
        counts: list[tuple[datetime, Class, int]] = [
            (from_us(row[0]), row[1], row[2])
            for row in self._database.execute(
                "SELECT bucket, kind, n FROM hookkit_counters WHERE endpoint_id = ? AND bucket >= ? AND bucket < ? "
                "AND kind IN ('succeeded', 'failed', 'retrying')",
                (endpoint_id, first, last),
            )
        ]
        ends = [(since, min(first - 1, until))] if first > since else []
        if last >= first:
            ends.append((last, until))
        for begin, end in ends:
            counts.extend(
                (from_us(row[0]), class_of(row[1]), 1)
                for row in self._database.execute(
                    "SELECT active_at, state FROM hookkit_deliveries WHERE attempted = 1 AND endpoint_id = ? "
                    "AND active_at BETWEEN ? AND ?",
                    (endpoint_id, begin, end),
                )
            )
        return counts

    def _durations(self, endpoint_id: str, since: int, until: int) -> Counter[int]:
        rows = self._database.execute(
            "SELECT kind, sum(n) FROM hookkit_counters WHERE endpoint_id = ? AND bucket BETWEEN ? AND ? "
            "AND kind GLOB 'd*' GROUP BY kind",
            (endpoint_id, bucket_of(since), until),
        )
        return Counter({int(row[0][1:]): row[1] for row in rows})

    def _waiting(self, endpoint_id: str) -> int:
        rows = self._database.execute(
            "SELECT count(*) FROM hookkit_deliveries WHERE endpoint_id = ? AND attempted = 0 AND finished_at IS NULL",
            (endpoint_id,),
        )
        return int(rows[0][0])
