"""Where webhooks, events and the log are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from hookkit.model import DeliveryState, Emission, Endpoint, Health, LogEntry
    from hookkit.work import Planned, WebhookChange

__all__ = ["LogStore", "Outbox", "WebhookStore"]

Tx_contra = TypeVar("Tx_contra", contravariant=True)


class WebhookStore(Protocol):
    """Where webhooks live.

    A store that seals secrets may come to hold a webhook whose secrets do not open: a key is missing, or a row was
    damaged. It must not stop the others. :meth:`get_webhook` raises :class:`~hookkit.StoreError` then, which names it;
    :meth:`list_webhooks` and :meth:`subscribers` have it with empty ``keys`` and ``headers``; :meth:`update_webhook`
    lets it be enabled and disabled, and raises StoreError for any other change; :meth:`remove_webhook` removes it.
    """

    def add_webhook(self, endpoint: Endpoint) -> None:
        """Store a new webhook. :class:`~hookkit.InvalidEndpoint` (reason ``id``) if its id is taken."""
        ...

    def get_webhook(self, endpoint_id: str) -> Endpoint:
        """Return the webhook as it was stored, keys included. :class:`~hookkit.NotFound` if there is none."""
        ...

    def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]:
        """Return at most `limit` webhooks in the order of their ids.

        Args:
            tenant: Only this tenant's; None: everybody's (the empty string is a tenant like any other).
            limit: At most so many.
            after: Only those whose id is greater (it need not exist).
        """
        ...

    def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint:
        """Replace the webhook by what ``change(webhook)`` returns, and return that.

        :class:`~hookkit.NotFound` if there is none. `change` is pure and runs within the transaction, so that no other
        change is lost; what it raises ends the call with nothing changed. The caller sees to it that `change` leaves
        ``id`` and ``tenant`` alone.

        Where the queue is the same store, its deliveries follow in the same transaction: if ``enabled`` turns False
        they are held as by :meth:`DeliveryQueue.hold`; if it turns True they are released as by
        :meth:`DeliveryQueue.release` (dropped if `held` is ``"drop"``). Other changes count from the next claim on.
        """
        ...

    def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        """Delete the webhook. :class:`~hookkit.NotFound` if there is none.

        Where the queue is the same store, what was not finished fails as by :meth:`DeliveryQueue.fail_pending` with the
        reason ``removed``, in the same transaction. The log stays.
        """
        ...

    def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """Return every webhook of `tenant` that subscribes to `event_type`, once each, disabled ones included.

        A webhook subscribes if one of its ``events`` is the exact name, is ``prefix.*`` where the name begins with
        ``prefix.``, or is ``*``. Found through an index, not by scanning. With `tx` it reads within the host's
        transaction, so that a webhook the host has just added is told, too.
        """
        ...


class Outbox(Protocol[Tx_contra]):
    """Takes planned events in, in the host's transaction if there is one."""

    def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Tx_contra | None = None) -> list[Emission]:
        """Store planned events with their deliveries, due now in the lane ``first``; return an Emission each, in order.

        * An event whose id, or whose idempotency key, this tenant has already is a repeat (within `planned`, too):
          nothing is stored for it, its emission is the first one's with ``duplicate=True``. If they belong to two
          events, the key decides. :meth:`LogStore.prune` frees both.
        * An event without deliveries and without idempotency key is not stored.
        * A delivery to a webhook that is disabled, or on hold, is stored as ``held``; one to a webhook that has been
          removed meanwhile is left out, though its event is stored.
        * Deliveries that share one body object share one stored body.

        Args:
            planned: What to store; all of it, or nothing.
            now: The time.
            tx: The host's own connection. The store then writes through it within a savepoint, and neither begins,
                commits nor ends the host's transaction.

        Raises:
            StoreError: It could not be stored. With `tx`: nothing would roll it back (the connection is in autocommit),
                or it is another database than the store's.
            TypeError: `tx` is of a kind that this store cannot join.
        """
        ...


class LogStore(Protocol):
    """Remembers deliveries: one entry each, with all its attempts. Tests never reach it."""

    def record(self, entries: Iterable[LogEntry]) -> None:
        """Store entries, each replacing the one of the same delivery id, unless that one has more attempts.

        A store that is the queue, too, knows its own deliveries best: entries of those change nothing. The others are
        for reading: they are never claimed, recovered or redelivered.
        """
        ...

    def recent(
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
        """Return the endpoint's entries, newest first: by the time of the last attempt, then by delivery id.

        Args:
            endpoint_id: The webhook's id; an unknown one has no entries.
            now: The window is ``[now - window, now]`` and holds the last attempt's start.
            window: How far back.
            state: Only this state. Entries never attempted are returned only where this is ``pending`` or ``held``;
                they stand at the time they were made.
            event: Only this event type.
            limit: At most so many.
            before: Only entries after this one in the order above: the last delivery id of the page before. After an
                unknown one there is nothing.
        """
        ...

    def entry(self, delivery_id: str) -> LogEntry:
        """Return one entry, attempted or not. :class:`~hookkit.NotFound` if there is none."""
        ...

    def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]:
        """Return the health of each endpoint over ``[now - window, now]``; an unknown one has no requests.

        State, failures in a row, and last success and failure are those of the endpoint's state where the queue is the
        same store. Otherwise the attempts tell them, by their start, and the state is ``healthy``. A lost attempt
        counts as one of its delivery's, but not as a failure of the endpoint's, nor in its latency.

        Asked for often, and for many at once: a store that keeps a long log answers from counters, not by scanning it.
        """
        ...

    def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """Forget what is old, at most `limit` deliveries, and return how many it touched; 0: nothing is left to do.

        Deliveries that finished before `payloads_before` lose their body, and their attempts the body of the response,
        which may hold it; those that finished before `entries_before` are deleted with their attempts. A delivery that
        is not finished loses nothing. An event's id and idempotency key are free again once none of its deliveries,
        redeliveries aside, has its body any more; those of an event stored without deliveries, once that was before
        `payloads_before` (it is not counted).
        """
        ...
