"""The contract of a LanesQueue: claims from several lanes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from hookkit.fairness import Ask, Slots
from hookkit.protocols import LanesQueue
from hookkit.testing.bench import LEASE, Bench
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import Claim, Lane
from hookkit.working import ASKS, ASKS_ONCE

__all__ = ["LanesQueueContract"]


class LanesQueueContract(StoreFixtures):
    """Checks a :class:`hookkit.protocols.LanesQueue`, beside its other kits. Override the fixture ``store``."""

    @pytest.fixture
    def queue(self, store: LanesQueue) -> LanesQueue:
        """Return what claims."""
        return store

    @staticmethod
    def claim(queue: LanesQueue, bench: Bench, slots: Slots, asks: Sequence[Ask] = ASKS) -> list[tuple[Lane, Claim]]:
        """Claim what the slots allow."""
        return queue.claim_lanes(
            now=bench.now, asks=asks, slots=slots, lease=LEASE, owner="worker", profiles=["standard"]
        )

    @staticmethod
    def crowd(queue: LanesQueue, bench: Bench, first: int, retry: int, recover: int) -> dict[Lane, set[str]]:
        """Return so many due deliveries of each lane, each to a webhook of its own."""
        due: dict[Lane, set[str]] = {"first": set(), "retry": set(), "recover": set()}
        for _ in range(recover):
            due["recover"].add(queue.redeliver(bench.finished(bench.register()), now=bench.now))
        due["retry"] |= {bench.retrying(bench.register()) for _ in range(retry)}
        due["first"] |= {bench.emit(bench.register()) for _ in range(first)}
        return due

    def test_every_lane_is_claimed_from(self, queue: LanesQueue, bench: Bench) -> None:
        """In the order asked for, each claim with its lane, and with all that a claim brings."""
        due = self.crowd(queue, bench, 3, 2, 1)
        found = self.claim(queue, bench, Slots(32))
        assert [lane for lane, _ in found] == ["first"] * 3 + ["retry"] * 2 + ["recover"]
        for lane, ids in due.items():
            assert {claim.delivery_id for own, claim in found if own == lane} == ids
        assert [claim.attempt_number for lane, claim in found if lane == "retry"] == [2, 2]
        assert [len(claim.attempts) for lane, claim in found if lane == "retry"] == [1, 1]
        assert self.claim(queue, bench, Slots(32)) == []
        assert all(bench.settle(claim).applied for _, claim in found)

    def test_only_what_is_asked_for_is_claimed(self, queue: LanesQueue, bench: Bench) -> None:
        """And in the order in which it is asked for."""
        self.crowd(queue, bench, 1, 1, 1)
        found = self.claim(queue, bench, Slots(32), [Ask("recover"), Ask("first")])
        assert [lane for lane, _ in found] == ["recover", "first"]

    @pytest.mark.parametrize(
        ("asks", "counts"),
        [
            (ASKS, {"first": 6, "retry": 4}),
            (ASKS_ONCE, {"first": 6, "retry": 4}),
            ([ASKS[2], *ASKS], {"recover": 2, "first": 4, "retry": 4}),
        ],
        ids=["a turn", "once", "the last first"],
    )
    def test_the_slots_are_shared_out(
        self, queue: LanesQueue, bench: Bench, asks: Sequence[Ask], counts: dict[str, int]
    ) -> None:
        """A fifth is kept for retries, a fifth for endpoints without a lease; each lane gets what others have left."""
        self.crowd(queue, bench, 9, 6, 4)
        found = Counter(lane for lane, _ in self.claim(queue, bench, Slots(10), asks))
        assert found == counts

    @pytest.mark.parametrize(("asks", "count"), [(ASKS, 6), (ASKS_ONCE, 9)], ids=["a turn", "once"])
    def test_a_lane_may_be_asked_again(self, queue: LanesQueue, bench: Bench, asks: Sequence[Ask], count: int) -> None:
        """For what was kept for others, who did not need it."""
        self.crowd(queue, bench, 9, 0, 0)
        slots = Slots(10)
        assert len(self.claim(queue, bench, slots, asks)) == count
        assert slots.taken == {}

    def test_what_is_under_way_counts(self, queue: LanesQueue, bench: Bench) -> None:
        """Slots that are taken are not given twice; without a free one nothing is claimed."""
        self.crowd(queue, bench, 9, 3, 0)
        slots = Slots(10)
        for claimed in (6, 0):
            found = self.claim(queue, bench, slots, ASKS[:1])
            assert len(found) == claimed
            for lane, claim in found:
                slots.take(lane, [claim])
            slots = Slots(len(slots.taken), slots.taken)

    def test_a_lease_that_ran_out_is_found(self, queue: LanesQueue, bench: Bench) -> None:
        """It is a retry then, and was lost before."""
        delivery = bench.emit(bench.register())
        bench.claim()
        bench.expire()
        ((lane, claim),) = self.claim(queue, bench, Slots(32))
        assert (lane, claim.delivery_id, claim.attempt_number) == ("retry", delivery, 2)
        assert [attempt.reason for attempt in claim.attempts] == ["lost"]
