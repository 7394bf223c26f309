"""Signed headers for the tests of a receiver."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hookkit.clock import SYSTEM_CLOCK
from hookkit.protocols import Signer
from hookkit.schemes import STANDARD
from hookkit.signing import SigningKey

__all__ = ["sign_request"]


def sign_request(
    body: bytes,
    key: SigningKey | str | Sequence[SigningKey | str],
    *,
    scheme: Signer = STANDARD,
    id: str = "evt_test",
    at: datetime | None = None,
    method: str = "POST",
    url: str | None = None,
) -> dict[str, str]:
    """Return the headers that a sender would sign `body` with, for a receiver's own tests.

    Post exactly these bytes with these headers::

        headers = sign_request(body, key)
        assert client.post("/webhooks", content=body, headers=headers).status_code == 204

    Args:
        body: The bytes the test will send. Not text and not a parsed body: the signature covers bytes.
        key: The signing key, or several, newest first.
        scheme: How the sender signs.
        id: The event's id.
        at: When it is signed, an aware datetime; None: now. A time outside the receiver's tolerance tests its refusal.
        method: The request's method, for schemes that sign it.
        url: The request's URL, for schemes that sign it.

    Returns:
        Only the headers the scheme adds. Add ``content-type`` if your receiver looks at it.

    Raises:
        InvalidKey: A key that this scheme cannot sign with.
        TypeError: `body` is not bytes.
        ValueError: An id that would not verify.
    """
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"body: bytes, not {type(body).__name__}; encode it first, such as json.dumps(data).encode()")
    keys = (key,) if isinstance(key, (SigningKey, str)) else tuple(key)
    signed_at = SYSTEM_CLOCK.now() if at is None else at
    return scheme.sign(bytes(body), keys, id=id, at=signed_at, method=method, url=url)
