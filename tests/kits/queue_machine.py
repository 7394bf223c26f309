"""A queue against a model of it: random histories of emitting, claiming, settling, dying, holding and asking again.

The model knows what every delivery must be after each step; the store is asked through the protocols only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hookkit.errors import NotFound, StoreError
from hookkit.testing.bench import LANES, LEASE, Bench
from hookkit.testing.builders import count_failures, settlement
from hookkit.work import Claim, Lane

CAPS = (1, 2, 5)
OUTCOMES = ("ok", "retry now", "retry later", "give up", "uncounted")
RETRY_LATER = timedelta(seconds=45)


@attrs.define
class Known:
    """What the model knows of one delivery."""

    endpoint: str
    lane: Lane
    state: str
    due: datetime
    attempts: int = 0
    claim_id: str = ""
    lease_until: datetime | None = None
    body: bytes = b""
    lost_unseen: bool = False  # its lease ran out, and the store need not have noticed yet


class QueueMachine(RuleBasedStateMachine):
    """Rules are the calls; :meth:`every_delivery_is_where_it_must_be` looks at the outcome after each."""

    def __init__(self, open_store: Callable[[], AbstractContextManager[Any]]) -> None:
        super().__init__()
        self._opened = open_store()
        self.store = self._opened.__enter__()
        self.bench = Bench(self.store, self.store, self.store)
        self.known: dict[str, Known] = {}
        self.claims: list[Claim] = []
        self.claim_ids: set[str] = set()
        self.on_hold: set[str] = set()
        self.removed: set[str] = set()

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)

    @initialize()
    def register(self) -> None:
        self.endpoints = {self.bench.register(max_in_flight=cap): cap for cap in CAPS}
        self.names = list(self.endpoints)
        for index in range(len(CAPS)):
            self.emit(index, 3)

    # --- the model ----------------------------------------------------------------------------------------------------

    def waiting(self, endpoint: str) -> str:
        """Return the state of a delivery that is to be sent, now or later."""
        if endpoint in self.removed:
            return "failed"
        return "held" if endpoint in self.on_hold else "pending"

    def in_flight(self, endpoint: str) -> int:
        return sum(one.endpoint == endpoint and one.state == "leased" for one in self.known.values())

    def claimable(self, lane: Lane) -> Counter[str]:
        """Return how many deliveries of each endpoint a claim could lease now."""
        due = Counter(
            one.endpoint
            for one in self.known.values()
            if one.state == "pending" and one.lane == lane and one.due <= self.bench.now
        )
        room = {name: max(cap - self.in_flight(name), 0) for name, cap in self.endpoints.items()}
        return Counter({name: min(count, room[name]) for name, count in due.items()})

    def lease(self, claim: Claim) -> None:
        one = self.known[claim.delivery_id]
        assert claim.claim_id not in self.claim_ids
        assert claim.attempt_number == one.attempts + 1
        assert len(claim.attempts) == one.attempts
        assert (claim.endpoint.id, claim.body) == (one.endpoint, one.body)
        one.state, one.claim_id, one.lease_until = "leased", claim.claim_id, self.bench.now + LEASE
        one.lost_unseen = False
        self.claim_ids.add(claim.claim_id)
        self.claims.append(claim)

    def holder(self, claim: Claim) -> Known | None:
        """Return the delivery, if `claim` is what it is leased by."""
        one = self.known[claim.delivery_id]
        return one if one.state == "leased" and one.claim_id == claim.claim_id else None

    def add(self, delivery: str, endpoint: str, lane: Lane, body: bytes) -> None:
        assert delivery not in self.known
        self.known[delivery] = Known(endpoint, lane, self.waiting(endpoint), self.bench.now, body=body)

    # --- rules --------------------------------------------------------------------------------------------------------

    @rule(index=st.integers(0, 2), count=st.integers(1, 3))
    def emit_to(self, index: int, count: int) -> None:
        self.emit(index, count)

    def emit(self, index: int, count: int) -> None:
        endpoint = self.names[index]
        body = str(len(self.known)).encode()
        for delivery in self.bench.emit_many(endpoint, count, body=body):
            if endpoint in self.removed:
                with pytest.raises(NotFound):
                    self.store.entry(delivery)
            else:
                self.add(delivery, endpoint, "first", body)

    @rule(limit=st.integers(1, 6))
    def claim_first(self, limit: int) -> None:
        self.claim("first", limit)

    @rule(limit=st.integers(1, 6))
    def claim_retries(self, limit: int) -> None:
        self.claim("retry", limit)

    @rule(limit=st.integers(0, 6))
    def claim_recovered(self, limit: int) -> None:
        self.claim("recover", limit)

    def claim(self, lane: Lane, limit: int) -> None:
        """Lease only what is claimable, as much of it as there is room for."""
        could = self.claimable(lane)
        claims = self.bench.claim(lane, limit=limit)
        got = Counter(claim.endpoint.id for claim in claims)
        assert not got - could
        assert len(claims) == min(limit, could.total())
        for claim in claims:
            one = self.known[claim.delivery_id]
            assert (one.state, one.lane) == ("pending", lane)
            assert one.due <= self.bench.now
            self.lease(claim)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def claim_one(self, data: st.DataObject) -> None:
        delivery = data.draw(st.sampled_from(sorted(self.known)))
        if self.known[delivery].state == "pending":
            self.lease(self.bench.take(delivery))
        else:
            with pytest.raises(StoreError):
                self.bench.take(delivery)

    def recent_claims(self, data: st.DataObject) -> list[Claim]:
        """Draw some of the claims given lately, stale ones among them."""
        return data.draw(st.lists(st.sampled_from(self.claims[-8:]), min_size=1, max_size=4, unique_by=id))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        claims = self.recent_claims(data)
        self.settle_claims(claims, [data.draw(st.sampled_from(OUTCOMES)) for _ in claims])

    @rule(outcome=st.sampled_from(OUTCOMES))
    def settle_what_is_held(self, outcome: str) -> None:
        claims = [claim for claim in self.claims if self.holder(claim)]
        self.settle_claims(claims, [outcome] * len(claims))

    def settle_claims(self, claims: list[Claim], outcomes: list[str]) -> None:
        done = [self.outcome(claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)]
        settled = self.bench.settle_all(done, step=count_failures)
        assert [one.applied for one in settled] == [self.holder(claim) is not None for claim in claims]
        for claim, outcome in zip(claims, outcomes, strict=True):
            one = self.holder(claim)
            if one is not None:
                self.finish(one, outcome)

    def outcome(self, claim: Claim, outcome: str) -> Any:
        now = self.bench.now
        due = {"retry now": now, "retry later": now + RETRY_LATER}.get(outcome)
        return settlement(
            claim, at=now, status=200 if outcome == "ok" else 500, due_at=due, uncounted=outcome == "uncounted"
        )

    def finish(self, one: Known, outcome: str) -> None:
        one.attempts += outcome != "uncounted"
        if not outcome.startswith("retry"):
            one.state = "succeeded" if outcome == "ok" else "failed"
            return
        one.state = self.waiting(one.endpoint)
        one.lane = "recover" if one.lane == "recover" else "retry"
        one.due = self.bench.now + (RETRY_LATER if outcome == "retry later" else timedelta())

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        claims = self.recent_claims(data)
        held = self.store.extend([claim.claim_id for claim in claims], now=self.bench.now, lease=LEASE)
        assert held == {claim.claim_id for claim in claims if self.holder(claim)}
        for claim in claims:
            if one := self.holder(claim):
                one.lease_until = self.bench.now + LEASE

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        claims = self.recent_claims(data)
        held = self.store.give_back([claim.claim_id for claim in claims], now=self.bench.now)
        assert held == {claim.claim_id for claim in claims if self.holder(claim)}
        for claim in claims:
            if one := self.holder(claim):
                one.state, one.due = self.waiting(one.endpoint), self.bench.now

    # One rule for all that an operator does, so that random histories are mostly made of work.
    @rule(
        index=st.integers(0, 2),
        action=st.sampled_from(["hold", "release", "drop", "fail", "retry", "resend", "remove"]),
    )
    def operate(self, index: int, action: str) -> None:
        endpoint = self.names[index]
        if action == "hold":
            self.hold(endpoint)
        elif action in {"release", "drop"}:
            self.release(endpoint, drop=action == "drop")
        elif action in {"retry", "resend"}:
            self.recover(endpoint, "failed" if action == "retry" else "succeeded")
        else:
            self.fail_pending(endpoint, remove=action == "remove" and index == 0)

    def hold(self, endpoint: str) -> None:
        self.store.hold(endpoint, now=self.bench.now)
        self.on_hold.add(endpoint)
        for one in self.known.values():
            if one.endpoint == endpoint and one.state == "pending":
                one.state = "held"

    def release(self, endpoint: str, *, drop: bool) -> None:
        self.store.release(endpoint, now=self.bench.now, drop=drop)
        self.on_hold.discard(endpoint)
        for one in self.known.values():
            if one.endpoint == endpoint and one.state == "held":
                one.state, one.due = ("failed" if drop else "pending"), self.bench.now

    def fail_pending(self, endpoint: str, *, remove: bool) -> None:
        """By itself, or because the webhook is removed; a leased one is left to settle."""
        if remove and endpoint not in self.removed:
            self.bench.remove(endpoint)
            self.removed.add(endpoint)
        else:
            self.store.fail_pending(endpoint, reason="removed", now=self.bench.now)
        for one in self.known.values():
            if one.endpoint == endpoint and one.state in {"pending", "held"}:
                one.state = "failed"

    def recover(self, endpoint: str, state: str) -> None:
        if endpoint in self.removed:
            return
        found = [one for one in self.known.values() if one.endpoint == endpoint and one.state == state]
        assert self.bench.recover(endpoint, state, dry_run=True) == len(found)
        assert self.bench.recover(endpoint, state) == len(found)
        for one in found:
            one.state, one.lane, one.due = self.waiting(endpoint), "recover", self.bench.now

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        old = self.known[delivery := data.draw(st.sampled_from(sorted(self.known)))]
        if old.endpoint in self.removed:
            with pytest.raises(NotFound):
                self.store.redeliver(delivery, now=self.bench.now)
            return
        self.add(self.store.redeliver(delivery, now=self.bench.now), old.endpoint, "recover", old.body)

    @rule(seconds=st.sampled_from([1, 5, 20, 50, 61]))
    def advance(self, seconds: int) -> None:
        """Leases that run out are lost attempts."""
        now = self.bench.advance(seconds)
        for one in self.known.values():
            if one.state == "leased" and one.lease_until is not None and one.lease_until <= now:
                one.attempts += 1
                one.state, one.due = self.waiting(one.endpoint), now
                one.lane = "recover" if one.lane == "recover" else "retry"
                one.lost_unseen = True

    # --- what must hold after each step -------------------------------------------------------------------------------

    @invariant()
    def every_delivery_is_where_it_must_be(self) -> None:
        """In exactly one state, the one the model says, with attempts numbered without a gap: nothing is ever lost."""
        for delivery, one in self.known.items():
            entry = self.store.entry(delivery)
            numbers = [attempt.number for attempt in entry.attempts]
            assert numbers == list(range(1, len(numbers) + 1))
            if one.lost_unseen and (entry.state, len(numbers)) == ("leased", one.attempts - 1):
                continue
            one.lost_unseen = False
            assert (entry.state, len(numbers), entry.body) == (one.state, one.attempts, one.body)
            assert (entry.finished_at is None) == (entry.state in {"pending", "leased", "held"})

    @invariant()
    def the_next_due_time_is_never_late(self) -> None:
        """Whoever sleeps until then misses nothing that is claimable now."""
        if any(self.claimable(lane).total() for lane in LANES):
            due = self.store.next_due(now=self.bench.now)
            assert due is not None
            assert due <= self.bench.now


def queue_machine(open_store: Callable[[], AbstractContextManager[Any]]) -> type[RuleBasedStateMachine]:
    """Return the machine over the stores that `open_store` opens, one for each history."""

    class Machine(QueueMachine):
        def __init__(self) -> None:
            super().__init__(open_store)

    Machine.__name__ = Machine.__qualname__ = "QueueMachine"
    return Machine
