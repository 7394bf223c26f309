"""Health from counts: the arithmetic that every store shares."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Health
from hookkit.model import HealthBucket
from hookkit.stores.tallies import SLICES, bin_of, build_health, class_of, remembered, with_state
from hookkit.testing.builders import attempt
from hookkit.testing.clock import START
from hookkit.work import EndpointState

MILLISECOND, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("milliseconds", "hours", "days"))
SINCE = START - DAY


def built(state=None, counts=(), *, durations=(), pending=0, since=SINCE, until=START):
    """Build an endpoint's health over a day."""
    histogram = Counter(map(bin_of, durations))
    return build_health(state, counts, durations=histogram, pending=pending, since=since, until=until)


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("pending", "retrying"),
        ("leased", "retrying"),
        ("held", "retrying"),
    ],
)
def test_how_an_attempted_delivery_counts(state, counted):
    """What is not given up, and not delivered, is tried again."""
    assert class_of(state) == counted


def test_nothing_known_is_nothing_counted():
    """No request, no rate, no latency; healthy, as far as anybody knows; and slices all the same."""
    health = built()
    assert (health.requests, health.succeeded, health.failed, health.retrying, health.pending) == (0, 0, 0, 0, 0)
    assert (health.success_rate, health.latency_p50, health.latency_p95) == (None, None, None)
    assert (health.state, health.consecutive_failures) == ("healthy", 0)
    assert (health.last_success_at, health.last_failure_at) == (None, None)
    assert (health.since, health.until) == (SINCE, START)
    assert health.buckets == tuple(HealthBucket(SINCE + n * HOUR) for n in range(24))


def test_counts_are_summed_and_sliced():
    """Each class in all, and hour by hour; pending ones are no requests."""
    counts = [
        (SINCE, "succeeded", 2),
        (SINCE + HOUR - MILLISECOND, "failed", 1),
        (SINCE + HOUR, "retrying", 3),
        (START - HOUR, "succeeded", 1),
        (START, "succeeded", 1),
    ]
    health = built(counts=counts, pending=7)
    assert (health.requests, health.succeeded, health.failed, health.retrying, health.pending) == (8, 4, 1, 3, 7)
    assert health.success_rate == 0.5
    assert health.buckets[0] == HealthBucket(SINCE, 2, 1, 0)
    assert health.buckets[1] == HealthBucket(SINCE + HOUR, 0, 0, 3)
    assert health.buckets[23] == HealthBucket(START - HOUR, 2, 0, 0)


moments = st.timedeltas(timedelta(0), DAY).map(lambda ago: START - ago)
classes = st.sampled_from(["succeeded", "failed", "retrying"])


@given(st.lists(st.tuples(moments, classes, st.integers(0, 50)), max_size=40), st.integers(0, 9))
def test_slices_and_totals_agree(counts, pending):
    """Whatever is counted is in one slice, and in the sums; the rate is a share."""
    health = built(counts=counts, pending=pending)
    for name in ("succeeded", "failed", "retrying"):
        assert sum(getattr(bucket, name) for bucket in health.buckets) == getattr(health, name)
        assert getattr(health, name) == sum(count for _, kind, count in counts if kind == name)
    assert health.requests == health.succeeded + health.failed + health.retrying
    assert (health.success_rate is None) == (health.requests == 0)
    assert health.success_rate is None or 0 <= health.success_rate <= 1
    assert len(health.buckets) == SLICES


@pytest.mark.parametrize("when", [SINCE - HOUR, START + HOUR])
def test_what_lies_outside_is_in_the_slice_at_that_end(when):
    """A store whose counters are coarse may give a little more than the window; nothing is lost from the sums."""
    health = built(counts=[(when, "failed", 1)])
    assert health.failed == 1
    assert health.buckets[0 if when < SINCE else -1].failed == 1


def test_a_window_of_nothing():
    """From now to now: one moment, no division."""
    health = built(counts=[(START, "succeeded", 1)], since=START)
    assert (health.requests, health.success_rate) == (1, 1.0)
    assert health.buckets[0] == HealthBucket(START, 1)


def test_what_the_queue_remembers_is_shown():
    """State, last times and failures in a row come from the endpoint's state."""
    state = EndpointState(
        "whk_1", state="failing", consecutive_failures=6, last_success_at=SINCE - DAY, last_failure_at=START
    )
    health = built(state)
    assert (health.state, health.consecutive_failures) == ("failing", 6)
    assert (health.last_success_at, health.last_failure_at) == (SINCE - DAY, START)


@pytest.mark.parametrize(
    ("milliseconds", "index"), [(-5, 0), (0, 0), (0.001, 0), (1, 0), (1.25, 1), (1.25**2, 2), (15_000, 43)]
)
def test_bins(milliseconds, index):
    """A bin is a quarter wider than the one before; all up to a millisecond share the first."""
    assert bin_of(milliseconds * MILLISECOND) == index


@given(st.lists(st.floats(1, 600_000).map(lambda count: count * MILLISECOND), min_size=1, max_size=60))
def test_percentiles_are_within_twelve_percent(durations):
    """Of the exact ones, by the nearest rank."""
    health = built(durations=durations)
    ordered = sorted(durations)
    for share, found in ((0.5, health.latency_p50), (0.95, health.latency_p95)):
        exact = ordered[math.ceil(len(ordered) * share) - 1]
        assert abs(found - exact) <= 0.12 * exact


def test_percentiles_differ():
    """The median is not the slowest."""
    health = built(durations=[10 * MILLISECOND] * 90 + [1000 * MILLISECOND] * 10)
    assert health.latency_p50 == pytest.approx(10 * MILLISECOND, rel=0, abs=1.2 * MILLISECOND)
    assert health.latency_p95 == pytest.approx(1000 * MILLISECOND, rel=0, abs=120 * MILLISECOND)


def test_a_log_apart_from_the_queue():
    """Counts and latencies are the log's; the state, and what was never attempted, only the queue knows."""
    log = attrs.evolve(built(counts=[(START, "failed", 2)], durations=[HOUR], pending=99), last_failure_at=SINCE)
    queue = built(
        EndpointState("whk_1", state="disabled", consecutive_failures=20, last_success_at=SINCE, last_failure_at=START),
        counts=[(START, "succeeded", 5)],
        pending=3,
    )
    both = with_state(log, queue)
    assert isinstance(both, Health)
    assert (both.failed, both.succeeded, both.latency_p50, both.buckets) == (2, 0, log.latency_p50, log.buckets)
    assert (both.pending, both.state, both.consecutive_failures) == (3, "disabled", 20)
    assert (both.last_success_at, both.last_failure_at) == (SINCE, START)


def made(text):
    """Return a delivery's attempts, an hour apart: ``s`` succeeded, ``f`` failed, ``l`` was lost, ``-`` is a pause."""
    kinds = {"s": {"status": 200}, "f": {"status": 500}, "l": {"status": None, "reason": "lost"}}
    return [attempt(hour + 1, at=START + hour * HOUR, **kinds[kind]) for hour, kind in enumerate(text) if kind != "-"]


@pytest.mark.parametrize(
    ("deliveries", "failures", "success", "failure"),
    [
        ([], 0, None, None),
        ([""], 0, None, None),
        (["s"], 0, 0, None),
        (["f"], 1, None, 0),
        (["ffs"], 0, 2, 1),
        (["fsff"], 2, 1, 3),
        (["sfsf"], 1, 2, 3),
        (["sf-", "--s"], 0, 2, 1),
        (["fll"], 1, None, 0),
        (["lll"], 0, None, None),
        (["f-f", "-s"], 1, 1, 2),
        (["fff", "---s"], 0, 3, 2),
        (["--f", "f", "-f"], 3, None, 2),
        (["s", "f"], 0, 0, 0),
    ],
)
def test_what_a_log_remembers_of_an_endpoint(deliveries, failures, success, failure):
    """Over all deliveries, by the time of the attempts: last times, and failures since the last success; none lost."""
    state = remembered("whk_1", map(made, deliveries))
    at = [None if hour is None else START + hour * HOUR for hour in (success, failure)]
    assert (state.endpoint_id, state.state, state.consecutive_failures) == ("whk_1", "healthy", failures)
    assert [state.last_success_at, state.last_failure_at] == at
