"""Stores in one SQLite file."""

from __future__ import annotations

from hookkit.stores.sqlite._store import AsyncSQLiteStore, SQLiteStore

__all__ = ["AsyncSQLiteStore", "SQLiteStore"]
