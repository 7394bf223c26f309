"""The worker, for threads: claim, send at the same time, settle, until it is stopped.

One thread (the caller's of :meth:`Worker.run`, or the one that :meth:`Worker.start` starts) speaks to the store; as
many as `concurrency` send. No connection to the store is held while something is sent.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from hookkit._sync.courier import Courier
from hookkit._sync.loop import Flags, Loop, claim
from hookkit.clock import SYSTEM_CLOCK
from hookkit.delivery import check_lease
from hookkit.errors import StoreError
from hookkit.fairness import Slots
from hookkit.kinds import check_store, targets_of
from hookkit.model import as_duration
from hookkit.profiles import BUILTIN
from hookkit.wakeups import listen
from hookkit.working import Settings, announce

if TYPE_CHECKING:
    from hookkit.model import LogEntry, Notice
    from hookkit.profiles import Profile
    from hookkit.protocols import Clock, LogStore, Store, Transport
    from hookkit.targets import TargetPolicy
    from hookkit.transports.httpx import HttpxTransport
    from hookkit.work import Settlement

__all__ = ["Worker"]


class Worker:
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
        keep_payloads: How long after its end a delivery keeps its payload.
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
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        if as_duration(housekeeping) <= timedelta(0):
            raise ValueError("housekeeping is longer than nothing; for never, give years")
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
        self._flags = Flags()
        self._lock = threading.RLock()  # a signal handler may stop the worker while this thread holds it
        self._made_transport: HttpxTransport | None = None
        self._courier: Courier | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._running: threading.Thread | None = None
        self._thread: threading.Thread | None = None

    # --- Running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run in a thread of its own until :meth:`stop`. Starting it twice is harmless."""
        with self._lock:
            if self._is_running():
                return
            flags = self._flags = Flags()
            self._running = self._thread = threading.Thread(
                target=self._pump, args=(flags,), name="hookkit-worker", daemon=True
            )
            self._thread.start()

    def run(self) -> None:
        """Run on this thread until :meth:`stop` is called, from another thread or from a signal handler.

        A stop that came before the first run counts: this returns at once then, and runs when it is called again.

        Raises:
            RuntimeError: It is running already.
        """
        with self._lock:
            if self._is_running():
                raise RuntimeError("this worker is running already")
            if self._running is not None:  # else a signal may have come between the making and the running
                self._flags = Flags()
            self._running = threading.current_thread()
            flags = self._flags
        self._pump(flags)

    def _is_running(self) -> bool:
        running = self._running  # its thread does not live on in a forked child
        return running is not None and running.is_alive() and not self._flags.ended.is_set()

    def stop(self, timeout: float | None = None) -> bool:
        """Claim nothing more, wait for what is being sent, and give back what was not finished, uncounted.

        Called on the worker's own thread, such as from a signal handler, it does not wait: :meth:`run` returns when all
        is finished. What was sent and cannot be stored, because the store fails, is tried a few times, and then left to
        be sent again when its lease has run out.

        Args:
            timeout: How long to wait, in seconds; None: as long as the attempts take, which have a deadline each.

        Returns:
            True if everything was finished in time.
        """
        flags, finished = self._flags, True
        flags.stopping = True
        flags.ring()
        if self._is_running():
            if self._running is threading.current_thread():
                return False
            finished = flags.ended.wait(timeout)
            if not finished:
                flags.abandoned = True
                flags.ring()
                flags.ended.wait()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._close(wait=finished)
        return finished

    def _pump(self, flags: Flags) -> None:
        forget = listen(self._settings.store, flags.ring)
        try:
            courier, pool = self._tools()
            Loop(self._settings, courier, pool, flags).serve()
        finally:
            forget()
            self._close(wait=not flags.abandoned)
            flags.ended.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

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
