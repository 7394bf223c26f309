"""An endpoint's health: the whole table, the breaker and its probes, the ramp, disabling, and the notices."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Attempt
from hookkit.health import TABLE, classify, ramp_cap, step
from hookkit.testing.clock import START
from hookkit.work import EndpointState

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))

WELL, FAILED, GONE, LOST = "succeeded", "failed", "gone", "lost"
ANSWERS = {WELL: (200, ""), FAILED: (500, "status"), GONE: (410, "status"), LOST: (None, "lost")}

HEALTHY = EndpointState("whk_1", "acme")
FAILING = attrs.evolve(
    HEALTHY,
    state="failing",
    consecutive_failures=5,
    failing_since=START - HOUR,
    opened_at=START - MINUTE,
    probe_at=START,
    probe_delay=30 * SECOND,
    last_failure_at=START - MINUTE,
)
DISABLED = attrs.evolve(HEALTHY, state="disabled", disabled_reason="failing", consecutive_failures=20)


def attempt(outcome, at=START):
    """Return an attempt of this outcome that began at `at`."""
    status, reason = ANSWERS[outcome]
    return Attempt(1, at, status=status, reason=reason)


def after(state, outcome, at=START, *, began=None):
    """Return the state, and the kinds of notices, after an attempt settled at `at`."""
    moved, notices = step(state, attempt(outcome, began or at), at)
    return moved, [notice.kind for notice in notices]


def failing_for(age, count, **fields):
    """Return a state that has failed for so long, so often, and is not warned of yet."""
    return attrs.evolve(FAILING, failing_since=START - age, consecutive_failures=count, **fields)


# --- What an attempt says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (200, "", WELL),
        (204, "", WELL),
        (299, "", WELL),
        (100, "status", FAILED),
        (199, "status", FAILED),
        (300, "redirect", FAILED),
        (304, "redirect", FAILED),
        (400, "status", FAILED),
        (409, "status", FAILED),
        (411, "status", FAILED),
        (429, "status", FAILED),
        (500, "status", FAILED),
        (999, "status", FAILED),
        (410, "status", GONE),
        (None, "timeout", FAILED),
        (None, "dns", FAILED),
        (None, "target_refused", FAILED),
        (None, "tls_expired", FAILED),
        (None, "lost", LOST),
    ],
)
def test_what_an_attempt_says(status, reason, outcome):
    """2xx is well, 410 is gone, a lease that ran out says nothing of the endpoint; everything else failed."""
    assert classify(Attempt(1, START, status=status, reason=reason)) == outcome


# --- The table --------------------------------------------------------------------------------------------------------


def test_the_table_is_whole():
    """Every state has a move for everything an attempt can say."""
    assert set(TABLE) == set(product(("healthy", "failing", "disabled"), ANSWERS))


ALMOST = attrs.evolve(HEALTHY, consecutive_failures=4, failing_since=START - HOUR)


@pytest.mark.parametrize(
    ("before", "outcome", "state", "failures", "kinds"),
    [
        (HEALTHY, WELL, "healthy", 0, []),
        (HEALTHY, FAILED, "healthy", 1, []),
        (HEALTHY, GONE, "disabled", 1, ["disabled"]),
        (HEALTHY, LOST, "healthy", 0, []),
        (ALMOST, WELL, "healthy", 0, []),
        (ALMOST, FAILED, "failing", 5, ["breaker_open"]),
        (ALMOST, GONE, "disabled", 5, ["disabled"]),
        (ALMOST, LOST, "healthy", 4, []),
        (FAILING, WELL, "healthy", 0, ["recovered"]),
        (FAILING, FAILED, "failing", 6, []),
        (FAILING, GONE, "disabled", 6, ["disabled"]),
        (FAILING, LOST, "failing", 5, []),
        (DISABLED, WELL, "disabled", 0, []),
        (DISABLED, FAILED, "disabled", 21, []),
        (DISABLED, GONE, "disabled", 21, []),
        (DISABLED, LOST, "disabled", 20, []),
    ],
)
def test_the_table(before, outcome, state, failures, kinds):
    """Where each state goes, how many failures in a row it then counts, and which notices are given."""
    moved, given_kinds = after(before, outcome)
    assert (moved.state, moved.consecutive_failures, given_kinds) == (state, failures, kinds)
    assert (moved.endpoint_id, moved.tenant) == ("whk_1", "acme")


@pytest.mark.parametrize("before", [HEALTHY, ALMOST, FAILING, DISABLED], ids=lambda state: state.state)
def test_a_lost_attempt_changes_nothing(before):
    """The worker died, not the endpoint: nothing at all is different."""
    assert step(before, attempt(LOST), START + HOUR) == (before, ())


@pytest.mark.parametrize("before", [HEALTHY, ALMOST, FAILING], ids=["healthy", "almost", "failing"])
def test_gone_disables_at_once(before):
    """410, from whatever state: disabled with the reason ``gone``, no probe to come, and one notice that says so."""
    moved, (notice,) = step(before, attempt(GONE), START)
    assert (moved.disabled_reason, moved.probe_at, moved.ramp) == ("gone", None, None)
    assert (notice.kind, notice.detail, notice.share) == ("disabled", "gone", 0.0)
    assert (notice.endpoint_id, notice.tenant, notice.at) == ("whk_1", "acme", START)


@pytest.mark.parametrize("outcome", [WELL, FAILED, GONE])
def test_disabled_stays_disabled(outcome):
    """What was still under way is noted, and changes neither state nor reason."""
    moved, kinds = after(DISABLED, outcome, START + HOUR)
    assert (moved.state, moved.disabled_reason, moved.probe_at, kinds) == ("disabled", "failing", None, [])
    noted = moved.last_success_at if outcome == WELL else moved.last_failure_at
    assert noted == START + HOUR


def test_the_times_are_kept():
    """When it last did well, and when it last failed, whatever came between."""
    state, _ = after(HEALTHY, FAILED, START)
    state, _ = after(state, WELL, START + HOUR)
    state, _ = after(state, LOST, START + 2 * HOUR)
    assert (state.last_failure_at, state.last_success_at, state.failing_since) == (START, START + HOUR, None)
    state, _ = after(state, FAILED, START + 3 * HOUR, began=START + 2.5 * HOUR)
    state, _ = after(state, FAILED, START + 4 * HOUR)
    assert (state.last_failure_at, state.last_success_at) == (START + 4 * HOUR, START + HOUR)
    assert state.failing_since == START + 2.5 * HOUR, "the beginning of the first of them"


# --- The breaker ------------------------------------------------------------------------------------------------------


def test_the_breaker_opens_after_five_in_a_row():
    """Four are bad luck. At the fifth nothing is sent but a probe, in half a minute."""
    state = HEALTHY
    for count in range(1, 5):
        state, kinds = after(state, FAILED, START + count * MINUTE)
        assert (state.state, state.consecutive_failures, state.probe_at, kinds) == ("healthy", count, None, [])
    opened, (notice,) = step(state, attempt(FAILED, START), START + 5 * MINUTE)
    assert (opened.state, opened.opened_at) == ("failing", START + 5 * MINUTE)
    assert (opened.probe_delay, opened.probe_at) == (30 * SECOND, START + 5 * MINUTE + 30 * SECOND)
    assert (notice.kind, notice.detail, notice.share) == ("breaker_open", "", 0.0)


@pytest.mark.parametrize("between", [1, 2, 3, 4])
def test_a_success_between_begins_anew(between):
    """Five in a row, not five in all."""
    state = HEALTHY
    for outcome in [FAILED] * between + [WELL] + [FAILED] * 4:
        state, kinds = after(state, outcome)
        assert (state.state, kinds) == ("healthy", [])
    assert after(state, FAILED)[0].state == "failing"


def test_a_lost_attempt_between_does_not_begin_anew():
    """A lost one is no success either."""
    state = HEALTHY
    for outcome in [FAILED] * 4 + [LOST] * 3 + [FAILED]:
        state, _ = after(state, outcome)
    assert (state.state, state.consecutive_failures) == ("failing", 5)


def test_each_failed_probe_doubles_the_wait():
    """30 s, 1, 2, 4, 8, 16, 32 minutes, and then an hour each time."""
    state, _ = after(ALMOST, FAILED, START)
    waits = []
    for _ in range(10):
        waits.append(state.probe_at - state.last_failure_at)
        assert waits[-1] == state.probe_delay
        state, kinds = after(state, FAILED, state.probe_at)
        assert (state.state, kinds) == ("failing", [])
    assert waits == [30 * SECOND, *(2**n * MINUTE for n in range(6)), HOUR, HOUR, HOUR]


def test_a_straggler_is_no_probe():
    """What was under way when the breaker opened is counted, and neither doubles the wait nor moves the probe."""
    opened, _ = after(ALMOST, FAILED, START)
    state = opened
    for late in range(1, 4):
        state, kinds = after(state, FAILED, START + late * SECOND, began=START - late * SECOND)
        assert (state.probe_at, state.probe_delay, kinds) == (opened.probe_at, opened.probe_delay, [])
        assert (state.consecutive_failures, state.last_failure_at) == (5 + late, START + late * SECOND)


def test_what_began_as_the_breaker_opened_is_a_probe():
    """From that very moment on."""
    opened, _ = after(ALMOST, FAILED, START)
    state, _ = after(opened, FAILED, START + SECOND, began=START)
    assert (state.probe_delay, state.probe_at) == (MINUTE, START + SECOND + MINUTE)


def test_a_lost_probe_is_no_failed_probe():
    """The probe stays due when it was."""
    opened, _ = after(ALMOST, FAILED, START)
    assert step(opened, attempt(LOST, opened.probe_at), opened.probe_at + HOUR) == (opened, ())


@pytest.mark.parametrize("began", [START - HOUR, START], ids=["straggler", "probe"])
def test_one_success_closes_the_breaker(began):
    """Whenever it began: what failed before is forgotten, and the notice says so."""
    state = attrs.evolve(FAILING, consecutive_failures=19, warned=0.9)
    moved, (notice,) = step(state, attempt(WELL, began), START)
    assert moved == EndpointState(
        "whk_1", "acme", ramp=1, last_success_at=START, last_failure_at=FAILING.last_failure_at
    )
    assert (notice.kind, notice.detail, notice.at) == ("recovered", "", START)


# --- The ramp ---------------------------------------------------------------------------------------------------------


def test_after_a_recovery_the_cap_doubles():
    """1, 2, 4 … at once, so that what has waited does not come down as a herd; from 64 on nothing is bounded."""
    state, _ = after(FAILING, WELL)
    caps = []
    while state.ramp is not None:
        caps.append(ramp_cap(state, 10_000))
        state, kinds = after(state, WELL)
        assert kinds == []
    assert caps == [1, 2, 4, 8, 16, 32, 64]
    assert ramp_cap(state, 10_000) == 10_000


@pytest.mark.parametrize(
    ("state", "most", "cap"),
    [
        (HEALTHY, 4, 4),
        (HEALTHY, 1, 1),
        (attrs.evolve(HEALTHY, ramp=1), 4, 1),
        (attrs.evolve(HEALTHY, ramp=2), 4, 2),
        (attrs.evolve(HEALTHY, ramp=8), 4, 4),
        (FAILING, 4, 1),
        (FAILING, 1, 1),
    ],
)
def test_the_cap(state, most, cap):
    """The webhook's own, or what the ramp allows if that is less; one probe at a time while the breaker is open."""
    assert ramp_cap(state, most) == cap


def test_a_failure_stops_the_ramp_where_it_is():
    """It goes on with the next success, and begins at 1 after the next recovery."""
    state = attrs.evolve(HEALTHY, ramp=4)
    state, _ = after(state, FAILED)
    assert state.ramp == 4
    assert after(state, WELL)[0].ramp == 8
    for _ in range(4):
        state, _ = after(state, FAILED)
    assert (state.state, state.ramp) == ("failing", None)
    assert after(state, WELL)[0].ramp == 1


# --- Disabling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "count", "state"),
    [
        (5 * DAY, 19, "disabled"),  # this one is the twentieth
        (5 * DAY, 18, "failing"),
        (5 * DAY - SECOND, 19, "failing"),
        (5 * DAY - SECOND, 500, "failing"),
        (500 * DAY, 18, "failing"),
        (500 * DAY, 500, "disabled"),
    ],
)
def test_five_days_and_twenty_attempts(age, count, state):
    """Neither is enough alone."""
    moved, kinds = after(failing_for(age, count, warned=0.9), FAILED)
    assert (moved.state, kinds) == (state, ["disabled"] if state == "disabled" else [])


def test_disabled_for_failing():
    """The reason is ``failing``; no probe is due any more."""
    moved, (notice,) = step(failing_for(6 * DAY, 40, warned=0.9), attempt(FAILED), START)
    assert (moved.disabled_reason, moved.probe_at, moved.probe_delay) == ("failing", None, timedelta(0))
    assert (moved.consecutive_failures, moved.last_failure_at) == (41, START)
    assert (notice.kind, notice.detail) == ("disabled", "failing")


@pytest.mark.parametrize(
    ("age", "count", "share"),
    [
        (2.5 * DAY - SECOND, 39, None),
        (2.5 * DAY, 39, 0.5),
        (3.75 * DAY - SECOND, 39, 0.5),
        (3.75 * DAY, 39, 0.75),
        (4.5 * DAY - SECOND, 39, 0.75),
        (4.5 * DAY, 39, 0.9),
        (5 * DAY - SECOND, 39, 0.9),
        (90 * DAY, 8, None),
        (90 * DAY, 9, 0.5),
        (90 * DAY, 13, 0.5),
        (90 * DAY, 14, 0.75),
        (90 * DAY, 16, 0.75),
        (90 * DAY, 17, 0.9),
        (90 * DAY, 18, 0.9),
    ],
)
def test_a_warning_on_the_way(age, count, share):
    """At a half, three quarters and nine tenths of the way, which takes both time and count; only the largest."""
    moved, notices = step(failing_for(age, count), attempt(FAILED), START)
    assert [(notice.kind, notice.share) for notice in notices] == ([] if share is None else [("warning", share)])
    assert (moved.state, moved.warned) == ("failing", share or 0.0)


@pytest.mark.parametrize("warned", [0.5, 0.75, 0.9])
def test_a_warning_comes_once(warned):
    """What was said is not said again, not even after the clock was set back."""
    state = failing_for(warned * 5 * DAY, 39, warned=warned)
    for at in (START, START + SECOND, START - DAY, START - 30 * DAY, START):
        state, kinds = after(state, FAILED, at)
        assert (state.state, state.warned, kinds) == ("failing", warned, [])


def test_after_a_recovery_warnings_begin_anew():
    """The next time it fails for days, the customer hears of it from the beginning."""
    state, _ = after(failing_for(4 * DAY, 30, warned=0.75), WELL)
    assert state.warned == 0.0
    said = []
    for day in range(40):
        state, notices = step(state, attempt(FAILED, START + day * DAY / 8), START + day * DAY / 8)
        said += [(notice.kind, notice.share) for notice in notices]
    assert said == [("breaker_open", 0), ("warning", 0.5), ("warning", 0.75), ("warning", 0.9)]


# --- Whatever happens -------------------------------------------------------------------------------------------------

histories = st.lists(
    st.tuples(
        st.sampled_from([WELL, *[FAILED] * 12, GONE, LOST, LOST]),
        st.timedeltas(-2 * HOUR, 12 * HOUR),  # from the settlement before; now and then a clock is set back
        st.timedeltas(timedelta(0), HOUR),  # how long the attempt took
    ),
    max_size=80,
)


def check_shape(state):
    """Check that a state holds what its kind has, and nothing else."""
    assert (state.failing_since is None) == (state.consecutive_failures == 0)
    assert (state.probe_at is not None) == (state.state == "failing")
    assert (state.disabled_reason is not None) == (state.state == "disabled")
    assert state.ramp in {None, 1, 2, 4, 8, 16, 32, 64}
    if state.state == "healthy":
        assert state.consecutive_failures < 5
        assert (state.opened_at, state.probe_delay, state.warned) == (None, timedelta(0), 0.0)
    if state.state == "failing":
        assert state.consecutive_failures >= 5
        assert state.opened_at is not None
        assert state.ramp is None
        assert 30 * SECOND <= state.probe_delay <= HOUR
    if state.state == "disabled":
        assert (state.disabled_reason in {"gone", "failing"}, state.ramp) == (True, None)


@given(histories)
def test_any_history(history):
    """Whatever comes, and in whatever order: counts, times, notices and states agree with each other."""
    state, at = HEALTHY, START
    failures, seen, last = 0, [], {WELL: None, FAILED: None}
    for outcome, gap, duration in history:
        at += gap
        before = state
        state, notices = step(before, attempt(outcome, at - duration), at)
        if outcome != LOST:
            failures = 0 if outcome == WELL else failures + 1
            last[WELL if outcome == WELL else FAILED] = at
        if outcome == WELL:
            seen = []
        check_shape(state)
        assert state.consecutive_failures == failures
        assert (state.last_success_at, state.last_failure_at) == (last[WELL], last[FAILED])
        moves = {
            ("healthy", "failing"): ["breaker_open"],
            ("failing", "healthy"): ["recovered"],
            ("healthy", "disabled"): ["disabled"],
            ("failing", "disabled"): ["disabled"],
        }
        kinds = [notice.kind for notice in notices if notice.kind != "warning"]
        assert kinds == moves.get((before.state, state.state), [])
        seen += [notice.share for notice in notices if notice.kind == "warning"]
        assert seen == sorted(set(seen)), "each share once, and growing"
        assert before.state != "disabled" or state.state == "disabled"
        assert all((notice.endpoint_id, notice.tenant, notice.at) == ("whk_1", "acme", at) for notice in notices)
        if before.state != state.state == "disabled" and state.disabled_reason == "failing":
            assert state.consecutive_failures >= 20
            assert at - state.failing_since >= 5 * DAY
