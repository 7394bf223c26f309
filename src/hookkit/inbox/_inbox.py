"""The protocol of an inbox."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from hookkit.clock import SYSTEM_CLOCK
from hookkit.errors import StoreError
from hookkit.inbox._receipt import LEASE, Receipt
from hookkit.plaintext import plain
from hookkit.signing import Verified

__all__ = ["Inbox", "warn_overtaken", "warn_unreleased"]

Tx_contra = TypeVar("Tx_contra", contravariant=True)

_log: Final = logging.getLogger("hookkit.inbox")


class Inbox(Protocol[Tx_contra]):
    """Remembers which events have arrived, so that each is handled once.

    To write one, derive from this class and implement the four steps and :attr:`keep`; :meth:`receive` comes with it.
    Steps are atomic, durable when they return, and may be called from several threads and, where the entries lie in a
    database, processes at once. They do not read the clock. What the database says becomes
    :class:`~hookkit.StoreError`.
    """

    @property
    def keep(self) -> timedelta:
        """How long an entry is kept, counted from the claim; at least twice the widest tolerance."""
        ...

    def claim(
        self, source: str, key: str, *, now: datetime, lease: timedelta | float = LEASE, tx: Tx_contra | None = None
    ) -> Receipt:
        """Claim an event, or learn that somebody else did.

        Of all that claim the same event at once, one gets ``first``. An event is free if it has no entry, if its entry
        is older than :attr:`keep`, or if it was not finished and its lease has run out (``now`` has reached its end).
        A claim also forgets a few entries older than :attr:`keep`, so that no entry stays for ever.

        Args:
            source: Who sends: the endpoint's name, or the vendor's. Text of 1 to 256 characters. Keys of different
                sources are different events.
            key: The event's :attr:`~hookkit.Verified.dedupe_key`.
            now: The time, an aware datetime.
            lease: How long the event is yours, a timedelta or seconds: longer than handling it ever takes, and no
                longer than :attr:`keep`. When it has run out the claimer is taken for dead.
            tx: The host's own connection, within its transaction. The entry is then written on it, within a savepoint,
                as finished: it is committed, or rolled back, with whatever the host does in the same transaction.

        Raises:
            StoreError: It could not be stored. Nothing was claimed, or that is not known: answer 503. With `tx`:
                nothing would roll it back (the connection is in autocommit), or it is another database.
            TypeError: `tx` is of a kind that this inbox cannot join.
            ValueError: A text, a time or a lease that is not as described.
        """
        ...

    def finish(self, receipt: Receipt) -> bool:
        """Note that the event was handled.

        Return False, and change nothing, if the claim was lost: its lease ran out and somebody else claimed the event,
        or it was released, or forgotten. Repeating it is harmless. A claim with `tx` needs no finish.
        """
        ...

    def release(self, receipt: Receipt, *, tx: Tx_contra | None = None) -> bool:
        """Give the event back unhandled, so that the next one to claim it gets it at once.

        Return False, and change nothing, if the claim was lost, or the event is finished. With `tx`, the transaction
        of the claim, the entry is taken out of the transaction again.
        """
        ...

    def prune(self, *, now: datetime, limit: int = 1000) -> int:
        """Forget at most `limit` entries older than :attr:`keep`, oldest first, and return how many; 0: none is left.

        Not needed where events keep arriving; a chore for after a flood of them.
        """
        ...

    @contextmanager
    def receive(
        self,
        verified: Verified,
        *,
        source: str,
        now: datetime | None = None,
        lease: timedelta | float = LEASE,
        tx: Tx_contra | None = None,
    ) -> Generator[Receipt, None, None]:
        """Handle a verified event once: claim it, run the block, and finish it.

        The block runs every time; handle the event if ``receipt.first``. If the block ends, by ``return`` too, the
        event is finished; if it raises, it is released, the error travels on, and the sender's next attempt is
        ``first`` again. Answer ``receipt.status`` afterwards, with `tx` after the commit.

        Without `tx` an event is handled *at least* once: a process that dies between handling it and finishing it
        leaves it to be handled again, once its lease has run out. With `tx` its effect within the transaction happens
        exactly once.

        Args:
            verified: What :func:`~hookkit.verify_signature` returned.
            source: As for :meth:`claim`.
            now: The time, an aware datetime; None reads the clock.
            lease: As for :meth:`claim`. Without effect if `tx` is given.
            tx: As for :meth:`claim`. If the block raises, roll the transaction back; if it is committed nevertheless,
                the event counts as not handled.

        Raises:
            StoreError: The event could not be claimed, or not be finished: answer 503.
            TypeError: As for :meth:`claim`.
            ValueError: As for :meth:`claim`.
        """
        at = SYSTEM_CLOCK.now() if now is None else now
        receipt = self.claim(source, verified.dedupe_key, now=at, lease=lease, tx=tx)
        try:
            yield receipt
        except BaseException:
            if receipt.first:
                _give_back(self, receipt, tx)
            raise
        if receipt.first and tx is None and not self.finish(receipt):
            warn_overtaken(receipt)


def _give_back(inbox: Inbox[Tx_contra], receipt: Receipt, tx: Tx_contra | None) -> None:
    try:
        inbox.release(receipt, tx=tx)
    except StoreError as error:  # what made the block fail matters more, and the lease will run out
        warn_unreleased(receipt, error, within=tx is not None)


def warn_overtaken(receipt: Receipt) -> None:
    """Log that handling took longer than the lease."""
    _log.warning(
        "an event of %r was handled after its lease had run out, perhaps twice; give receive() a longer lease=",
        receipt.source,
    )


def warn_unreleased(receipt: Receipt, error: StoreError, *, within: bool) -> None:
    """Log that an event could not be given back; `within`: out of the host's own transaction."""
    unless = "unless its transaction is rolled back" if within else "before its lease runs out"
    _log.warning("an event of %r is not given back %s: %s", receipt.source, unless, plain(str(error)))
