"""Webhooks of the PostgreSQL store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hookkit.errors import InvalidEndpoint, NotFound
from hookkit.model import Endpoint
from hookkit.stores.postgres import _lines as lines
from hookkit.stores.postgres._opening import opened
from hookkit.stores.postgres._tables import Tables
from hookkit.stores.rows import WEBHOOK_COLUMNS
from hookkit.stores.sql import Row, Steps, marks
from hookkit.stores.unreadable import switched
from hookkit.work import WebhookChange

__all__ = ["add_webhook", "get_webhook", "list_webhooks", "remove_webhook", "update_webhook"]


def add_webhook(tables: Tables, endpoint: Endpoint) -> Steps[None]:
    """Store a new webhook."""
    rows = yield from _insert_webhook(tables, endpoint, tables.coder.row(endpoint))
    if not rows:
        raise InvalidEndpoint(f"id: {endpoint.id!r} is taken", "id")
    # An endpoint of this id may have been there before; its health is not this one's.
    yield (tables.sql("DELETE FROM {endpoints} WHERE endpoint_id = ?"), (endpoint.id,))
    yield (
        tables.sql("INSERT INTO {endpoints} (endpoint_id, tenant) VALUES (?, ?)"),
        (endpoint.id, endpoint.tenant),
    )
    if not endpoint.enabled:
        yield from lines.disable(tables, endpoint)


def get_webhook(tables: Tables, endpoint_id: str) -> Steps[Endpoint]:
    """Return the webhook; StoreError if its secrets do not open."""
    return tables.coder.endpoint((yield from _row(tables, endpoint_id)))


def list_webhooks(tables: Tables, *, tenant: str | None, limit: int, after: str | None) -> Steps[Sequence[Endpoint]]:
    """Return webhooks in the order of their ids; one whose secrets do not open comes without keys and headers."""
    where = "id > ?" if tenant is None else "tenant = ? AND id > ?"
    rows = yield (
        tables.sql(f"SELECT {WEBHOOK_COLUMNS} FROM {{webhooks}} WHERE {where} ORDER BY id LIMIT ?"),  # noqa: S608 - columns
        [*(() if tenant is None else (tenant,)), after or "", limit],
    )
    return [tables.coder.peek(row)[0] for row in rows]


def update_webhook(
    tables: Tables, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str
) -> Steps[Endpoint]:
    """Change a webhook; its deliveries follow if it was disabled or enabled.

    One whose secrets do not open is given to `change` without them, and may be disabled and enabled; StoreError for any
    other change, as it would be sealed anew.
    """
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    before, unreadable = tables.coder.peek((yield from _row(tables, endpoint_id)))
    if unreadable:
        after = switched(before, change, unreadable)
        yield (
            tables.sql("UPDATE {webhooks} SET enabled = ?, disabled_reason = ? WHERE id = ?"),
            (int(after.enabled), after.disabled_reason, endpoint_id),
        )
    else:
        after = change(before)
        yield from _delete_webhook(tables, endpoint_id)
        yield from _insert_webhook(tables, after, tables.coder.row(after))
    yield from changes.write(tables, now)
    if endpoint_id in changes.lines:
        changes.lines[endpoint_id] = changes.lines[endpoint_id][0], after
    if after.enabled and not before.enabled:
        yield from lines.release(tables, changes, endpoint_id, now, drop=held == "drop")
    elif not after.enabled:
        lines.disable_line(changes, after)
    yield from changes.write(tables, now)
    return after


def remove_webhook(tables: Tables, endpoint_id: str, *, now: datetime) -> Steps[None]:
    """Delete a webhook and fail what it still had to get."""
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    yield from changes.write(tables, now)
    yield from _delete_webhook(tables, endpoint_id)
    yield from lines.fail_pending(tables, changes, endpoint_id, "removed", now)
    del changes.lines[endpoint_id]
    yield from changes.write(tables, now)
    yield (tables.sql("DELETE FROM {heads} WHERE endpoint_id = ?"), (endpoint_id,))
    yield (tables.sql("DELETE FROM {endpoints} WHERE endpoint_id = ?"), (endpoint_id,))


def _row(tables: Tables, endpoint_id: str) -> Steps[Row]:
    rows = yield (
        tables.sql(f"SELECT {WEBHOOK_COLUMNS} FROM {{webhooks}} WHERE id = ?"),  # noqa: S608 - columns
        (endpoint_id,),
    )
    if not rows:
        raise NotFound(f"no webhook {endpoint_id!r}")
    return rows[0]


def _insert_webhook(tables: Tables, endpoint: Endpoint, row: tuple[Any, ...]) -> Steps[list[Row]]:
    rows = yield (
        tables.sql(
            f"INSERT INTO {{webhooks}} ({WEBHOOK_COLUMNS}) VALUES ({marks(len(row))}) ON CONFLICT (id) DO NOTHING "  # noqa: S608
            "RETURNING id"
        ),
        row,
    )
    if rows:
        yield (
            tables.sql(
                "INSERT INTO {subscriptions} (tenant, pattern, webhook) SELECT ?, unnest(CAST(? AS text[])), ? "
                "ON CONFLICT DO NOTHING"
            ),
            (endpoint.tenant, list(endpoint.events), endpoint.id),
        )
    return rows


def _delete_webhook(tables: Tables, endpoint_id: str) -> Steps[None]:
    rows = yield (tables.sql("DELETE FROM {webhooks} WHERE id = ? RETURNING id"), (endpoint_id,))
    if not rows:
        raise NotFound(f"no webhook {endpoint_id!r}")
    yield (tables.sql("DELETE FROM {subscriptions} WHERE webhook = ?"), (endpoint_id,))
