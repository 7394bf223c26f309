"""The worker's loop, for threads. The waiting is what makes it differ from its namesake for asyncio."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from hookkit._sync.courier import record_ends
from hookkit.errors import StoreError
from hookkit.fairness import Slots
from hookkit.kinds import can_claim_lanes
from hookkit.plaintext import plain
from hookkit.working import (
    ASKS,
    ASKS_ONCE,
    POLL_S,
    PRUNE_BATCH,
    STOP_TRIES,
    TELL_BATCH,
    Chores,
    Faults,
    Settings,
    announce,
    wait_s,
)

if TYPE_CHECKING:
    from datetime import datetime

    from hookkit._sync.courier import Courier
    from hookkit.protocols import LogStore, Store
    from hookkit.work import Claim, Lane, Settlement

__all__ = ["Flags", "Loop", "Turns", "claim"]

_log: Final = logging.getLogger("hookkit.worker")


def claim(
    settings: Settings[Store, LogStore],
    slots: Slots,
    *,
    once: bool = False,
    ask: Callable[..., list[Claim]] | None = None,
    begin: Callable[[Sequence[Claim]], None] | None = None,
) -> list[Claim]:
    """Claim what the slots allow: first attempts before retries before what was asked for again.

    Args:
        settings: The worker's.
        slots: Its slots; what is claimed is counted in.
        once: Nothing is claimed after this, so slots kept for retries that are not due are given to first attempts.
        ask: Who is asked for claims, lane by lane, as the store's ``claim`` is. None stands for the store: all lanes at
            once, if it can.
        begin: Told of claims as soon as they are made: what is new need not wait for the other lanes.
    """
    asks = ASKS_ONCE if once else ASKS
    if ask is None and can_claim_lanes(settings.store):
        found = settings.store.claim_lanes(
            now=settings.clock.now(),
            asks=asks,
            slots=slots,
            lease=settings.lease,
            owner=settings.owner,
            profiles=settings.profiles.keys(),
        )
        for lane, one in found:
            slots.take(lane, [one])
        claims = [one for _, one in found]
        if begin is not None and claims:
            begin(claims)
        return claims
    bounds = slots.after(()).bounds(asks)
    claimed: list[tuple[Lane, Claim]] = []
    for place, (lane, _) in enumerate(asks):
        limits = bounds(place, claimed)
        if limits.limit == 0:
            continue
        try:
            claims = (ask or settings.store.claim)(
                now=settings.clock.now(),
                lane=lane,
                limit=limits.limit,
                limit_busy=limits.limit_busy,
                limit_failing=limits.limit_failing,
                lease=settings.lease,
                owner=settings.owner,
                profiles=settings.profiles.keys(),
            )
        except Exception:
            if claimed:
                break  # these are to be sent; whatever it was, it comes again
            raise
        slots.take(lane, claims)
        claimed.extend((lane, one) for one in claims)
        if begin is not None and claims:
            begin(claims)
    return [one for _, one in claimed]


class Flags:
    """What the worker and its loop tell each other.

    Telling takes no lock: a signal handler may interrupt the loop wherever it is, and would wait for itself.
    """

    def __init__(self) -> None:
        self.stopping = False
        """Claim nothing more."""
        self.abandoned = False
        """Do not wait for what is being sent."""
        self.ended = threading.Event()
        """The loop is over."""
        self._rings: SimpleQueue[None] = SimpleQueue()  # the one reentrant way to wake a thread

    def ring(self) -> None:
        """Say that something happened, and the loop should look."""
        if self._rings.empty():
            self._rings.put(None)

    def forget(self) -> None:
        """Forget what happened before this turn."""
        while not self._rings.empty():
            self._rings.get()

    def wait(self, seconds: float) -> bool:
        """Wait until something happens, or has happened in this turn; return False if not within so many seconds."""
        with contextlib.suppress(Empty):
            self._rings.get(timeout=seconds)
            return True
        return False


class Turns(ABC):
    """One turn after another, until it is stopped: what the worker's loop and a relay's have in common.

    Args:
        settings: The worker's.
        flags: The worker's.
    """

    def __init__(self, settings: Settings[Store, LogStore], flags: Flags) -> None:
        self._settings = settings
        self._flags = flags
        self._slots = Slots(settings.concurrency)
        self._chores = Chores(settings.housekeeping.total_seconds(), time.monotonic())
        self._untold: list[str] | None = None
        self._told_since: datetime | None = None
        self._faults = Faults()
        self._eager = True

    @abstractmethod
    def _renew(self) -> None:
        """See to what is claimed already."""

    @abstractmethod
    def _settle(self) -> None:
        """Store what has come of it."""

    @abstractmethod
    def _send(self, claims: Sequence[Claim]) -> None:
        """Begin with what has just been claimed."""

    @abstractmethod
    def _end(self) -> None:
        """Do the last that can be done. It raises nothing."""

    @abstractmethod
    def _is_over(self) -> bool:
        """Return whether to stop now."""

    def serve(self) -> None:
        """Serve until stopped. Nothing that the store or a delivery does ends it."""
        while True:
            self._flags.forget()
            wait = self._guarded_turn()
            if self._is_over():
                break
            if wait > 0:
                self._eager = self._flags.wait(wait) or self._eager
        self._end()

    def _guarded_turn(self) -> float:
        try:
            wait = self._turn()
        except Exception as error:  # noqa: BLE001 - logged, and the worker lives on
            # Whatever it is, a worker that ends delivers nothing: wait a while, and go on.
            wait = self._faults.met(error, random.random)
        else:
            self._faults.over()
        return wait

    def _turn(self) -> float:
        """Renew, settle, claim, keep house; return how long there is nothing to do, in seconds."""
        self._renew()
        self._settle()
        if self._flags.stopping:
            return POLL_S
        if self._slots.free > 0 and self._is_due():
            self._eager = bool(self._claim())
            if self._eager:
                return 0.0
        if self._chores.is_due(time.monotonic()):
            self._tidy()
            return 0.0
        now = self._settings.clock.now()
        return wait_s(self._settings.store.next_due(now=now), now)

    def _is_due(self) -> bool:
        """Return whether a claim is worth making: something has just happened, or the store says so."""
        if self._eager:
            return True
        now = self._settings.clock.now()
        due = self._settings.store.next_due(now=now)
        return due is not None and due <= now

    def _claim(self) -> list[Claim]:
        """Claim what the slots allow, and begin with it."""
        return claim(self._settings, self._slots, begin=self._send)

    def _tidy(self) -> None:
        """Do one small piece of housekeeping, so that deliveries never wait for it."""
        store, log, before, touched = self._settings.store, self._settings.log, self._settings.bounds(), 0
        try:
            for one in (store, log) if log is not store else (store,):
                touched += one.prune(payloads_before=before.payloads, entries_before=before.entries, limit=PRUNE_BATCH)
            touched += store.expire_held(before=before.held, now=self._settings.clock.now(), limit=PRUNE_BATCH)
            if touched == 0 and log is not store:
                touched = self._tell(log)
        except Exception:  # noqa: BLE001 - logged, and tried again when it is due again
            # Deliveries must not wait for what can wait.
            _log.exception("housekeeping broke off")
            touched = 0
        self._chores.done(time.monotonic(), more=touched > 0)

    def _tell(self, log: LogStore) -> int:
        """Have a log that is elsewhere hear of some that ended without an attempt; return how many."""
        if self._untold is None:
            now = self._settings.clock.now()
            self._untold = self._settings.store.ended(since=self._told_since or self._settings.bounds().payloads)
            # The next round tells these again: a worker's last word on an attempt may have come in after ours.
            self._told_since = now - self._settings.housekeeping
        part = self._untold[:TELL_BATCH]
        record_ends(self._settings.store, log, part)
        self._untold = self._untold[TELL_BATCH:] if part else None
        return len(part)


class Loop(Turns):
    """Claims, has sent, and settles, until it is stopped.

    Args:
        settings: The worker's.
        courier: Makes the attempts.
        pool: Where they are made.
        flags: The worker's.
    """

    def __init__(
        self, settings: Settings[Store, LogStore], courier: Courier, pool: ThreadPoolExecutor, flags: Flags
    ) -> None:
        super().__init__(settings, flags)
        self._courier = courier
        self._pool = pool
        self._done: deque[tuple[Claim, Settlement | None]] = deque()
        self._unsettled: list[Settlement] = []
        self._renew_at = time.monotonic() + settings.renewal_s

    def _send(self, claims: Sequence[Claim]) -> None:
        failure: RuntimeError | None = None
        for each in claims:
            try:
                self._pool.submit(self._attempt, each)
            except RuntimeError as error:  # no thread to be had, or the interpreter is ending
                failure = error
                self._slots.give(each.claim_id)  # its lease runs out, unless a thread gets to it yet
        if failure is not None:
            raise failure

    def _attempt(self, each: Claim) -> None:
        """Send, on a thread of the pool, and hand the outcome to the loop."""
        settlement: Settlement | None = None
        try:
            settlement = self._courier.attempt(each)
        except Exception:  # noqa: BLE001 - logged, and the worker lives on
            _log.exception("delivery %s: the attempt broke off, and will be counted as lost", each.delivery_id)
        finally:
            self._done.append((each, settlement))
            self._flags.ring()

    def _settle(self) -> None:
        while self._done:
            each, settlement = self._done.popleft()
            if settlement is None:
                self._slots.give(each.claim_id)
            else:
                self._unsettled.append(settlement)
        if not self._unsettled:
            return
        notices = self._courier.settle(self._unsettled)
        for settled in self._unsettled:
            self._slots.give(settled.claim_id)
        self._unsettled = []
        self._eager = True
        for notice in notices:
            announce(notice, self._settings.on_notice)

    def _renew(self) -> None:
        if time.monotonic() < self._renew_at:
            return
        if self._slots.taken:
            self._settings.store.extend(
                list(self._slots.taken), now=self._settings.clock.now(), lease=self._settings.lease
            )
        self._renew_at = time.monotonic() + self._settings.renewal_s

    def _end(self) -> None:
        """Settle what has come in, and give the rest back. It is the last that can be done, and raises nothing."""
        try:
            self._settle()
            if self._slots.taken:
                self._settings.store.give_back(list(self._slots.taken), now=self._settings.clock.now())
        except StoreError as error:
            _log.warning("leases were not given back, and run out by themselves: %s", plain(str(error)))
        except Exception:  # noqa: BLE001 - logged; the caller is to get its worker stopped
            _log.exception("leases were not given back, and run out by themselves")

    def _is_over(self) -> bool:
        """Return whether to stop now: nothing is left to do, or nothing more can be done, or nobody waits for it."""
        if self._flags.abandoned:
            return True
        if not self._flags.stopping:
            return False
        unsettled = len(self._unsettled)
        # A store that fails again and again must not keep a worker from stopping; the leases run out by themselves.
        return len(self._slots.taken) <= unsettled and (unsettled == 0 or self._faults.count >= STOP_TRIES)
