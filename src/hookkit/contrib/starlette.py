"""Receiving webhooks in Starlette and in FastAPI. For Starlette from 0.40 and FastAPI from 0.115 on.

In FastAPI, declare the dependency, and no parameter that would read the body beside it::

    Webhook = Annotated[Verified, Depends(webhook(KEYS))]

    @app.post("/hooks", status_code=204)
    async def receive(verified: Webhook) -> None:
        handle_once(verified.dedupe_key, verified.event())
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, Unpack

from starlette.exceptions import HTTPException
from starlette.requests import Request

from hookkit.contrib._answers import CONSUMED, refused
from hookkit.contrib._settings import AsyncKeys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["verify_request", "webhook"]


def webhook(
    keys: AsyncKeys[Request], **options: Unpack[Options[Request]]
) -> Callable[[Request], Coroutine[Any, Any, Verified]]:
    """Return a function that verifies a request: a dependency for FastAPI, or to be awaited in an endpoint.

    Args:
        keys: The signing key, or several; or a function of the request that returns them, awaited if need be. It may
            raise the framework's own HTTPException, such as 404 for a tenant that there is not.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    async def verified(request: Request) -> Verified:
        """Return the verified request, or answer in its place."""
        try:
            return await _verify(request, settings)
        except VerificationError as error:
            answer = refused(error)
            raise HTTPException(answer.status, answer.text) from None

    return verified


async def verify_request(request: Request, keys: AsyncKeys[Request], **options: Unpack[Options[Request]]) -> Verified:
    """Verify a request. Its body can be read again afterwards: ``request.json()`` and ``request.form()`` still work.

    Args:
        request: The request, its body not read by ``form()`` or ``stream()`` yet.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        HTTPException: It does not verify: 401, or 400 if it is malformed, 413 if it is too large. Why is logged.
        RuntimeError: Its body is gone.
    """
    return await webhook(keys, **options)(request)


async def _verify(request: Request, settings: Settings[Request]) -> Verified:
    settings.check_length(request.headers.get("content-length"))
    body = await _raw_body(request, settings)
    query = request.scope.get("query_string", b"").decode("latin-1")
    return await settings.verify_async(request, body, request.headers.raw, method=request.method, query=query)


async def _raw_body(request: Request, settings: Settings[Request]) -> bytes:
    # Not request.body(), which reads on for as long as somebody sends: Starlette has no limit of its own.
    body = bytearray()
    try:
        async with aclosing(request.stream()) as stream:
            async for chunk in stream:
                body += chunk
                if len(body) > settings.max_body_bytes:
                    raise settings.too_large()
    except RuntimeError:  # "Stream consumed"
        raise RuntimeError(CONSUMED) from None
    request._body = bytes(body)  # noqa: SLF001 - where body() itself keeps it, for whoever reads it afterwards
    return request._body  # noqa: SLF001 - likewise
