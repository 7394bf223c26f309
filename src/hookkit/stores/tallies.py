"""Health from counts: the arithmetic that every store shares. Pure.

A store keeps, per endpoint, counts of deliveries by their last attempt, and a histogram of the attempts' durations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import attrs

from hookkit.model import Attempt, DeliveryState, Health, HealthBucket
from hookkit.stores.sql import MICROSECOND
from hookkit.work import EndpointState

__all__ = [
    "BUCKET_US",
    "SLICES",
    "Class",
    "bin_of",
    "bucket_of",
    "build_health",
    "class_of",
    "remembered",
    "with_state",
]

Class = Literal["succeeded", "failed", "retrying"]

SLICES: Final = 24
"""Into how many equal buckets a health window is cut."""
_RATIO: Final = 1.25
"""The width of a histogram's bins; its square root bounds the error of a percentile: 12 %."""
BUCKET_US: Final = timedelta(minutes=5) // MICROSECOND
"""Over how many microseconds a store counts in one row."""


def bucket_of(at_us: int) -> int:
    """Return the start of the bucket that holds a time."""
    return at_us - at_us % BUCKET_US


def class_of(state: DeliveryState) -> Class:
    """Return how an attempted delivery counts."""
    if state == "succeeded" or state == "failed":
        return state
    return "retrying"


def bin_of(duration: timedelta) -> int:
    """Return the histogram bin of a duration; bin 0 holds all up to a millisecond."""
    milliseconds = max(duration / timedelta(milliseconds=1), 1.0)
    return round(math.log(milliseconds, _RATIO))


def _middle(index: int) -> timedelta:
    return timedelta(milliseconds=_RATIO**index)


def _percentile(histogram: Counter[int], share: float) -> timedelta | None:
    total = histogram.total()
    reached = 0
    for index in sorted(histogram):
        reached += histogram[index]
        if reached >= total * share:
            return _middle(index)
    return None


def remembered(endpoint_id: str, deliveries: Iterable[Sequence[Attempt]]) -> EndpointState:
    """Return what a log can tell of an endpoint that is queued elsewhere, from its deliveries' attempts."""
    attempts = [one for each in deliveries for one in each if one.reason != "lost"]
    succeeded = max((one.started_at for one in attempts if not one.reason), default=None)
    failed = [one.started_at for one in attempts if one.reason]
    return EndpointState(
        endpoint_id,
        consecutive_failures=sum(succeeded is None or at > succeeded for at in failed),
        last_success_at=succeeded,
        last_failure_at=max(failed, default=None),
    )


def build_health(
    state: EndpointState | None,
    counts: Iterable[tuple[datetime, Class, int]],
    *,
    durations: Counter[int],
    pending: int,
    since: datetime,
    until: datetime,
) -> Health:
    """Return an endpoint's health.

    Args:
        state: What the queue remembers of it; None: nothing.
        counts: ``(when, class, how many)`` of the deliveries whose last attempt lies in the window.
        durations: A histogram of the window's attempts, by :func:`bin_of`.
        pending: Deliveries not attempted yet.
        since: The window's beginning.
        until: The window's end.
    """
    state = state or EndpointState("")
    width = (until - since) / SLICES
    totals: Counter[Class] = Counter()
    slices: list[Counter[Class]] = [Counter() for _ in range(SLICES)]
    for when, kind, count in counts:
        totals[kind] += count
        index = int((when - since) / width) if width else 0
        slices[min(max(index, 0), SLICES - 1)][kind] += count
    requests = totals.total()
    return Health(
        requests=requests,
        succeeded=totals["succeeded"],
        failed=totals["failed"],
        retrying=totals["retrying"],
        pending=pending,
        success_rate=totals["succeeded"] / requests if requests else None,
        state=state.state,
        since=since,
        until=until,
        buckets=tuple(
            HealthBucket(since + width * index, part["succeeded"], part["failed"], part["retrying"])
            for index, part in enumerate(slices)
        ),
        last_success_at=state.last_success_at,
        last_failure_at=state.last_failure_at,
        consecutive_failures=state.consecutive_failures,
        latency_p50=_percentile(durations, 0.5),
        latency_p95=_percentile(durations, 0.95),
    )


def with_state(counted: Health, queue: Health) -> Health:
    """Return what a log counted, with what only the queue knows: the endpoint's state, and what was never attempted."""
    return attrs.evolve(
        counted,
        pending=queue.pending,
        state=queue.state,
        last_success_at=queue.last_success_at,
        last_failure_at=queue.last_failure_at,
        consecutive_failures=queue.consecutive_failures,
    )
