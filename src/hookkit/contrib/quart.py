"""Receiving webhooks in Quart. For Quart from 0.20 on.

Decorate a view; it gets the Verified first, before what the URL holds::

    @app.post("/hooks")
    @webhook(KEYS)
    async def receive(verified: Verified) -> tuple[str, int]:
        await handle_once(verified.dedupe_key, verified.event())
        return "", 204
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Unpack

from quart import Request, abort, current_app
from quart import request as current_request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from hookkit.contrib._answers import CONSUMED, refused
from hookkit.contrib._settings import AsyncKeys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["verify_request", "webhook"]

_P = ParamSpec("_P")


def webhook(
    keys: AsyncKeys[Request], **options: Unpack[Options[Request]]
) -> Callable[[Callable[Concatenate[Verified, _P], Any]], Callable[_P, Coroutine[Any, Any, Any]]]:
    """Return a decorator for views that are called with a verified request only.

    Args:
        keys: The signing key, or several; or a function of the request that returns them, awaited if need be. It may
            call ``abort``, such as with 404 for a tenant that there is not.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.
            No body is longer than the app's ``MAX_CONTENT_LENGTH``, which is 16 MiB unless it says otherwise.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    def decorate(view: Callable[Concatenate[Verified, _P], Any]) -> Callable[_P, Coroutine[Any, Any, Any]]:
        @functools.wraps(view)
        async def verified_view(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            verified = await _verify_or_abort(current_request, settings)
            return await current_app.ensure_async(view)(verified, *args, **kwargs)

        return verified_view

    return decorate


async def verify_request(request: Request, keys: AsyncKeys[Request], **options: Unpack[Options[Request]]) -> Verified:
    """Verify a request. Its body can be read again afterwards: ``get_json()`` and ``form`` still work.

    Args:
        request: ``quart.request``, of which nobody has read ``form``, ``files`` or ``body`` yet.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        HTTPException: It does not verify: 401, or 400 if it is malformed, 413 if it is too large. Why is logged.
        RuntimeError: Its body is gone.
    """
    return await _verify_or_abort(request, Settings.of(keys, options))


async def _verify_or_abort(request: Request, settings: Settings[Request]) -> Verified:
    try:
        body = await _raw_body(request, settings)
        query = request.query_string.decode("latin-1")
        return await settings.verify_async(request, body, request.headers, method=request.method, query=query)
    except VerificationError as error:
        return abort(*refused(error))


async def _raw_body(request: Request, settings: Settings[Request]) -> bytes:
    settings.check_length(request.content_length)
    limit = request.max_content_length
    allowed = settings.max_body_bytes if limit is None else min(limit, settings.max_body_bytes)
    try:
        body = await _collect(request, allowed)
        if not body:  # it was awaited before, and kept
            body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    except RequestEntityTooLarge:
        raise settings.too_large() from None
    if len(body) > allowed:
        raise settings.too_large()
    if not body and request.content_length:  # Quart keeps no bytes of a form it parsed
        raise RuntimeError(CONSUMED)
    # What was iterated over is gone, and what was awaited cannot be iterated over: for whoever reads it afterwards.
    request.body = request.body_class(None, None)
    request.body.set_result(body)
    return body


async def _collect(request: Request, allowed: int) -> bytes:
    # Not get_data(), which waits for the end and counts then.
    body = bytearray()
    try:
        async with asyncio.timeout(request.body_timeout):
            async for chunk in request.body:
                body += chunk
                if len(body) > allowed:
                    break
    except TimeoutError:
        raise RequestTimeout from None
    return bytes(body)
