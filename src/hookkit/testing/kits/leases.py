"""The contract of a DeliveryQueue: leases that run out, are extended, or are given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from hookkit.model import Attempt
from hookkit.testing.bench import LANES, LEASE, Bench
from hookkit.testing.builders import becoming, count_failures
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import EndpointState, Lane

__all__ = ["LeaseRules"]

SECOND = timedelta(seconds=1)


def _leased_from(bench: Bench, lane: Lane) -> str:
    """Return a delivery that is due in `lane`."""
    to = bench.register()
    if lane == "first":
        return bench.emit(to)
    if lane == "retry":
        return bench.retrying(to)
    return bench.queue.redeliver(bench.finished(to), now=bench.now)


class LeaseRules(StoreFixtures):
    """Rules of :class:`hookkit.protocols.DeliveryQueue` about leases."""

    # --- running out

    def test_a_lease_holds_until_its_end(self, bench: Bench) -> None:
        """Until then nobody else gets the delivery."""
        bench.emit(bench.register())
        bench.claim()
        bench.advance(LEASE - SECOND)
        assert bench.claim_any() == []

    def test_at_its_end_a_lease_has_run_out(self, bench: Bench) -> None:
        """At that very instant; a settlement comes too late, and an extension as well."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.advance(LEASE)
        assert bench.settle(claim).applied is False
        assert bench.queue.extend([claim.claim_id], now=bench.now, lease=LEASE) == set()

    def test_a_lease_that_ran_out_is_a_lost_attempt(self, bench: Bench) -> None:
        """It counts: a message that kills its worker must not be tried for ever. The delivery is due at once."""
        delivery = bench.emit(bench.register())
        bench.claim()
        bench.expire()
        claims = bench.claim_any()
        assert [(claim.delivery_id, claim.attempt_number) for claim in claims] == [(delivery, 2)]
        assert [(one.number, one.status, one.reason) for one in claims[0].attempts] == [(1, None, "lost")]

    @pytest.mark.parametrize(("lane", "then"), [("first", "retry"), ("retry", "retry"), ("recover", "recover")])
    def test_a_lost_delivery_is_retried(self, bench: Bench, lane: Lane, then: Lane) -> None:
        """In the lane ``retry``; what was recovered stays in the low lane."""
        delivery = _leased_from(bench, lane)
        assert bench.claimed(lane) == [delivery]
        bench.expire()
        assert [bench.claimed(other) for other in LANES if other != then] == [[], []]
        assert bench.claimed(then) == [delivery]

    def test_every_lost_attempt_is_kept(self, bench: Bench) -> None:
        """However often the worker dies."""
        bench.emit(bench.register())
        bench.claim()
        for _ in range(2):
            bench.expire()
            bench.claim("retry")
        bench.expire()
        claim = bench.claim("retry")[0]
        assert [(one.number, one.reason) for one in claim.attempts] == [(1, "lost"), (2, "lost"), (3, "lost")]

    def test_a_lost_attempt_lasts_until_it_is_found(self, bench: Bench) -> None:
        """It began when the lease was given; nobody knows when the worker died."""
        bench.emit(bench.register())
        began = bench.now
        bench.claim()
        bench.advance(600)
        lost = bench.claim("retry")[0].attempts[0]
        assert (lost.started_at, lost.duration, lost.status) == (began, timedelta(seconds=600), None)

    def test_a_lease_that_ran_out_is_not_retried_without_its_webhook(self, bench: Bench) -> None:
        """There is nobody left to send it to."""
        to = bench.register()
        bench.emit(to)
        bench.claim()
        bench.remove(to)
        bench.expire()
        assert bench.claim_any() == []
        assert bench.queue.next_due(now=bench.now) is None

    def test_a_lost_attempt_does_not_touch_the_endpoints_health(self, bench: Bench) -> None:
        """The next step begins where the last settled attempt left it."""
        to = bench.register()
        bench.retrying(to)
        bench.claim("retry")
        bench.expire()
        seen: list[int] = []

        def step(state: EndpointState, done: Attempt, now: object) -> tuple[EndpointState, tuple[()]]:
            seen.append(state.consecutive_failures)
            return state, ()

        bench.settle(bench.claim("retry")[0], 200, step=step)
        assert seen == [1]

    def test_a_lost_probe_lets_the_next_one_through(self, bench: Bench) -> None:
        """A worker that dies while probing does not leave the endpoint blocked."""
        to = bench.register()
        opening = becoming(state="failing", opened_at=bench.now, probe_at=bench.now, probe_delay=30 * SECOND)
        bench.retrying(to, step=opening)
        assert len(bench.claim("retry")) == 1
        bench.expire()
        assert len(bench.claim("retry")) == 1

    # --- stale claims

    def test_settling_after_the_lease_ran_out_changes_nothing(self, bench: Bench) -> None:
        """Even before anybody else has claimed the delivery; the step is not asked."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.expire()
        asked: list[EndpointState] = []

        def step(state: EndpointState, done: Attempt, now: object) -> tuple[EndpointState, tuple[()]]:
            asked.append(state)
            return state, ()

        assert bench.settle(claim, 200, step=step).applied is False
        assert asked == []
        again = bench.claim("retry")[0]
        assert [one.reason for one in again.attempts] == ["lost"]

    def test_a_stale_settlement_does_not_touch_the_new_lease(self, bench: Bench) -> None:
        """The worker that came back from the dead is told so; the other one's outcome counts."""
        to = bench.register()
        delivery = bench.emit(to)
        stale = bench.claim()[0]
        bench.expire()
        new = bench.claim("retry")[0]
        assert bench.settle(stale, 500).applied is False
        assert bench.settle(new, 200).applied is True
        assert (bench.count(to, "succeeded"), bench.count(to, "failed")) == (1, 0)
        assert new.delivery_id == delivery

    def test_an_outcome_is_settled_once(self, bench: Bench) -> None:
        """The claim id is used up."""
        to = bench.register()
        bench.emit(to)
        claim = bench.claim()[0]
        assert [bench.settle(claim, 200).applied, bench.settle(claim, 500).applied] == [True, False]
        assert (bench.count(to, "succeeded"), bench.count(to, "failed")) == (1, 0)

    def test_a_delivery_given_back_is_not_settled(self, bench: Bench) -> None:
        """Its claim id is stale."""
        delivery = bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.queue.give_back([claim.claim_id], now=bench.now)
        assert bench.settle(claim, 200).applied is False
        assert bench.claimed() == [delivery]

    # --- extending

    def test_an_extended_lease_holds_longer(self, bench: Bench) -> None:
        """Until `lease` after the extension, and no longer."""
        delivery = bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.advance(40)
        assert bench.queue.extend([claim.claim_id], now=bench.now, lease=LEASE) == {claim.claim_id}
        bench.advance(59)
        assert bench.claim_any() == []
        bench.advance(2)
        assert bench.claimed("retry") == [delivery]

    def test_an_extended_claim_is_settled_as_usual(self, bench: Bench) -> None:
        """With the claim id it had."""
        to = bench.register()
        bench.emit(to)
        claim = bench.claim()[0]
        bench.advance(40)
        bench.queue.extend([claim.claim_id], now=bench.now, lease=LEASE)
        bench.advance(40)
        assert bench.settle(claim, 200).applied is True
        assert bench.count(to, "succeeded") == 1

    def test_a_lease_that_ran_out_is_not_extended(self, bench: Bench) -> None:
        """The worker learns that it has lost it, even before anybody else has claimed it."""
        delivery = bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.expire()
        assert bench.queue.extend([claim.claim_id], now=bench.now, lease=LEASE) == set()
        assert bench.claimed("retry") == [delivery]

    def test_extending_tells_which_claims_are_still_held(self, bench: Bench) -> None:
        """Settled, given back and unknown ones are not."""
        to = bench.register()
        bench.emit_many(to, 4)
        held, settled, given_back, also_held = bench.claim()
        bench.settle(settled, 200)
        bench.queue.give_back([given_back.claim_id], now=bench.now)
        asked = [held.claim_id, settled.claim_id, given_back.claim_id, "unknown", also_held.claim_id]
        assert bench.queue.extend(asked, now=bench.now, lease=LEASE) == {held.claim_id, also_held.claim_id}
        assert bench.queue.extend([], now=bench.now, lease=LEASE) == set()

    def test_many_claims_are_extended_in_one_call(self, bench: Bench) -> None:
        """No limit of the database's cuts the list; giving back takes as many."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        asked = [*(f"unknown-{number}" for number in range(2000)), claim.claim_id]
        assert bench.queue.extend(asked, now=bench.now, lease=LEASE) == {claim.claim_id}
        assert bench.queue.give_back(asked, now=bench.now) == {claim.claim_id}

    # --- giving back

    @pytest.mark.parametrize("lane", ["first", "retry", "recover"])
    def test_a_delivery_given_back_is_as_if_never_claimed(self, bench: Bench, lane: Lane) -> None:
        """Due at once, in the lane it came from, the attempt uncounted."""
        delivery = _leased_from(bench, lane)
        claim = bench.claim(lane)[0]
        bench.advance(5)
        assert bench.queue.give_back([claim.claim_id], now=bench.now) == {claim.claim_id}
        again = bench.claim(lane)[0]
        assert again.delivery_id == delivery
        assert (again.attempt_number, again.attempts) == (claim.attempt_number, claim.attempts)

    def test_giving_back_takes_no_attempt_but_its_own(self, bench: Bench) -> None:
        """Attempts before it, lost ones included, stay."""
        bench.emit(bench.register())
        bench.claim()
        bench.expire()
        claim = bench.claim("retry")[0]
        bench.queue.give_back([claim.claim_id], now=bench.now)
        again = bench.claim("retry")[0]
        assert (again.attempt_number, [one.reason for one in again.attempts]) == (2, ["lost"])

    def test_a_lease_that_ran_out_is_not_given_back(self, bench: Bench) -> None:
        """Its attempt is lost, and stays counted."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.expire()
        assert bench.queue.give_back([claim.claim_id], now=bench.now) == set()
        assert [again.attempt_number for again in bench.claim("retry")] == [2]

    def test_giving_back_tells_which_claims_were_held(self, bench: Bench) -> None:
        """Settled and unknown ones were not, and change nothing."""
        to = bench.register()
        bench.emit_many(to, 2)
        held, settled = bench.claim()
        bench.settle(settled, 200)
        asked = [settled.claim_id, "unknown", held.claim_id]
        assert bench.queue.give_back(asked, now=bench.now) == {held.claim_id}
        assert bench.queue.give_back(asked, now=bench.now) == set()
        assert bench.count(to, "succeeded") == 1

    def test_another_workers_lease_cannot_be_given_back(self, bench: Bench) -> None:
        """A stale claim id does not touch the new lease."""
        bench.emit(bench.register())
        stale = bench.claim()[0]
        bench.expire()
        new = bench.claim("retry")[0]
        assert bench.queue.give_back([stale.claim_id], now=bench.now) == set()
        assert bench.claim_any() == []
        assert bench.settle(new, 200, step=count_failures).applied is True

    # --- many workers, and a clock that is not perfect

    def test_many_workers_finish_everything_once(self, bench: Bench) -> None:
        """Whatever they do at the same moment, each delivery is settled by exactly one of them."""
        if not self.threads:
            pytest.skip("this store is not used from several threads")
        endpoints = [bench.register(max_in_flight=cap) for cap in (1, 2, 100)]
        made = sorted(delivery for to in endpoints for delivery in bench.emit_many(to, 20))

        def work(name: int) -> list[str]:
            mine: list[str] = []
            for turn in range(1000):
                claims = bench.claim_any(limit=2, owner=f"worker {name}")
                if not claims and bench.count_all(endpoints, "succeeded") == len(made):
                    break
                for claim in claims:
                    if (name + turn) % 3 == 0:
                        bench.queue.give_back([claim.claim_id], now=bench.now)
                    elif bench.settle(claim, 200).applied:
                        mine.append(claim.delivery_id)
            return mine

        with ThreadPoolExecutor(self.threads) as pool:
            settled = [delivery for mine in pool.map(work, range(self.threads)) for delivery in mine]
        assert sorted(settled) == made

    def test_a_clock_that_is_set_back_breaks_nothing(self, bench: Bench) -> None:
        """What was leased can be settled, and what is due is found again in time."""
        to = bench.register(rate_limit=(10, 60))
        bench.emit_many(to, 2)
        claim = bench.claim(limit=1)[0]
        bench.advance(-3600)
        assert bench.settle(claim, 200).applied is True
        early = bench.claim()
        bench.advance(7200)
        assert len(early + bench.claim()) == 1
