"""Webhooks and outbox of the SQLite store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from hookkit.errors import InvalidEndpoint, NotFound
from hookkit.model import Emission, Endpoint
from hookkit.stores import outbox
from hookkit.stores.rows import WEBHOOK_COLUMNS, Coder
from hookkit.stores.sql import Row, drive, marks
from hookkit.stores.sqlite._database import SQLITE, Database, foreign_errors
from hookkit.stores.sqlite._deliveries import Deliveries
from hookkit.stores.sqlite._lines import Lines
from hookkit.stores.unreadable import switched
from hookkit.work import Planned, WebhookChange

__all__ = ["Part", "SQLiteOutbox", "SQLiteWebhooks"]


class SQLiteWebhooks:
    """The :class:`~hookkit.protocols.WebhookStore` part."""

    _database: Database
    _coder: Coder
    _lines: Lines
    _deliveries: Deliveries

    def add_webhook(self, endpoint: Endpoint) -> None:
        """Store a new webhook."""
        row = self._coder.row(endpoint)
        with self._database.writing():
            taken = self._database.execute("SELECT 1 FROM hookkit_webhooks WHERE id = ?", (endpoint.id,))
            if taken:
                raise InvalidEndpoint(f"id: {endpoint.id!r} is taken", "id")
            self._insert_webhook(endpoint, row)
            # An endpoint of this id may have been there before; its health is not this one's.
            self._database.execute("DELETE FROM hookkit_endpoints WHERE endpoint_id = ?", (endpoint.id,))
            self._database.execute(
                "INSERT INTO hookkit_endpoints (endpoint_id, tenant) VALUES (?, ?)", (endpoint.id, endpoint.tenant)
            )
            if not endpoint.enabled:
                self._lines.disable(endpoint)

    def get_webhook(self, endpoint_id: str) -> Endpoint:
        """Return the webhook; StoreError if its secrets do not open."""
        return self._coder.endpoint(self._webhook_row(endpoint_id))

    def _webhook_row(self, endpoint_id: str) -> Row:
        with foreign_errors():
            rows = self._database.execute(
                f"SELECT {WEBHOOK_COLUMNS} FROM hookkit_webhooks WHERE id = ?",  # noqa: S608 - columns, no values
                (endpoint_id,),
            )
        if not rows:
            raise NotFound(f"no webhook {endpoint_id!r}")
        return rows[0]

    def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]:
        """Return webhooks in the order of their ids; one whose secrets do not open comes without keys and headers."""
        where = "id > ?" if tenant is None else "tenant = ? AND id > ?"
        params = [*(() if tenant is None else (tenant,)), after or "", limit]
        with foreign_errors():
            rows = self._database.execute(
                f"SELECT {WEBHOOK_COLUMNS} FROM hookkit_webhooks WHERE {where} ORDER BY id LIMIT ?",  # noqa: S608 - as above
                params,
            )
        return [self._coder.peek(row)[0] for row in rows]

    def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint:
        """Change a webhook; its deliveries follow if it was disabled or enabled.

        One whose secrets do not open is given to `change` without them, and may be disabled and enabled; StoreError for
        any other change, as it would be sealed anew.
        """
        with self._database.writing():
            self._deliveries.reap(now)
            before, unreadable = self._coder.peek(self._webhook_row(endpoint_id))
            if unreadable:
                after = switched(before, change, unreadable)
                self._database.execute(
                    "UPDATE hookkit_webhooks SET enabled = ?, disabled_reason = ? WHERE id = ?",
                    (int(after.enabled), after.disabled_reason, endpoint_id),
                )
            else:
                after = change(before)
                self._delete_webhook(endpoint_id)
                self._insert_webhook(after, self._coder.row(after))
            if after.enabled and not before.enabled:
                self._lines.release(endpoint_id, now, drop=held == "drop")
            elif not after.enabled:
                self._lines.hold(endpoint_id, now)
                self._lines.disable(after)
            self._lines.refresh([endpoint_id], now)
            return after

    def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        """Delete a webhook and fail what it still had to get."""
        with self._database.writing():
            self._deliveries.reap(now)
            self._delete_webhook(endpoint_id)
            self._lines.fail_pending(endpoint_id, "removed", now)
            self._database.execute("DELETE FROM hookkit_endpoints WHERE endpoint_id = ?", (endpoint_id,))
            self._database.execute("DELETE FROM hookkit_heads WHERE endpoint_id = ?", (endpoint_id,))

    def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """Return every webhook that subscribes to the event."""
        steps = outbox.subscribers(SQLITE, self._coder, tenant, event_type)
        if tx is not None:
            return self._database.joined(steps, tx)
        with foreign_errors():
            return drive(steps, self._database.execute)

    def _insert_webhook(self, endpoint: Endpoint, row: tuple[Any, ...]) -> None:
        self._database.execute(
            f"INSERT INTO hookkit_webhooks ({WEBHOOK_COLUMNS}) VALUES ({marks(len(row))})",  # noqa: S608 - as above
            row,
        )
        self._database.execute_each(
            "INSERT OR IGNORE INTO hookkit_subscriptions (tenant, pattern, webhook) VALUES (?, ?, ?)",
            [(endpoint.tenant, pattern, endpoint.id) for pattern in endpoint.events],
        )

    def _delete_webhook(self, endpoint_id: str) -> None:
        rows = self._database.execute("DELETE FROM hookkit_webhooks WHERE id = ? RETURNING id", (endpoint_id,))
        if not rows:
            raise NotFound(f"no webhook {endpoint_id!r}")
        self._database.execute("DELETE FROM hookkit_subscriptions WHERE webhook = ?", (endpoint_id,))


Part = tuple[Sequence[Planned], datetime]
"""What one caller emits, and when."""


class SQLiteOutbox:
    """The :class:`~hookkit.protocols.Outbox` part."""

    _database: Database
    _enqueued: Callable[[Part], list[Emission]]

    def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        """Store planned events with their deliveries."""
        if tx is not None:
            return self._database.joined(outbox.enqueue(SQLITE, planned, now), tx)
        return self._enqueued((planned, now))

    def _enqueue(self, parts: Sequence[Part]) -> list[list[Emission]]:
        """Store what several threads emit, in one transaction."""
        with self._database.writing():
            return [drive(outbox.enqueue(SQLITE, planned, now), self._database.execute) for planned, now in parts]
