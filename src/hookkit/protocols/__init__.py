"""Every protocol, its contract in words on each method.

All are structural: whatever has the right methods is one, no base class needed. A host may replace any single one. The
kits in :mod:`hookkit.testing` check an implementation against what is written here.

Rules that hold for every store:

* **Time is an argument.** ``now`` is an aware UTC datetime; a store does not read the clock (one with a trusted clock
  of its own, such as a database server, may prefer that).
* **Each call is atomic** and durable when it returns: it has happened wholly, or it raised and has not happened at all.
  Calls may come from several threads and several processes at once.
* **Errors** are :class:`~hookkit.StoreError` for whatever the database says, :class:`~hookkit.NotFound` where a method
  says so, :class:`TypeError` for a wrong kind of argument; nothing else.
* **Unknown ids** given to a method that changes many rows change nothing.
* **Async twins** have the same methods, awaited.
"""

from __future__ import annotations

from hookkit.protocols._hosts import (
    AsyncDispatcher,
    Clock,
    Dispatcher,
    EventType,
    Payload,
    Signer,
    Verifier,
    Webhook,
)
from hookkit.protocols._queue import DeliveryQueue, HandoverQueue, LanesQueue
from hookkit.protocols._sending import AsyncTransport, Transport
from hookkit.protocols._stores import LogStore, Outbox, WebhookStore
from hookkit.protocols._whole import (
    AsyncDeliveryQueue,
    AsyncHandoverQueue,
    AsyncLanesQueue,
    AsyncLogStore,
    AsyncOutbox,
    AsyncStore,
    AsyncWebhookStore,
    Store,
)

__all__ = [
    "AsyncDeliveryQueue",
    "AsyncDispatcher",
    "AsyncHandoverQueue",
    "AsyncLanesQueue",
    "AsyncLogStore",
    "AsyncOutbox",
    "AsyncStore",
    "AsyncTransport",
    "AsyncWebhookStore",
    "Clock",
    "DeliveryQueue",
    "Dispatcher",
    "EventType",
    "HandoverQueue",
    "LanesQueue",
    "LogStore",
    "Outbox",
    "Payload",
    "Signer",
    "Store",
    "Transport",
    "Verifier",
    "Webhook",
    "WebhookStore",
]
