"""Endpoints in the queue of the SQLite store: their standing, and the heads of their queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal

from hookkit.fairness import Line
from hookkit.model import Endpoint
from hookkit.stores.rows import WEBHOOK_COLUMNS, Coder
from hookkit.stores.sql import marks, parts, to_us
from hookkit.stores.sqlite._counters import Counters
from hookkit.stores.sqlite._database import Database
from hookkit.stores.standings import LINE_COLUMNS, LINE_WIDTH, SAVED_COLUMNS, line_from, line_row
from hookkit.work import EndpointState

__all__ = ["Lines"]

_LINE: Final = ", ".join(f"e.{name.strip()}" for name in LINE_COLUMNS.split(","))
_WEBHOOK: Final = ", ".join(f"w.{name.strip()}" for name in WEBHOOK_COLUMNS.split(","))


class Lines:
    """Loads and saves standings. Every method runs within the caller's transaction."""

    def __init__(self, database: Database, coder: Coder) -> None:
        self._database = database
        self._coder = coder

    def load(self, endpoint_ids: Iterable[str]) -> dict[str, tuple[Line, Endpoint]]:
        """Return the standing and the webhook of each endpoint that has both.

        A webhook whose secrets cannot be read comes without them, and its standing says why.
        """
        found: dict[str, tuple[Line, Endpoint]] = {}
        for part in parts(endpoint_ids):
            rows = self._database.execute(
                f"SELECT {_LINE}, {_WEBHOOK} FROM hookkit_endpoints e "  # noqa: S608 - columns and marks
                f"JOIN hookkit_webhooks w ON w.id = e.endpoint_id WHERE e.endpoint_id IN ({marks(len(part))})",
                part,
            )
            for row in rows:
                line = line_from(row)
                endpoint, line.unreadable = self._coder.peek(row[LINE_WIDTH:])
                found[row[0]] = line, endpoint
        return found

    def standings(self, endpoint_ids: Iterable[str]) -> dict[str, EndpointState]:
        """Return the health of each endpoint that the queue knows."""
        found: dict[str, EndpointState] = {}
        for part in parts(endpoint_ids):
            rows = self._database.execute(
                f"SELECT {LINE_COLUMNS} FROM hookkit_endpoints WHERE endpoint_id IN ({marks(len(part))})",  # noqa: S608
                part,
            )
            found |= {row[0]: line_from(row).state for row in rows}
        return found

    def save(self, lines: Iterable[tuple[Line, Endpoint]], now: datetime) -> None:
        """Store standings, and move the heads of their queues accordingly."""
        rows: list[Sequence[object]] = []
        heads: list[Sequence[object]] = []
        for line, endpoint in lines:
            saved = line_row(line, endpoint, now)
            rows.append((*saved, endpoint.id))
            heads.append((int(line.in_flight > 0), int(line.state.consecutive_failures > 0), *saved[-2:], endpoint.id))
        self._database.execute_each(_SAVE, rows)
        self._database.execute_each(_MOVE_HEADS, heads)

    def refresh(self, endpoint_ids: Iterable[str], now: datetime) -> None:
        """Move the heads of these endpoints' queues to where they belong now."""
        self.save(self.load(endpoint_ids).values(), now)

    def add_heads(self, heads: Iterable[tuple[str, str, str]]) -> None:
        """Make sure that these ``(endpoint, lane, profile)`` have a head; :meth:`save` moves it."""
        self._database.execute_each(
            "INSERT OR IGNORE INTO hookkit_heads (endpoint_id, lane, profile, busy, failing) VALUES (?, ?, ?, 0, 0)",
            sorted(set(heads)),
        )

    def disable(self, endpoint: Endpoint) -> None:
        """Mark the endpoint disabled, for the webhook's reason, and hold what is to come."""
        self._database.execute(
            "UPDATE hookkit_endpoints SET state = 'disabled', disabled_reason = ?, probe_at = NULL, held = 1, "
            "blocked = 1 WHERE endpoint_id = ?",
            (endpoint.disabled_reason, endpoint.id),
        )

    def hold(self, endpoint_id: str, now: datetime) -> None:
        """Hold what is pending, and what is to come."""
        self._database.execute("UPDATE hookkit_endpoints SET held = 1 WHERE endpoint_id = ?", (endpoint_id,))
        self._database.execute(_HOLD, (endpoint_id,))
        self.refresh([endpoint_id], now)

    def release(self, endpoint_id: str, now: datetime, *, drop: bool) -> None:
        """Let go of what is held, and forget the endpoint's failures."""
        found = self.load([endpoint_id]).get(endpoint_id)
        if found is None or not found[1].enabled:
            return
        line, endpoint = found
        line.release()
        if drop:
            self._finish(endpoint_id, "held", "dropped", now)
        else:
            heads = self._database.execute(
                "UPDATE hookkit_deliveries SET state = 'pending', due_at = ? "
                "WHERE endpoint_id = ? AND state = 'held' AND lane <> '' RETURNING endpoint_id, lane, profile",
                (to_us(now), endpoint_id),
            )
            self.add_heads((row[0], row[1], row[2]) for row in heads)
        self.save([(line, endpoint)], now)

    def fail_pending(self, endpoint_id: str, reason: str, now: datetime) -> None:
        """Fail what is pending or held."""
        self._finish(endpoint_id, "pending", reason, now)
        self._finish(endpoint_id, "held", reason, now)
        self.refresh([endpoint_id], now)

    def _finish(self, endpoint_id: str, state: Literal["pending", "held"], reason: str, now: datetime) -> None:
        rows = self._database.execute(
            "UPDATE hookkit_deliveries SET state = 'failed', reason = ?, finished_at = ?, due_at = NULL "  # noqa: S608
            # The state stands in the text: with a parameter for it the planner would not see which index it may use.
            f"WHERE endpoint_id = ? AND state = '{state}' AND lane <> '' RETURNING attempted, active_at",
            (reason, to_us(now), endpoint_id),
        )
        with Counters(self._database) as counters:
            for attempted, active_at in rows:
                if attempted:
                    counters.move(endpoint_id, active_at, "retrying", "failed")

    def with_health(self, line: Line, state: EndpointState) -> bool:
        """Give `line` its new health; return whether it has just been disabled, and so is on hold."""
        disabled = state.state == "disabled" and line.state.state != "disabled"
        line.state = state
        line.held = line.held or disabled
        if disabled:
            self._database.execute(
                "UPDATE hookkit_webhooks SET enabled = 0, disabled_reason = ? WHERE id = ?",
                (state.disabled_reason, state.endpoint_id),
            )
            self._database.execute(_HOLD, (state.endpoint_id,))
        return disabled


_HOLD: Final = "UPDATE hookkit_deliveries SET state = 'held' WHERE endpoint_id = ? AND state = 'pending' AND lane <> ''"

_SAVE: Final = (
    f"UPDATE hookkit_endpoints SET {', '.join(f'{name.strip()} = ?' for name in SAVED_COLUMNS.split(','))} "  # noqa: S608
    "WHERE endpoint_id = ?"
)

_MOVE_HEADS: Final = (
    "UPDATE hookkit_heads SET busy = ?, failing = ?, ready_at = CASE WHEN ? THEN NULL ELSE max(?, ("
    "SELECT d.due_at FROM hookkit_deliveries d WHERE d.endpoint_id = hookkit_heads.endpoint_id "
    "AND d.lane = hookkit_heads.lane AND d.profile = hookkit_heads.profile AND d.state = 'pending' AND d.lane <> '' "
    "ORDER BY d.due_at LIMIT 1)) END WHERE endpoint_id = ?"
)
