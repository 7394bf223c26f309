"""Receiving webhooks with aiohttp's server. For aiohttp from 3.10 on.

Decorate a handler; it gets the Verified beside the request::

    @routes.post("/hooks")
    @webhook(KEYS)
    async def receive(request: web.Request, verified: Verified) -> web.Response:
        await handle_once(verified.dedupe_key, verified.event())
        return web.Response(status=204)
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Unpack

from aiohttp import web

from hookkit.contrib._answers import CONSUMED, Answer, refused
from hookkit.contrib._settings import AsyncKeys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["verify_request", "webhook"]


def webhook(
    keys: AsyncKeys[web.Request], **options: Unpack[Options[web.Request]]
) -> Callable[
    [Callable[[web.Request, Verified], Awaitable[web.StreamResponse]]],
    Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]],
]:
    """Return a decorator for handlers that are called with a verified request only.

    Args:
        keys: The signing key, or several; or a function of the request that returns them, awaited if need be. It may
            raise the framework's own exceptions, such as HTTPNotFound for a tenant that there is not.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.
            No body is longer than the application's ``client_max_size``, which is 1 MiB unless it says otherwise.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    def decorate(
        handler: Callable[[web.Request, Verified], Awaitable[web.StreamResponse]],
    ) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        @functools.wraps(handler)
        async def verified_handler(request: web.Request) -> web.StreamResponse:
            return await handler(request, await _verify_or_raise(request, settings))

        return verified_handler

    return decorate


async def verify_request(
    request: web.Request, keys: AsyncKeys[web.Request], **options: Unpack[Options[web.Request]]
) -> Verified:
    """Verify a request, such as in a method of a ``web.View``. Its body can be read again afterwards.

    Args:
        request: The request, of which nobody has read ``multipart()`` or ``content`` yet.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        HTTPException: It does not verify: 401, or 400 if it is malformed, 413 if it is too large. Why is logged.
        RuntimeError: Its body is gone.
    """
    return await _verify_or_raise(request, Settings.of(keys, options))


async def _verify_or_raise(request: web.Request, settings: Settings[web.Request]) -> Verified:
    try:
        body = await _raw_body(request, settings)
        query = request.rel_url.raw_query_string
        return await settings.verify_async(request, body, request.headers, method=request.method, query=query)
    except VerificationError as error:
        raise _answer(refused(error), settings.max_body_bytes) from None


async def _raw_body(request: web.Request, settings: Settings[web.Request]) -> bytes:
    settings.check_length(request.headers.get("content-length"))
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise settings.too_large() from None
    if not body and request.content_length:  # aiohttp keeps no bytes of a multipart form it parsed
        raise RuntimeError(CONSUMED)
    return body


def _answer(answer: Answer, max_body_bytes: int) -> web.HTTPException:
    if answer.status == 413:
        return web.HTTPRequestEntityTooLarge(max_body_bytes, max_body_bytes, text=answer.text)
    return (web.HTTPBadRequest if answer.status == 400 else web.HTTPUnauthorized)(text=answer.text)
