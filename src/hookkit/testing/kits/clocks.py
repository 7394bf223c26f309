"""The contract of a Clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hookkit.protocols import Clock

__all__ = ["ClockContract"]


class ClockContract:
    """Checks a :class:`hookkit.protocols.Clock`. Override the fixture ``clock``."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `clock`")

    def test_it_is_a_clock(self, clock: Clock) -> None:
        """It has both methods."""
        assert isinstance(clock, Clock)

    def test_the_time_is_aware_and_utc(self, clock: Clock) -> None:
        """Naive times, and times of some other zone, would be stored and compared wrongly."""
        assert clock.now().utcoffset() == timedelta(0)

    def test_seconds_never_run_backwards(self, clock: Clock) -> None:
        """Durations are measured with them."""
        read = [clock.monotonic() for _ in range(100)]
        assert read == sorted(read)
        assert all(isinstance(seconds, float) for seconds in read)
