"""The same receiver in every framework, built as its users would build it.

Each has two routes. ``/hooks`` is the decorated view, or the one with the dependency. ``/look`` calls
``verify_request`` itself, and reads the request's body in some way before or after it, as its query asks:
``?before=form``. A framework is imported where its receiver is built, so that collecting the tests needs none of them.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import attrs
from wires import Answered, Call, by_asgi, by_wsgi, event_of

from hookkit import SigningKey, VerificationError, Verified

if TYPE_CHECKING:
    from collections.abc import Awaitable

Send = Callable[[Call], Answered]


@attrs.define
class Receiver:
    """What a receiver is built with, and what has become of the requests it got."""

    keys: Any
    options: dict[str, Any] = attrs.field(factory=dict)
    handled: list[Verified] = attrs.field(factory=list)
    seen: list[Any] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    async def look(self, query: str, read: Callable[[str], Awaitable[Any]], verify: Callable[[], Any]) -> int:
        """Read the body as the query asks, before and after verifying; return the status to answer."""
        when, _, how = query.partition("=")
        if when == "before":
            self.seen.append(await read(how))
        try:
            found = verify()
            self.handled.append(await found if asyncio.iscoroutine(found) else found)
        except RuntimeError as error:
            self.problems.append(str(error))
            return 500
        if when == "after":
            self.seen.append(await read(how))
        return 204


def starlette(to: Receiver) -> Send:
    """Return a receiver in Starlette."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from hookkit.contrib.starlette import verify_request, webhook

    verified = webhook(to.keys, **to.options)

    async def hooks(request: Request) -> Response:
        to.handled.append(await verified(request))
        return Response(status_code=204)

    async def look(request: Request) -> Response:
        status = await to.look(
            request.url.query, partial(_read_starlette, request), lambda: verify_request(request, to.keys, **to.options)
        )
        return Response(status_code=status)

    routes = [Route("/hooks", hooks, methods=["POST"]), Route("/look", look, methods=["POST"])]
    return partial(by_asgi, Starlette(routes=routes))


async def _read_starlette(request: Any, how: str) -> Any:
    if how == "json":
        return await request.json()
    if how == "form":
        return dict(await request.form())
    return b"".join([chunk async for chunk in request.stream()])


def fastapi(to: Receiver) -> Send:
    """Return a receiver in FastAPI."""
    from fastapi import Depends, FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from hookkit.contrib.starlette import verify_request, webhook

    app = FastAPI()

    @app.post("/hooks")
    async def hooks(verified=Depends(webhook(to.keys, **to.options))):  # noqa: B008 - how FastAPI is used
        to.handled.append(verified)
        return Response(status_code=204)

    async def look(request):
        status = await to.look(
            request.url.query, partial(_read_starlette, request), lambda: verify_request(request, to.keys, **to.options)
        )
        return Response(status_code=status)

    look.__annotations__["request"] = Request  # the class itself: FastAPI does not see local imports by their names
    app.post("/look")(look)
    return partial(by_asgi, app)


def litestar(to: Receiver) -> Send:
    """Return a receiver in Litestar."""
    from litestar import Litestar, Request, Response, post
    from litestar.di import NamedDependency, Provide

    from hookkit.contrib.litestar import verify_request, webhook

    async def read(request: Any, how: str) -> Any:
        if how == "json":
            return await request.json()
        if how == "form":
            return dict(await request.form())
        return b"".join([chunk async for chunk in request.stream()])

    async def hooks(verified: Verified) -> None:
        to.handled.append(verified)

    async def look(request):
        status = await to.look(
            request.url.query, partial(read, request), lambda: verify_request(request, to.keys, **to.options)
        )
        return Response(None, status_code=status)

    hooks.__annotations__.update({"verified": NamedDependency[Verified], "return": None})
    look.__annotations__.update({"request": Request, "return": Response[None]})
    provide = {"verified": Provide(webhook(to.keys, **to.options))}
    routes = [post("/hooks", dependencies=provide, status_code=204)(hooks), post("/look")(look)]
    return partial(by_asgi, Litestar(routes, logging_config=None, openapi_config=None))


def flask(to: Receiver) -> Send:
    """Return a receiver in Flask."""
    from flask import Flask, request

    from hookkit.contrib.flask import verify_request, webhook

    app = Flask(__name__)

    async def read(how: str) -> Any:
        if how == "json":
            return request.get_json()
        return request.form.to_dict() if how == "form" else request.stream.read()

    @app.post("/hooks")
    @webhook(to.keys, **to.options)
    def hooks(verified: Verified) -> Any:
        to.handled.append(verified)
        return "", 204

    @app.post("/look")
    def look() -> Any:
        query = request.query_string.decode()
        return "", run(to.look(query, read, lambda: verify_request(request, to.keys, **to.options)))

    return partial(by_wsgi, app)


def run(work: Any) -> Any:
    """Run a coroutine that waits for nothing, in code that is not async."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def quart(to: Receiver) -> Send:
    """Return a receiver in Quart."""
    from quart import Quart, request

    from hookkit.contrib.quart import verify_request, webhook

    app = Quart(__name__)

    async def read(how: str) -> Any:
        if how == "json":
            return await request.get_json()
        return (await request.form).to_dict() if how == "form" else b"".join([chunk async for chunk in request.body])

    @app.post("/hooks")
    @webhook(to.keys, **to.options)
    async def hooks(verified: Verified) -> Any:
        to.handled.append(verified)
        return "", 204

    @app.post("/look")
    async def look() -> Any:
        query = request.query_string.decode()
        return "", await to.look(query, read, lambda: verify_request(request, to.keys, **to.options))

    return partial(by_asgi, app)


@cache
def _django() -> types.ModuleType:
    """Set Django up, once; return its table of URLs, which each receiver fills anew."""
    import django
    from django.conf import settings

    table = types.ModuleType("hookkit_test_urls")
    table.urlpatterns = []
    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    if django.VERSION >= (5, 1):
        middleware.append("django.contrib.auth.middleware.LoginRequiredMiddleware")
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        MIDDLEWARE=middleware,
        ROOT_URLCONF=table,
        SECRET_KEY="only for tests",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()
    return table


def _django_site(hooks: Any, look: Any, *, asgi: bool = False) -> Send:
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.urls import clear_url_caches, path

    _django().urlpatterns[:] = [path("hooks", hooks), path("look", look)]
    clear_url_caches()
    return partial(by_asgi, get_asgi_application()) if asgi else partial(by_wsgi, get_wsgi_application())


async def _read_django(request: Any, how: str) -> Any:
    import json

    if how == "json":
        return json.loads(request.body)
    return request.POST.dict() if how == "form" else request.read()


def django_sync(to: Receiver) -> Send:
    """Return a receiver in Django: sync views behind WSGI."""
    _django()
    from django.http import HttpResponse

    from hookkit.contrib.django import refusal, verify_request, webhook

    @webhook(to.keys, **to.options)
    def hooks(request: Any, verified: Verified) -> HttpResponse:
        to.handled.append(verified)
        return HttpResponse(status=204)

    def look(request: Any) -> HttpResponse:
        query = request.META["QUERY_STRING"]
        work = to.look(query, partial(_read_django, request), lambda: verify_request(request, to.keys, **to.options))
        try:
            return HttpResponse(status=run(work))
        except VerificationError as error:
            return refusal(error)

    look.csrf_exempt, look.login_required = True, False
    return _django_site(hooks, look)


def django_async(to: Receiver) -> Send:
    """Return a receiver in Django: async views behind ASGI."""
    _django()
    from django.http import HttpResponse

    from hookkit.contrib.django import refusal, verify_request, webhook

    @webhook(to.keys, **to.options)
    async def hooks(request: Any, verified: Verified) -> HttpResponse:
        to.handled.append(verified)
        return HttpResponse(status=204)

    async def look(request: Any) -> HttpResponse:
        query = request.META["QUERY_STRING"]
        work = to.look(query, partial(_read_django, request), lambda: verify_request(request, to.keys, **to.options))
        try:
            return HttpResponse(status=await work)
        except VerificationError as error:
            return refusal(error)

    look.csrf_exempt, look.login_required = True, False
    return _django_site(hooks, look, asgi=True)


def drf(to: Receiver) -> Send:
    """Return a receiver in Django REST framework: a class, and a function."""
    _django()
    from django.http import HttpResponse
    from django.utils.decorators import method_decorator
    from rest_framework.decorators import api_view
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from hookkit.contrib.django import refusal, verify_request, webhook

    class Hooks(APIView):
        @method_decorator(webhook(to.keys, **to.options))
        def post(self, request: Any, verified: Verified) -> Response:
            to.handled.append(verified)
            return Response(status=204)

    async def read(request: Any, how: str) -> Any:
        if how == "json":
            return request.data
        return request.data.dict() if how == "form" else request.stream.read()

    @api_view(["POST"])
    def look(request: Any) -> HttpResponse:
        query = request.META["QUERY_STRING"]
        work = to.look(query, partial(read, request), lambda: verify_request(request, to.keys, **to.options))
        try:
            return HttpResponse(status=run(work))
        except VerificationError as error:
            return refusal(error)

    return _django_site(Hooks.as_view(), look)


def aiohttp(to: Receiver) -> Send:
    """Return a receiver in aiohttp, behind its own server."""
    from aiohttp import web

    from hookkit.contrib.aiohttp import verify_request, webhook

    async def read(request: Any, how: str) -> Any:
        if how == "json":
            return await request.json()
        return dict(await request.post()) if how == "form" else await request.content.read()

    @webhook(to.keys, **to.options)
    async def hooks(request: web.Request, verified: Verified) -> web.Response:
        to.handled.append(verified)
        return web.Response(status=204)

    async def look(request: web.Request) -> web.Response:
        query = request.query_string
        status = await to.look(query, partial(read, request), lambda: verify_request(request, to.keys, **to.options))
        return web.Response(status=status)

    return partial(_by_aiohttp, [web.post("/hooks", hooks), web.post("/look", look)])


def _by_aiohttp(routes: list[Any], call: Call) -> Answered:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer
    from multidict import CIMultiDict

    async def chunks() -> Any:
        for start in range(0, len(call.body), 65_536):
            yield call.body[start : start + 65_536]

    async def send() -> Answered:
        app = web.Application()
        app.add_routes(routes)
        data = call.body if call.announced else chunks()
        async with (
            TestClient(TestServer(app)) as client,
            client.post(call.target, data=data, headers=CIMultiDict(call.headers)) as response,
        ):
            return Answered(response.status, await response.text())

    return asyncio.run(send())


def _aws_lambda(form: str, to: Receiver) -> Send:
    from hookkit.contrib.aws_lambda import webhook

    @webhook(to.keys, **to.options)
    def handler(event: Any, context: Any, verified: Verified) -> dict[str, Any]:
        to.handled.append(verified)
        return {"statusCode": 204}

    def send(call: Call) -> Answered:
        answer = handler(event_of(call, form), None)
        return Answered(answer["statusCode"], answer.get("body", ""))

    return send


SITES: dict[str, Callable[[Receiver], Send]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "flask": flask,
    "quart": quart,
    "django": django_sync,
    "django-async": django_async,
    "drf": drf,
    "aiohttp": aiohttp,
    "lambda-rest": partial(_aws_lambda, "rest"),
    "lambda-http": partial(_aws_lambda, "http"),
    "lambda-alb": partial(_aws_lambda, "alb"),
}
"""Every framework, by its name in the tests."""

KEY = SigningKey("whsec_" + 4 * "MfKQ9r8G")
