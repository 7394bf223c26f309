"""What the workers of both worlds share: settings, chores, and how long to wait. Pure but for logging."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeGuard, TypeVar

import attrs

from hookkit.errors import StoreError
from hookkit.fairness import Ask
from hookkit.model import Reply
from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit.model import Notice
    from hookkit.profiles import Profile
    from hookkit.protocols import Clock

__all__ = [
    "ASKS",
    "ASKS_ONCE",
    "POLL_S",
    "PRUNE_BATCH",
    "STOP_TRIES",
    "TELL_BATCH",
    "Bounds",
    "Chores",
    "Faults",
    "Settings",
    "announce",
    "is_sound",
    "pause_s",
    "wait_s",
]

ASKS: Final = (Ask("first", reserve=True), Ask("retry"), Ask("recover"))
"""What a worker asks of its queue in each turn: first attempts before retries before what was asked for again."""
ASKS_ONCE: Final = (*ASKS, Ask("first"))
"""What it asks if nothing is claimed after this: slots kept for retries that are not due go to first attempts."""
POLL_S: Final = 0.5
"""How often a worker looks for what other processes emitted, in seconds."""
PRUNE_BATCH: Final = 500
"""How many deliveries one piece of housekeeping touches."""
TELL_BATCH: Final = 100
"""How many ends a log that is elsewhere is told of at a time."""
STOP_TRIES: Final = 3
"""How often a worker that is to stop tries to settle what it sent."""
PAUSE_MAX_S: Final = 30.0
_NEWS: Final = 10  # failures of so many kinds are said, until it goes well again

_log: Final = logging.getLogger("hookkit.worker")

StoreT = TypeVar("StoreT")
LogT = TypeVar("LogT")


def _check_housekeeping(_: object, __: object, value: timedelta) -> None:
    if value <= timedelta(0):
        raise ValueError("housekeeping is longer than nothing; for never, give years")


@attrs.frozen
class Settings(Generic[StoreT, LogT]):
    """A worker's settings, for itself and its loop.

    Args:
        store: Where deliveries are claimed.
        log: The log, if it is not the store's own; it is pruned, too.
        profiles: The known profiles by name.
        concurrency: How many deliveries at once.
        lease: How long a claim lasts.
        owner: The worker's name in the store.
        on_notice: Who is told of notices.
        clock: The time.
        keep_payloads: How long after its end a delivery keeps its payload.
        keep_log: How long after its end a delivery stays in the log.
        keep_held: How old a held delivery may grow.
        housekeeping: How often the old is deleted.

    Raises:
        ValueError: `housekeeping` is not positive: nothing else would be done.
    """

    store: StoreT
    log: LogT
    profiles: Mapping[str, Profile]
    concurrency: int
    lease: timedelta
    owner: str
    on_notice: Callable[[Notice], object] | None
    clock: Clock
    keep_payloads: timedelta
    keep_log: timedelta
    keep_held: timedelta
    housekeeping: timedelta = attrs.field(validator=_check_housekeeping)

    @property
    def renewal_s(self) -> float:
        """How often leases are renewed, in seconds: at a third, so that two may fail."""
        return self.lease.total_seconds() / 3

    def bounds(self) -> Bounds:
        """Return what is too old now."""
        now = self.clock.now()
        return Bounds(now - self.keep_payloads, now - self.keep_log, now - self.keep_held)


class Bounds(NamedTuple):
    """What is older than these is deleted, or given up."""

    payloads: datetime
    entries: datetime
    held: datetime


class Chores:
    """When housekeeping is due: one small batch at a time, until nothing is left; then not for a while.

    Args:
        every_s: How often, in seconds.
        now_s: The monotonic time.
    """

    def __init__(self, every_s: float, now_s: float) -> None:
        self._every_s = every_s
        self._due_s = now_s  # at once: a worker that is restarted often must clean up, too

    def is_due(self, now_s: float) -> bool:
        """Return whether a batch is due."""
        return now_s >= self._due_s

    def done(self, now_s: float, *, more: bool) -> None:
        """Say that a batch was done, and whether there is more."""
        self._due_s = now_s if more else now_s + self._every_s


class Faults:
    """A loop's failures in a row: how long to wait after each, and what of it is said.

    A store that is away for an hour is one line when it goes and one when it is back, not one for every try.
    """

    def __init__(self) -> None:
        self.count: int = 0
        """How many, since it last went well."""
        self._said: set[str] = set()

    def met(self, error: Exception, random: Callable[[], float]) -> float:
        """Count one more, say so if it is news, and return how long to wait, in seconds."""
        self.count += 1
        wait = pause_s(self.count, random)
        news = f"{type(error).__name__}: {error}"
        if news in self._said or len(self._said) >= _NEWS:
            _log.debug("the worker goes on in %.1f s, after %d failures", wait, self.count)
            return wait
        self._said.add(news)
        if isinstance(error, StoreError):
            _log.warning("the worker goes on in %.1f s: %s", wait, plain(str(error)))
        else:
            _log.error("the worker goes on in %.1f s", wait, exc_info=error)
        return wait

    def over(self) -> None:
        """Say that it went well, if it did not before."""
        if self.count:
            _log.info("the worker goes on as before, after %d failures", self.count)
            self.count, self._said = 0, set()


def announce(notice: Notice, on_notice: Callable[[Notice], object] | None) -> None:
    """Log a notice, and tell whoever wants to know; what that raises is logged."""
    _log.warning(
        "webhook %s: %s%s%s",
        plain(notice.endpoint_id),
        notice.kind,
        f" at {notice.share:.0%}" if notice.share else "",
        f" ({plain(notice.detail)})" if notice.detail else "",
    )
    if on_notice is None:
        return
    try:
        on_notice(notice)
    except Exception:  # noqa: BLE001 - a host's code; logged
        _log.exception("on_notice raised")


def is_sound(reply: object) -> TypeGuard[Reply]:
    """Return whether a transport's reply is one. A host's own may be wrong, and no store could keep that."""
    return (
        isinstance(reply, Reply)
        and (reply.status is None or (isinstance(reply.status, int) and 100 <= reply.status <= 999))
        and all(isinstance(name, str) and isinstance(value, str) for name, value in reply.headers)
        and isinstance(reply.body, bytes)
        and isinstance(reply.reason, str)
        and reply.reason.isascii()
    )


def pause_s(failures: int, random: Callable[[], float]) -> float:
    """Return how long to wait after so many failures in a row, in seconds: doubling, bounded, spread at random."""
    return min(PAUSE_MAX_S, POLL_S * 2.0 ** min(failures - 1, 16)) * (0.5 + 0.5 * random())


def wait_s(due: datetime | None, now: datetime) -> float:
    """Return how long to wait for something due, in seconds: never longer than a poll.

    What is due already, and could not be claimed, is waited for, too; something has to happen first.
    """
    if due is None or due <= now:
        return POLL_S
    return min(POLL_S, (due - now).total_seconds())
