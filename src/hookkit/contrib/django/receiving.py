"""Receiving webhooks in Django, and in Django REST framework. For Django from 4.2, and DRF from 3.15 on.

Decorate a view, sync or async; it gets the Verified behind the request. It needs no ``csrf_exempt``::

    @require_POST
    @webhook(KEYS)
    def receive(request: HttpRequest, verified: Verified) -> HttpResponse:
        handle_once(verified.dedupe_key, verified.event())
        return HttpResponse(status=204)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar, Unpack

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException

from hookkit.contrib._answers import CONSUMED, refused
from hookkit.contrib._settings import AsyncKeys, Keys, Options, Settings
from hookkit.errors import VerificationError
from hookkit.signing import Verified

__all__ = ["refusal", "verify_request", "webhook"]


class _Called(TypedDict):
    method: str
    query: str


_P = ParamSpec("_P")
_R = TypeVar("_R")


def webhook(
    keys: AsyncKeys[Any], **options: Unpack[Options[Any]]
) -> Callable[[Callable[Concatenate[_R, Verified, _P], Any]], Callable[Concatenate[_R, _P], Any]]:
    """Return a decorator for views that are called with a verified request only, and answers all others itself.

    The signature is what proves where the request comes from, so the view is exempt from CSRF protection and from
    LoginRequiredMiddleware. For a class, use ``method_decorator`` with ``name="dispatch"``; on another method it
    exempts nothing, and on one that is async it needs Django 5.2.

    Args:
        keys: The signing key, or several; or a function of the request that returns them. It may raise Http404 for a
            tenant that there is not. For an async view it may be a coroutine function.
        options: ``scheme``, ``tolerance``, ``url`` and ``max_body_bytes``, as for :func:`hookkit.verify_signature`.
            No body is longer than the setting ``DATA_UPLOAD_MAX_MEMORY_SIZE`` allows, whatever is given here.

    Raises:
        InvalidKey: There is no key, or it is blank. Raised at once, so that a missing setting stops the start.
    """
    settings = Settings.of(keys, options)

    def decorate(view: Callable[Concatenate[_R, Verified, _P], Any]) -> Callable[Concatenate[_R, _P], Any]:
        decorated: Any = _async_view(view, settings) if _is_awaited(view) else _sync_view(view, settings)
        decorated.csrf_exempt = True
        decorated.login_required = False
        return functools.wraps(view)(decorated)

    return decorate


def verify_request(request: HttpRequest, keys: Keys[Any], **options: Unpack[Options[Any]]) -> Verified:
    """Verify a request, Django's or REST framework's. Its body can be read again: ``POST`` and ``data`` still work.

    Django has no exception that is answered with 401, so whoever calls this answers, with :func:`refusal`, and exempts
    the view from CSRF protection. The decorator does both.

    Args:
        request: The request, of which nobody has read a multipart form yet.
        keys: As for :func:`webhook`.
        options: Likewise.

    Returns:
        The verified request. Process each ``dedupe_key`` once.

    Raises:
        VerificationError: It does not verify.
        RuntimeError: Its body is gone.
    """
    settings = Settings.of(keys, options)
    return settings.verify(request, _raw_body(request, settings), request.headers, **_called(request))


def refusal(error: VerificationError) -> HttpResponse:
    """Return the response to a request that does not verify, and log why: the response does not tell."""
    answer = refused(error)
    return HttpResponse(answer.text, status=answer.status, content_type="text/plain")


def _is_awaited(view: Any) -> bool:
    # method_decorator hands over a partial of a bound method. dispatch() is no coroutine function, yet what it returns
    # is awaited if the class's handlers are.
    bound = getattr(view, "func", view)
    if getattr(getattr(bound, "__self__", None), "view_is_async", False):
        return True
    return iscoroutinefunction(view)  # pyright: ignore[reportDeprecated] - until 3.12, inspect does not know the mark


def _sync_view(view: Callable[..., Any], settings: Settings[Any]) -> Callable[..., Any]:
    def verified_view(request: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            verified = settings.verify(request, _raw_body(request, settings), request.headers, **_called(request))
        except VerificationError as error:
            return refusal(error)
        return view(request, verified, *args, **kwargs)

    return verified_view


def _async_view(view: Callable[..., Any], settings: Settings[Any]) -> Callable[..., Any]:
    async def verified_view(request: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            body = _raw_body(request, settings)
            verified = await settings.verify_async(request, body, request.headers, **_called(request))
        except VerificationError as error:
            return refusal(error)
        return await view(request, verified, *args, **kwargs)

    return verified_view


def _called(request: HttpRequest) -> _Called:
    return {"method": request.method or "", "query": request.META.get("QUERY_STRING", "")}


def _raw_body(request: HttpRequest, settings: Settings[Any]) -> bytes:
    settings.check_length(request.META.get("CONTENT_LENGTH"))
    try:
        return request.body
    except RequestDataTooBig:
        raise settings.too_large() from None
    except RawPostDataException:
        raise RuntimeError(CONSUMED) from None
