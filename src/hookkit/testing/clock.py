"""A clock that tests move by hand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Final, final

from hookkit.model import as_duration

__all__ = ["START", "ManualClock"]

START: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""Where a :class:`ManualClock` stands unless told otherwise: the same in every run."""


@final
class ManualClock:
    """A :class:`hookkit.protocols.Clock` that stands still until a test moves it. Safe to share between threads.

    Args:
        start: Where it stands at first, an aware datetime; None: :data:`START`.

    Raises:
        ValueError: `start` is naive.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._now = _utc(START if start is None else start)
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the time it was moved to, as an aware UTC datetime."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return the seconds it has been moved forward in all."""
        with self._lock:
            return self._monotonic

    def advance(self, delta: timedelta | float) -> datetime:
        """Move it forward and return the new time.

        Args:
            delta: How far; a bare number is seconds.

        Raises:
            ValueError: `delta` is negative. A wall clock that is set back is :meth:`set`.
        """
        step = as_duration(delta)
        if step < timedelta(0):
            raise ValueError("a clock advances; use set() to play a wall clock that is set back")
        with self._lock:
            self._now += step
            self._monotonic += step.total_seconds()
            return self._now

    def set(self, when: datetime) -> None:
        """Set the wall clock to `when`, forwards or backwards; :meth:`monotonic` follows forwards only.

        Raises:
            ValueError: `when` is naive.
        """
        with self._lock:
            moved = _utc(when) - self._now
            self._now += moved
            self._monotonic += max(moved.total_seconds(), 0.0)

    def __repr__(self) -> str:
        return f"ManualClock({self.now().isoformat()})"


def _utc(when: datetime) -> datetime:
    if when.utcoffset() is None:
        raise ValueError("a naive datetime; use an aware one, such as datetime(2026, 1, 1, tzinfo=UTC)")
    return when.astimezone(UTC)
