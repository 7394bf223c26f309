"""Webhooks whose secrets do not open: what the SQL stores let be done with them, and tell the log of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs

from hookkit.errors import InvalidEndpoint, StoreError
from hookkit.model import Endpoint
from hookkit.plaintext import plain
from hookkit.work import WebhookChange

__all__ = ["Unreadable", "switched"]

EVERY: Final = timedelta(minutes=5)
SHOWN: Final = 5


class Unreadable:
    """Tells the log of webhooks that a claim had to pass over: at once, then no more than a line in five minutes.

    Args:
        log: Where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._met: dict[str, str] = {}
        self._said_at: datetime | None = None

    def met(self, reasons: Mapping[str, str], now: datetime) -> None:
        """Take note of webhooks, by id, and of why they cannot be read.

        Args:
            reasons: Why, by id; each names its webhook.
            now: The time. A clock that was set back says it once more, rather than never.
        """
        self._met |= reasons
        if not self._met or (self._said_at is not None and self._said_at <= now < self._said_at + EVERY):
            return
        self._said_at = now
        self._log.error(
            "%d webhooks are not served because their secrets do not open; their deliveries wait until they do: %s%s",
            len(self._met),
            plain("; ".join(list(self._met.values())[:SHOWN])),
            "; …" if len(self._met) > SHOWN else "",
        )
        self._met = {}


def switched(endpoint: Endpoint, change: WebhookChange, reason: str) -> Endpoint:
    """Return the changed webhook, if it was only enabled or disabled.

    Args:
        endpoint: The webhook, without its secrets.
        change: What is to be changed. What it raises is raised.
        reason: Why they do not open.

    Raises:
        StoreError: Anything else would be changed: that would seal anew what could not be read.
    """
    try:
        after = change(endpoint)
    except InvalidEndpoint:  # it would have been said to have no key
        raise StoreError(reason) from None
    if after != attrs.evolve(endpoint, enabled=after.enabled, disabled_reason=after.disabled_reason):
        raise StoreError(reason)
    return after
