"""Inboxes in a PostgreSQL database. They need the extra ``postgres``: ``pip install 'hookkit[postgres]'``."""

from __future__ import annotations

from hookkit.inbox.postgres._async import AsyncPostgresInbox
from hookkit.inbox.postgres._sync import PostgresInbox

__all__ = ["AsyncPostgresInbox", "PostgresInbox"]
