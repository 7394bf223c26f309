"""Receiving webhooks in Flask. For Flask from 3.1 on.

Decorate a view; it gets the Verified first, before what the URL holds::

    @app.post("/hooks")
    @webhook(KEYS)
    def receive(verified: Verified) -> tuple[str, int]:
        handle_once(verified.dedupe_key, verified.event())
        return "", 204
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Unpack

from flask import Request, abort, current_app
from flask import request as current_request
from werkzeug.exceptions import RequestEntityTooLarge

from hookkit.contrib._answers import CONSUMED, refused
from hookkit.contrib._settings import Keys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["verify_request", "webhook"]

_P = ParamSpec("_P")


def webhook(
    keys: Keys[Request], **options: Unpack[Options[Request]]
) -> Callable[[Callable[Concatenate[Verified, _P], Any]], Callable[_P, Any]]:
    """Return a decorator for views, sync or async, that are called with a verified request only.

    Args:
        keys: The signing key, or several; or a function of the request that returns them. It may call ``abort``, such
            as with 404 for a tenant that there is not.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    def decorate(view: Callable[Concatenate[Verified, _P], Any]) -> Callable[_P, Any]:
        @functools.wraps(view)
        def verified_view(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            verified = _verify_or_abort(current_request, settings)
            return current_app.ensure_sync(view)(verified, *args, **kwargs)

        return verified_view

    return decorate


def verify_request(request: Request, keys: Keys[Request], **options: Unpack[Options[Request]]) -> Verified:
    """Verify a request. Its body can be read again afterwards: ``get_json()`` and ``form`` still work.

    Args:
        request: ``flask.request``, of which nobody has read ``form``, ``files`` or ``stream`` yet.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        HTTPException: It does not verify: 401, or 400 if it is malformed, 413 if it is too large. Why is logged.
        RuntimeError: Its body is gone.
    """
    return _verify_or_abort(request, Settings.of(keys, options))


def _verify_or_abort(request: Request, settings: Settings[Request]) -> Verified:
    try:
        body = _raw_body(request, settings)
        query = request.query_string.decode("latin-1")
        return settings.verify(request, body, request.headers, method=request.method, query=query)
    except VerificationError as error:
        return abort(*refused(error))


def _raw_body(request: Request, settings: Settings[Request]) -> bytes:
    settings.check_length(request.content_length)
    limit = request.max_content_length
    allowed = settings.max_body_bytes if limit is None else min(limit, settings.max_body_bytes)
    # What comes in chunks announces no length: Werkzeug cuts it off at this one, without a word.
    request.max_content_length = allowed + 1
    try:
        body = request.get_data()  # cached, so that get_json() and form work afterwards
    except RequestEntityTooLarge:
        raise settings.too_large() from None
    if len(body) > allowed:
        raise settings.too_large(len(body))
    if not body and (request.content_length or "form" in vars(request)):  # Werkzeug keeps no bytes of a form it parsed
        raise RuntimeError(CONSUMED)
    return body
