"""Receiving webhooks in AWS Lambda: REST and HTTP APIs of API Gateway, function URLs, Application Load Balancers.

Decorate a handler; it gets the Verified last::

    @webhook(KEYS)
    def handler(event: dict[str, Any], context: Any, verified: Verified) -> dict[str, Any]:
        handle_once(verified.dedupe_key, verified.event())
        return {"statusCode": 204}
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, Unpack
from urllib.parse import urlencode

from hookkit.contrib._answers import refused
from hookkit.contrib._settings import Keys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["refusal", "verify_request", "webhook"]

_T = TypeVar("_T")
_Event: TypeAlias = Mapping[str, Any]


def webhook(
    keys: Keys[_Event], **options: Unpack[Options[_Event]]
) -> Callable[[Callable[[Any, Any, Verified], _T]], Callable[[Any, Any], _T | dict[str, Any]]]:
    """Return a decorator for handlers that are called with a verified event only, and answers all others itself.

    Args:
        keys: The signing key, or several; or a function of the event that returns them.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    def decorate(handler: Callable[[Any, Any, Verified], _T]) -> Callable[[Any, Any], _T | dict[str, Any]]:
        @functools.wraps(handler)
        def verified_handler(event: Any, context: Any) -> _T | dict[str, Any]:
            try:
                verified = _verify(event, settings)
            except VerificationError as error:
                return refusal(error)
            return handler(event, context, verified)

        return verified_handler

    return decorate


def verify_request(event: _Event, keys: Keys[_Event], **options: Unpack[Options[_Event]]) -> Verified:
    """Verify the request that an event holds; whoever calls this answers, with :func:`refusal`.

    Args:
        event: The event, whichever of the formats it has. The body is decoded if it is marked as base64.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        VerificationError: It does not verify.
        TypeError: It holds no HTTP request, or one whose body a mapping template has parsed.
    """
    return _verify(event, Settings.of(keys, options))


def refusal(error: VerificationError) -> dict[str, Any]:
    """Return the response to a request that does not verify, and log why: the response does not tell."""
    answer = refused(error)
    return {"statusCode": answer.status, "headers": {"content-type": "text/plain"}, "body": answer.text}


def _verify(event: _Event, settings: Settings[_Event]) -> Verified:
    if not isinstance(event, Mapping) or not {"headers", "multiValueHeaders"} & event.keys():
        raise TypeError("event: no HTTP request; is the function called by something else than its API?")
    body = _raw_body(event, settings)
    return settings.verify(event, body, _headers(event), method=_method(event), query=_query(event))


def _raw_body(event: _Event, settings: Settings[_Event]) -> bytes:
    text = event.get("body") or ""
    if not isinstance(text, str):
        raise TypeError(f"event: its body is {type(text).__name__}; let the API pass it on, without a mapping template")
    if not event.get("isBase64Encoded"):
        return text.encode("utf-8", "surrogatepass")
    settings.check_length(len(text) // 4 * 3 - text[-2:].count("="))  # as long as it will be, before it is
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise TypeError("event: it says that its body is base64, and it is not") from None


def _headers(event: _Event) -> Iterable[tuple[str, Any]]:
    """Return the headers, with every value of each where the event has them all."""
    return list((event.get("multiValueHeaders") or event.get("headers") or {}).items())


def _method(event: _Event) -> str:
    http: Mapping[str, Any] = (event.get("requestContext") or {}).get("http") or {}
    return str(http.get("method") or event.get("httpMethod") or "")


def _query(event: _Event) -> str:
    """Return the query as it was sent. REST APIs hand it over decoded; encoded again it may be spelt another way."""
    if "rawQueryString" in event:
        return str(event["rawQueryString"])
    several = event.get("multiValueQueryStringParameters")
    found = several or {name: [value] for name, value in (event.get("queryStringParameters") or {}).items()}
    pairs = [(name, value) for name, values in found.items() for value in values]
    if "elb" in (event.get("requestContext") or {}):  # a load balancer does not decode it
        return "&".join(f"{name}={value}" for name, value in pairs)
    return urlencode(pairs)
