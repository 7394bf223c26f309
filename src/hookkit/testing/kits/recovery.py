"""The contract of a DeliveryQueue: deliveries asked for again, and when to look for work."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hookkit.errors import NotFound
from hookkit.model import DeliveryState
from hookkit.testing.bench import LEASE, Bench
from hookkit.testing.builders import becoming, settlement
from hookkit.testing.kits.fixtures import StoreFixtures

__all__ = ["RecoveryRules"]


class RecoveryRules(StoreFixtures):
    """Rules of ``redeliver``, ``recover`` and ``next_due`` of :class:`hookkit.protocols.DeliveryQueue`."""

    # --- redeliver

    def test_a_redelivery_is_a_new_delivery_of_the_same(self, bench: Bench) -> None:
        """Event, bytes, endpoint and profile; its own id, its own attempts, made now."""
        to = bench.register(tenant="acme")
        first = bench.emit(to, id="evt_1", event_type="user.deleted", tenant="acme", body=b"\x00\xff", profile="logto")
        old = bench.take(first)
        bench.settle(old, 500)
        bench.advance(5)
        again = bench.queue.redeliver(first, now=bench.now)
        claim = bench.claim("recover", profiles=("logto",))[0]
        assert again != first
        assert (claim.delivery_id, claim.attempt_number, claim.attempts, claim.created_at) == (again, 1, (), bench.now)
        assert (claim.event_id, claim.event_type, claim.tenant) == ("evt_1", "user.deleted", "acme")
        assert (claim.body, claim.profile, claim.endpoint) == (b"\x00\xff", "logto", old.endpoint)

    def test_whatever_its_state_a_delivery_can_be_redelivered(self, bench: Bench) -> None:
        """Pending, leased, succeeded or failed; the old one goes on as it was."""
        to = bench.register()
        olds = [bench.finished(to), bench.finished(to, 500), bench.retrying(to, retry_in=3600)]
        leased = bench.emit(to)
        claim = bench.take(leased)
        news = {bench.queue.redeliver(old, now=bench.now) for old in (*olds, leased)}
        assert len(news) == 4
        assert set(bench.claimed("recover")) == news
        assert bench.settle(claim, 200).applied is True
        assert (bench.count(to, "succeeded"), bench.count(to, "failed")) == (2, 1)

    def test_a_redelivery_can_be_redelivered(self, bench: Bench) -> None:
        """As often as wanted."""
        again = bench.queue.redeliver(bench.finished(bench.register()), now=bench.now)
        third = bench.queue.redeliver(again, now=bench.now)
        assert set(bench.claimed("recover")) == {again, third}

    def test_an_unknown_delivery_is_not_redelivered(self, bench: Bench) -> None:
        """There is no such delivery."""
        with pytest.raises(NotFound):
            bench.queue.redeliver("dlv_none", now=bench.now)

    def test_nothing_is_redelivered_to_a_removed_webhook(self, bench: Bench) -> None:
        """There is nobody left to send it to."""
        to = bench.register()
        done = bench.finished(to)
        bench.remove(to)
        with pytest.raises(NotFound):
            bench.queue.redeliver(done, now=bench.now)
        assert bench.claim_any() == []

    # --- recover

    def test_recovered_deliveries_are_the_same_ones(self, bench: Bench) -> None:
        """Same id, same bytes, the attempts so far; only their schedule begins anew."""
        to = bench.register()
        delivery = bench.emit(to, id="evt_1", body=b"bytes")
        bench.settle(bench.claim()[0], 500, retry_in=0)
        bench.settle(bench.claim("retry")[0], 503)
        assert bench.recover(to, "failed") == 1
        claim = bench.claim("recover")[0]
        assert (claim.delivery_id, claim.event_id, claim.body) == (delivery, "evt_1", b"bytes")
        assert (claim.attempt_number, claim.schedule_start) == (3, 2)
        assert [(one.number, one.status) for one in claim.attempts] == [(1, 500), (2, 503)]

    @pytest.mark.parametrize(
        ("states", "expected"),
        [(("failed",), "f"), (("succeeded",), "s"), (("failed", "succeeded"), "fs"), ((), "")],
    )
    def test_only_the_states_asked_for_are_recovered(
        self, bench: Bench, states: tuple[DeliveryState, ...], expected: str
    ) -> None:
        """And nothing that is not finished."""
        to = bench.register()
        made = {"s": bench.finished(to), "f": bench.finished(to, 500)}
        bench.retrying(to, retry_in=3600)
        assert bench.recover(to, *states) == len(expected)
        assert sorted(bench.claimed("recover")) == sorted(made[letter] for letter in expected)

    @pytest.mark.parametrize(
        ("since", "until", "expected"),
        [(0, 20, 3), (0, 19, 2), (1, 20, 2), (10, 10, 1), (11, 19, 0), (-60, -1, 0), (21, 60, 0)],
    )
    def test_the_last_attempt_lies_in_the_window(self, bench: Bench, since: int, until: int, expected: int) -> None:
        """Both ends belong to it."""
        to = bench.register()
        start = bench.now
        for _ in range(3):
            bench.finished(to, 500)
            bench.advance(10)
        begin, end = start + timedelta(seconds=since), start + timedelta(seconds=until)
        assert bench.recover(to, "failed", since=begin, until=end) == expected
        assert len(bench.claim("recover")) == expected

    def test_it_is_the_last_attempt_that_counts(self, bench: Bench) -> None:
        """Not the first, and not the time the event was emitted."""
        to = bench.register()
        start = bench.now
        delivery = bench.retrying(to, retry_in=0)
        bench.advance(100)
        bench.settle(bench.claim("retry")[0], 500)
        assert bench.recover(to, "failed", since=start, until=bench.later(-1)) == 0
        assert bench.recover(to, "failed", since=bench.now) == 1
        assert bench.claimed("recover") == [delivery]

    def test_what_was_never_attempted_counts_by_its_making(self, bench: Bench) -> None:
        """Dropped while it was held, for example."""
        to = bench.register()
        start = bench.now
        delivery = bench.emit(to)
        bench.queue.hold(to, now=bench.now)
        bench.advance(100)
        bench.queue.release(to, now=bench.now, drop=True)
        assert bench.recover(to, "failed", since=bench.later(-1)) == 0
        assert bench.recover(to, "failed", since=start, until=start) == 1
        assert bench.claimed("recover") == [delivery]

    def test_a_dry_run_only_counts(self, bench: Bench) -> None:
        """However often it is asked."""
        to = bench.register()
        bench.finished(to, 500)
        assert [bench.recover(to, "failed", dry_run=True) for _ in range(2)] == [1, 1]
        assert bench.claim_any() == []
        assert bench.recover(to, "failed") == 1

    def test_a_repeated_recovery_goes_on(self, bench: Bench) -> None:
        """What the first one has taken is pending, and not taken again."""
        to = bench.register()
        bench.finished(to, 500)
        assert [bench.recover(to, "failed") for _ in range(2)] == [1, 0]
        bench.finished(to, 500)
        assert bench.recover(to, "failed") == 1
        assert len(bench.claim("recover")) == 2

    def test_many_deliveries_are_recovered_in_one_call(self, bench: Bench) -> None:
        """No page size cuts it."""
        to = bench.register(max_in_flight=2000)
        bench.emit_many(to, 1200)
        bench.settle_all(settlement(claim, at=bench.now, status=500) for claim in bench.claim(limit=2000))
        assert bench.recover(to, "failed") == 1200
        assert len(bench.claim("recover", limit=2000)) == 1200

    def test_recovery_is_about_one_endpoint(self, bench: Bench) -> None:
        """An unknown one has nothing to recover."""
        to, other = bench.register(), bench.register()
        bench.finished(other, 500)
        assert bench.recover(to, "failed") == bench.recover("whk_none", "failed") == 0
        assert bench.claim_any() == []

    def test_nothing_is_recovered_to_a_removed_webhook(self, bench: Bench) -> None:
        """There is nobody left to send it to."""
        to = bench.register()
        bench.finished(to, 500)
        bench.remove(to)
        bench.recover(to, "failed")
        bench.advance(3600)
        assert bench.claim_any() == []

    # --- next_due

    def test_without_work_nothing_is_due(self, bench: Bench) -> None:
        """Neither in a new store, nor once everything is finished or held."""
        assert bench.queue.next_due(now=bench.now) is None
        to = bench.register()
        bench.finished(to)
        bench.finished(to, 500)
        assert bench.queue.next_due(now=bench.now) is None
        bench.emit(to)
        bench.disable(to)
        assert bench.queue.next_due(now=bench.now) is None

    def test_what_is_due_is_due_now(self, bench: Bench) -> None:
        """At or before `now` means: at once."""
        bench.emit(bench.register())
        due = bench.queue.next_due(now=bench.now)
        assert due is not None
        assert due <= bench.now

    def test_a_retry_is_due_at_its_time(self, bench: Bench) -> None:
        """The earliest of them; not at once, or the worker would spin, and not later."""
        to = bench.register()
        for wait in (90, 30, 60):
            bench.retrying(to, retry_in=wait)
        due = bench.queue.next_due(now=bench.now)
        assert due is not None
        assert bench.now < due <= bench.later(30)

    def test_a_lease_may_run_out(self, bench: Bench) -> None:
        """Then its delivery is found."""
        bench.emit(bench.register())
        bench.claim()
        due = bench.queue.next_due(now=bench.now)
        assert due is not None
        assert bench.now < due <= bench.now + LEASE

    def test_a_saturated_endpoint_makes_nobody_spin(self, bench: Bench) -> None:
        """Its backlog waits for a lease to end."""
        bench.emit_many(bench.register(max_in_flight=1), 5)
        bench.claim()
        due = bench.queue.next_due(now=bench.now)
        assert due is not None
        assert bench.now < due <= bench.now + LEASE

    def test_a_breaker_makes_nobody_spin(self, bench: Bench) -> None:
        """Its backlog waits for the next probe."""
        to = bench.register()
        bench.retrying(to, step=becoming(state="failing", opened_at=bench.now, probe_at=bench.later(30)))
        bench.emit_many(to, 5)
        due = bench.queue.next_due(now=bench.now)
        assert due is not None
        assert bench.now < due <= bench.later(30)

    def test_a_rate_makes_nobody_spin(self, bench: Bench) -> None:
        """Its backlog waits for the next token."""
        bench.emit_many(bench.register(rate_limit=(1, 30)), 5)
        bench.settle(bench.claim()[0])
        due = bench.queue.next_due(now=bench.now)
        assert due is not None
        assert bench.now < due <= bench.later(31)
