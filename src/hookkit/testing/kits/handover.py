"""The contract of a HandoverQueue: offers, and who takes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hookkit.protocols import HandoverQueue
from hookkit.testing.bench import LANES, LEASE, Bench
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import CLAIMED, OFFERED, Claim, Lane

__all__ = ["HandoverQueueContract"]


class HandoverQueueContract(StoreFixtures):
    """Checks a :class:`hookkit.protocols.HandoverQueue`, beside its other kits. Override the fixture ``store``."""

    @pytest.fixture
    def queue(self, store: HandoverQueue) -> HandoverQueue:
        """Return what offers deliveries."""
        return store

    @staticmethod
    def offer(queue: HandoverQueue, bench: Bench, lane: Lane = "first", *, limit: int = 1000) -> list[Claim]:
        """Offer what is due in a lane."""
        return queue.offer(
            now=bench.now,
            lane=lane,
            limit=limit,
            limit_busy=limit,
            limit_failing=limit,
            lease=LEASE,
            owner="relay",
            profiles=["standard"],
        )

    @staticmethod
    def take(queue: HandoverQueue, bench: Bench, claim: Claim) -> Claim | None:
        """Take an offer."""
        return queue.take(claim.claim_id, now=bench.now, lease=LEASE, owner="worker")

    # --- offering

    def test_an_offer_names_itself(self, queue: HandoverQueue, bench: Bench) -> None:
        """By how its id begins; a claim's begins otherwise."""
        to = bench.register()
        bench.emit_many(to, 2)
        (offered,) = self.offer(queue, bench, limit=1)
        (claimed,) = bench.claim()
        assert offered.claim_id.startswith(OFFERED)
        assert claimed.claim_id.startswith(CLAIMED)

    def test_what_is_offered_is_leased(self, queue: HandoverQueue, bench: Bench) -> None:
        """Nobody else gets it, and it fills its endpoint's cap."""
        to = bench.register(max_in_flight=2)
        delivery, *_ = bench.emit_many(to, 3)
        offered = self.offer(queue, bench)
        assert [claim.attempt_number for claim in offered] == [1, 1]
        assert delivery in [claim.delivery_id for claim in offered]
        assert bench.claim_any() == []
        assert self.offer(queue, bench) == []

    @pytest.mark.parametrize("lane", LANES)
    def test_an_offer_that_runs_out_is_as_if_it_had_not_been(
        self, queue: HandoverQueue, bench: Bench, lane: Lane
    ) -> None:
        """Due at once in its lane, the attempt uncounted, nothing lost, however often."""
        to = bench.register(max_in_flight=1)
        delivery = bench.retrying(to) if lane == "retry" else bench.emit(to)
        if lane == "recover":
            bench.settle(bench.take(delivery))
            delivery = queue.redeliver(delivery, now=bench.now)
        number = 2 if lane == "retry" else 1
        for _ in range(3):
            (offered,) = self.offer(queue, bench, lane)
            assert offered.attempt_number == number
            bench.expire()
            due = queue.next_due(now=bench.now)
            assert due is not None
            assert due <= bench.now
        (claim,) = bench.claim(lane)
        assert (claim.delivery_id, claim.attempt_number) == (delivery, number)
        assert "lost" not in [one.reason for one in claim.attempts]

    def test_an_offer_can_be_given_back(self, queue: HandoverQueue, bench: Bench) -> None:
        """When the engine does not take the message, say."""
        bench.emit(bench.register())
        (offered,) = self.offer(queue, bench)
        assert queue.give_back([offered.claim_id], now=bench.now) == {offered.claim_id}
        assert bench.claim()[0].attempt_number == 1

    # --- taking

    def test_a_taken_offer_is_a_lease(self, queue: HandoverQueue, bench: Bench) -> None:
        """With everything that a claim brings, under an id that follows from the offer's; it can be settled."""
        to = bench.register()
        delivery = bench.retrying(to)
        (offered,) = self.offer(queue, bench, "retry")
        claim = self.take(queue, bench, offered)
        assert claim is not None
        assert claim.claim_id == CLAIMED + offered.claim_id.removeprefix(OFFERED)
        assert (claim.delivery_id, claim.body, claim.profile) == (delivery, offered.body, offered.profile)
        assert (claim.attempt_number, claim.attempts) == (offered.attempt_number, offered.attempts)
        assert (claim.event_id, claim.event_type, claim.tenant) == (
            offered.event_id,
            offered.event_type,
            offered.tenant,
        )
        assert (claim.created_at, claim.schedule_start) == (offered.created_at, offered.schedule_start)
        assert claim.endpoint == offered.endpoint
        assert claim.failing is True
        assert bench.settle(claim).applied is True
        assert bench.count(to, "succeeded") == 1

    def test_an_offer_is_taken_once(self, queue: HandoverQueue, bench: Bench) -> None:
        """A message that comes twice finds nothing; nor does one that comes after the end."""
        bench.emit(bench.register())
        (offered,) = self.offer(queue, bench)
        claim = self.take(queue, bench, offered)
        assert claim is not None
        assert self.take(queue, bench, offered) is None
        assert self.take(queue, bench, claim) is None
        bench.settle(claim)
        assert self.take(queue, bench, offered) is None

    def test_an_offer_is_taken_by_one(self, queue: HandoverQueue, bench: Bench) -> None:
        """However many try at the same time."""
        if not self.threads:
            pytest.skip("this store is not used from several threads")
        bench.emit_many(bench.register(), 5)
        for offered in self.offer(queue, bench):
            with ThreadPoolExecutor(self.threads) as pool:
                taken = list(pool.map(lambda one: self.take(queue, bench, one), [offered] * self.threads))
            assert sum(claim is not None for claim in taken) == 1

    def test_a_lease_cannot_be_taken(self, queue: HandoverQueue, bench: Bench) -> None:
        """Only what was offered can; what nobody knows can not, either."""
        bench.emit(bench.register())
        (claim,) = bench.claim()
        assert self.take(queue, bench, claim) is None
        assert queue.take("off_unknown", now=bench.now, lease=LEASE, owner="worker") is None
        assert queue.take("", now=bench.now, lease=LEASE, owner="worker") is None
        assert bench.settle(claim).applied is True

    def test_a_late_message_finds_nothing(self, queue: HandoverQueue, bench: Bench) -> None:
        """Its offer ran out, at that very instant; the next one stands, and is not the old one's to take."""
        bench.emit(bench.register())
        (old,) = self.offer(queue, bench)
        bench.advance(LEASE)
        assert self.take(queue, bench, old) is None
        (new,) = self.offer(queue, bench)
        assert self.take(queue, bench, old) is None
        assert self.take(queue, bench, new) is not None

    def test_a_lease_begins_when_it_is_taken(self, queue: HandoverQueue, bench: Bench) -> None:
        """And is lost when it runs out, as any other: its worker died, whatever the message did before that."""
        bench.emit(bench.register())
        (offered,) = self.offer(queue, bench)
        began = bench.advance(LEASE / 2)
        assert self.take(queue, bench, offered) is not None
        bench.advance(LEASE / 2)
        assert bench.claim_any() == []
        bench.advance(LEASE / 2)
        (claim,) = bench.claim("retry")
        assert [(one.number, one.reason, one.started_at) for one in claim.attempts] == [(1, "lost", began)]
        assert claim.attempt_number == 2

    def test_a_taken_offer_still_fills_the_cap(self, queue: HandoverQueue, bench: Bench) -> None:
        """Once, until it is settled."""
        to = bench.register(max_in_flight=1)
        bench.emit_many(to, 2)
        (offered,) = self.offer(queue, bench)
        claim = self.take(queue, bench, offered)
        assert claim is not None
        assert self.offer(queue, bench) == []
        bench.settle(claim)
        assert len(self.offer(queue, bench)) == 1

    def test_nothing_is_taken_for_a_webhook_that_is_disabled(self, queue: HandoverQueue, bench: Bench) -> None:
        """Its delivery is held, and goes on, uncounted, when it is enabled."""
        to = bench.register()
        bench.emit(to)
        (offered,) = self.offer(queue, bench)
        bench.disable(to)
        assert self.take(queue, bench, offered) is None
        assert bench.claim_any() == []
        bench.enable(to)
        assert [claim.attempt_number for claim in bench.claim()] == [1]

    def test_nothing_is_taken_for_a_webhook_that_is_gone(self, queue: HandoverQueue, bench: Bench) -> None:
        """Its delivery has ended."""
        to = bench.register()
        bench.emit(to)
        (offered,) = self.offer(queue, bench)
        bench.remove(to)
        assert self.take(queue, bench, offered) is None
        assert queue.next_due(now=bench.now) is None

    # --- looking

    def test_outstanding_is_what_is_held(self, queue: HandoverQueue, bench: Bench) -> None:
        """Offers under their ids, leases under theirs; neither what ran out nor what is settled."""
        bench.emit_many(bench.register(), 2)
        offers = [claim.claim_id for claim in self.offer(queue, bench)]
        asked = {CLAIMED + one.removeprefix(OFFERED) for one in offers} | set(offers) | {"off_x"}
        assert queue.outstanding(asked, now=bench.now) == set(offers)
        claim = queue.take(offers[0], now=bench.now, lease=LEASE * 2, owner="worker")
        assert claim is not None
        assert queue.outstanding(asked, now=bench.now) == {claim.claim_id, offers[1]}
        bench.advance(LEASE)
        assert queue.outstanding(asked, now=bench.now) == {claim.claim_id}
        bench.settle(claim)
        assert queue.outstanding(asked, now=bench.now) == set()
        assert queue.outstanding([], now=bench.now) == set()

    def test_looking_prolongs_nothing(self, queue: HandoverQueue, bench: Bench) -> None:
        """A relay that watches must not keep a dead worker's lease alive."""
        bench.emit(bench.register())
        (offered,) = self.offer(queue, bench)
        bench.advance(LEASE / 2)
        assert queue.outstanding([offered.claim_id], now=bench.now) == {offered.claim_id}
        bench.advance(LEASE / 2)
        assert queue.outstanding([offered.claim_id], now=bench.now) == set()
