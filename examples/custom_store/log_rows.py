"""A host's own log of deliveries, in its own tables: a ``LogStore`` over SQLAlchemy.

Give it to registry and worker as ``logs=``. The worker tells it of every attempt after hookkit's store has settled it;
what a crash keeps from it changes no delivery. ``test_kits.py`` runs hookkit's contract kit over it.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker
from webhook_rows import Base

from hookkit import Attempt, Health, LogEntry, NotFound
from hookkit.model import DeliveryState, HealthBucket

DAY = timedelta(hours=24)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SLICES = 24  # of a window, for a sparkline
UNDONE = ("pending", "leased", "held")
WAITING = ("pending", "held")


class Row(Base):
    """One delivery. Times are microseconds since 1970: no database rounds those, or moves their zone."""

    __tablename__ = "webhook_log"

    delivery_id: Mapped[str] = mapped_column(primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(index=True)
    event_id: Mapped[str]
    event_type: Mapped[str]
    tenant: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[int]
    finished_at: Mapped[int | None] = mapped_column(index=True)
    next_attempt_at: Mapped[int | None]
    at: Mapped[int]  # of the last attempt; without any, when it was made
    tries: Mapped[int]
    attempts: Mapped[str]  # JSON
    body: Mapped[bytes]
    bare: Mapped[bool]  # whether the payload is forgotten


class RowLog:
    """Remembers deliveries: a :class:`hookkit.LogStore`.

    :meth:`health` reads all that the log has of a webhook. That is fine for thousands of deliveries each; for millions,
    keep counters beside the rows, in :meth:`record`.
    """

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions

    def record(self, entries: Iterable[LogEntry]) -> None:
        """Store entries; fewer attempts never replace more, for a slow worker may come late."""
        with self._sessions.begin() as session:
            for entry in entries:
                new = insert(Row).values(_values(entry))
                session.execute(
                    new.on_conflict_do_update(
                        index_elements=[Row.delivery_id],
                        set_={name: new.excluded[name] for name in _values(entry)},
                        where=new.excluded.tries >= Row.tries,
                    )
                )

    def entry(self, delivery_id: str) -> LogEntry:
        """Return one entry."""
        with self._sessions() as session:
            row = session.get(Row, delivery_id)
        if row is None:
            raise NotFound(f"no delivery {delivery_id!r} in the log")
        return _entry(row)

    def recent(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        window: timedelta = DAY,
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]:
        """Return a webhook's entries, newest first."""
        wanted = select(Row).where(Row.endpoint_id == endpoint_id, Row.at.between(_us(now - window), _us(now)))
        if state is not None:
            wanted = wanted.where(Row.state == state)
        if state not in WAITING:
            wanted = wanted.where(Row.tries > 0)
        if event is not None:
            wanted = wanted.where(Row.event_type == event)
        with self._sessions() as session:
            if before is not None:
                last = session.get(Row, before)
                if last is None:
                    return []
                wanted = wanted.where(tuple_(Row.at, Row.delivery_id) < tuple_(last.at, last.delivery_id))
            newest = wanted.order_by(Row.at.desc(), Row.delivery_id.desc()).limit(limit)
            return [_entry(row) for row in session.scalars(newest)]

    def health(self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = DAY) -> dict[str, Health]:
        """Return the health of each webhook. What only the queue knows, such as its state, the registry adds."""
        found: dict[str, list[LogEntry]] = {endpoint_id: [] for endpoint_id in endpoint_ids}
        with self._sessions() as session:
            for row in session.scalars(select(Row).where(Row.endpoint_id.in_(found))):
                found[row.endpoint_id].append(_entry(row))
        return {endpoint_id: _health(entries, now - window, now) for endpoint_id, entries in found.items()}

    def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """Forget what is old: whole entries, and of younger ones what was sent and answered."""
        with self._sessions.begin() as session:
            old = select(Row.delivery_id).where(Row.finished_at < _us(entries_before)).limit(limit)
            gone = list(session.scalars(old))
            session.execute(delete(Row).where(Row.delivery_id.in_(gone)))
            stale = select(Row).where(Row.finished_at < _us(payloads_before), ~Row.bare).limit(limit - len(gone))
            rows = list(session.scalars(stale))
            for row in rows:
                attempts = json.dumps([{**one, "body": ""} for one in json.loads(row.attempts)])
                forgotten = {"body": b"", "attempts": attempts, "bare": True}
                session.execute(update(Row).where(Row.delivery_id == row.delivery_id).values(forgotten))
        return len(gone) + len(rows)


# --- Health -----------------------------------------------------------------------------------------------------------


def _health(entries: Sequence[LogEntry], since: datetime, until: datetime) -> Health:
    """Count deliveries by their last attempt within the window."""
    counted = [(entry.attempts[-1].started_at, _outcome(entry)) for entry in entries if entry.attempts]
    within = [(at, outcome) for at, outcome in counted if since <= at <= until]
    totals = Counter(outcome for _, outcome in within)
    width = (until - since) / SLICES
    slices = Counter((min(int((at - since) / width), SLICES - 1), outcome) for at, outcome in within)
    made = [one for entry in entries for one in entry.attempts if one.reason != "lost"]
    durations = sorted(one.duration for one in made if since <= one.started_at <= until)
    succeeded = max((one.started_at for one in made if not one.reason), default=None)
    failures = [one.started_at for one in made if one.reason]
    return Health(
        requests=len(within),
        succeeded=totals["succeeded"],
        failed=totals["failed"],
        retrying=totals["retrying"],
        pending=sum(not entry.attempts and entry.state in UNDONE for entry in entries),
        success_rate=totals["succeeded"] / len(within) if within else None,
        state="healthy",
        since=since,
        until=until,
        buckets=tuple(
            HealthBucket(
                since + width * number,
                slices[number, "succeeded"],
                slices[number, "failed"],
                slices[number, "retrying"],
            )
            for number in range(SLICES)
        ),
        last_success_at=succeeded,
        last_failure_at=max(failures, default=None),
        consecutive_failures=sum(succeeded is None or at > succeeded for at in failures),
        latency_p50=_percentile(durations, 50),
        latency_p95=_percentile(durations, 95),
    )


def _outcome(entry: LogEntry) -> str:
    return entry.state if entry.state in {"succeeded", "failed"} else "retrying"


def _percentile(durations: Sequence[timedelta], share: int) -> timedelta | None:
    return durations[(len(durations) * share - 1) // 100] if durations else None


# --- Rows -------------------------------------------------------------------------------------------------------------


def _us(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _maybe_us(at: datetime | None) -> int | None:
    return None if at is None else _us(at)


def _time(us: int) -> datetime:
    return EPOCH + us * MICROSECOND


def _maybe_time(us: int | None) -> datetime | None:
    return None if us is None else _time(us)


def _values(entry: LogEntry) -> dict[str, Any]:
    same = ("delivery_id", "endpoint_id", "event_id", "event_type", "tenant", "state", "reason", "body")
    return {
        **{name: getattr(entry, name) for name in same},
        "created_at": _us(entry.created_at),
        "finished_at": _maybe_us(entry.finished_at),
        "next_attempt_at": _maybe_us(entry.next_attempt_at),
        "at": _us(entry.attempts[-1].started_at if entry.attempts else entry.created_at),
        "tries": len(entry.attempts),
        "attempts": json.dumps([_attempt_values(one) for one in entry.attempts]),  # all of it in ASCII
        "bare": False,
    }


def _attempt_values(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": _us(attempt.started_at),
        "duration": attempt.duration // MICROSECOND,
        "status": attempt.status,
        "reason": attempt.reason,
        "headers": attempt.response_headers,
        "body": b64encode(attempt.response_body).decode(),  # bytes of the customer's server: anything
        "retry_after": None if attempt.retry_after is None else attempt.retry_after // MICROSECOND,
    }


def _entry(row: Row) -> LogEntry:
    state: Any = row.state
    return LogEntry(
        delivery_id=row.delivery_id,
        event_id=row.event_id,
        event_type=row.event_type,
        endpoint_id=row.endpoint_id,
        tenant=row.tenant,
        state=state,
        attempts=tuple(_attempt(one) for one in json.loads(row.attempts)),
        created_at=_time(row.created_at),
        finished_at=_maybe_time(row.finished_at),
        next_attempt_at=_maybe_time(row.next_attempt_at),
        body=row.body,
        reason=row.reason,
    )


def _attempt(values: dict[str, Any]) -> Attempt:
    return Attempt(
        values["number"],
        _time(values["started_at"]),
        values["duration"] * MICROSECOND,
        values["status"],
        values["reason"],
        tuple((name, value) for name, value in values["headers"]),
        b64decode(values["body"]),
        None if values["retry_after"] is None else values["retry_after"] * MICROSECOND,
    )
