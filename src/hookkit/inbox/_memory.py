"""An inbox in this process's memory."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, final

import attrs

from hookkit.checks import as_tolerance
from hookkit.errors import StoreError
from hookkit.ids import new_id
from hookkit.inbox._inbox import Inbox
from hookkit.inbox._receipt import (
    FORGET,
    KEEP,
    LEASE,
    TOLERANCE,
    Receipt,
    busy,
    check_claim,
    check_keep,
    check_now,
    oldest_kept,
)

__all__ = ["MemoryInbox"]


@attrs.define
class _Entry:
    claim_id: str
    claimed_at: datetime
    lease_until: datetime
    finished: bool = False


@final
class MemoryInbox(Inbox[Any]):
    """An :class:`~hookkit.inbox.Inbox` that forgets everything with its process. Safe to share between threads.

    For tests, and for a receiver that is one process and may handle an event again after a restart.

    Args:
        keep: How long entries are kept, a timedelta or seconds. As long as your senders repeat themselves, at least.
        tolerance: The widest tolerance that you verify with.
        max_entries: How many entries at most. When there are more, the oldest ones go that nobody could replay any
            more, being older than twice the tolerance; if there are none, a claim is a StoreError.

    Raises:
        ValueError: `keep` is shorter than twice the tolerance, or there is room for no entry.
    """

    def __init__(
        self,
        *,
        keep: timedelta | float = KEEP,
        tolerance: timedelta | float = TOLERANCE,
        max_entries: int = 100_000,
    ) -> None:
        self._keep = check_keep(keep, tolerance)
        self._least = 2 * as_tolerance(tolerance)
        if max_entries < 1:
            raise ValueError("max_entries: at least 1")
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}  # the oldest claim first

    @property
    def keep(self) -> timedelta:
        """How long an entry is kept."""
        return self._keep

    def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Any = None
    ) -> Receipt:
        """Claim an event."""
        _refuse(tx)
        leased = check_claim(source, key, now, lease, self._keep)
        with self._lock:
            self._forget(oldest_kept(now, self._keep), FORGET)
            entry = self._entries.get((source, key))
            if entry is not None and entry.claimed_at >= oldest_kept(now, self._keep):
                if entry.finished:
                    return Receipt(source, key, "finished")
                if now < entry.lease_until:
                    return busy(source, key, entry.lease_until - now)
            self._entries.pop((source, key), None)  # so that the order stays that of the claims
            self._make_room(now)
            claim_id = new_id("clm_")
            self._entries[source, key] = _Entry(claim_id, now, now + leased)
        return Receipt(source, key, "first", claim_id)

    def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled."""
        with self._lock:
            entry = self._held(receipt)
            if entry is None:
                return False
            entry.finished = True
            return True

    def release(self, receipt: Receipt, *, tx: Any = None) -> bool:
        """Give the event back unhandled."""
        _refuse(tx)
        with self._lock:
            entry = self._held(receipt)
            if entry is None or entry.finished:
                return False
            del self._entries[receipt.source, receipt.key]
            return True

    def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """Forget old entries."""
        check_now(now)
        with self._lock:
            return self._forget(oldest_kept(now, self._keep), limit)

    def _held(self, receipt: Receipt) -> _Entry | None:
        entry = self._entries.get((receipt.source, receipt.key))
        return entry if entry is not None and entry.claim_id == receipt.claim_id else None

    def _forget(self, before: datetime, limit: int) -> int:
        older = takewhile(lambda pair: pair[1].claimed_at < before, self._entries.items())
        old = [key for key, _ in islice(older, limit)]
        for key in old:
            del self._entries[key]
        return len(old)

    def _make_room(self, now: datetime) -> None:
        if len(self._entries) < self._max_entries:
            return
        before = oldest_kept(now, self._least)
        for key, entry in takewhile(lambda pair: pair[1].claimed_at < before, self._entries.items()):
            if entry.finished or entry.lease_until <= now:
                del self._entries[key]
                return
        raise StoreError(
            f"the inbox holds {self._max_entries} events, all too young to be forgotten; give it more max_entries"
        )


def _refuse(tx: object) -> None:
    if tx is not None:
        raise TypeError(f"tx: MemoryInbox joins no transaction, so it cannot join {type(tx).__name__}")
