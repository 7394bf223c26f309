"""Verifying: from a raw body and headers, in whatever form a framework has them, to a :class:`~hookkit.Verified`.

Whatever bytes and headers a sender thinks of, nothing but :class:`~hookkit.VerificationError` comes of them. The checks
on what they say are in :mod:`hookkit.checks`; what differs between frameworks is in :mod:`hookkit.headers`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hookkit.checks import as_tolerance
from hookkit.errors import VerificationError
from hookkit.headers import HeaderItems, header_fields
from hookkit.schemes import STANDARD, StandardScheme
from hookkit.signing import SigningKey, Verified, as_keys, live_keys

if TYPE_CHECKING:
    from hookkit.protocols import Verifier

__all__ = ["verify_signature"]

_LAST_SECOND = 253_402_214_400  # 9999-12-31: a day before datetime ends, so that every time in a window is one


def verify_signature(
    body: bytes | bytearray | memoryview,
    headers: HeaderItems | Sequence[tuple[str | bytes, str | bytes]],
    keys: str | SigningKey | Iterable[str | SigningKey],
    *,
    scheme: Verifier = STANDARD,
    now: datetime | float | None = None,
    tolerance: timedelta | float | None = None,
    method: str | None = None,
    url: str | None = None,
    max_body_bytes: int = 1_048_576,
) -> Verified:
    """Verify a webhook request, and return what of it is proven; anything else is raised.

    >>> from hookkit.testing import sign_request
    >>> body, key = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":null}', "whsec_" + 32 * "MfKQ"
    >>> headers = sign_request(body, key)  # what a sender does
    >>> verified = verify_signature(body, headers, key)
    >>> verified.dedupe_key, verified.event().type
    ('evt_test', 'user.created')

    Args:
        body: The raw body, byte for byte as it arrived. One that was parsed and serialised again does not verify.
        headers: The request's headers: an object with ``items()``, a list or tuple of pairs, or a WSGI environ.
        keys: A key, or 1 to 16 of them; any of them may have signed. Expired ones are skipped.
        scheme: How the sender signs: one of :mod:`hookkit.schemes`.
        now: The time, as an aware datetime or unix seconds; None reads the clock.
        tolerance: How far the signed timestamp may lie from `now`, either way, both ends included: a timedelta, or
            seconds; at most 24 hours. None: what the scheme says, five minutes for most.
        method: The request's method, for schemes that sign it.
        url: The URL that the sender called, for schemes that sign it: the public one, behind a proxy too.
        max_body_bytes: A longer body is refused before anything is computed over it.

    Returns:
        The verified request. Process each ``dedupe_key`` once: within the window, a request can be sent again.

    Raises:
        VerificationError: The request does not verify. Answer 401, and keep its ``hint`` to yourself.
        InvalidKey: No key, or one that is blank, unreadable, of the wrong kind; or all of them have expired.
        TypeError: An argument of the wrong type, such as a body that was decoded or parsed.
        ValueError: `now` is naive, `tolerance` would switch the window off, or the scheme needs `method` or `url`.
    """
    seconds = int(time.time()) if now is None else _unix_seconds(now)
    allowed = None if tolerance is None else as_tolerance(tolerance)
    # The same name: from here on no frame holds the text of a key, whatever shows the locals of a traceback.
    keys = (keys,) if isinstance(keys, SigningKey) and keys.expires_at is None else _live(as_keys(keys), seconds)
    raw = body if type(body) is bytes and len(body) <= max_body_bytes else _raw_body(body, max_body_bytes)
    if type(scheme) is StandardScheme and type(headers) is dict:
        verified = scheme.quick(raw, headers, keys, seconds, allowed)
        if verified is not None:
            return verified
    if not hasattr(scheme, "verify"):
        raise TypeError(f"scheme: {type(scheme).__name__} cannot verify; use one of hookkit.schemes")
    return _walked(raw, headers, keys, scheme, (seconds, allowed), method, url)


def _walked(
    body: bytes,
    headers: object,
    keys: Sequence[SigningKey],
    scheme: Verifier,
    window: tuple[int, timedelta | None],
    method: str | None,
    url: str | None,
) -> Verified:
    """Verify after a walk through all headers: the short way if they are ordinary then, else the long way."""
    fields, (now, tolerance) = header_fields(headers), window
    # Once more, where it was the form of the headers that was in the way, and not what they say.
    if type(scheme) is StandardScheme and (type(headers) is not dict or headers.keys() != fields.keys()):
        verified = scheme.quick(body, fields, keys, now, tolerance)
        if verified is not None:
            return verified
    try:
        return scheme.verify(body, fields, keys, now=now, tolerance=tolerance, method=method, url=url)
    except VerificationError as error:
        if error.reason != "missing_header":
            raise
        raise VerificationError(error.reason, error.hint + _other_headers(fields, scheme)) from None


# --- Arguments --------------------------------------------------------------------------------------------------------


def _unix_seconds(now: datetime | float) -> int:
    if isinstance(now, datetime):
        if now.utcoffset() is None:
            raise ValueError("now: a naive datetime; use an aware one, such as datetime.now(UTC)")
        now = now.timestamp()
    elif isinstance(now, bool) or not isinstance(now, (int, float)):
        raise TypeError(f"now: {type(now).__name__}; give an aware datetime, or unix seconds")
    if not 0 <= now < _LAST_SECOND:  # a NaN ends here, too
        raise ValueError("now: not between the years 1970 and 9999; are these unix seconds, and not milliseconds?")
    return math.floor(now)


def _live(keys: tuple[SigningKey, ...], seconds: int) -> tuple[SigningKey, ...]:
    for key in keys:
        if key.expires_at is not None:
            return live_keys(keys, datetime.fromtimestamp(seconds, UTC))
    return keys


def _raw_body(body: object, max_body_bytes: int) -> bytes:
    if isinstance(body, (bytes, bytearray)):
        size = len(body)
    elif isinstance(body, memoryview):
        size = body.nbytes
    else:
        raise TypeError(
            f"body: {type(body).__name__}; give the raw bytes as they arrived, before anything decodes or parses them: "
            "request.body in Django, request.get_data() in Flask, await request.body() in Starlette and FastAPI"
        )
    if size > max_body_bytes:
        raise VerificationError("too_large", f"the body has {size} bytes, max_body_bytes is {max_body_bytes}")
    return bytes(body)  # which is the same object if it was bytes


# --- Hints ------------------------------------------------------------------------------------------------------------


def _other_headers(fields: dict[str, list[str]], scheme: Verifier) -> str:
    """Return what the headers look like instead, for the hint."""
    from hookkit.schemes import BUILTIN, TokenScheme  # all of them, which a receiver of one sender need not load

    for name, other in BUILTIN.items():
        ours = other.header_names
        if ours <= fields.keys() and ours != scheme.header_names and not isinstance(other, TokenScheme):
            return f"; these are the headers of hookkit.schemes.{name}"
    if any(name.startswith("http_") for name in fields):
        return "; this is no WSGI environ: give request.headers"
    return ""
