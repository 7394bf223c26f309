"""The endpoint's health, as a state machine in a table.

Every settled attempt moves it (:func:`step`), inside the store's transaction. What an attempt says is one of four
outcomes (:func:`classify`); :data:`TABLE` has the rules for each state and outcome, of which the first that holds
decides. ``docs/states.md`` is drawn from it, and the kit for stores walks through it.

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

from hookkit.model import Attempt, HealthState, Notice, NoticeKind
from hookkit.retry import GONE, SUCCESS
from hookkit.work import EndpointState

__all__ = ["TABLE", "Outcome", "Rule", "classify", "ramp_cap", "rule_for", "step"]

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
Change = Callable[[EndpointState, Attempt, datetime], EndpointState]


def _always(_counted: EndpointState, _now: datetime) -> bool:
    return True


@attrs.frozen
class Rule:
    """One rule of the table: where an endpoint goes from a state on an outcome.

    Args:
        to: The state it goes to.
        change: Returns what else is different, given the state with this attempt counted in.
        does: That in words.
        when: The condition in words; empty if there is none.
        holds: The condition, asked of the state with this attempt counted in.
        notice: The notice that is given, if any.
    """

    to: HealthState
    change: Change
    does: str
    when: str = ""
    holds: Callable[[EndpointState, datetime], bool] = _always
    notice: NoticeKind | None = None


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
    counted = _counted(state, attempt, now)
    rule = rule_for(state, attempt, now)
    moved = attrs.evolve(rule.change(counted, attempt, now), state=rule.to)
    return moved, () if rule.notice is None else (_notice(rule.notice, moved, now),)


def rule_for(state: EndpointState, attempt: Attempt, now: datetime) -> Rule:
    """Return the rule that decides; arguments as for :func:`step`."""
    counted = _counted(state, attempt, now)
    return next(rule for rule in TABLE[state.state, classify(attempt)] if rule.holds(counted, now))


def ramp_cap(state: EndpointState, max_in_flight: int) -> int:
    """Return how many deliveries may be under way at once: the webhook's own cap, less while it probes or recovers."""
    if state.state == "failing":
        return 1
    return max_in_flight if state.ramp is None else min(state.ramp, max_in_flight)


def _notice(kind: NoticeKind, state: EndpointState, now: datetime) -> Notice:
    detail = state.disabled_reason or "" if kind == "disabled" else ""
    share = state.warned if kind == "warning" else 0.0
    return Notice(kind, state.endpoint_id, state.tenant, now, share=share, detail=detail)


def _counted(state: EndpointState, attempt: Attempt, now: datetime) -> EndpointState:
    if classify(attempt) not in ("failed", "gone"):
        return state
    return attrs.evolve(
        state,
        consecutive_failures=state.consecutive_failures + 1,
        failing_since=state.failing_since or attempt.started_at,
        last_failure_at=now,
    )


# --- Conditions -------------------------------------------------------------------------------------------------------


def _enough_in_a_row(counted: EndpointState, _now: datetime) -> bool:
    return counted.consecutive_failures >= OPEN_AFTER


def _long_enough(counted: EndpointState, now: datetime) -> bool:
    return _share(counted, now) >= 1


def _passed_a_mark(counted: EndpointState, now: datetime) -> bool:
    return _mark(counted, now) > counted.warned


def _share(counted: EndpointState, now: datetime) -> float:
    """Return how much of the way to being disabled is gone: time and count are both needed, so the smaller decides."""
    since = counted.failing_since or now
    return min((now - since) / DISABLE_AFTER, counted.consecutive_failures / DISABLE_ATTEMPTS)


def _mark(counted: EndpointState, now: datetime) -> float:
    return max((mark for mark in WARN_SHARES if mark <= _share(counted, now)), default=0.0)


# --- Changes ----------------------------------------------------------------------------------------------------------


def _as_counted(counted: EndpointState, _attempt: Attempt, _now: datetime) -> EndpointState:
    return counted


def _ramp(state: EndpointState, _attempt: Attempt, now: datetime) -> EndpointState:
    return _well(state, now, None if state.ramp is None or state.ramp * 2 > RAMP_LIMIT else state.ramp * 2)


def _recover(state: EndpointState, _attempt: Attempt, now: datetime) -> EndpointState:
    return _well(state, now, 1)


def _well(state: EndpointState, now: datetime, ramp: int | None) -> EndpointState:
    return EndpointState(
        state.endpoint_id,
        state.tenant,
        ramp=ramp,
        last_success_at=now,
        last_failure_at=state.last_failure_at,
    )


def _open(counted: EndpointState, _attempt: Attempt, now: datetime) -> EndpointState:
    return attrs.evolve(counted, opened_at=now, probe_at=now + PROBE_FIRST, probe_delay=PROBE_FIRST, ramp=None)


def _probe_later(counted: EndpointState, attempt: Attempt, now: datetime) -> EndpointState:
    if counted.opened_at is not None and attempt.started_at < counted.opened_at:
        return counted  # only what was sent after the breaker opened is a probe; stragglers do not double the wait
    delay = min(counted.probe_delay * 2, PROBE_MAX)
    return attrs.evolve(counted, probe_delay=delay, probe_at=now + delay)


def _warn(counted: EndpointState, attempt: Attempt, now: datetime) -> EndpointState:
    return attrs.evolve(_probe_later(counted, attempt, now), warned=_mark(counted, now))


def _give_up(counted: EndpointState, _attempt: Attempt, _now: datetime) -> EndpointState:
    return _disabled(counted, "failing")


def _gone(counted: EndpointState, _attempt: Attempt, _now: datetime) -> EndpointState:
    return _disabled(counted, "gone")


def _disabled(counted: EndpointState, reason: str) -> EndpointState:
    return attrs.evolve(counted, disabled_reason=reason, probe_at=None, probe_delay=timedelta(), ramp=None)


def _late_success(state: EndpointState, _attempt: Attempt, now: datetime) -> EndpointState:
    return attrs.evolve(state, consecutive_failures=0, failing_since=None, last_success_at=now)


# --- The table --------------------------------------------------------------------------------------------------------

_LOST: Final = "nothing: the worker died, not the endpoint"
_GONE: Final = "disabled as `gone`; its deliveries are held"
_LATE: Final = "counted"
_MARKS: Final = ", ".join(f"{mark:.0%}" for mark in WARN_SHARES)

TABLE: Final[Mapping[tuple[HealthState, Outcome], tuple[Rule, ...]]] = {
    ("healthy", "succeeded"): (
        Rule("healthy", _ramp, f"failures are forgotten; a ramp doubles, and ends after {RAMP_LIMIT}"),
    ),
    ("healthy", "failed"): (
        Rule(
            "failing",
            _open,
            f"the breaker opens: a probe in {PROBE_FIRST.seconds} s",
            f"number {OPEN_AFTER} in a row",
            _enough_in_a_row,
            "breaker_open",
        ),
        Rule("healthy", _as_counted, "counted"),
    ),
    ("healthy", "gone"): (Rule("disabled", _gone, _GONE, notice="disabled"),),
    ("healthy", "lost"): (Rule("healthy", _as_counted, _LOST),),
    ("failing", "succeeded"): (
        Rule("healthy", _recover, "the breaker closes; the ramp begins: 1 at once", notice="recovered"),
    ),
    ("failing", "failed"): (
        Rule(
            "disabled",
            _give_up,
            "disabled as `failing`; its deliveries are held",
            f"{DISABLE_AFTER.days} days and {DISABLE_ATTEMPTS} attempts of nothing else",
            _long_enough,
            "disabled",
        ),
        Rule(
            "failing",
            _warn,
            "as below, and the owner is warned",
            f"past {_MARKS} of the way to that",
            _passed_a_mark,
            "warning",
        ),
        Rule(
            "failing",
            _probe_later,
            f"the next probe comes later: twice the wait, up to {PROBE_MAX // timedelta(hours=1)} h",
        ),
    ),
    ("failing", "gone"): (Rule("disabled", _gone, _GONE, notice="disabled"),),
    ("failing", "lost"): (Rule("failing", _as_counted, _LOST),),
    ("disabled", "succeeded"): (Rule("disabled", _late_success, "noted; failures are forgotten"),),
    ("disabled", "failed"): (Rule("disabled", _as_counted, _LATE),),
    ("disabled", "gone"): (Rule("disabled", _as_counted, _LATE),),
    ("disabled", "lost"): (Rule("disabled", _as_counted, _LOST),),
}
"""For each state and outcome its rules, in the order in which they are asked; the last one always holds."""
