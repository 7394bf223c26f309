"""The questions that some senders ask once, before they send anything, and their answers.

========================  ==========================================  ==============================
sender                    its question                                its answer
========================  ==========================================  ==============================
Okta event hooks          a GET with a header to be sent back         :func:`okta_verification`
Zoom                      a signed event ``endpoint.url_validation``  :func:`zoom_url_validation`
CloudEvents HTTP webhook  an OPTIONS that names the sender            :func:`cloudevents_handshake`
========================  ==========================================  ==============================

Each function looks at one request and returns an :class:`Answer`, or None if it is no such question. Nothing is sent,
stored or remembered here. Who asks too much of a header gets a :class:`~hookkit.VerificationError`: answer 400.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from hookkit.checks import MAX_HEADER_CHARS
from hookkit.errors import PayloadError, VerificationError
from hookkit.headers import HeaderItems, header_fields
from hookkit.keys import HmacKey
from hookkit.signing import SigningKey, Verified

__all__ = ["Answer", "cloudevents_handshake", "okta_verification", "zoom_url_validation"]

_OKTA: Final = "x-okta-verification-challenge"
# Zoom's tokens look like URL-safe base64. None of these characters separates what Zoom signs ("v0:", the time, ":", the
# body), so no token can be a message that our answer would sign.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_+/=-]{1,256}")
_ORIGIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?")  # a DNS name


@attrs.frozen
class Answer:
    """What to answer.

    Args:
        status: The HTTP status.
        headers: The headers, by their lower-case names.
        body: The bytes of the body.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""


def okta_verification(headers: HeaderItems | Sequence[tuple[str | bytes, str | bytes]]) -> Answer | None:
    """Answer Okta's one-time verification of an event hook's URL.

    Okta sends a GET with ``x-okta-verification-challenge`` and wants its value back as JSON (Okta, "Event hooks",
    one-time verification request). Answer it for a GET on the hook's own path only. It is not signed: Okta's requests
    carry the secret header that you set when you made the hook, so check that as for any other.

    >>> okta_verification({"X-Okta-Verification-Challenge": "abc"}).body
    b'{"verification":"abc"}'

    Args:
        headers: The request's headers, in any form that :func:`~hookkit.verify_signature` takes.

    Returns:
        The answer, or None if the header is not there.

    Raises:
        VerificationError: The header came twice (``duplicate_header``), or has more than 4,096 characters
            (``too_large``).
    """
    challenge = _one(header_fields(headers), _OKTA)
    return None if challenge is None else _json_answer({"verification": challenge})


def zoom_url_validation(verified: Verified, key: str | SigningKey) -> Answer | None:
    """Answer Zoom's validation of a webhook's URL (event ``endpoint.url_validation``), which it repeats every 72 hours.

    The answer is a MAC, under the very key that signs Zoom's events, of a token from the request. Whoever could have
    any token signed could forge events: so this takes a request that has verified, and no token that could be taken
    for a signed message.

    Args:
        verified: What :func:`~hookkit.verify_signature` returned, with the scheme ZOOM and the webhook's secret token.
        key: The webhook's secret token: the one that verified, while there are two.

    Returns:
        The answer, or None if this is another event. Zoom waits for three seconds.

    Raises:
        PayloadError: The body is not JSON, or asks for a validation without a proper ``plainToken``.
    """
    body = verified.json()
    if not isinstance(body, dict) or body.get("event") != "endpoint.url_validation":
        return None
    payload = body.get("payload")
    token = payload.get("plainToken") if isinstance(payload, dict) else None
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise PayloadError("payload.plainToken: 1 to 256 characters of base64")
    secret = key if isinstance(key, SigningKey) else SigningKey(key)
    mac = secret.parsed("zoom challenge", _text_key).sign([token.encode("ascii")])
    return _json_answer({"plainToken": token, "encryptedToken": mac.decode("ascii")})


def _text_key(text: str) -> HmacKey:
    return HmacKey(text.encode("utf-8", "surrogatepass"), encoding="hex")


def cloudevents_handshake(
    headers: HeaderItems | Sequence[tuple[str | bytes, str | bytes]],
    *,
    origins: Collection[str] | Literal["*"],
    rate: int | None = None,
) -> Answer | None:
    """Answer the abuse protection handshake of CloudEvents' HTTP 1.1 Web Hooks (§4): may this sender send here?

    Answer it for an OPTIONS on the webhook's own path. A sender may also name a ``WebHook-Request-Callback``, to be
    called later by whoever decides by hand. That is not done here: it would be a URL that anybody can choose.

    >>> asked = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
    >>> answer = cloudevents_handshake(asked, origins=["eventemitter.example.com"], rate=100)
    >>> answer.headers["webhook-allowed-origin"], answer.headers["webhook-allowed-rate"]
    ('eventemitter.example.com', '100')

    Args:
        headers: The request's headers, in any form that :func:`~hookkit.verify_signature` takes.
        origins: The DNS names of the senders that may, or ``"*"``: all of them.
        rate: How many requests a minute they may send; None: any number.

    Returns:
        The answer; None if this is no handshake. Permission lies in the headers ``webhook-allowed-…``: a sender that
        may not send gets 403 and none of them.

    Raises:
        VerificationError: A header came twice (``duplicate_header``), or has more than 4,096 characters
            (``too_large``).
        TypeError: `origins` is one text other than ``"*"``.
        ValueError: `rate` is not positive, or one of `origins` is no DNS name.
    """
    allowed = _allowed(origins)
    if rate is not None and rate < 1:
        raise ValueError("rate: requests a minute, at least 1; None for any number")
    fields = header_fields(headers)
    origin = _one(fields, "webhook-request-origin")
    if origin is None:
        return None
    granted = "*" if allowed is None else allowed.get(_name(origin))
    if granted is None:
        return Answer(403, {"allow": "POST"})
    grant = {"webhook-allowed-origin": granted, "webhook-allowed-rate": "*" if rate is None else str(rate)}
    return Answer(200, {"allow": "POST", **grant})


def _allowed(origins: Collection[str] | Literal["*"]) -> dict[str, str] | None:
    """Return the origins as they are compared and as they are answered; None: all are allowed."""
    if origins == "*":
        return None
    if isinstance(origins, str):
        raise TypeError('origins: a list of DNS names, or "*"')
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise ValueError(f"origins: {origin[:80]!r} is no DNS name")
    return {_name(origin): origin for origin in origins}


def _name(origin: str) -> str:
    return origin.lower().removesuffix(".")


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str | None:
    """Return the trimmed value of a header, None if it is missing or empty."""
    values = fields.get(name, ())
    if any(len(value) > MAX_HEADER_CHARS for value in values):
        raise VerificationError("too_large", f"{name} is longer than {MAX_HEADER_CHARS} characters")
    if len(values) > 1:
        raise VerificationError("duplicate_header", f"{name} came {len(values)} times; it must come once")
    return (values[0].strip(" \t") or None) if values else None


def _json_answer(content: dict[str, Any]) -> Answer:
    body = json.dumps(content, separators=(",", ":")).encode("ascii")
    # What came in a header goes out in a body: no browser shall take it for a page.
    headers = {"content-type": "application/json", "x-content-type-options": "nosniff", "cache-control": "no-store"}
    return Answer(200, headers, body)
