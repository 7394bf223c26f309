"""Sealing anew, in SQL: webhooks that another vault key sealed, or none, one short transaction for each batch.

Reading and sealing happen outside of the transaction. Within it a row is changed only if it is still what was read, so
that no update is lost, and nobody waits for the cryptography. Every function here is a generator of ``(sql, params)``;
see :mod:`hookkit.stores.sql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hookkit.errors import StoreError
from hookkit.stores.rows import WEBHOOK_COLUMNS, Coder
from hookkit.stores.sql import Dialect, Query, Steps

__all__ = ["seals", "stale", "store", "unopened"]

_PAGE: Final = 500
_SHOWN: Final = 10


def seals(dialect: Dialect) -> Steps[dict[str, int]]:
    """Return how many webhooks each vault key has sealed, by its id; under "" those that are not sealed."""
    rows = yield (dialect.sql("SELECT key_id, count(*) FROM {webhooks} GROUP BY key_id ORDER BY key_id"), ())
    return {row[0]: row[1] for row in rows}


def stale(dialect: Dialect, coder: Coder, *, limit: int | None) -> Steps[tuple[list[Query], dict[str, str]]]:
    """Return the updates that seal webhooks with the vault's first key, and why others do not open, by id.

    Args:
        dialect: The database's.
        coder: The store's, with its vault.
        limit: At most so many updates; those that do not open are passed over. None: all there are.
    """
    sealing, after = coder.sealing_key(), ""
    updates: list[Query] = []
    reasons: dict[str, str] = {}
    while limit is None or len(updates) < limit:
        rows = yield (
            dialect.sql(
                f"SELECT {WEBHOOK_COLUMNS} FROM {{webhooks}} WHERE id > ? AND key_id <> ? ORDER BY id LIMIT ?"  # noqa: S608
            ),
            (after, sealing, _PAGE if limit is None else limit),
        )
        if not rows:
            break
        after = rows[-1][0]
        for row in rows[: None if limit is None else limit - len(updates)]:
            endpoint, reason = coder.peek(row)
            if reason:
                reasons[row[0]] = reason
            else:
                updates.append(_update(dialect, row, coder.sealed(endpoint)))
    return updates, reasons


def _update(dialect: Dialect, row: Sequence[Any], sealed: tuple[str, bytes, bytes]) -> Query:
    """Return the update of a row that is still what was read.

    Tenant and URL are compared, too: what is sealed is bound to them, and in a row that is not sealed they may have
    changed while the rest did not.
    """
    sql = (
        "UPDATE {webhooks} SET key_id = ?, sealed_keys = ?, sealed_headers = ? WHERE id = ? AND tenant = ? "
        "AND url = ? AND sealed_keys = ? AND sealed_headers = ? RETURNING id"
    )
    return dialect.sql(sql), (*sealed, row[0], row[1], row[3], row[15], row[16])


def store(updates: Sequence[Query]) -> Steps[int]:
    """Make the updates, and return how many rows were still what was read. The caller's transaction holds them."""
    changed = 0
    for update in updates:
        changed += len((yield update))
    return changed


def unopened(reasons: dict[str, str]) -> StoreError:
    """Return the error for webhooks that could not be sealed anew because they do not open."""
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return StoreError(
        f"webhooks that do not open, and stay as they are: {len(reasons)}: "
        f"{'; '.join(list(reasons.values())[:_SHOWN])}{more}. Give the vault the keys that sealed them; "
        "a webhook whose key is lost is removed and created again"
    )
