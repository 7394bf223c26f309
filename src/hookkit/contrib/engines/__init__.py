"""Delivering on a distributed engine that the host already runs: Celery, NATS JetStream, or any other.

A **relay** offers what is due to the engine, as short texts, *tickets*; the engine's workers give each ticket to
:func:`deliver`. The schedule and the state stay in the store, the engine carries the work. A ticket names a delivery
and an offer of it, and holds no secret. It is good for one attempt: a message that is lost, repeated, late or out of
order costs time, and nothing else. The engine never has to try anything again.

:mod:`hookkit.contrib.engines.celery` and :mod:`hookkit.contrib.engines.nats` are the two that come with hookkit;
``docs/engines.md`` has recipes for others.
"""

from __future__ import annotations

from hookkit.contrib.engines._async_relay import AsyncRelay
from hookkit.contrib.engines._delivering import PerProcess, deliver, deliver_async
from hookkit.contrib.engines._relay import Relay

__all__ = ["AsyncRelay", "PerProcess", "Relay", "deliver", "deliver_async"]
