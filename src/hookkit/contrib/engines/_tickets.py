"""What travels through an engine: a text that names a delivery and an offer of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hookkit.model import as_duration
from hookkit.work import OFFERED, taken_id

if TYPE_CHECKING:
    from hookkit.work import Claim

__all__ = ["KEPT", "WATCH_MAX_S", "WATCH_MIN_S", "check_window", "names", "offer_of", "ticket_of"]

KEPT: Final = timedelta(hours=1)
"""How long an engine keeps a ticket that nobody takes, where it can be told. By then its offer has run out; far longer
than that, because an engine may go by the clocks of several machines."""
WATCH_MIN_S: Final = 0.01
WATCH_MAX_S: Final = 0.5
"""How often a relay looks for what has become of its offers, in seconds: often while something moves."""

_TICKET: Final = re.compile(rf"([A-Za-z0-9_-]{{1,128}})\.({OFFERED}[A-Za-z0-9_-]{{1,128}})")


def ticket_of(claim: Claim) -> str:
    """Return the ticket of an offer: the delivery's id, for people who look, and the offer's."""
    return f"{claim.delivery_id}.{claim.claim_id}"


def offer_of(ticket: object) -> str | None:
    """Return the id of the offer that a ticket names; None if this is no ticket, whatever else it is."""
    if isinstance(ticket, bytes):
        ticket = ticket.decode("ascii", "replace")
    found = _TICKET.fullmatch(ticket) if isinstance(ticket, str) else None
    return None if found is None else found[2]


def names(offers: Iterable[str]) -> list[str]:
    """Return the ids that these offers, or the leases that have come of them, may have."""
    return [name for offer in offers for name in (offer, taken_id(offer))]


def check_window(window: int, patience: timedelta | float) -> None:
    """Raise ValueError if a relay could do nothing with these."""
    if window < 1:
        raise ValueError("window is at least 1")
    if as_duration(patience) < timedelta(seconds=1):
        raise ValueError("patience is at least a second")
