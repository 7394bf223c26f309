"""Any sync store, for asyncio: writes on one thread, reads on a second, the event loop never blocked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar, Unpack

import attrs

from hookkit.errors import StoreError
from hookkit.fairness import Ask, Slots
from hookkit.kinds import can_claim_lanes, check_handover
from hookkit.model import DeliveryState, Emission, Endpoint, Health, LogEntry
from hookkit.protocols import Store
from hookkit.work import Claim, ClaimOptions, HealthStep, Lane, Planned, Settled, Settlement, WebhookChange

__all__ = ["ThreadedStore"]

P = ParamSpec("P")
T = TypeVar("T")


@attrs.frozen
class _Waiting:
    planned: Sequence[Planned]
    now: datetime
    done: Future[list[Emission]]


class ThreadedStore:
    """Gives a sync store the async protocols.

    Enqueues that wait for the writing thread at the same time share one commit. Calls with ``tx=`` run on the caller's
    thread, because that is where a sync connection may be used.

    A cancelled call may still happen: what is under way on a thread cannot be stopped.

    Args:
        store: The sync store. :meth:`aclose` closes it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = ThreadPoolExecutor(1, "hookkit-write")
        self._reader = ThreadPoolExecutor(1, "hookkit-read")
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    @property
    def wake_key(self) -> object:
        """The sync store's own: whoever shares the database shares its wake-ups."""
        return getattr(self._store, "wake_key", None) or id(self._store)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None] | None:
        """As the sync store's own, if it has one; see :mod:`hookkit.wakeups`."""
        watch = getattr(type(self._store), "watch", None)
        return None if watch is None else watch(self._store, changed)

    async def _write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._submit(self._writer, lambda: call(*args, **kwargs)))

    async def _read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._submit(self._reader, lambda: call(*args, **kwargs)))

    def _submit(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> Future[T]:
        try:
            return pool.submit(call)
        except RuntimeError:
            raise StoreError("the store is closed") from None

    # --- Webhooks -----------------------------------------------------------------------------------------------------

    async def add_webhook(self, endpoint: Endpoint) -> None:
        """As :meth:`hookkit.protocols.WebhookStore.add_webhook`."""
        await self._write(self._store.add_webhook, endpoint)

    async def get_webhook(self, endpoint_id: str) -> Endpoint:
        """As :meth:`hookkit.protocols.WebhookStore.get_webhook`."""
        return await self._read(self._store.get_webhook, endpoint_id)

    async def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]:
        """As :meth:`hookkit.protocols.WebhookStore.list_webhooks`."""
        return await self._read(self._store.list_webhooks, tenant=tenant, limit=limit, after=after)

    async def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint:
        """As :meth:`hookkit.protocols.WebhookStore.update_webhook`."""
        return await self._write(self._store.update_webhook, endpoint_id, change, now=now, held=held)

    async def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        """As :meth:`hookkit.protocols.WebhookStore.remove_webhook`."""
        await self._write(self._store.remove_webhook, endpoint_id, now=now)

    async def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """As :meth:`hookkit.protocols.WebhookStore.subscribers`."""
        if tx is not None:
            return self._store.subscribers(tenant, event_type, tx=tx)
        return await self._read(self._store.subscribers, tenant, event_type)

    # --- Outbox -------------------------------------------------------------------------------------------------------

    async def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        """As :meth:`hookkit.protocols.Outbox.enqueue`."""
        if tx is not None:
            return self._store.enqueue(planned, now=now, tx=tx)
        waiting = _Waiting(planned, now, Future())
        waiting.done.set_running_or_notify_cancel()  # a caller that is cancelled must not spoil the batch
        with self._lock:
            self._waiting.append(waiting)
            first = len(self._waiting) == 1
        if first:
            self._flush_soon()
        return await asyncio.wrap_future(waiting.done)

    def _flush_soon(self) -> None:
        """Have the writing thread store what waits by then. Nobody awaits that, so nobody's cancellation undoes it."""
        try:
            self._submit(self._writer, self._flush)
        except StoreError as closed:
            for each in self._take_waiting():
                each.done.set_exception(closed)

    def _take_waiting(self) -> list[_Waiting]:
        with self._lock:
            batch, self._waiting = self._waiting, []
        return batch

    def _flush(self) -> None:
        """Store all that waits in one call; if that fails, each on its own, so that one cannot spoil the rest."""
        batch = self._take_waiting()
        try:
            emissions = self._store.enqueue(
                [one for each in batch for one in each.planned], now=max(each.now for each in batch)
            )
        except Exception as error:  # noqa: BLE001 - it reaches the one whom it concerns
            for each in batch:
                self._enqueue_alone(each, error if len(batch) == 1 else None)
            return
        start = 0
        for each in batch:
            each.done.set_result(emissions[start : start + len(each.planned)])
            start += len(each.planned)

    def _enqueue_alone(self, waiting: _Waiting, error: Exception | None) -> None:
        try:
            if error is not None:
                raise error
            waiting.done.set_result(self._store.enqueue(waiting.planned, now=waiting.now))
        except Exception as failure:  # noqa: BLE001 - handed to the caller that waits
            waiting.done.set_exception(failure)

    # --- Queue --------------------------------------------------------------------------------------------------------

    async def claim(
        self,
        *,
        now: datetime,
        lane: Lane,
        limit: int,
        limit_busy: int,
        limit_failing: int,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[Claim]:
        """As :meth:`hookkit.protocols.DeliveryQueue.claim`."""
        return await self._write(
            self._store.claim,
            now=now,
            lane=lane,
            limit=limit,
            limit_busy=limit_busy,
            limit_failing=limit_failing,
            lease=lease,
            owner=owner,
            profiles=profiles,
        )

    async def claim_lanes(
        self,
        *,
        now: datetime,
        asks: Sequence[Ask],
        slots: Slots,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[tuple[Lane, Claim]]:
        """As :meth:`hookkit.protocols.LanesQueue.claim_lanes`, lane by lane if the sync store cannot do it at once."""
        claim = self._store.claim_lanes if can_claim_lanes(self._store) else self._claim_each_lane
        return await self._write(claim, now=now, asks=asks, slots=slots, lease=lease, owner=owner, profiles=profiles)

    def _claim_each_lane(
        self,
        *,
        now: datetime,
        asks: Sequence[Ask],
        slots: Slots,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[tuple[Lane, Claim]]:
        bounds = slots.bounds(asks)
        claims: list[tuple[Lane, Claim]] = []
        for place, (lane, _) in enumerate(asks):
            limits = bounds(place, claims)
            if limits.limit == 0:
                continue
            try:
                found = self._store.claim(
                    now=now, lane=lane, **limits._asdict(), lease=lease, owner=owner, profiles=profiles
                )
            except Exception:
                if claims:
                    break  # these are leased, and to be sent; whatever it was, it comes again
                raise
            claims.extend((lane, one) for one in found)
        return claims

    async def offer(self, **options: Unpack[ClaimOptions]) -> list[Claim]:
        """As :meth:`hookkit.protocols.HandoverQueue.offer`."""
        return await self._write(check_handover("ThreadedStore", self._store).offer, **options)

    async def take(self, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim | None:
        """As :meth:`hookkit.protocols.HandoverQueue.take`."""
        return await self._write(
            check_handover("ThreadedStore", self._store).take, offer_id, now=now, lease=lease, owner=owner
        )

    async def outstanding(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """As :meth:`hookkit.protocols.HandoverQueue.outstanding`."""
        return await self._read(check_handover("ThreadedStore", self._store).outstanding, claim_ids, now=now)

    async def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        """As :meth:`hookkit.protocols.DeliveryQueue.claim_one`."""
        return await self._write(self._store.claim_one, delivery_id, now=now, lease=lease, owner=owner)

    async def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.extend`."""
        return await self._write(self._store.extend, claim_ids, now=now, lease=lease)

    async def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.give_back`."""
        return await self._write(self._store.give_back, claim_ids, now=now)

    async def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """As :meth:`hookkit.protocols.DeliveryQueue.settle`."""
        return await self._write(self._store.settle, done, now=now, step=step)

    async def hold(self, endpoint_id: str, *, now: datetime) -> None:
        """As :meth:`hookkit.protocols.DeliveryQueue.hold`."""
        await self._write(self._store.hold, endpoint_id, now=now)

    async def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        """As :meth:`hookkit.protocols.DeliveryQueue.release`."""
        await self._write(self._store.release, endpoint_id, now=now, drop=drop)

    async def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        """As :meth:`hookkit.protocols.DeliveryQueue.fail_pending`."""
        await self._write(self._store.fail_pending, endpoint_id, reason=reason, now=now)

    async def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        """As :meth:`hookkit.protocols.DeliveryQueue.redeliver`."""
        return await self._write(self._store.redeliver, delivery_id, now=now)

    async def recover(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[DeliveryState],
        now: datetime,
        dry_run: bool,
    ) -> int:
        """As :meth:`hookkit.protocols.DeliveryQueue.recover`."""
        return await self._write(
            self._store.recover, endpoint_id, since=since, until=until, states=states, now=now, dry_run=dry_run
        )

    async def next_due(self, *, now: datetime) -> datetime | None:
        """As :meth:`hookkit.protocols.DeliveryQueue.next_due`."""
        return await self._read(self._store.next_due, now=now)

    async def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        """As :meth:`hookkit.protocols.DeliveryQueue.expire_held`."""
        return await self._write(self._store.expire_held, before=before, now=now, limit=limit)

    async def ended(self, *, since: datetime) -> list[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.ended`."""
        return await self._read(self._store.ended, since=since)

    # --- Log ----------------------------------------------------------------------------------------------------------

    async def record(self, entries: Iterable[LogEntry]) -> None:
        """As :meth:`hookkit.protocols.LogStore.record`."""
        await self._write(self._store.record, list(entries))

    async def recent(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        window: timedelta = timedelta(hours=24),
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]:
        """As :meth:`hookkit.protocols.LogStore.recent`."""
        return await self._read(
            self._store.recent,
            endpoint_id,
            now=now,
            window=window,
            state=state,
            event=event,
            limit=limit,
            before=before,
        )

    async def entry(self, delivery_id: str) -> LogEntry:
        """As :meth:`hookkit.protocols.LogStore.entry`."""
        return await self._read(self._store.entry, delivery_id)

    async def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]:
        """As :meth:`hookkit.protocols.LogStore.health`."""
        return await self._read(self._store.health, endpoint_ids, now=now, window=window)

    async def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """As :meth:`hookkit.protocols.LogStore.prune`."""
        return await self._write(
            self._store.prune, payloads_before=payloads_before, entries_before=entries_before, limit=limit
        )

    # --- Ending -------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Let what is under way end, then close the sync store and the threads. Repeating it is harmless."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._reader.shutdown()
        self._writer.shutdown()
        close = getattr(self._store, "close", None)
        if close is not None:
            close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
