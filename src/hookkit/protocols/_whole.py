"""The store protocols together, and their async twins."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

if TYPE_CHECKING:
    from hookkit.fairness import Ask, Slots
    from hookkit.model import DeliveryState, Emission, Endpoint, Health, LogEntry
    from hookkit.work import Claim, ClaimOptions, HealthStep, Lane, Planned, Settled, Settlement, WebhookChange

from hookkit.protocols._queue import DeliveryQueue
from hookkit.protocols._stores import LogStore, Outbox, WebhookStore

__all__ = [
    "AsyncDeliveryQueue",
    "AsyncHandoverQueue",
    "AsyncLanesQueue",
    "AsyncLogStore",
    "AsyncOutbox",
    "AsyncStore",
    "AsyncWebhookStore",
    "Store",
]

Tx_contra = TypeVar("Tx_contra", contravariant=True)


class Store(WebhookStore, Outbox[Any], DeliveryQueue, LogStore, Protocol):
    """All four at once, as the shipped stores are."""


class AsyncWebhookStore(Protocol):
    """The async twin of :class:`WebhookStore`."""

    async def add_webhook(self, endpoint: Endpoint) -> None: ...
    async def get_webhook(self, endpoint_id: str) -> Endpoint: ...
    async def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]: ...
    async def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint: ...
    async def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None: ...
    async def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]: ...


class AsyncOutbox(Protocol[Tx_contra]):
    """The async twin of :class:`Outbox`."""

    async def enqueue(
        self, planned: Sequence[Planned], *, now: datetime, tx: Tx_contra | None = None
    ) -> list[Emission]: ...


class AsyncDeliveryQueue(Protocol):
    """The async twin of :class:`DeliveryQueue`."""

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
    ) -> list[Claim]: ...
    async def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim: ...
    async def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]: ...
    async def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]: ...
    async def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]: ...
    async def hold(self, endpoint_id: str, *, now: datetime) -> None: ...
    async def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None: ...
    async def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None: ...
    async def redeliver(self, delivery_id: str, *, now: datetime) -> str: ...
    async def recover(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[DeliveryState],
        now: datetime,
        dry_run: bool,
    ) -> int: ...
    async def next_due(self, *, now: datetime) -> datetime | None: ...
    async def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int: ...
    async def ended(self, *, since: datetime) -> list[str]: ...


class AsyncLanesQueue(AsyncDeliveryQueue, Protocol):
    """The async twin of :class:`LanesQueue`."""

    async def claim_lanes(
        self,
        *,
        now: datetime,
        asks: Sequence[Ask],
        slots: Slots,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[tuple[Lane, Claim]]: ...


class AsyncHandoverQueue(AsyncDeliveryQueue, Protocol):
    """The async twin of :class:`HandoverQueue`."""

    async def offer(self, **options: Unpack[ClaimOptions]) -> list[Claim]: ...
    async def take(self, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim | None: ...
    async def outstanding(self, claim_ids: Collection[str], *, now: datetime) -> set[str]: ...


class AsyncLogStore(Protocol):
    """The async twin of :class:`LogStore`."""

    async def record(self, entries: Iterable[LogEntry]) -> None: ...
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
    ) -> Sequence[LogEntry]: ...
    async def entry(self, delivery_id: str) -> LogEntry: ...
    async def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]: ...
    async def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int: ...


class AsyncStore(AsyncWebhookStore, AsyncOutbox[Any], AsyncDeliveryQueue, AsyncLogStore, Protocol):
    """All four at once, as the shipped async stores are."""
