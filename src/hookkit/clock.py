"""The system clock. Everything else is given its time as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final, final

__all__ = ["SYSTEM_CLOCK", "SystemClock"]


@final
class SystemClock:
    """The real time, as :class:`hookkit.protocols.Clock` asks for it."""

    def now(self) -> datetime:
        """Return the wall clock's time as an aware UTC datetime."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for measuring durations."""
        return time.monotonic()


SYSTEM_CLOCK: Final = SystemClock()
