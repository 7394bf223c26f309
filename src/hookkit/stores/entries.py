"""Reading the log in SQL: what every dialect asks alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from hookkit.stores.sql import Query, Row

if TYPE_CHECKING:
    from hookkit.model import DeliveryState

__all__ = ["ENTRY", "newest", "recent_queries"]

ENTRY: Final = (
    "SELECT d.id, d.event_id, d.event_type, d.endpoint_id, d.tenant, d.state, d.created_at, d.finished_at, d.due_at, "
    "d.reason, b.body, d.seq, d.active_at FROM {deliveries} d LEFT JOIN {bodies} b ON b.seq = d.body WHERE "
)
"""Rows for :func:`hookkit.stores.rows.entry_from`: number and last activity stand at their end. A condition follows."""

_ID, _ACTIVE_AT = 0, 12


def recent_queries(
    endpoint_id: str,
    *,
    since: int,
    until: int,
    state: DeliveryState | None,
    event: str | None,
    limit: int,
    before: str | None,
) -> list[Query]:
    """Return the queries for an endpoint's recent entries; :func:`newest` puts their rows together.

    They are two where those never attempted are asked for, each of which is a range of an index of its own.

    Args:
        endpoint_id: Whose.
        since: The least time of the last attempt, in microseconds since 1970.
        until: The greatest.
        state: Only those in it; None: all that were attempted.
        event: Only of this type; None: all.
        limit: At most so many.
        before: Only those older than this delivery; None: all.
    """
    conditions = ["d.endpoint_id = ?", "d.active_at BETWEEN ? AND ?"]
    params: list[Any] = [endpoint_id, since, until]
    if state is not None:
        conditions.append("d.state = ?")
        params.append(state)
    if event is not None:
        conditions.append("d.event_type = ?")
        params.append(event)
    if before is not None:
        # One that has been deleted since ends the list: nothing older than it can be told from here.
        conditions.append("(d.active_at, d.id) < (SELECT c.active_at, c.id FROM {deliveries} c WHERE c.id = ?)")
        params.append(before)
    kinds = ["d.attempted = 1"]
    if state in ("pending", "held"):
        kinds.append("d.attempted = 0 AND d.finished_at IS NULL")
    order = "ORDER BY d.active_at DESC, d.id DESC LIMIT ?"
    return [(f"{ENTRY}{' AND '.join([kind, *conditions])} {order}", [*params, limit]) for kind in kinds]


def newest(rows: Iterable[Row], limit: int) -> list[Row]:
    """Return at most `limit` rows of all these, the last active first."""
    return sorted(rows, key=lambda row: (row[_ACTIVE_AT], row[_ID]), reverse=True)[:limit]
