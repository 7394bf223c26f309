"""Whole signed requests for the tests of a receiver: a body, and the headers that go with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, final

import attrs

from hookkit.jsontext import check_json
from hookkit.protocols import Signer
from hookkit.schemes import STANDARD
from hookkit.signing import SigningKey
from hookkit.testing.requests import sign_request

__all__ = ["SignedRequest", "signed_request"]


@final
@attrs.frozen
class SignedRequest:
    """A request as a sender would make it. Post exactly these bytes with these headers.

    A test of what must be refused changes it: ``attrs.evolve(request, body=request.body + b" ")``.

    Args:
        body: The bytes.
        headers: The signature's headers, and ``content-type``.
    """

    body: bytes
    headers: dict[str, str]

    @property
    def content_type(self) -> str:
        """The ``content-type``, for test clients that want it by itself, as Django's does."""
        return self.headers["content-type"]


def signed_request(
    data: Any,
    key: SigningKey | str | Sequence[SigningKey | str],
    *,
    scheme: Signer = STANDARD,
    id: str = "evt_test",
    at: datetime | None = None,
    method: str = "POST",
    url: str | None = None,
    content_type: str = "application/json",
) -> SignedRequest:
    """Return a signed request to post to a receiver.

    Args:
        data: A JSON value, which is written as JSON; or the very bytes of the body.
        key: The signing key, or several, newest first.
        scheme: How the sender signs: one of :mod:`hookkit.schemes`.
        id: The event's id.
        at: When it is signed, an aware datetime; None: now. A time outside the receiver's tolerance tests its refusal.
        method: The request's method, for schemes that sign it.
        url: The request's URL, for schemes that sign it.
        content_type: What the body says it is.

    Raises:
        InvalidKey: A key that this scheme cannot sign with.
        PayloadError: `data` is neither bytes nor JSON.
        ValueError: An id that would not verify.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        body = bytes(data)
    else:
        check_json(data, "data")
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    headers = sign_request(body, key, scheme=scheme, id=id, at=at, method=method, url=url)
    return SignedRequest(body, {"content-type": content_type, **headers})
