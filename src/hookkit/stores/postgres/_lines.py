"""Endpoints in the queue of the PostgreSQL store: locking them, loading their standing, holding and releasing.

Whoever changes a delivery, a head or the standing of an endpoint holds the lock on the endpoint's row. Locks that are
waited for are taken in the order of the ids; a claim waits for none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

import attrs

from hookkit.fairness import Line
from hookkit.model import Endpoint
from hookkit.stores.postgres._changes import Changes
from hookkit.stores.postgres._tables import Tables
from hookkit.stores.rows import WEBHOOK_COLUMNS
from hookkit.stores.sql import Row, Steps, to_us
from hookkit.stores.standings import LINE_COLUMNS, LINE_WIDTH, line_from
from hookkit.work import EndpointState

__all__ = [
    "STANDING_COLUMNS",
    "STANDING_WIDTH",
    "disable",
    "disable_line",
    "fail_pending",
    "finish_all",
    "hold",
    "load",
    "release",
    "standing_from",
    "standings",
]

_LINE: Final = ", ".join(f"e.{name.strip()}" for name in LINE_COLUMNS.split(","))
_WEBHOOK: Final = ", ".join(f"w.{name.strip()}" for name in WEBHOOK_COLUMNS.split(","))
STANDING_COLUMNS: Final = f"{_LINE}, {_WEBHOOK}"
"""Of endpoints ``e`` and webhooks ``w``."""
STANDING_WIDTH: Final = LINE_WIDTH + len(WEBHOOK_COLUMNS.split(","))


def standing_from(tables: Tables, row: Row) -> tuple[Line, Endpoint]:
    """Return what :data:`STANDING_COLUMNS` say; a webhook that does not open says why."""
    line = line_from(row)
    endpoint, line.unreadable = tables.coder.peek(row[LINE_WIDTH:STANDING_WIDTH])
    return line, endpoint


def load(tables: Tables, endpoint_ids: Collection[str]) -> Steps[dict[str, tuple[Line, Endpoint]]]:
    """Return the standing and the webhook of each endpoint that has both."""
    if not endpoint_ids:
        return {}
    rows = yield (
        tables.sql(
            f"SELECT {STANDING_COLUMNS} FROM {{endpoints}} e JOIN {{webhooks}} w ON w.id = e.endpoint_id "  # noqa: S608 - columns
            "WHERE e.endpoint_id = ANY(CAST(? AS text[]))"
        ),
        (sorted(endpoint_ids),),
    )
    return {row[0]: standing_from(tables, row) for row in rows}


def standings(tables: Tables, endpoint_ids: Collection[str]) -> Steps[dict[str, EndpointState]]:
    """Return the health of each endpoint that the queue knows."""
    rows = yield (
        tables.sql(f"SELECT {LINE_COLUMNS} FROM {{endpoints}} WHERE endpoint_id = ANY(CAST(? AS text[]))"),  # noqa: S608
        (sorted(endpoint_ids),),
    )
    return {row[0]: line_from(row).state for row in rows}


def disable(tables: Tables, endpoint: Endpoint) -> Steps[None]:
    """Mark the endpoint disabled, for the webhook's reason, and hold what is to come."""
    yield (
        tables.sql(
            "UPDATE {endpoints} SET state = 'disabled', disabled_reason = ?, probe_at = NULL, held = 1, blocked = 1 "
            "WHERE endpoint_id = ?"
        ),
        (endpoint.disabled_reason, endpoint.id),
    )


def disable_line(changes: Changes, endpoint: Endpoint) -> None:
    """Mark an endpoint whose row is locked disabled, for the webhook's reason, and hold everything."""
    hold(changes, endpoint.id)
    if endpoint.id in changes.lines:
        line = changes.lines[endpoint.id][0]
        line.state = attrs.evolve(line.state, state="disabled", disabled_reason=endpoint.disabled_reason, probe_at=None)


def hold(changes: Changes, endpoint_id: str) -> None:
    """Hold what is pending, and what is to come."""
    if endpoint_id in changes.lines:
        changes.lines[endpoint_id][0].held = True
    changes.holding.add(endpoint_id)


def release(tables: Tables, changes: Changes, endpoint_id: str, now: datetime, *, drop: bool) -> Steps[None]:
    """Let go of what is held, and forget the endpoint's failures."""
    found = changes.lines.get(endpoint_id)
    if found is None or not found[1].enabled:
        return
    line, _ = found
    line.release()
    if drop:
        yield from finish_all(tables, changes, endpoint_id, "held", "dropped", now)
        return
    heads = yield (
        tables.sql(
            "UPDATE {deliveries} SET state = 'pending', arrived = 1, due_at = ? "
            "WHERE endpoint_id = ? AND state = 'held' AND lane <> '' RETURNING endpoint_id, lane, profile"
        ),
        (to_us(now), endpoint_id),
    )
    for row in heads:
        changes.head(row[0], row[1], row[2])


def fail_pending(tables: Tables, changes: Changes, endpoint_id: str, reason: str, now: datetime) -> Steps[None]:
    """Fail what is pending or held."""
    yield from finish_all(tables, changes, endpoint_id, "pending", reason, now)
    yield from finish_all(tables, changes, endpoint_id, "held", reason, now)


def finish_all(
    tables: Tables,
    changes: Changes,
    endpoint_id: str,
    state: Literal["pending", "held"],
    reason: str,
    now: datetime,
) -> Steps[None]:
    """Fail all of an endpoint's deliveries that are in one state."""
    rows = yield (
        tables.sql(
            "UPDATE {deliveries} SET state = 'failed', reason = ?, finished_at = ?, due_at = NULL "  # noqa: S608
            # The state stands in the text: with a parameter for it the planner would not see which index it may use.
            f"WHERE endpoint_id = ? AND state = '{state}' AND lane <> '' RETURNING attempted, active_at"
        ),
        (reason, to_us(now), endpoint_id),
    )
    for attempted, active_at in rows:
        if attempted:
            changes.tally.move(endpoint_id, active_at, "retrying", "failed")
