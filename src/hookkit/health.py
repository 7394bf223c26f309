"""The endpoint's health, as a state machine in a table.

Every settled attempt moves it (:func:`step`), inside the store's transaction. What an attempt says is one of four
events (:func:`classify`); :data:`TABLE` gives the move for each state and event; the moves are the small functions
between.

============ ============================= ================================ =============== ===========
state        succeeded                     failed                           gone (410)      lost
============ ============================= ================================ =============== ===========
healthy      healthy; cap ramps 1, 2, 4 …  failing after 5 in a row         disabled        no change
failing      healthy; cap begins at 1      probe later; disabled after      disabled        no change
                                           5 days and 20 attempts
disabled     stays; the counter restarts   stays; is counted                stays; counted  no change
============ ============================= ================================ =============== ===========
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import attrs

from hookkit.model import Attempt, Notice
from hookkit.retry import GONE, SUCCESS
from hookkit.work import EndpointState

__all__ = ["TABLE", "classify", "ramp_cap", "step"]

OPEN_AFTER: Final = 5
"""Attempts in a row without success that open the breaker."""
PROBE_FIRST: Final = timedelta(seconds=30)
PROBE_MAX: Final = timedelta(hours=1)
DISABLE_AFTER: Final = timedelta(days=5)
DISABLE_ATTEMPTS: Final = 20
WARN_SHARES: Final = (0.5, 0.75, 0.9)
RAMP_LIMIT: Final = 64
"""Once the ramp has reached this many at once, it bounds nothing any more."""

Outcome = Literal["succeeded", "failed", "gone", "lost"]
Moved = tuple[EndpointState, tuple[Notice, ...]]
Move = Callable[[EndpointState, Attempt, datetime], Moved]


def classify(attempt: Attempt) -> Outcome:
    """Return what `attempt` says of its endpoint. A lost one says nothing: the worker died, not the endpoint."""
    if attempt.reason == "lost":
        return "lost"
    if attempt.status == GONE:
        return "gone"
    if attempt.status is not None and attempt.status in SUCCESS:
        return "succeeded"
    return "failed"


def step(state: EndpointState, attempt: Attempt, now: datetime) -> Moved:
    """Return the endpoint's state after `attempt`, and the notices to give.

    Args:
        state: The state before.
        attempt: The attempt that was just settled.
        now: When it was settled.
    """
    return TABLE[state.state, classify(attempt)](state, attempt, now)


def ramp_cap(state: EndpointState, max_in_flight: int) -> int:
    """Return how many deliveries may be under way at once: the webhook's own cap, less while it probes or recovers."""
    if state.state == "failing":
        return 1
    return max_in_flight if state.ramp is None else min(state.ramp, max_in_flight)


def _notice(
    kind: Literal["warning", "breaker_open", "recovered", "disabled"], state: EndpointState, now: datetime
) -> Notice:
    detail = state.disabled_reason or "" if kind == "disabled" else ""
    share = state.warned if kind == "warning" else 0.0
    return Notice(kind, state.endpoint_id, state.tenant, now, share=share, detail=detail)


def _nothing(state: EndpointState, _attempt: Attempt, _now: datetime) -> Moved:
    return state, ()


def _succeed(state: EndpointState, _attempt: Attempt, now: datetime) -> Moved:
    ramp = None if state.ramp is None or state.ramp * 2 > RAMP_LIMIT else state.ramp * 2
    return _well(state, now, ramp), ()


def _recover(state: EndpointState, _attempt: Attempt, now: datetime) -> Moved:
    moved = _well(state, now, 1)
    return moved, (_notice("recovered", moved, now),)


def _well(state: EndpointState, now: datetime, ramp: int | None) -> EndpointState:
    return EndpointState(
        state.endpoint_id,
        state.tenant,
        ramp=ramp,
        last_success_at=now,
        last_failure_at=state.last_failure_at,
    )


def _count(state: EndpointState, attempt: Attempt, now: datetime) -> EndpointState:
    return attrs.evolve(
        state,
        consecutive_failures=state.consecutive_failures + 1,
        failing_since=state.failing_since or attempt.started_at,
        last_failure_at=now,
    )


def _fail(state: EndpointState, attempt: Attempt, now: datetime) -> Moved:
    counted = _count(state, attempt, now)
    if counted.consecutive_failures < OPEN_AFTER:
        return counted, ()
    opened = attrs.evolve(
        counted, state="failing", opened_at=now, probe_at=now + PROBE_FIRST, probe_delay=PROBE_FIRST, ramp=None
    )
    return opened, (_notice("breaker_open", opened, now),)


def _fail_again(state: EndpointState, attempt: Attempt, now: datetime) -> Moved:
    counted = _count(state, attempt, now)
    if state.opened_at is None or attempt.started_at >= state.opened_at:
        # Only what was sent after the breaker opened is a probe; stragglers from before do not double the wait.
        delay = min(state.probe_delay * 2, PROBE_MAX)
        counted = attrs.evolve(counted, probe_delay=delay, probe_at=now + delay)
    share = _share(counted, now)
    if share >= 1:
        return _disable(counted, "failing", now)
    warned = max((mark for mark in WARN_SHARES if mark <= share), default=0.0)
    if warned <= state.warned:
        return counted, ()
    warning = attrs.evolve(counted, warned=warned)
    return warning, (_notice("warning", warning, now),)


def _share(state: EndpointState, now: datetime) -> float:
    """Return how much of the way to being disabled is gone: time and count are both needed, so the smaller decides."""
    since = state.failing_since or now
    return min((now - since) / DISABLE_AFTER, state.consecutive_failures / DISABLE_ATTEMPTS)


def _gone(state: EndpointState, attempt: Attempt, now: datetime) -> Moved:
    return _disable(_count(state, attempt, now), "gone", now)


def _disable(state: EndpointState, reason: str, now: datetime) -> Moved:
    disabled = attrs.evolve(
        state, state="disabled", disabled_reason=reason, probe_at=None, probe_delay=timedelta(), ramp=None
    )
    return disabled, (_notice("disabled", disabled, now),)


def _late_success(state: EndpointState, _attempt: Attempt, now: datetime) -> Moved:
    return attrs.evolve(state, consecutive_failures=0, failing_since=None, last_success_at=now), ()


def _late_failure(state: EndpointState, attempt: Attempt, now: datetime) -> Moved:
    return _count(state, attempt, now), ()


TABLE: Final[Mapping[tuple[str, Outcome], Move]] = {
    ("healthy", "succeeded"): _succeed,
    ("healthy", "failed"): _fail,
    ("healthy", "gone"): _gone,
    ("healthy", "lost"): _nothing,
    ("failing", "succeeded"): _recover,
    ("failing", "failed"): _fail_again,
    ("failing", "gone"): _gone,
    ("failing", "lost"): _nothing,
    ("disabled", "succeeded"): _late_success,
    ("disabled", "failed"): _late_failure,
    ("disabled", "gone"): _late_failure,
    ("disabled", "lost"): _nothing,
}
