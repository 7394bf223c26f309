"""Ways to break hookkit, each a patch: what the simulation must notice, or it sees nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Final
from unittest import mock

import attrs
from door import Door

import hookkit._async.courier
import hookkit._async.dispatcher
import hookkit.delivery
import hookkit.fairness
from hookkit.profiles import BUILTIN
from hookkit.stores.memory import MemoryStore
from hookkit.stores.memory._tables import Tables
from hookkit.stores.sqlite import SQLiteStore

__all__ = ["ON_SQLITE", "SABOTAGES"]


@contextlib.contextmanager
def claim_id_is_not_checked() -> Generator[None, None, None]:
    """An outcome is stored for whoever holds the delivery now, though another worker's lease it was."""
    settle = MemoryStore.settle

    def wrong(self: MemoryStore, done: Any, **options: Any) -> Any:
        held = {one.id: one.claim_id for one in self._tables.leases.values()}
        return settle(
            self,
            [attrs.evolve(one, claim_id=held.get(one.entry.delivery_id) or one.claim_id) for one in done],
            **options,
        )

    with mock.patch.object(MemoryStore, "settle", wrong):
        yield


@contextlib.contextmanager
def signed_before_the_claim() -> Generator[None, None, None]:
    """Deliveries are signed when they are stored, with the time and the keys of then."""
    signed: dict[tuple[str, str], Any] = {}
    plan, prepare = hookkit.delivery.plan, hookkit.delivery.prepare

    def plan_and_sign(event: Any, subscribers: Any, **options: Any) -> Any:
        planned = plan(event, subscribers, **options)
        for endpoint, one in zip(subscribers, planned.deliveries, strict=True):
            signed[event.id, endpoint.id] = prepare(
                endpoint, BUILTIN[one.profile], event_id=event.id, body=one.body, at=event.occurred_at
            )
        return planned

    def remembered(endpoint: Any, profile: Any, *, event_id: str, body: bytes, at: Any) -> Any:
        return attrs.evolve(signed[event_id, endpoint.id], url=endpoint.url)

    with (
        mock.patch.object(hookkit._async.dispatcher, "plan", plan_and_sign),
        mock.patch.object(hookkit._async.courier, "prepare", remembered),
    ):
        yield


@contextlib.contextmanager
def settled_in_two_transactions() -> Generator[None, None, None]:
    """The log is written first, the delivery after it: a crash between them leaves them apart."""

    async def split(self: Door, done: Any, **options: Any) -> Any:
        if not self.process.alive or not isinstance(self.store, MemoryStore):
            return await self.call("settle", (done,), options)
        leases = self.store._tables.leases
        logged = [(leases[one.claim_id], one.attempt) for one in done if one.claim_id in leases and one.attempt]
        for delivery, attempt in logged:
            delivery.attempts.append(attempt)
        await asyncio.sleep(0.001)
        for delivery, _ in logged:
            delivery.attempts.pop()  # the other half of the call below stores it once more
        return await self.call("settle", (done,), options)

    with mock.patch.object(Door, "settle", split):
        yield


@contextlib.contextmanager
def cap_is_ignored() -> Generator[None, None, None]:
    """An endpoint gets as many deliveries at once as there are slots."""
    with mock.patch.object(hookkit.fairness, "ramp_cap", return_value=1000):
        yield


@contextlib.contextmanager
def jitter_takes_away() -> Generator[None, None, None]:
    """A retry may come before its time."""
    judge = hookkit.delivery.judge

    def hasty(*args: Any, **options: Any) -> Any:
        return judge(*args, **{**options, "random": lambda: -0.5})

    with mock.patch.object(hookkit._async.courier, "judge", hasty):
        yield


@contextlib.contextmanager
def lost_attempts_are_not_counted() -> Generator[None, None, None]:
    """A lease that ran out is forgotten, so that a message which kills its worker is sent for ever."""
    reap = Tables.reap

    def forgetful(self: Tables, now: Any) -> None:
        before = {one.id: len(one.attempts) for one in self.leases.values()}
        reap(self, now)
        for delivery_id, attempts in before.items():
            delivery = self.deliveries[delivery_id]
            if len(delivery.attempts) > attempts:
                del delivery.attempts[attempts:]
                delivery.counted -= 1

    with mock.patch.object(Tables, "reap", forgetful):
        yield


@contextlib.contextmanager
def held_is_dropped() -> Generator[None, None, None]:
    """Enabling a webhook forgets what was held for it."""
    release = Tables.release

    def drop(self: Tables, endpoint_id: str, now: Any, *, drop: bool) -> None:
        release(self, endpoint_id, now, drop=True)

    with mock.patch.object(Tables, "release", drop):
        yield


@contextlib.contextmanager
def next_due_is_forgotten() -> Generator[None, None, None]:
    """A worker is told that nothing will be due, and waits for ever."""
    with (
        mock.patch.object(MemoryStore, "next_due", return_value=None),
        mock.patch("simulation.HORIZON_S", 80_000.0),
    ):
        yield


@contextlib.contextmanager
def repeats_are_stored_again() -> Generator[None, None, None]:
    """The idempotency key is not looked up."""
    with mock.patch.object(MemoryStore, "_first", return_value=None):
        yield


@contextlib.contextmanager
def success_is_assumed() -> Generator[None, None, None]:
    """A timeout counts as success: the receiver probably has it."""
    judge = hookkit.delivery.judge

    def hopeful(claim: Any, reply: Any, **options: Any) -> Any:
        assumed = attrs.evolve(reply, status=200, reason="") if reply.reason == "timeout" else reply
        return judge(claim, assumed, **options)

    with mock.patch.object(hookkit._async.courier, "judge", hopeful):
        yield


@contextlib.contextmanager
def rate_is_ignored() -> Generator[None, None, None]:
    """An endpoint's bucket is always full."""
    with mock.patch.object(hookkit.fairness, "tokens_at", lambda rate, *_: float(rate[0])):
        yield


@contextlib.contextmanager
def host_transaction_is_ended() -> Generator[None, None, None]:
    """Emitting commits the transaction of the host that it was to join."""
    enqueue = SQLiteStore.enqueue

    def committing(self: SQLiteStore, planned: Any, *, now: Any, tx: Any = None) -> Any:
        emissions = enqueue(self, planned, now=now, tx=tx)
        if tx is not None:
            tx.execute("COMMIT")
        return emissions

    with mock.patch.object(SQLiteStore, "enqueue", committing):
        yield


SABOTAGES: Final[dict[Callable[[], AbstractContextManager[None]], frozenset[str]]] = {
    claim_id_is_not_checked: frozenset({"a stale worker never wins"}),
    signed_before_the_claim: frozenset({"every signature verifies"}),
    settled_in_two_transactions: frozenset({"rows are whole", "the log has every attempt once"}),
    cap_is_ignored: frozenset({"at most max_in_flight", "one probe at a time"}),
    jitter_takes_away: frozenset({"never early"}),
    lost_attempts_are_not_counted: frozenset({"the log has every attempt once"}),
    held_is_dropped: frozenset({"held is never lost"}),
    next_due_is_forgotten: frozenset({"everything comes to an end"}),
    repeats_are_stored_again: frozenset({"a repeat is the first emission", "one event is stored once"}),
    success_is_assumed: frozenset({"the log says what happened"}),
    rate_is_ignored: frozenset({"within its rate"}),
    host_transaction_is_ended: frozenset({"every move has its reason", "rolled back is never sent"}),
}
"""Each with the rules that it may break first."""

ON_SQLITE: Final = frozenset({host_transaction_is_ended})
"""Those that only a store in a database has a place for."""
