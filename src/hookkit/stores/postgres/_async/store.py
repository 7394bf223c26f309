"""The PostgreSQL store for asyncio, put together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Self, Unpack

import psycopg_pool

from hookkit.fairness import Ask, Bounds, Limits, Slots
from hookkit.model import DeliveryState, Emission, Endpoint, Health, LogEntry
from hookkit.protocols import Clock
from hookkit.stores import migrations, outbox, resealing
from hookkit.stores.postgres import _claims, _leases, _log, _pruning, _settling, _webhooks
from hookkit.stores.postgres._async.database import AsyncDatabase
from hookkit.stores.postgres._listening import follow
from hookkit.stores.postgres._migrating import Schema
from hookkit.stores.postgres._outbox import batches, enqueue
from hookkit.stores.postgres._source import listening_of, place_of
from hookkit.stores.postgres._tables import tables_of
from hookkit.stores.rows import Sealer
from hookkit.work import (
    CLAIMED,
    OFFERED,
    Claim,
    ClaimOptions,
    HealthStep,
    Lane,
    Planned,
    Settled,
    Settlement,
    WebhookChange,
)

__all__ = ["AsyncPostgresStore"]


class AsyncPostgresStore:
    """The async twin of :class:`PostgresStore`: the same tables. Arguments and errors are the same.

    It belongs to the event loop that first uses it. ``tx=`` takes connections that are awaited, and sync ones, which
    are used on the caller's thread.
    """

    def __init__(
        self,
        dsn_or_pool: str | psycopg_pool.AsyncConnectionPool[Any],
        *,
        schema: str = "hookkit",
        vault: Sealer | None = None,
        clock: Clock | None = None,
        listen: bool | str = True,
    ) -> None:
        self._tables = tables_of(schema, vault, own_clock=clock is None, notify=listen is not False)
        self._database = AsyncDatabase(
            dsn_or_pool, Schema("AsyncPostgresStore", self._tables.dialect, migrations.STORE)
        )
        self._wake_key = place_of(dsn_or_pool, schema)
        self._listening = listening_of(dsn_or_pool, listen)

    @property
    def wake_key(self) -> Hashable:
        """What stores of the same tables share within a process: an emit through one wakes a worker on another."""
        return self._wake_key

    def watch(self, changed: Callable[[], None]) -> Callable[[], None] | None:
        """Have `changed` called whenever another process has emitted; return what ends that, None if it is off.

        A worker does this by itself. See :mod:`hookkit.wakeups`.
        """
        if self._listening is None:
            return None
        return follow(self._listening, self._tables.channel, changed)

    async def migrate(self) -> None:
        """Make the tables, or bring them to this version's schema. To repeat it, even at the same time, is harmless."""
        await self._database.migrate()

    # --- Webhooks -----------------------------------------------------------------------------------------------------

    async def add_webhook(self, endpoint: Endpoint) -> None:
        """As :meth:`hookkit.protocols.WebhookStore.add_webhook`."""
        await self._database.transact(_webhooks.add_webhook(self._tables, endpoint))

    async def get_webhook(self, endpoint_id: str) -> Endpoint:
        """As :meth:`hookkit.protocols.WebhookStore.get_webhook`; StoreError if its secrets do not open."""
        return await self._database.run(_webhooks.get_webhook(self._tables, endpoint_id))

    async def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]:
        """As :meth:`hookkit.protocols.WebhookStore.list_webhooks`; one that does not open comes without its secrets."""
        return await self._database.run(_webhooks.list_webhooks(self._tables, tenant=tenant, limit=limit, after=after))

    async def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint:
        """As :meth:`hookkit.protocols.WebhookStore.update_webhook`; one that does not open may be switched only."""
        return await self._database.transact(
            _webhooks.update_webhook(self._tables, endpoint_id, change, now=now, held=held)
        )

    async def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        """As :meth:`hookkit.protocols.WebhookStore.remove_webhook`."""
        await self._database.transact(_webhooks.remove_webhook(self._tables, endpoint_id, now=now))

    async def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """As :meth:`hookkit.protocols.WebhookStore.subscribers`."""
        steps = outbox.subscribers(self._tables.dialect, self._tables.coder, tenant, event_type)
        return await (self._database.run(steps) if tx is None else self._database.joined(steps, tx))

    async def seals(self) -> dict[str, int]:
        """Return how many webhooks each vault key has sealed, by its id; under "" those that are not sealed."""
        return await self._database.run(resealing.seals(self._tables.dialect))

    async def rekey(self, *, limit: int = 100, dry_run: bool = False) -> int:
        """Seal at most `limit` webhooks with the vault's first key: those that another key sealed, or none.

        Call it until it returns 0: then all are. It may be broken off, repeated, and called by several processes, while
        workers and registries go on. Each call is one short transaction; a webhook that is changed meanwhile is left to
        the next.

        Args:
            limit: At most so many.
            dry_run: Change nothing, and count all that would be sealed.

        Returns:
            How many.

        Raises:
            StoreError: Nothing is left but webhooks that do not open; it names them, and the keys that sealed them.
                With `dry_run`: there is one.
            ValueError: The store has no vault.
        """
        dialect, coder = self._tables.dialect, self._tables.coder
        if not coder.sealing_key():
            raise ValueError("rekey() seals with the store's vault: open the store with vault=")
        while True:
            steps = resealing.stale(dialect, coder, limit=None if dry_run else limit)
            updates, reasons = await self._database.run(steps)
            if reasons and (dry_run or not updates):
                raise resealing.unopened(reasons)
            if dry_run or not updates:
                return len(updates)
            changed = await self._database.transact(resealing.store(updates))
            if changed:
                return changed

    # --- Outbox -------------------------------------------------------------------------------------------------------

    async def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        """As :meth:`hookkit.protocols.Outbox.enqueue`."""
        steps = enqueue(self._tables, planned, now)
        if tx is not None:
            return await self._database.joined(steps, tx)
        # One batch is one statement, which is a transaction by itself.
        if sum(1 for _ in batches(planned)) <= 1:
            return await self._database.run(steps)
        return await self._database.transact(steps)

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
        kind: str = CLAIMED,
    ) -> list[Claim]:
        """As :meth:`hookkit.protocols.DeliveryQueue.claim`."""
        limits = Limits(limit, limit_busy, limit_failing)
        claims = await self._claim(
            [lane], lambda _, __: limits, now=now, lease=lease, owner=owner, profiles=profiles, kind=kind
        )
        return [one for _, one in claims]

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
        """As :meth:`hookkit.protocols.LanesQueue.claim_lanes`."""
        lanes: list[Lane] = [ask.lane for ask in asks]
        return await self._claim(lanes, slots.bounds(asks), now=now, lease=lease, owner=owner, profiles=profiles)

    async def _claim(
        self,
        lanes: Sequence[Lane],
        bounds: Bounds,
        *,
        now: datetime,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
        kind: str = CLAIMED,
    ) -> list[tuple[Lane, Claim]]:
        looked = await self._database.run(_claims.look(self._tables, now, lanes, profiles))
        if looked.vain:
            return []
        steps = _claims.claim(
            self._tables,
            looked,
            lanes=lanes,
            bounds=bounds,
            lease=lease,
            owner=owner,
            profiles=profiles,
            kind=kind,
        )
        return await self._database.transact(steps)

    async def offer(self, **options: Unpack[ClaimOptions]) -> list[Claim]:
        """As :meth:`hookkit.protocols.HandoverQueue.offer`."""
        return await self.claim(**options, kind=OFFERED)

    async def take(self, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim | None:
        """As :meth:`hookkit.protocols.HandoverQueue.take`."""
        return await self._database.transact(_leases.take(self._tables, offer_id, now=now, lease=lease, owner=owner))

    async def outstanding(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """As :meth:`hookkit.protocols.HandoverQueue.outstanding`."""
        return await self._database.run(_leases.outstanding(self._tables, claim_ids, now=now))

    async def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        """As :meth:`hookkit.protocols.DeliveryQueue.claim_one`."""
        return await self._database.transact(
            _claims.claim_one(self._tables, delivery_id, now=now, lease=lease, owner=owner)
        )

    async def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.extend`."""
        return await self._database.run(_leases.extend(self._tables, claim_ids, now=now, lease=lease))

    async def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.give_back`."""
        return await self._database.transact(_leases.give_back(self._tables, claim_ids, now=now))

    async def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """As :meth:`hookkit.protocols.DeliveryQueue.settle`."""
        return await self._database.transact(_settling.settle(self._tables, done, now=now, step=step))

    async def hold(self, endpoint_id: str, *, now: datetime) -> None:
        """As :meth:`hookkit.protocols.DeliveryQueue.hold`."""
        await self._database.transact(_settling.hold(self._tables, endpoint_id, now=now))

    async def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        """As :meth:`hookkit.protocols.DeliveryQueue.release`."""
        await self._database.transact(_settling.release(self._tables, endpoint_id, now=now, drop=drop))

    async def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        """As :meth:`hookkit.protocols.DeliveryQueue.fail_pending`."""
        await self._database.transact(_settling.fail_pending(self._tables, endpoint_id, reason=reason, now=now))

    async def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        """As :meth:`hookkit.protocols.DeliveryQueue.redeliver`."""
        return await self._database.transact(_settling.redeliver(self._tables, delivery_id, now=now))

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
        steps = _settling.recover(
            self._tables, endpoint_id, since=since, until=until, states=states, now=now, dry_run=dry_run
        )
        return await self._database.transact(steps)

    async def next_due(self, *, now: datetime) -> datetime | None:
        """As :meth:`hookkit.protocols.DeliveryQueue.next_due`."""
        return await self._database.run(_claims.next_due(self._tables, now=now))

    async def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        """As :meth:`hookkit.protocols.DeliveryQueue.expire_held`."""
        return await self._database.transact(_settling.expire_held(self._tables, before=before, now=now, limit=limit))

    async def ended(self, *, since: datetime) -> list[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.ended`."""
        return await self._database.run(_settling.ended(self._tables, since=since))

    # --- Log ----------------------------------------------------------------------------------------------------------

    async def record(self, entries: Iterable[LogEntry]) -> None:
        """As :meth:`hookkit.protocols.LogStore.record`."""
        await self._database.transact(_log.record(self._tables, entries))

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
        steps = _log.recent(
            self._tables,
            endpoint_id,
            now=now,
            window=window,
            state=state,
            event=event,
            limit=limit,
            before=before,
        )
        return await self._database.look(steps)

    async def entry(self, delivery_id: str) -> LogEntry:
        """As :meth:`hookkit.protocols.LogStore.entry`."""
        return await self._database.look(_log.entry(self._tables, delivery_id))

    async def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]:
        """As :meth:`hookkit.protocols.LogStore.health`."""
        return await self._database.look(_log.health(self._tables, endpoint_ids, now=now, window=window))

    async def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """As :meth:`hookkit.protocols.LogStore.prune`."""
        steps = _pruning.prune(
            self._tables, payloads_before=payloads_before, entries_before=entries_before, limit=limit
        )
        return await self._database.transact(steps)

    # --- Ending -------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close the connections, but not those of a host's pool. Repeating it is harmless."""
        await self._database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
