"""Counters of the SQLite store: deliveries by their last attempt, and a histogram of durations, per bucket."""

from __future__ import annotations

from collections import Counter
from typing import Self

from hookkit.model import Attempt
from hookkit.stores.sql import to_us
from hookkit.stores.sqlite._database import Database
from hookkit.stores.tallies import Class, bin_of, bucket_of

__all__ = ["Counters"]


class Counters:
    """Collects changes, and writes them at the end of its ``with`` block, within the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes: Counter[tuple[str, int, str]] = Counter()

    def move(self, endpoint_id: str, at_us: int, before: Class | None, after: Class | None) -> None:
        """Count a delivery, whose last attempt was at `at_us`, under `after` and no longer under `before`."""
        if before == after:
            return
        if before is not None:
            self._changes[endpoint_id, bucket_of(at_us), before] -= 1
        if after is not None:
            self._changes[endpoint_id, bucket_of(at_us), after] += 1

    def time(self, endpoint_id: str, attempt: Attempt) -> None:
        """Add an attempt to the histogram."""
        self._changes[endpoint_id, bucket_of(to_us(attempt.started_at)), f"d{bin_of(attempt.duration)}"] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self.write()

    def write(self) -> None:
        """Write the changes."""
        self._database.execute_each(
            "INSERT INTO hookkit_counters (endpoint_id, bucket, kind, n) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (endpoint_id, bucket, kind) DO UPDATE SET n = n + excluded.n",
            [(*key, change) for key, change in self._changes.items() if change],
        )
