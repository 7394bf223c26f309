"""The contract of a DeliveryQueue: caps, rates, breakers, and that none of them lets one endpoint starve another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from hookkit.testing.bench import Bench
from hookkit.testing.builders import becoming
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import HealthStep

__all__ = ["FairnessRules"]


def _open(bench: Bench, probe_in: float = 30) -> HealthStep:
    """Return a step that opens the breaker, with a probe after so many seconds."""
    return becoming(
        state="failing",
        opened_at=bench.now,
        probe_at=bench.later(probe_in),
        probe_delay=timedelta(seconds=probe_in),
    )


class FairnessRules(StoreFixtures):
    """Rules of :meth:`hookkit.protocols.DeliveryQueue.claim` about who has to wait."""

    # --- the cap

    def test_an_endpoint_holds_at_most_its_cap_of_leases(self, bench: Bench) -> None:
        """Within one claim and over several workers together, from whatever lanes."""
        to = bench.register(max_in_flight=3)
        for _ in range(2):
            bench.retrying(to)
        bench.emit_many(to, 5)
        assert len(bench.claim("first", limit=1, owner="a")) == 1
        assert len(bench.claim("retry", limit=1, owner="b")) == 1
        assert len(bench.claim("first", limit=10, owner="c")) == 1
        assert bench.claim("retry", limit=10, owner="a") == []

    def test_many_threads_together_keep_to_the_cap(self, bench: Bench) -> None:
        """Claims at the same moment see each other's leases."""
        if not self.threads:
            pytest.skip("this store is not used from several threads")
        bench.emit_many(bench.register(max_in_flight=3), 50)
        with ThreadPoolExecutor(self.threads) as pool:
            claims = list(pool.map(lambda name: bench.claim(limit=2, owner=str(name)), range(self.threads * 2)))
        # A claim may pass over what another is busy with at that moment; it is there for the next one.
        assert sum(map(len, [*claims, bench.claim(limit=2)])) == 3

    def test_a_settled_lease_makes_room(self, bench: Bench) -> None:
        """At once."""
        bench.emit_many(bench.register(max_in_flight=1), 2)
        first = bench.claim()[0]
        assert bench.claim() == []
        bench.settle(first)
        assert len(bench.claim()) == 1

    def test_a_lease_given_back_makes_room(self, bench: Bench) -> None:
        """At once."""
        bench.emit_many(bench.register(max_in_flight=1), 2)
        bench.queue.give_back([bench.claim()[0].claim_id], now=bench.now)
        assert len(bench.claim()) == 1

    def test_a_lease_that_ran_out_makes_room(self, bench: Bench) -> None:
        """A dead worker's leases do not count against the endpoint."""
        to = bench.register(max_in_flight=1)
        bench.emit_many(to, 2)
        lost = bench.claimed()
        bench.expire()
        assert (len(lost), len(bench.claimed())) == (1, 1)

    def test_a_lowered_cap_counts_at_once(self, bench: Bench) -> None:
        """Leases given before are not taken away; new ones wait until there are fewer."""
        to = bench.register(max_in_flight=3)
        bench.emit_many(to, 5)
        claims = bench.claim(limit=2)
        bench.update(to, max_in_flight=1)
        assert bench.claim() == []
        for claim in claims:
            bench.settle(claim)
        assert len(bench.claim()) == 1

    def test_a_saturated_endpoint_costs_the_claim_nothing(self, bench: Bench) -> None:
        """Fifty of its deliveries are due earlier, and the one slot still goes to the endpoint that can use it."""
        bench.emit_many(bench.register(max_in_flight=1), 51)
        assert len(bench.claim()) == 1
        bench.advance(1)
        other = bench.emit(bench.register())
        assert bench.claimed(limit=1) == [other]

    def test_many_saturated_endpoints_cost_the_claim_nothing(self, bench: Bench) -> None:
        """Fifty of them, each with something due earlier."""
        for _ in range(50):
            bench.emit_many(bench.register(max_in_flight=1), 2)
        assert len(bench.claim()) == 50
        bench.advance(1)
        other = bench.emit(bench.register())
        assert bench.claimed(limit=1) == [other]

    # --- slots for busy and for failing endpoints

    def test_a_second_slot_counts_as_busy(self, bench: Bench) -> None:
        """The first one given in this very claim is a lease already."""
        bench.emit_many(bench.register(), 10)
        claims = bench.claim(limit=10, limit_busy=3)
        assert [claim.busy for claim in claims] == [False, True, True, True]

    def test_an_endpoint_that_holds_a_lease_is_busy(self, bench: Bench) -> None:
        """Its first slot of this claim counts, too."""
        bench.emit_many(bench.register(), 10)
        bench.claim(limit=1)
        claims = bench.claim(limit=10, limit_busy=2)
        assert [claim.busy for claim in claims] == [True, True]

    def test_no_slots_for_busy_endpoints_is_one_each(self, bench: Bench) -> None:
        """And none for those that hold a lease already."""
        busy = bench.register()
        bench.emit_many(busy, 50)
        bench.claim(limit=1)
        bench.advance(1)
        idle = [bench.register() for _ in range(3)]
        for to in idle:
            bench.emit_many(to, 5)
        assert sorted(claim.endpoint.id for claim in bench.claim(limit=10, limit_busy=0)) == sorted(idle)

    def test_an_endpoint_whose_last_attempt_failed_is_failing(self, bench: Bench) -> None:
        """Its slots are bounded, those of others are not, though it is served first."""
        bad = bench.register()
        bench.retrying(bad, retry_in=3600)
        bench.emit_many(bad, 5)
        bench.advance(1)
        good = bench.register()
        bench.emit_many(good, 5)
        claims = bench.claim(limit=10, limit_failing=2)
        assert (
            sorted((claim.endpoint.id == bad, claim.failing) for claim in claims)
            == [(False, False)] * 5 + [(True, True)] * 2
        )

    def test_no_slots_for_failing_endpoints_cost_the_claim_nothing(self, bench: Bench) -> None:
        """Fifty of them are due earlier."""
        for _ in range(50):
            bad = bench.register()
            bench.retrying(bad, retry_in=3600)
            bench.emit(bad)
        bench.advance(1)
        good = bench.emit(bench.register())
        assert bench.claimed(limit=1, limit_failing=0) == [good]

    def test_an_endpoint_that_succeeded_since_is_not_failing(self, bench: Bench) -> None:
        """Only the last attempt counts."""
        to = bench.register()
        bench.retrying(to, retry_in=3600)
        bench.finished(to, 200)
        bench.emit(to)
        assert [claim.failing for claim in bench.claim(limit_failing=0)] == [False]

    def test_a_lost_attempt_makes_no_endpoint_failing(self, bench: Bench) -> None:
        """The worker died, not the endpoint."""
        bench.emit(bench.register())
        bench.claim()
        bench.expire()
        assert [claim.failing for claim in bench.claim("retry", limit_failing=0)] == [False]

    # --- the rate

    def test_a_rate_bounds_a_burst(self, bench: Bench) -> None:
        """A full bucket holds `count` deliveries, and an empty one none."""
        bench.emit_many(bench.register(rate_limit=(3, 60)), 10)
        assert [len(bench.claim(limit=2)), len(bench.claim()), len(bench.claim())] == [2, 1, 0]

    def test_a_rate_refills_evenly(self, bench: Bench) -> None:
        """Three a minute: one every twenty seconds, and never more than the bucket holds."""
        bench.emit_many(bench.register(rate_limit=(3, 60)), 20)
        counts = [len(bench.claim())]
        for wait in (19, 2, 40, 3600):
            bench.advance(wait)
            counts.append(len(bench.claim()))
        assert counts == [3, 0, 1, 2, 3]

    def test_a_rate_counts_retries_too(self, bench: Bench) -> None:
        """It is the receiver's limit, whatever the lane."""
        to = bench.register(rate_limit=(2, 60))
        bench.retrying(to)
        bench.advance(3600)
        bench.emit_many(to, 5)
        assert [len(bench.claim("retry")), len(bench.claim("first"))] == [1, 1]

    def test_a_token_once_spent_stays_spent(self, bench: Bench) -> None:
        """Whether it was spent by name, or the claim was given back."""
        named, given_back = (bench.register(rate_limit=(1, 60)) for _ in range(2))
        bench.take(bench.emit(named))
        bench.emit(named)
        bench.emit(given_back)
        claims = bench.claim()
        assert [claim.endpoint.id for claim in claims] == [given_back]
        bench.queue.give_back([claim.claim_id for claim in claims], now=bench.now)
        assert bench.claim() == []

    def test_rates_are_each_endpoints_own(self, bench: Bench) -> None:
        """Fifty deliveries of an endpoint at its rate cost the claim nothing."""
        bench.emit_many(bench.register(rate_limit=(1, 3600)), 51)
        assert len(bench.claim()) == 1
        bench.advance(1)
        other = bench.emit(bench.register())
        assert bench.claimed(limit=1) == [other]

    # --- the breaker, and the ramp after it

    def test_an_open_breaker_lets_one_probe_through_at_its_time(self, bench: Bench) -> None:
        """Nothing before, one then, and no second while it is under way."""
        to = bench.register()
        bench.retrying(to, step=_open(bench, probe_in=30))
        bench.emit_many(to, 5)
        counts = []
        for wait in (0, 29, 1, 5):
            bench.advance(wait)
            counts.append(len(bench.claim()) + len(bench.claim("retry")))
        assert counts == [0, 0, 1, 0]

    def test_a_lease_from_before_the_breaker_opened_counts(self, bench: Bench) -> None:
        """No probe is sent while any attempt is under way."""
        to = bench.register()
        bench.emit_many(to, 4)
        opens, straggler = bench.claim(limit=2)
        bench.settle(opens, 500, step=_open(bench, probe_in=30))
        bench.advance(31)
        assert bench.claim() == []
        bench.settle(straggler, 500)
        assert len(bench.claim()) == 1

    def test_a_failed_probe_moves_the_next_one(self, bench: Bench) -> None:
        """To wherever the health step says."""
        to = bench.register()
        bench.retrying(to, step=_open(bench, probe_in=30))
        bench.advance(30)
        bench.settle(bench.claim("retry")[0], 500, retry_in=0, step=_open(bench, probe_in=60))
        bench.advance(59)
        assert bench.claim("retry") == []
        bench.advance(1)
        assert len(bench.claim("retry")) == 1

    def test_a_closed_breaker_bounds_nothing(self, bench: Bench) -> None:
        """Once the step says healthy, everything due is claimable."""
        to = bench.register()
        bench.retrying(to, step=_open(bench))
        bench.emit_many(to, 5)
        bench.advance(30)
        bench.settle(bench.claim("retry")[0], 200, step=becoming(state="healthy", opened_at=None, probe_at=None))
        assert len(bench.claim()) == 5

    def test_claim_one_ignores_the_breaker(self, bench: Bench) -> None:
        """An operator may try at any time."""
        delivery = bench.retrying(bench.register(), step=_open(bench, probe_in=3600))
        assert bench.take(delivery).delivery_id == delivery

    def test_endpoints_behind_a_breaker_cost_the_claim_nothing(self, bench: Bench) -> None:
        """Fifty of them, each with something due earlier, and one of them with fifty."""
        for _ in range(50):
            bench.retrying(bench.register(), step=_open(bench, probe_in=3600))
        deep = bench.register()
        bench.retrying(deep, step=_open(bench, probe_in=3600))
        bench.emit_many(deep, 50)
        bench.advance(1)
        other = bench.register()
        made = [bench.retrying(other), bench.emit(other)]
        assert [bench.claimed("retry", limit=1), bench.claimed("first", limit=1)] == [[made[0]], [made[1]]]

    @pytest.mark.parametrize(("ramp", "cap", "expected"), [(1, 100, 1), (2, 100, 2), (4, 3, 3), (None, 5, 5)])
    def test_a_ramp_lowers_the_cap(self, bench: Bench, ramp: int | None, cap: int, expected: int) -> None:
        """After a recovery the backlog does not come all at once; it never raises the cap."""
        to = bench.register(max_in_flight=cap)
        bench.emit_many(to, 10)
        bench.settle(bench.claim(limit=1)[0], 200, step=becoming(ramp=ramp))
        assert len(bench.claim()) == expected
