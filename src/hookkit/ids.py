"""Time-ordered ids: a prefix, then a UUIDv7 (RFC 9562 §5.7) in Crockford's base 32.

Ids sort by the time they were made, so they serve as cursors and keep indexes compact. They hold no ``.``, because
Standard Webhooks joins id, timestamp and body with full stops, and an id with one could move the seam.
"""

from __future__ import annotations

import os
import threading
import time

__all__ = ["delivery_id", "event_id", "new_id", "webhook_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = tuple(range(120, -1, -10))
_lock = threading.Lock()
_last = 0


def _uuid7() -> int:
    """Return a UUIDv7 greater than every one before it in this process (RFC 9562 §6.2, method 3)."""
    global _last  # noqa: PLW0603 - the monotonic guard is per process by nature
    stamp = time.time_ns()
    milliseconds, rest = divmod(stamp, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    value = milliseconds << 16 | 7 << 12 | fraction
    value = value << 64 | 2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    with _lock:
        if value <= _last:
            value = _last + 1
        _last = value
    return value


def _base32(number: int) -> str:
    # 26 digits of 5 bits hold the 128 bits, most significant first, so text order is number order; two at a time.
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def new_id(prefix: str) -> str:
    """Return `prefix` followed by 26 characters that sort by time."""
    return prefix + _base32(_uuid7())


def event_id() -> str:
    """Return a new event id, ``evt_…``: the ``webhook-id`` on the wire."""
    return new_id("evt_")


def webhook_id() -> str:
    """Return a new webhook id, ``whk_…``."""
    return new_id("whk_")


def delivery_id() -> str:
    """Return a new delivery id, ``dlv_…``."""
    return new_id("dlv_")
