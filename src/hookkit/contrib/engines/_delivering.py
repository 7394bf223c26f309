"""What an engine's worker does with a ticket."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from hookkit.contrib.engines._tickets import offer_of
from hookkit.delivery import postpone
from hookkit.errors import StoreError
from hookkit.kinds import check_async_handover, check_handover
from hookkit.plaintext import plain
from hookkit.working import STOP_TRIES, pause_s

if TYPE_CHECKING:
    from hookkit._async.worker import AsyncWorker
    from hookkit._sync.worker import Worker
    from hookkit.model import LogEntry
    from hookkit.work import Settlement

__all__ = ["PerProcess", "deliver", "deliver_async"]

_log: Final = logging.getLogger("hookkit.engines")
UNKNOWN_PROFILE_WAIT: Final = timedelta(minutes=1)
"""How long a delivery waits whose profile the worker that got it does not know."""

T = TypeVar("T")


def deliver(worker: Worker, ticket: str | bytes) -> LogEntry | None:
    """Make the one attempt that a ticket is good for, and return the delivery's log entry.

    None: there was nothing to do. The ticket was used before, or its offer has run out and been made again under
    another; or the webhook has been disabled or removed meanwhile. Repeating this call sends nothing twice. What is no
    ticket at all is logged and dropped. So whatever this returns, the engine's message is done with.

    Args:
        worker: It says how to send, and where the outcome goes. It need not run, and may be used by several threads.
        ticket: As the relay handed it over.

    Raises:
        StoreError: The store failed. The message is done with all the same: the delivery is offered again when its
            offer, or its lease, has run out.
        TypeError: The worker's store cannot hand over.
    """
    offer_id = _checked(ticket)
    if offer_id is None:
        return None
    settings, courier = worker._settings, worker._tools()[0]  # noqa: SLF001 - of one package
    queue, now = check_handover("deliver", settings.store), settings.clock.now()
    claim = queue.take(offer_id, now=now, lease=settings.lease, owner=settings.owner)
    if claim is None:
        _log.debug("nothing to do for ticket %s", plain(str(ticket)))
        return None
    if claim.profile not in settings.profiles:
        _log.error("delivery %s: its profile %r is not known here", claim.delivery_id, claim.profile)
        done = postpone(claim, until=now + UNKNOWN_PROFILE_WAIT)
    else:
        done = courier.attempt(claim)
    for tried in range(1, STOP_TRIES + 1):
        try:
            worker._settle(courier, [done])  # noqa: SLF001 - of one package
        except StoreError as error:
            if tried == STOP_TRIES:
                raise
            time.sleep(_pause_s(done, tried, error))
        else:
            break
    return done.entry


async def deliver_async(worker: AsyncWorker, ticket: str | bytes) -> LogEntry | None:
    """As :func:`deliver`. Cancelled, it gives the delivery back, uncounted.

    Raises:
        StoreError: As for :func:`deliver`.
        TypeError: Likewise.
    """
    offer_id = _checked(ticket)
    if offer_id is None:
        return None
    settings, courier = worker._settings, worker._tools()  # noqa: SLF001 - of one package
    queue, now = check_async_handover("deliver_async", settings.store), settings.clock.now()
    claim = await queue.take(offer_id, now=now, lease=settings.lease, owner=settings.owner)
    if claim is None:
        _log.debug("nothing to do for ticket %s", plain(str(ticket)))
        return None
    if claim.profile not in settings.profiles:
        _log.error("delivery %s: its profile %r is not known here", claim.delivery_id, claim.profile)
        done = postpone(claim, until=now + UNKNOWN_PROFILE_WAIT)
    else:
        try:
            done = await courier.attempt(claim)
        except asyncio.CancelledError:
            await queue.give_back([claim.claim_id], now=settings.clock.now())
            raise
    for tried in range(1, STOP_TRIES + 1):
        try:
            await worker._settle(courier, [done])  # noqa: SLF001 - of one package
        except StoreError as error:
            if tried == STOP_TRIES:
                raise
            await asyncio.sleep(_pause_s(done, tried, error))
        else:
            break
    return done.entry


def _checked(ticket: object) -> str | None:
    """Return the offer that a ticket names. Of what is no ticket, nothing is logged but its length."""
    offer_id = offer_of(ticket)
    if offer_id is None:
        _log.warning(
            "dropped a message that is no ticket: %d long", len(ticket) if isinstance(ticket, str | bytes) else 0
        )
    return offer_id


def _pause_s(done: Settlement, tried: int, error: StoreError) -> float:
    wait = pause_s(tried, random.random)
    _log.warning("delivery %s is settled in %.1f s: %s", plain(done.entry.delivery_id), wait, plain(str(error)))
    return wait


class PerProcess(Generic[T]):
    """Makes something once in each process, when it is first asked for: after the fork, where an engine forks.

    Args:
        make: Makes it: a worker over a store of its own, usually.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[int, T] | None = None

    def __call__(self) -> T:
        """Return this process's."""
        if self._made is not None and self._made[0] == os.getpid():
            return self._made[1]
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), self._make()
            return self._made[1]
