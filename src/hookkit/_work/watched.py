"""A store that is watched while a worker uses it: what is counted, what is said, and whether the loop still turns."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit.protocols import Store
    from hookkit.work import Claim, HealthStep, Settled, Settlement

__all__ = ["Counts", "Watched", "failure_line", "summary_line"]

T = TypeVar("T")

_log: Final = logging.getLogger("hookkit.worker")


@attrs.frozen
class Counts:
    """What a worker has done: deliveries claimed, and attempts made, by how they ended."""

    claimed: int = 0
    succeeded: int = 0
    again: int = 0
    failed: int = 0
    given_back: int = 0

    @property
    def attempted(self) -> int:
        """All attempts."""
        return self.succeeded + self.again + self.failed

    def since(self, before: Counts) -> Counts:
        """Return what has come to these since they were `before`."""
        return Counts(*(now - then for now, then in zip(attrs.astuple(self), attrs.astuple(before), strict=True)))


def summary_line(counts: Counts, seconds: float, lag_s: float | None) -> str:
    """Return one line of what was done in so many seconds, and how long the delivery that waits longest has waited."""
    due = "nothing is due" if lag_s is None else f"the longest due waits for {lag_s:.1f} s"
    return (
        f"in {seconds:.0f} s: {counts.attempted} attempted, {counts.succeeded} succeeded, {counts.again} to be tried "
        f"again, {counts.failed} failed for good; {due}"
    )


def failure_line(settlement: Settlement) -> str:
    """Return one line about an attempt that failed. It names ids, and shows neither URL, nor body, nor answer."""
    attempt, entry = settlement.attempt, settlement.entry
    why = "" if attempt is None else f"status {attempt.status}" if attempt.status is not None else attempt.reason
    after = f"again at {settlement.due_at:%Y-%m-%dT%H:%M:%SZ}" if settlement.due_at is not None else "for good"
    if settlement.due_at is None and entry.reason not in ("", why):
        after += f" ({plain(entry.reason)})"
    number = "" if attempt is None else f", attempt {attempt.number}"
    return f"delivery {plain(entry.delivery_id)} to {plain(entry.endpoint_id)}{number} failed: {plain(why)}; {after}"


class Watched:
    """Stands before a store. What it does not watch is the store's own.

    Args:
        store: The store.
        patience_s: How long a claim counts as under way, in seconds; whatever became of it, it is over by then.
    """

    def __init__(self, store: Store, patience_s: float) -> None:
        self._store = store
        self._patience_s = patience_s
        self._under_way: dict[str, float] = {}
        self._lock = threading.Lock()
        self._counts = Counts()
        self._due: tuple[datetime, datetime] | None = None
        self._found_nothing = False
        self.turned_at = time.monotonic()
        """When the worker's loop last came by, whether or not the store answered; monotonic, in seconds."""
        self.answered_at = time.monotonic()
        """When the store last answered; monotonic, in seconds."""
        self.answers = True
        """The last time it was asked, it did."""
        self.is_idle = False
        """When the loop last looked, nothing was due that it could have, and nothing was under way."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def counts(self) -> Counts:
        """What was done until now."""
        with self._lock:
            return self._counts

    @property
    def lag_s(self) -> float | None:
        """How long the longest due delivery was due when the worker last looked, in seconds; None: nothing was."""
        due = self._due
        return None if due is None or due[0] > due[1] else (due[1] - due[0]).total_seconds()

    def next_due(self, *, now: datetime) -> datetime | None:
        """As :meth:`hookkit.protocols.DeliveryQueue.next_due`."""
        due = self._asked(lambda: self._store.next_due(now=now))
        self._due = None if due is None else (due, now)
        at, over = time.monotonic(), due is None or due > now or self._found_nothing
        self.is_idle = over and not any(until > at for until in list(self._under_way.values()))
        return due

    def claim(self, **arguments: Any) -> list[Claim]:
        """As :meth:`hookkit.protocols.DeliveryQueue.claim`."""
        claims = self._asked(lambda: self._store.claim(**arguments))
        self._found_nothing = not claims
        self._under_way |= dict.fromkeys((one.claim_id for one in claims), time.monotonic() + self._patience_s)
        self._add(claimed=len(claims))
        return claims

    def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """As :meth:`hookkit.protocols.DeliveryQueue.settle`; each failed attempt is a line in the log."""
        results = self._asked(lambda: self._store.settle(done, now=now, step=step))
        for one in done:
            self._under_way.pop(one.claim_id, None)
        applied = [one for one, result in zip(done, results, strict=True) if result.applied]
        for one in applied:
            if one.state != "succeeded":
                _log.log(logging.WARNING if one.state == "failed" else logging.INFO, "%s", failure_line(one))
        made = [one.state for one in applied if one.attempt is not None]
        self._add(succeeded=made.count("succeeded"), failed=made.count("failed"), again=made.count("pending"))
        return results

    def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """As :meth:`hookkit.protocols.DeliveryQueue.give_back`."""
        given = self._asked(lambda: self._store.give_back(claim_ids, now=now))
        for claim_id in claim_ids:
            self._under_way.pop(claim_id, None)
        self._add(given_back=len(given))
        return given

    def _asked(self, ask: Callable[[], T]) -> T:
        self.turned_at = time.monotonic()
        try:
            answer = ask()
        except Exception:
            self.answers = self.is_idle = False
            raise
        finally:
            self.turned_at = time.monotonic()
        self.answers, self.answered_at = True, time.monotonic()
        return answer

    def _add(self, **more: int) -> None:
        with self._lock:
            self._counts = attrs.evolve(
                self._counts, **{name: getattr(self._counts, name) + count for name, count in more.items()}
            )
