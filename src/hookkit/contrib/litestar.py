"""Receiving webhooks in Litestar. For Litestar from 2.13 on.

Give a route the dependency (before 2.23, plain ``Verified`` says as much as ``NamedDependency[Verified]``)::

    @post("/hooks", dependencies={"verified": Provide(webhook(KEYS))}, status_code=204)
    async def receive(verified: NamedDependency[Verified]) -> None:
        handle_once(verified.dedupe_key, verified.event())
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Unpack

from litestar import Request
from litestar.exceptions import HTTPException, InternalServerException

from hookkit.contrib._answers import CONSUMED, refused
from hookkit.contrib._settings import AsyncKeys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["verify_request", "webhook"]


def webhook(
    keys: AsyncKeys[Request[Any, Any, Any]], **options: Unpack[Options[Request[Any, Any, Any]]]
) -> Callable[[Request[Any, Any, Any]], Coroutine[Any, Any, Verified]]:
    """Return a function that verifies a request: a dependency for ``Provide``.

    Args:
        keys: The signing key, or several; or a function of the request that returns them, awaited if need be. It may
            raise the framework's own exceptions, such as NotFoundException for a tenant that there is not.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.
            A body whose length is not announced is read up to the route's own ``request_max_body_size``.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    async def verified(request: Request[Any, Any, Any]) -> Verified:
        """Return the verified request, or answer in its place."""
        try:
            return await _verify(request, settings)
        except VerificationError as error:
            answer = refused(error)
            raise HTTPException(status_code=answer.status, detail=answer.text) from None

    return verified


async def verify_request(
    request: Request[Any, Any, Any],
    keys: AsyncKeys[Request[Any, Any, Any]],
    **options: Unpack[Options[Request[Any, Any, Any]]],
) -> Verified:
    """Verify a request. Its body can be read again afterwards: ``request.json()`` and ``request.form()`` still work.

    Args:
        request: The request, its body not read as a stream or a multipart form yet.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        HTTPException: It does not verify: 401, or 400 if it is malformed, 413 if it is too large. Why is logged.
        RuntimeError: Its body is gone.
    """
    return await webhook(keys, **options)(request)


async def _verify(request: Request[Any, Any, Any], settings: Settings[Request[Any, Any, Any]]) -> Verified:
    settings.check_length(request.headers.get("content-length"))
    try:
        body = await request.body()
    except InternalServerException:
        if request.is_connected:  # the sender hung up
            raise
        raise RuntimeError(CONSUMED) from None
    except HTTPException as error:
        raise (settings.too_large() if error.status_code == 413 else error) from None
    query = request.scope["query_string"].decode("latin-1")
    return await settings.verify_async(request, body, request.scope["headers"], method=request.method, query=query)
