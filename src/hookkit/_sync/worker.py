"""The worker, for threads: claim, send at the same time, settle, until it is stopped.

One thread (the caller's of :meth:`Worker.run`, or the one that :meth:`Worker.start` starts) speaks to the store; as
many as `concurrency` send. No connection to the store is held while something is sent.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from hookkit._sync.courier import Courier
from hookkit._sync.loop import Flags, Loop, claim
from hookkit._sync.running import Runner
from hookkit.clock import SYSTEM_CLOCK
from hookkit.delivery import check_lease
from hookkit.errors import StoreError
from hookkit.fairness import Slots
from hookkit.kinds import check_store, targets_of
from hookkit.model import as_duration
from hookkit.profiles import BUILTIN
from hookkit.working import Settings, announce

if TYPE_CHECKING:
    from hookkit.model import LogEntry, Notice
    from hookkit.profiles import Profile
    from hookkit.protocols import Clock, LogStore, Store, Transport
    from hookkit.targets import TargetPolicy
    from hookkit.transports.httpx import HttpxTransport
    from hookkit.work import Settlement

__all__ = ["Worker"]


class Worker(Runner):
    """Delivers what is due. Run as many as you like, in as many processes; each delivery is claimed by one.

    Args:
        store: Where deliveries are claimed.
        targets: Which URLs may be called; None: the transport's own policy, or else public HTTPS only.
        transport: Sends; None: one over httpx, which the worker makes and closes. One that is given is closed by
            whoever made it.
        logs: Where log entries go besides; None: the store's own log is the log.
        profiles: The known profiles by name; deliveries of others are left to other workers.
        concurrency: How many deliveries at once.
        lease: How long a claim lasts if this worker dies; a timedelta, or seconds. At least a second more than an
            attempt.
        on_notice: Called with each :class:`~hookkit.Notice`, on the worker's thread. What it raises is logged.
        clock: The time.
        housekeeping: How often old payloads and log entries are deleted; a timedelta, or seconds.
        keep_payloads: How long after its end a delivery keeps its payload, and its attempts the bodies of answers.
        keep_log: How long after its end a delivery stays in the log.
        keep_held: How old a held delivery may grow; then it fails (``expired``).

    Raises:
        TypeError: `store` is async.
        ValueError: `concurrency` is less than 1, `lease` is too short, or `housekeeping` is not positive.
    """

    def __init__(
        self,
        store: Store,
        *,
        targets: TargetPolicy | None = None,
        transport: Transport | None = None,
        logs: LogStore | None = None,
        profiles: Mapping[str, Profile] = BUILTIN,
        concurrency: int = 32,
        lease: timedelta | float = timedelta(seconds=60),
        on_notice: Callable[[Notice], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        housekeeping: timedelta | float = timedelta(hours=1),
        keep_payloads: timedelta | float = timedelta(days=7),
        keep_log: timedelta | float = timedelta(days=30),
        keep_held: timedelta | float = timedelta(days=30),
    ) -> None:
        check_store("Worker", store)
        super().__init__(store, "hookkit-worker")
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        total_timeout = getattr(transport, "total_timeout", None if transport else 15.0)
        check_lease(
            as_duration(lease), profiles.values(), None if total_timeout is None else as_duration(total_timeout)
        )
        self._settings: Settings[Store, LogStore] = Settings(
            store=store,
            log=store if logs is None else logs,
            profiles=profiles,
            concurrency=concurrency,
            lease=as_duration(lease),
            owner=f"{socket.gethostname()}:{os.getpid()}",
            on_notice=on_notice,
            clock=clock,
            keep_payloads=as_duration(keep_payloads),
            keep_log=as_duration(keep_log),
            keep_held=as_duration(keep_held),
            housekeeping=as_duration(housekeeping),
        )
        self._logs = logs
        self._transport = transport
        self._targets = targets_of(targets, transport)
        self._made_transport: HttpxTransport | None = None
        self._courier: Courier | None = None
        self._pool: ThreadPoolExecutor | None = None

    def _serve(self, flags: Flags) -> None:
        courier, pool = self._tools()
        Loop(self._settings, courier, pool, flags).serve()

    def _tools(self) -> tuple[Courier, ThreadPoolExecutor]:
        """Return courier and thread pool, made when they are first needed."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._settings.concurrency, "hookkit-send")
            if self._courier is None:
                self._courier = Courier(
                    self._settings.store,
                    logs=self._logs,
                    transport=self._transport or self._make_transport(),
                    targets=self._targets,
                    profiles=self._settings.profiles,
                    clock=self._settings.clock,
                    random=random.random,
                )
            return self._courier, self._pool

    def _make_transport(self) -> HttpxTransport:
        from hookkit.transports.httpx import HttpxTransport

        self._made_transport = HttpxTransport(targets=self._targets)
        return self._made_transport

    def _close(self, *, wait: bool) -> None:
        """Release what this worker made itself."""
        with self._lock:
            pool, self._pool = self._pool, None
            made, self._made_transport = self._made_transport, None
            self._courier = None
        if pool is not None:
            pool.shutdown(wait=wait)
        if made is not None:
            made.close()

    # --- Steps --------------------------------------------------------------------------------------------------------

    def run_once(self) -> int:
        """Claim at most `concurrency` due deliveries, send them, settle them; return how many attempts were made.

        What it makes for that is kept for the next time; :meth:`stop` releases it.

        Raises:
            StoreError: The store failed. What was sent and not stored is sent again when its lease has run out.
        """
        return _attempts(self._once())

    def _once(self) -> Sequence[Settlement]:
        courier, pool = self._tools()
        claims = claim(self._settings, Slots(self._settings.concurrency), once=True)
        settlements = list(pool.map(courier.attempt, claims))
        if settlements:
            self._settle(courier, settlements)
        return settlements

    def _settle(self, courier: Courier, settlements: Sequence[Settlement]) -> None:
        for notice in courier.settle(settlements):
            announce(notice, self._settings.on_notice)

    def drain(self, timeout: float | None = None) -> int:
        """Deliver until nothing is due now, and return how many attempts were made.

        Retries that are due later, and endpoints that are blocked, are left.

        Args:
            timeout: Stop claiming after so many seconds; None: never.

        Raises:
            StoreError: The store failed.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        attempts = 0
        while ends is None or time.monotonic() < ends:
            settlements = self._once()
            if not settlements:
                break
            attempts += _attempts(settlements)
        return attempts

    def deliver(self, delivery_id: str) -> LogEntry:
        """Attempt one delivery now, whatever due time, breaker and cap say, and return its log entry.

        One that is finished already, or held, is returned as it is: repeating this call sends nothing twice.

        Raises:
            NotFound: There is no such delivery.
            StoreError: Another worker has it, or its profile is not known here, or the store failed.
        """
        courier, _ = self._tools()
        store, now = self._settings.store, self._settings.clock.now()
        try:
            claimed = store.claim_one(delivery_id, now=now, lease=self._settings.lease, owner=self._settings.owner)
        except StoreError:
            entry = store.entry(delivery_id)
            if entry.state in ("succeeded", "failed", "held"):
                return entry
            raise
        if claimed.profile not in self._settings.profiles:
            store.give_back([claimed.claim_id], now=now)
            raise StoreError(f"delivery {delivery_id}: its profile {claimed.profile!r} is not known here")
        self._settle(courier, [courier.attempt(claimed)])
        return store.entry(delivery_id)


def _attempts(settlements: Sequence[Settlement]) -> int:
    return sum(settlement.attempt is not None for settlement in settlements)
