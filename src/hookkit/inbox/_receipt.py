"""What a claim comes back with, and what may be claimed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import attrs

from hookkit.checks import as_tolerance
from hookkit.event import is_text
from hookkit.model import as_duration

__all__ = [
    "FORGET",
    "KEEP",
    "LEASE",
    "TOLERANCE",
    "Receipt",
    "ReceiptState",
    "busy",
    "check_claim",
    "check_keep",
    "check_now",
    "oldest_kept",
]

KEEP: Final = timedelta(days=7)
LEASE: Final = timedelta(seconds=60)
TOLERANCE: Final = timedelta(minutes=5)
FORGET: Final = 16  # entries that a claim forgets: more than the one it adds, so that old ones do not pile up
_SECOND: Final = timedelta(seconds=1)

ReceiptState = Literal["first", "busy", "finished"]


@attrs.frozen
class Receipt:
    """What an inbox knows of an event that has just arrived.

    Args:
        source: Who sends: the endpoint's name, or the vendor's.
        key: The event's :attr:`~hookkit.Verified.dedupe_key`.
        state: ``first``: it is yours to handle. ``busy``: somebody is handling it. ``finished``: it was handled.
        claim_id: Proof that it is yours; empty unless `state` is ``first``.
        retry_after_s: When `state` is ``busy``: after how many seconds, at the latest, it is free again if whoever
            handles it has died. At least 1.
    """

    source: str
    key: str
    state: ReceiptState
    claim_id: str = ""
    retry_after_s: int | None = None

    @property
    def first(self) -> bool:
        """Whether to handle the event. Handle it only then."""
        return self.state == "first"

    @property
    def status(self) -> int:
        """The status to answer once the event is dealt with, and your transaction committed.

        204 if it has been handled, now or earlier. 503 if somebody else is still at it: the sender tries again later,
        and learns then whether that went well. (503, because some senders repeat nothing below 500: Logto, for one.)
        """
        return 503 if self.state == "busy" else 204

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers to answer with: ``retry-after`` (RFC 9110 §10.2.3) beside a 503, otherwise none."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


def busy(source: str, key: str, wait: timedelta) -> Receipt:
    """Return the receipt of an event that somebody else has for so long, at the most."""
    seconds = -(-wait // _SECOND)  # rounded up
    return Receipt(source, key, "busy", retry_after_s=max(1, seconds))


def check_keep(keep: timedelta | float, tolerance: timedelta | float) -> timedelta:
    """Return how long entries are kept.

    Raises:
        ValueError: It is shorter than twice the tolerance: a request signed with the sender's clock ahead verifies for
            that long, so a replay would find its entry gone.
    """
    kept, least = as_duration(keep), 2 * as_tolerance(tolerance)
    if kept < least or kept <= timedelta(0):
        raise ValueError(f"keep: {kept}; at least twice the tolerance, {least}: until then a request can be replayed")
    return kept


def oldest_kept(now: datetime, keep: timedelta) -> datetime:
    """Return when the oldest entry that is still kept was claimed.

    Verifying looks at whole seconds, so a request verifies until a second has passed that began within its tolerance:
    an entry is kept for that second, too.
    """
    return now - keep - _SECOND


def check_claim(source: str, key: str, now: datetime, lease: timedelta | float, keep: timedelta) -> timedelta:
    """Return the lease, or raise ValueError for what cannot be claimed."""
    for name, text in (("source", source), ("key", key)):
        if not is_text(text, at_least=1):
            raise ValueError(f"{name}: text of 1 to 256 characters, without NUL and lone surrogates")
    check_now(now)
    leased = as_duration(lease)
    if not timedelta(0) < leased <= keep:
        raise ValueError(f"lease: {leased}; more than nothing, and no longer than entries are kept, {keep}")
    return leased


def check_now(now: datetime) -> None:
    """Raise ValueError for a naive time."""
    if now.utcoffset() is None:
        raise ValueError("now: a naive datetime; use an aware one, such as datetime.now(UTC)")
