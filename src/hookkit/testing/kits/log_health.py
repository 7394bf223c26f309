"""The contract of a LogStore: an endpoint's health within a window."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import attrs
import pytest

from hookkit.model import Attempt, DeliveryState, Health, LogEntry
from hookkit.protocols import LogStore
from hookkit.testing.builders import attempt, entry
from hookkit.testing.clock import START
from hookkit.testing.kits.fixtures import StoreFixtures

__all__ = ["LogHealthRules"]

HOUR = timedelta(hours=1)
NOW = START + timedelta(days=2, minutes=17, seconds=5, microseconds=123_457)


def _ago(hours: float) -> datetime:
    return NOW - hours * HOUR


def _record(logs: LogStore, *attempts: Attempt, endpoint_id: str = "whk_1", going_on: bool = False) -> LogEntry:
    """Record a delivery as a courier does: its entry after each of its attempts."""
    state: DeliveryState | None = "pending" if going_on else None
    whole = entry(endpoint_id, *attempts, created_at=attempts[0].started_at, state=state)
    for number in range(1, len(attempts)):
        logs.record([attrs.evolve(whole, attempts=attempts[:number], state="pending", finished_at=None)])
    logs.record([whole])
    return whole


def _health(logs: LogStore, **arguments: timedelta) -> Health:
    return logs.health(["whk_1"], now=NOW, **arguments)["whk_1"]


def _numbers(health: Health) -> tuple[int, int, int, int, int]:
    return (health.requests, health.succeeded, health.failed, health.retrying, health.pending)


class LogHealthRules(StoreFixtures):
    """Rules of :meth:`hookkit.protocols.LogStore.health`, for entries that were recorded.

    The state, the failures in a row, and the last success and failure are the queue's to tell: :class:`StoreContract`.
    """

    def test_an_unknown_endpoint_has_no_requests(self, logs: LogStore) -> None:
        """And no success rate, which is not the same as one of 0."""
        health = _health(logs)
        assert _numbers(health) == (0, 0, 0, 0, 0)
        assert (health.success_rate, health.latency_p50, health.latency_p95) == (None, None, None)

    def test_every_endpoint_asked_for_is_answered(self, logs: LogStore) -> None:
        """Known or not, each with its own numbers."""
        _record(logs, attempt(at=_ago(1)))
        _record(logs, attempt(at=_ago(1), status=500), endpoint_id="whk_2")
        found = logs.health(["whk_2", "whk_1", "whk_none"], now=NOW)
        assert {name: (one.succeeded, one.failed) for name, one in found.items()} == {
            "whk_1": (1, 0),
            "whk_2": (0, 1),
            "whk_none": (0, 0),
        }
        assert logs.health([], now=NOW) == {}

    def test_the_window_is_told(self, logs: LogStore) -> None:
        """A day unless given."""
        health = _health(logs)
        assert (health.since, health.until) == (NOW - 24 * HOUR, NOW)
        health = _health(logs, window=6 * HOUR)
        assert (health.since, health.until) == (NOW - 6 * HOUR, NOW)

    def test_deliveries_are_counted_by_what_became_of_them(self, logs: LogStore) -> None:
        """Succeeded, given up, or to be tried again; requests are their sum, whoever has not been attempted waits."""
        for hours in (1, 2, 3):
            _record(logs, attempt(at=_ago(hours)))
        for hours in (1, 2):
            _record(logs, attempt(at=_ago(hours), status=None))
        _record(logs, attempt(at=_ago(1), status=500), going_on=True)
        logs.record([entry("whk_1", created_at=_ago(1)), entry("whk_1", state="held", created_at=_ago(100))])
        health = _health(logs)
        assert _numbers(health) == (6, 3, 2, 1, 2)
        assert health.success_rate == pytest.approx(0.5)

    def test_a_delivery_counts_once_by_its_last_attempt(self, logs: LogStore) -> None:
        """Though its attempts lie hours apart, and the earlier ones failed."""
        _record(logs, attempt(at=_ago(10), status=500), attempt(2, at=_ago(7), status=None), attempt(3, at=_ago(2)))
        assert _numbers(_health(logs)) == (1, 1, 0, 0, 0)
        assert _numbers(_health(logs, window=3 * HOUR)) == (1, 1, 0, 0, 0)
        assert _numbers(_health(logs, window=HOUR)) == (0, 0, 0, 0, 0)

    def test_a_delivery_moves_on_with_each_attempt(self, logs: LogStore) -> None:
        """Retrying first, then failed: never both."""
        first = attempt(at=_ago(5), status=500)
        pending = entry("whk_1", first, state="pending", created_at=_ago(5))
        logs.record([pending])
        assert _numbers(_health(logs)) == (1, 0, 0, 1, 0)
        tried = (first, attempt(2, at=_ago(1), status=500))
        logs.record([attrs.evolve(pending, attempts=tried, state="failed", finished_at=_ago(1))])
        assert _numbers(_health(logs)) == (1, 0, 1, 0, 0)

    def test_recording_the_same_again_counts_nothing_twice(self, logs: LogStore) -> None:
        """A courier that is not sure repeats itself."""
        whole = _record(logs, attempt(at=_ago(1), duration=0.1))
        logs.record([whole])
        logs.record([whole])
        health = _health(logs)
        assert _numbers(health) == (1, 1, 0, 0, 0)
        assert sum(bucket.succeeded for bucket in health.buckets) == 1

    def test_a_first_attempt_ends_the_waiting(self, logs: LogStore) -> None:
        """What was pending is a request now."""
        waiting = entry("whk_1", created_at=_ago(5))
        logs.record([waiting])
        assert _numbers(_health(logs)) == (0, 0, 0, 0, 1)
        tried = (attempt(at=_ago(1)),)
        logs.record([attrs.evolve(waiting, attempts=tried, state="succeeded", finished_at=_ago(1))])
        assert _numbers(_health(logs)) == (1, 1, 0, 0, 0)

    def test_what_failed_without_an_attempt_is_no_request(self, logs: LogStore) -> None:
        """Dropped or removed: nothing was sent, and nobody waits for it."""
        logs.record([entry("whk_1", state="failed", created_at=_ago(1), reason="dropped")])
        assert _numbers(_health(logs)) == (0, 0, 0, 0, 0)

    @pytest.mark.parametrize(("seconds", "inside"), [(-1, 0), (0, 1), (1, 1)])
    @pytest.mark.parametrize("hours", [1, 6, 24, 30])
    def test_the_window_begins_exactly(self, logs: LogStore, hours: int, seconds: int, inside: int) -> None:
        """An attempt made exactly a window ago still counts, one a second older does not."""
        _record(logs, attempt(at=NOW - hours * HOUR + timedelta(seconds=seconds)))
        assert _health(logs, window=hours * HOUR).requests == inside

    def test_buckets_cut_the_window_in_equal_slices(self, logs: LogStore) -> None:
        """Oldest first, from its beginning."""
        starts = [bucket.start for bucket in _health(logs, window=24 * HOUR).buckets]
        steps = {later - earlier for earlier, later in pairwise(starts)}
        assert starts[0] == NOW - 24 * HOUR
        assert len(steps) == 1
        assert starts[-1] + steps.pop() == NOW

    def test_buckets_say_when(self, logs: LogStore) -> None:
        """Each holds the deliveries whose last attempt was in it; together they hold all."""
        times = (23.5, 12.2, 12.1, 0.3)
        for hours in times:
            _record(logs, attempt(at=_ago(hours)))
        _record(logs, attempt(at=_ago(12.2), status=500))
        _record(logs, attempt(at=_ago(0.3), status=500), going_on=True)
        health = _health(logs)
        buckets = health.buckets
        sums = tuple(sum(getattr(bucket, name) for bucket in buckets) for name in ("succeeded", "failed", "retrying"))
        assert sums == (health.succeeded, health.failed, health.retrying) == (4, 1, 1)
        slices = pairwise([*(bucket.start for bucket in buckets), NOW])
        expected = [sum(start <= _ago(hours) < end for hours in times) for start, end in slices]
        assert [bucket.succeeded for bucket in buckets] == expected

    def test_many_endpoints_are_answered_in_one_call(self, logs: LogStore) -> None:
        """No limit of the database's cuts the list."""
        _record(logs, attempt(at=_ago(1)))
        names = [f"whk_{number}" for number in range(2000)]
        found = logs.health(names, now=NOW)
        assert sorted(found) == sorted(names)
        assert found["whk_1"].succeeded == 1

    def test_a_lost_attempt_has_no_latency(self, logs: LogStore) -> None:
        """Nobody knows how long it took."""
        lost = attempt(at=_ago(2), status=None, reason="lost", duration=3600)
        _record(logs, lost, attempt(2, at=_ago(1), duration=1))
        latency = _health(logs).latency_p95
        assert latency is not None
        assert latency.total_seconds() == pytest.approx(1, rel=0.12)

    def test_latency_is_that_of_the_windows_attempts(self, logs: LogStore) -> None:
        """Within 12 %: the median and the 95th percentile."""
        for number in range(90):
            _record(logs, attempt(at=_ago(1 + number / 100), duration=0.2))
        for number in range(10):
            _record(logs, attempt(at=_ago(1 + number / 100), duration=3))
        health = _health(logs)
        assert health.latency_p50 is not None
        assert health.latency_p95 is not None
        assert health.latency_p50.total_seconds() == pytest.approx(0.2, rel=0.12)
        assert health.latency_p95.total_seconds() == pytest.approx(3, rel=0.12)
