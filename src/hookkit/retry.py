"""Which outcome is tried again, and when. Data and pure functions; nothing sleeps here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from hookkit.model import as_duration

__all__ = ["NOT_2XX", "RetryPolicy", "next_attempt_at", "parse_retry_after"]

SUCCESS: Final = range(200, 300)
GONE: Final = 410
_LONGEST: Final = timedelta(days=366)

NOT_2XX: Final = frozenset(range(100, 1000)) - frozenset(SUCCESS) - {GONE}
"""Every status but 2xx, and but 410, which disables the webhook.

Standard Webhooks, "Deliverability and reliability".
"""


def _delays(delays: Iterable[timedelta | float]) -> tuple[timedelta, ...]:
    return tuple(as_duration(delay) for delay in delays)


def _statuses(statuses: Iterable[int]) -> frozenset[int]:
    return frozenset(statuses)


def _ranges(statuses: frozenset[int]) -> str:
    """Return `statuses` as text like ``100-199 300-409 411-999``."""
    runs: list[list[int]] = []
    for status in sorted(statuses):
        if runs and runs[-1][-1] == status - 1:
            runs[-1][1:] = [status]
        else:
            runs.append([status])
    return " ".join("-".join(map(str, run)) for run in runs)


@attrs.frozen
class RetryPolicy:
    """How often, and on what, a delivery is tried again.

    Args:
        delays: The waits after the first, second … failed attempt; timedeltas, or seconds. ``len(delays)`` retries in
            all.
        statuses: The HTTP statuses that are tried again; by default every one but 2xx and 410. 2xx is success and 410
            disables the webhook whatever stands here.
        network_errors: Whether attempts without any status (timeouts, refused connections, TLS failures …) are tried
            again.
        jitter: Each wait grows by up to this share, at random, so that a crowd spreads out. It never shrinks.
        max_delay: The longest wait before jitter, ``Retry-After`` included; a timedelta, or seconds.

    Raises:
        ValueError: A delay or `max_delay` is negative or longer than a year, `jitter` is not 0 to 1, or a status is not
            100 to 999.
    """

    delays: tuple[timedelta, ...] = attrs.field(converter=_delays)
    statuses: frozenset[int] = attrs.field(default=NOT_2XX, converter=_statuses, kw_only=True, repr=_ranges)
    network_errors: bool = attrs.field(default=True, kw_only=True)
    jitter: float = attrs.field(default=0.1, kw_only=True)
    max_delay: timedelta = attrs.field(default=timedelta(hours=24), converter=as_duration, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if any(not timedelta(0) <= delay <= _LONGEST for delay in (*self.delays, self.max_delay)):
            raise ValueError("delays and max_delay are not negative, and a year at most")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is a share from 0 to 1, not {self.jitter}")
        if any(not 100 <= status <= 999 for status in self.statuses):
            raise ValueError("statuses are HTTP statuses, 100 to 999")

    def retries(self, status: int | None) -> bool:
        """Return whether an attempt that ended with `status` (None: with none) is worth another."""
        return self.network_errors if status is None else status in self.statuses


def next_attempt_at(
    policy: RetryPolicy,
    *,
    failures: int,
    at: datetime,
    retry_after: timedelta | None,
    random: Callable[[], float],
) -> datetime | None:
    """Return when to try again, or None if the schedule has run out.

    Never earlier than the schedule says, and never earlier than the receiver asked for (RFC 9110 §10.2.3), except that
    ``max_delay`` bounds both.

    Args:
        policy: The schedule.
        failures: Failed attempts since the schedule began, the last one included; at least 1.
        at: When the last attempt ended.
        retry_after: The receiver's wish, from :func:`parse_retry_after`.
        random: Returns a float in [0, 1).
    """
    if failures > len(policy.delays):
        return None
    wait = max(policy.delays[failures - 1], retry_after or timedelta(0))
    wait = min(wait, policy.max_delay)
    return at + wait * (1 + policy.jitter * random())


_SECONDS = re.compile(r"[0-9]{1,10}")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HTTP_DATE = re.compile(
    rf"({'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) ([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}}) GMT"
)


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Return how long a ``Retry-After`` header asks to wait, or None if it is not one of the two forms.

    The forms are ``delay-seconds`` and an ``IMF-fixdate`` (RFC 9110 §10.2.3 and §5.6.7); the obsolete date forms,
    signs, fractions, lists and foreign digits are not read. A date that has passed is no wait at all.

    Args:
        value: The header's value.
        now: The time that a date is measured from.
    """
    text = value.strip(" \t")
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    parts = _HTTP_DATE.fullmatch(text)
    if parts is None:
        return None
    weekday, day, month, year, hour, minute, second = parts.groups()
    try:
        date = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    if _DAYS[date.weekday()] != weekday:
        return None
    return max(date - now, timedelta(0))
