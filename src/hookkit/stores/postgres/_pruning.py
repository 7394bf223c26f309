"""Retention in the PostgreSQL store: payloads first, entries later, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from hookkit.stores.postgres._tables import Tables
from hookkit.stores.sql import Steps, to_us
from hookkit.stores.tallies import BUCKET_US

__all__ = ["prune"]


def prune(tables: Tables, *, payloads_before: datetime, entries_before: datetime, limit: int) -> Steps[int]:
    """Forget what is old. What another process is forgetting, or recovering, at the same time is left to that."""
    entries = yield from _prune_entries(tables, to_us(entries_before), limit)
    payloads = yield from _prune_payloads(tables, to_us(payloads_before), limit - entries)
    yield from _prune_events(tables, to_us(payloads_before), limit)
    yield (
        tables.sql(
            "DELETE FROM {counters} WHERE (endpoint_id, bucket, kind) IN (SELECT endpoint_id, bucket, kind "
            "FROM {counters} WHERE bucket < ? ORDER BY bucket LIMIT 10000 FOR UPDATE SKIP LOCKED)"
        ),
        (to_us(entries_before) - BUCKET_US,),
    )
    return entries + payloads


def _prune_entries(tables: Tables, before: int, limit: int) -> Steps[int]:
    rows = yield (
        tables.sql(
            "DELETE FROM {deliveries} WHERE seq IN (SELECT seq FROM {deliveries} WHERE finished_at < ? "
            "AND finished_at IS NOT NULL ORDER BY finished_at LIMIT ? FOR UPDATE SKIP LOCKED) RETURNING seq, body"
        ),
        (before, limit),
    )
    if rows:
        yield (
            tables.sql("DELETE FROM {attempts} WHERE delivery = ANY(CAST(? AS bigint[]))"),
            ([row[0] for row in rows],),
        )
    yield from _drop_bodies(tables, {row[1] for row in rows if row[1] is not None})
    return len(rows)


def _prune_payloads(tables: Tables, before: int, limit: int) -> Steps[int]:
    rows = yield (
        tables.sql(
            "SELECT seq, body FROM {deliveries} WHERE finished_at < ? AND finished_at IS NOT NULL "
            "AND body IS NOT NULL ORDER BY finished_at LIMIT ? FOR UPDATE SKIP LOCKED"
        ),
        (before, limit),
    )
    if rows:
        yield (
            tables.sql("UPDATE {deliveries} SET body = NULL WHERE seq = ANY(CAST(? AS bigint[]))"),
            ([row[0] for row in rows],),
        )
        yield (  # an answer may hold what it answered
            tables.sql(
                "UPDATE {attempts} SET response_body = NULL WHERE delivery = ANY(CAST(? AS bigint[])) "
                "AND response_body IS NOT NULL"
            ),
            ([row[0] for row in rows],),
        )
    yield from _drop_bodies(tables, {row[1] for row in rows})
    return len(rows)


def _drop_bodies(tables: Tables, bodies: Collection[int]) -> Steps[None]:
    """Delete those bodies that no delivery needs any more.

    One that only a redelivery needs no longer belongs to its event: its id and idempotency key are free again.
    """
    if not bodies:
        return
    # Locked first: a redelivery that is just being made has a hold on its body, and is seen once that is over.
    yield (
        tables.sql("SELECT seq FROM {bodies} WHERE seq = ANY(CAST(? AS bigint[])) ORDER BY seq FOR UPDATE"),
        (sorted(bodies),),
    )
    yield (
        tables.sql(
            "UPDATE {bodies} b SET event = NULL WHERE b.seq = ANY(CAST(? AS bigint[])) AND NOT EXISTS ("
            "SELECT 1 FROM {deliveries} d WHERE d.body = b.seq AND d.repeats = 0)"
        ),
        (sorted(bodies),),
    )
    yield (
        tables.sql(
            "DELETE FROM {bodies} b WHERE b.seq = ANY(CAST(? AS bigint[])) "
            "AND NOT EXISTS (SELECT 1 FROM {deliveries} d WHERE d.body = b.seq)"
        ),
        (sorted(bodies),),
    )


def _prune_events(tables: Tables, before: int, limit: int) -> Steps[None]:
    """Free the ids and idempotency keys of events none of whose payloads is kept."""
    yield (
        tables.sql(
            "DELETE FROM {events} WHERE seq IN (SELECT e.seq FROM {events} e WHERE e.created_at < ? "
            "AND NOT EXISTS (SELECT 1 FROM {bodies} b WHERE b.event = e.seq) "
            "ORDER BY e.created_at LIMIT ? FOR UPDATE SKIP LOCKED)"
        ),
        (before, limit),
    )
