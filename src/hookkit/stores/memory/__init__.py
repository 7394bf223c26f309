"""Stores in memory: for tests, demonstrations, and hosts that can afford to forget."""

from __future__ import annotations

from hookkit.stores.memory._async import AsyncMemoryStore
from hookkit.stores.memory._store import MemoryStore

__all__ = ["AsyncMemoryStore", "MemoryStore"]
