"""The contract of a DeliveryQueue: what a claim finds, and what it says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from hookkit.errors import NotFound, StoreError
from hookkit.testing.bench import LANES, Bench
from hookkit.testing.builders import planned
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import Claim

__all__ = ["ClaimingRules"]

SECOND = timedelta(seconds=1)


class ClaimingRules(StoreFixtures):
    """Rules of :meth:`hookkit.protocols.DeliveryQueue.claim` and ``claim_one``."""

    # --- what a claim says

    def test_a_claim_has_all_that_sending_needs(self, bench: Bench) -> None:
        """The event, the bytes, the webhook with its keys, and where the delivery stands."""
        to = bench.register(tenant="acme", headers={"x-a": "b"})
        plan = planned(to, id="evt_1", event_type="user.deleted", tenant="acme", body=b"\x00body")
        bench.outbox.enqueue([plan], now=bench.now)
        claim = bench.claim()[0]
        assert claim == Claim(
            claim_id=claim.claim_id,
            delivery_id=plan.deliveries[0].delivery_id,
            event_id="evt_1",
            event_type="user.deleted",
            body=b"\x00body",
            profile="standard",
            attempt_number=1,
            endpoint=bench.webhooks.get_webhook(to),
            tenant="acme",
            created_at=bench.now,
        )

    def test_every_claim_has_an_id_of_its_own(self, bench: Bench) -> None:
        """Later claims of the same delivery included."""
        to = bench.register()
        bench.emit_many(to, 3)
        seen = [claim.claim_id for claim in bench.claim()]
        bench.expire()
        seen += [claim.claim_id for claim in bench.claim("retry")]
        assert len(seen) == len(set(seen)) == 6

    def test_a_claim_shows_the_webhook_as_it_is_now(self, bench: Bench) -> None:
        """A changed URL counts for what was emitted before the change."""
        to = bench.register()
        bench.emit(to)
        bench.update(to, url="https://new.example.com/hooks", name="new")
        assert [claim.endpoint for claim in bench.claim()] == [bench.webhooks.get_webhook(to)]

    def test_a_delivery_keeps_its_profile(self, bench: Bench) -> None:
        """Its bytes are in that profile's format; the webhook's new profile counts for later events."""
        to = bench.register(profile="standard")
        bench.emit(to, profile="standard")
        bench.update(to, profile="logto")
        assert [claim.profile for claim in bench.claim(profiles=("standard", "logto"))] == ["standard"]

    def test_a_later_claim_brings_the_attempts_before_it(self, bench: Bench) -> None:
        """Oldest first, so that the log entry can be written whole."""
        to = bench.register()
        delivery = bench.retrying(to)
        bench.settle(bench.claim("retry")[0], None, retry_in=0)
        claim = bench.claim("retry")[0]
        assert (claim.delivery_id, claim.attempt_number) == (delivery, 3)
        assert [(one.number, one.status, one.reason) for one in claim.attempts] == [
            (1, 500, "status"),
            (2, None, "timeout"),
        ]

    # --- lanes and due times

    def test_the_first_lane_holds_what_was_never_attempted(self, bench: Bench) -> None:
        """The retry lane holds what was; each claim serves one lane."""
        to = bench.register()
        tried = bench.retrying(to)
        new = bench.emit(to)
        assert {lane: bench.claimed(lane) for lane in LANES} == {"first": [new], "retry": [tried], "recover": []}

    def test_the_recover_lane_holds_what_was_asked_for_again(self, bench: Bench) -> None:
        """Redelivered or recovered."""
        to = bench.register()
        failed = bench.finished(to, 500)
        bench.recover(to, "failed")
        again = bench.queue.redeliver(failed, now=bench.now)
        assert bench.claimed("first") == bench.claimed("retry") == []
        assert sorted(bench.claimed("recover")) == sorted([failed, again])

    def test_nothing_is_claimed_before_it_is_due(self, bench: Bench) -> None:
        """It is once its time has come."""
        delivery = bench.retrying(bench.register(), retry_in=30)
        bench.advance(29)
        assert bench.claimed("retry") == []
        bench.advance(1)
        assert bench.claimed("retry") == [delivery]

    def test_what_is_leased_is_not_claimed_again(self, bench: Bench) -> None:
        """By no worker, from no lane."""
        to = bench.register()
        bench.emit(to)
        bench.retrying(to)
        assert len(bench.claim_any(owner="a")) == 2
        assert bench.claim_any(owner="b") == []

    def test_what_is_finished_is_not_claimed_again(self, bench: Bench) -> None:
        """Succeeded or failed."""
        to = bench.register()
        bench.finished(to, 200)
        bench.finished(to, 500)
        bench.advance(timedelta(days=1))
        assert bench.claim_any() == []

    @pytest.mark.parametrize("limit", [0, 1, 3])
    def test_a_claim_leases_at_most_limit(self, bench: Bench, limit: int) -> None:
        """0 leases nothing."""
        bench.emit_many(bench.register(), 5)
        assert len(bench.claim(limit=limit)) == limit

    def test_a_claim_leases_all_that_is_due_within_limit(self, bench: Bench) -> None:
        """With room for more it leaves nothing behind."""
        endpoints = [bench.register() for _ in range(5)]
        made = [delivery for to in endpoints for delivery in bench.emit_many(to, 3)]
        assert sorted(bench.claimed(limit=100)) == sorted(made)

    # --- order

    def test_within_an_endpoint_the_earliest_due_goes_first(self, bench: Bench) -> None:
        """Whatever the order in which they were emitted."""
        to = bench.register()
        waits = (30, 10, 20)
        made = {wait: bench.retrying(to, retry_in=wait) for wait in waits}
        bench.advance(60)
        assert [bench.claimed("retry", limit=1) for _ in waits] == [[made[wait]] for wait in sorted(waits)]

    def test_endpoints_are_served_by_their_earliest_due_delivery(self, bench: Bench) -> None:
        """The one that has waited longest is first."""
        made = []
        for _ in range(3):
            made.append(bench.emit(bench.register()))
            bench.advance(1)
        assert [bench.claimed(limit=1) for _ in range(3)] == [[delivery] for delivery in made]

    def test_every_endpoint_gets_its_first_slot_before_any_gets_a_second(self, bench: Bench) -> None:
        """A long backlog does not keep a newcomer waiting."""
        long = bench.register()
        bench.emit_many(long, 20)
        bench.advance(1)
        short = [bench.register() for _ in range(3)]
        for to in short:
            bench.emit(to)
        claims = bench.claim(limit=5)
        assert sorted(claim.endpoint.id for claim in claims) == sorted([long, long, *short])

    def test_rounds_of_slots_go_on_until_limit(self, bench: Bench) -> None:
        """Three endpoints and eight slots: three, three and two."""
        endpoints = []
        for _ in range(3):
            to = bench.register()
            bench.emit_many(to, 10)
            endpoints.append(to)
            bench.advance(1)
        claims = bench.claim(limit=8)
        assert [sum(claim.endpoint.id == to for claim in claims) for to in endpoints] == [3, 3, 2]

    # --- profiles

    def test_a_worker_gets_only_profiles_it_knows(self, bench: Bench) -> None:
        """What it could not send stays for a worker that can."""
        to = bench.register()
        ours, theirs = bench.emit(to, profile="standard"), bench.emit(to, profile="acme")
        assert bench.claimed(profiles=()) == []
        assert bench.claimed(profiles=("standard", "logto")) == [ours]
        assert bench.claimed(profiles=("acme",)) == [theirs]

    def test_unknown_profiles_cost_the_claim_nothing(self, bench: Bench) -> None:
        """However many of them are due earlier, at the same endpoint or at others."""
        to = bench.register()
        bench.emit_many(to, 50, profile="acme")
        for _ in range(50):
            bench.emit(bench.register(), profile="acme")
        bench.advance(1)
        known = bench.emit(to)
        assert bench.claimed(limit=1) == [known]

    # --- one to one caller

    def test_each_delivery_goes_to_one_of_many_workers(self, bench: Bench) -> None:
        """Threads that claim at the same time share the work without overlap, and none of it is missed."""
        if not self.threads:
            pytest.skip("this store is not used from several threads")
        endpoints = [bench.register() for _ in range(6)]
        made = [delivery for to in endpoints for delivery in bench.emit_many(to, 10)]

        def work(name: int) -> list[str]:
            mine: list[str] = []
            for _ in made:
                mine += bench.claimed(limit=3, owner=f"worker {name}")
            return mine

        with ThreadPoolExecutor(self.threads) as pool:
            claimed = [delivery for mine in pool.map(work, range(self.threads)) for delivery in mine]
        assert sorted(claimed) == sorted(made)

    # --- claim_one

    def test_one_delivery_can_be_claimed_by_its_id(self, bench: Bench) -> None:
        """It counts the attempt like any claim."""
        to = bench.register()
        bench.emit(to)
        delivery = bench.emit(to)
        claim = bench.take(delivery)
        assert (claim.delivery_id, claim.attempt_number, claim.endpoint.id) == (delivery, 1, to)
        bench.settle(claim, 500, retry_in=3600)
        assert bench.take(delivery).attempt_number == 2

    def test_claim_one_does_not_wait_for_the_due_time(self, bench: Bench) -> None:
        """An operator who asks for it now gets it now."""
        delivery = bench.retrying(bench.register(), retry_in=3600)
        assert bench.take(delivery).delivery_id == delivery

    def test_claim_one_ignores_cap_and_rate(self, bench: Bench) -> None:
        """They hold back workers, not an operator."""
        to = bench.register(max_in_flight=1, rate_limit=(1, 60))
        bench.emit_many(to, 2)
        first = bench.claimed()
        delivery = bench.emit(to)
        assert (len(first), bench.claim()) == (1, [])
        assert bench.take(delivery).delivery_id == delivery

    def test_claim_one_takes_from_the_recover_lane(self, bench: Bench) -> None:
        """Whatever lane it is in."""
        again = bench.queue.redeliver(bench.finished(bench.register()), now=bench.now)
        assert bench.take(again).delivery_id == again

    def test_claim_one_refuses_what_is_leased(self, bench: Bench) -> None:
        """Somebody may be sending it at this moment."""
        delivery = bench.emit(bench.register())
        bench.claim()
        with pytest.raises(StoreError):
            bench.take(delivery)

    def test_claim_one_takes_what_a_dead_worker_left(self, bench: Bench) -> None:
        """A lease that has run out is none."""
        delivery = bench.emit(bench.register())
        bench.claim()
        bench.expire()
        claim = bench.take(delivery)
        assert (claim.attempt_number, [one.reason for one in claim.attempts]) == (2, ["lost"])

    def test_claim_one_refuses_what_is_held(self, bench: Bench) -> None:
        """Its webhook has to be enabled first."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.disable(to)
        with pytest.raises(StoreError):
            bench.take(delivery)

    @pytest.mark.parametrize("status", [200, 500])
    def test_claim_one_refuses_what_is_finished(self, bench: Bench, status: int) -> None:
        """A redelivery is the way to send it again."""
        delivery = bench.finished(bench.register(), status)
        with pytest.raises(StoreError):
            bench.take(delivery)

    def test_claim_one_of_an_unknown_delivery_is_not_found(self, bench: Bench) -> None:
        """There is no such delivery."""
        with pytest.raises(NotFound):
            bench.take("dlv_none")
