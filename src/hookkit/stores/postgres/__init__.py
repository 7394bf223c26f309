"""Stores in a PostgreSQL database. They need the extra ``postgres``: ``pip install 'hookkit[postgres]'``."""

from __future__ import annotations

from hookkit.stores.postgres._async.store import AsyncPostgresStore
from hookkit.stores.postgres._sync.store import PostgresStore

__all__ = ["AsyncPostgresStore", "PostgresStore"]
