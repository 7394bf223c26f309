"""The traps of each framework: what a receiver steps into there, and what becomes of it with hookkit."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sites import KEY, SITES, Receiver, _django_site
from wires import Call, by_asgi, by_wsgi, environ_of

from hookkit import InvalidKey, VerificationError, Verified, verify_signature
from hookkit.testing import sign_request

pytestmark = pytest.mark.frameworks

BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"name":"ada"}}'


def call(target: str = "/hooks", body: bytes = BODY, *, type_: str = "application/json", **options: Any) -> Call:
    """Return a signed request."""
    return Call(target, body, [("content-type", type_), *sign_request(body, KEY).items()], **options)


TAMPERED = call()._replace(body=BODY.replace(b"ada", b"ida"))


# --- Keys that fail ---------------------------------------------------------------------------------------------------


def not_found(name: str) -> Exception:
    """Return what a framework answers with 404."""
    if name in {"starlette", "fastapi"}:
        from starlette.exceptions import HTTPException

        return HTTPException(404)
    if name == "litestar":
        from litestar.exceptions import NotFoundException

        return NotFoundException()
    if name in {"flask", "quart"}:
        from werkzeug.exceptions import NotFound

        return NotFound()
    if name == "aiohttp":
        from aiohttp.web import HTTPNotFound

        return HTTPNotFound()
    from django.http import Http404

    return Http404()


@pytest.mark.parametrize("name", [name for name in SITES if not name.startswith("lambda")])
def test_a_tenant_that_there_is_not_may_be_answered_with_404(name: str) -> None:
    """What the function of the keys raises is the framework's to answer."""

    def keys(request: Any) -> Any:
        raise not_found(name)

    to = Receiver(keys)
    assert SITES[name](to)(call()).status == 404
    assert to.handled == []


@pytest.mark.parametrize("name", SITES)
def test_no_key_at_the_time_of_the_request_is_the_hosts_error(name: str) -> None:
    """500, or the error itself, so that somebody notices and the sender tries again; never a request let through."""
    to = Receiver(lambda request: [])
    send = SITES[name](to)
    with suppress(InvalidKey):
        assert send(call()).status == 500
    assert to.handled == []


@pytest.mark.parametrize("name", ["flask", "django", "drf", "lambda-http"])
def test_code_that_is_not_async_cannot_await_keys(name: str, log: pytest.LogCaptureFixture) -> None:
    """A coroutine function is a TypeError there, and nothing is left un-awaited."""

    async def keys(request: Any) -> Any:
        return KEY

    to = Receiver(keys)
    send = SITES[name](to)
    try:
        assert send(call()).status == 500
        error = log.records[-1].exc_info[1]
    except TypeError as raised:
        error = raised
    assert "give a plain function" in str(error)
    assert to.handled == []


# --- Starlette and FastAPI --------------------------------------------------------------------------------------------


def test_fastapi_a_form_parameter_takes_the_body_first() -> None:
    """FastAPI parses it before any dependency runs: the error says so."""
    from fastapi import Depends, FastAPI, Form

    from hookkit.contrib.starlette import webhook

    app = FastAPI()

    @app.post("/hooks")
    async def hooks(verified=Depends(webhook(KEY)), a: str = Form()) -> None:  # noqa: B008, FAST002
        raise AssertionError

    with pytest.raises(RuntimeError, match="was read before"):
        by_asgi(app, call(body=b"a=b", type_="application/x-www-form-urlencoded"))


def test_fastapi_a_json_parameter_leaves_the_bytes() -> None:
    """A body parameter beside the dependency has the parsed body; what verifies is the raw one."""
    from fastapi import Depends, FastAPI

    from hookkit.contrib.starlette import webhook

    app = FastAPI()
    seen: list[Any] = []

    @app.post("/hooks", status_code=204)
    async def hooks(body: dict[str, Any], verified=Depends(webhook(KEY))) -> None:  # noqa: B008
        seen.append((body, verified.body))

    body = b'{"b" : 1,\n "a":2.50}'
    assert by_asgi(app, call(body=body)).status == 204
    assert seen == [({"b": 1, "a": 2.5}, body)]
    assert by_asgi(app, call(body=body)._replace(body=b'{"b":1,"a":2.5}')).status == 401


def test_fastapi_the_dependency_adds_nothing_to_the_schema() -> None:
    """The request is recognised as one: it is neither a query parameter nor a body."""
    from fastapi import Depends, FastAPI

    from hookkit.contrib.starlette import webhook

    app = FastAPI()

    @app.post("/hooks", status_code=204)
    async def hooks(verified=Depends(webhook(KEY))) -> None:  # noqa: B008
        raise AssertionError

    assert not {"parameters", "requestBody"} & app.openapi()["paths"]["/hooks"]["post"].keys()


def test_starlette_middleware_may_read_the_body_first() -> None:
    """``BaseHTTPMiddleware`` hands on what its ``request.body()`` has read."""
    from starlette.middleware.base import BaseHTTPMiddleware

    to = Receiver(KEY)
    app = SITES["starlette"](to).args[0]

    async def dispatch(request: Any, call_next: Any) -> Any:
        assert await request.body() == BODY
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    assert by_asgi(app, call()).status == 204
    assert len(to.handled) == 1


@pytest.mark.parametrize("name", ["starlette", "litestar"])
def test_a_sender_that_hangs_up_is_not_handled(name: str) -> None:
    """Half a body is the framework's affair: neither a refusal, nor taken for the whole."""
    to = Receiver(KEY)
    app = SITES[name](to).args[0]
    headers = [(key.encode(), value.encode()) for key, value in call().headers]
    scope = {"type": "http", "method": "POST", "path": "/hooks", "raw_path": b"/hooks", "query_string": b""}
    scope |= {"headers": headers, "root_path": "", "state": {}, "http_version": "1.1", "scheme": "http"}
    messages = [{"type": "http.request", "body": BODY, "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    from starlette.requests import ClientDisconnect

    with suppress(ClientDisconnect):
        asyncio.run(app(scope, receive, send))
    assert to.handled == []
    assert [message["status"] for message in sent if "status" in message] in ([], [500])


# --- Litestar ---------------------------------------------------------------------------------------------------------


def test_litestar_a_data_parameter_leaves_the_bytes() -> None:
    """A handler may have both: parsed ``data`` and the Verified."""
    from litestar import Litestar, post
    from litestar.di import NamedDependency, Provide
    from litestar.params import JSONBody

    from hookkit.contrib.litestar import webhook

    seen: list[Any] = []

    async def hooks(data, verified) -> None:
        seen.append((data, verified.body))

    hooks.__annotations__.update(
        {"data": JSONBody[dict[str, int]], "verified": NamedDependency[Verified], "return": None}
    )
    route = post("/hooks", dependencies={"verified": Provide(webhook(KEY))}, status_code=204)(hooks)
    app = Litestar([route], logging_config=None)
    body = b'{"b" : 1}'
    assert by_asgi(app, call(body=body)).status == 204
    assert seen == [({"b": 1}, body)]
    assert "parameters" not in app.openapi_schema.to_schema()["paths"]["/hooks"]["post"]


# --- Flask and Quart --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("name", ["flask", "quart"])
def test_the_apps_own_limit_holds(name: str, *, announced: bool) -> None:
    """An application that allows less than hookkit would is obeyed; Flask, alone, would cut chunks off in silence."""
    to = Receiver(KEY)
    send = SITES[name](to)
    send.args[0].config["MAX_CONTENT_LENGTH"] = len(BODY)
    assert send(call(announced=announced)).status == 204
    for limit in (len(BODY) - 1, 1):
        send.args[0].config["MAX_CONTENT_LENGTH"] = limit
        assert send(call(announced=announced)).status == 413
    assert len(to.handled) == 1


def test_flask_bytes_that_nobody_kept_are_said_to_be_gone() -> None:
    """``get_data(cache=False)`` leaves an empty body behind: that is no empty body."""
    from flask import Flask, request

    from hookkit.contrib.flask import webhook

    app = Flask(__name__)
    app.before_request(lambda: request.get_data(cache=False) and None)
    app.testing = True

    @app.post("/hooks")
    @webhook(KEY)
    def hooks(verified: Verified) -> Any:
        raise AssertionError

    with pytest.raises(RuntimeError, match="was read before"):
        by_wsgi(app, call())


@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("name", ["flask", "quart"])
def test_views_are_sync_or_async_and_take_what_the_url_holds(name: str, form: str) -> None:
    """The Verified comes first; keys may depend on the URL; the framework's own wrapping of views is used."""
    import flask
    import quart

    module: Any = {"flask": flask, "quart": quart}[name]
    app = {"flask": flask.Flask, "quart": quart.Quart}[name](__name__)
    webhook = __import__(f"hookkit.contrib.{name}", fromlist=["webhook"]).webhook
    seen: list[Any] = []

    def keys_of(request: Any) -> Any:
        return {"acme": KEY}.get(request.view_args["tenant"]) or module.abort(404)

    def view(verified: Verified, tenant: str) -> Any:
        seen.append((tenant, verified.id))
        return "", 204

    async def async_view(verified: Verified, tenant: str) -> Any:
        await asyncio.sleep(0)
        return view(verified, tenant)

    app.post("/hooks/<tenant>")(webhook(keys_of)(view if form == "sync" else async_view))
    send = partial(by_wsgi if name == "flask" else by_asgi, app)
    assert [send(call(f"/hooks/{tenant}")).status for tenant in ("acme", "other")] == [204, 404]
    assert send(TAMPERED._replace(target="/hooks/acme")).status == 401
    assert seen == [("acme", "evt_test")]


@pytest.mark.parametrize("name", ["flask", "quart"])
def test_the_apps_error_handlers_write_the_answer(name: str) -> None:
    """A refusal is one of the framework's own exceptions, so it looks like the application's other errors."""
    to = Receiver(KEY)
    send = SITES[name](to)
    send.args[0].register_error_handler(401, lambda error: ({"error": error.name}, 401))
    answer = send(TAMPERED)
    assert (answer.status, json.loads(answer.text)) == (401, {"error": "Unauthorized"})


def test_quart_a_body_that_never_ends_times_out() -> None:
    """After the app's own BODY_TIMEOUT the answer is 408, as it is where Quart reads the body itself."""
    to = Receiver(KEY)
    app = SITES["quart"](to).args[0]
    app.config["BODY_TIMEOUT"] = 0.05
    headers = [(key.encode(), value.encode()) for key, value in call().headers]
    scope = {"type": "http", "method": "POST", "path": "/hooks", "raw_path": b"/hooks", "query_string": b""}
    scope |= {"headers": headers, "root_path": "", "http_version": "1.1", "scheme": "http", "extensions": {}}
    messages = [{"type": "http.request", "body": BODY, "more_body": True}]
    sent: list[dict[str, Any]] = []
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not messages:
            await over.wait()
            return {"type": "http.disconnect"}
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if not message.get("more_body", True):
            over.set()

    asyncio.run(app(scope, receive, send))
    assert [message["status"] for message in sent if "status" in message] == [408]
    assert to.handled == []


# --- Django -----------------------------------------------------------------------------------------------------------


def classes(seen: list[Any]) -> dict[str, Any]:
    """Return class-based views, decorated in each way there is."""
    SITES["django"](Receiver(KEY))
    from django.http import HttpResponse
    from django.utils.decorators import method_decorator
    from django.views import View
    from django.views.decorators.csrf import csrf_exempt

    from hookkit.contrib.django import webhook

    class Sync(View):
        def post(self, request: Any, verified: Verified) -> HttpResponse:
            seen.append(verified.id)
            return HttpResponse(status=204)

    class Async(View):
        async def post(self, request: Any, verified: Verified) -> HttpResponse:
            await asyncio.sleep(0)
            seen.append(verified.id)
            return HttpResponse(status=204)

    async def keys(request: Any) -> Any:
        return KEY

    def copied(view: type, *decorators: Any) -> Any:
        made = type(view.__name__, (view,), {})
        for decorator in decorators:
            made = decorator(made)
        made = made.as_view()
        made.login_required = False
        return made

    exempt = method_decorator(csrf_exempt, name="dispatch")
    return {
        "sync dispatch": copied(Sync, method_decorator(webhook(KEY), name="dispatch")),
        "sync post": copied(Sync, method_decorator(webhook(KEY), name="post"), exempt),
        "async dispatch": copied(Async, method_decorator(webhook(keys), name="dispatch")),
        "async post": copied(Async, method_decorator(webhook(keys), name="post"), exempt),
    }


@pytest.mark.parametrize("how", ["sync dispatch", "sync post", "async dispatch", "async post"])
def test_django_class_based_views(how: str) -> None:
    """``method_decorator`` puts it on a class or on a method, whose answer may have to be awaited."""
    seen: list[str] = []
    view = classes(seen)[how]
    send = _django_site(view, view, asgi=how.startswith("async"))
    assert [send(call()).status, send(TAMPERED).status] == [204, 401]
    assert seen == ["evt_test"]


def test_django_the_view_is_exempt_from_what_browsers_need() -> None:
    """Neither CSRF protection nor LoginRequiredMiddleware has its say; a view beside it is still protected."""
    to = Receiver(KEY)
    send = SITES["django"](to)
    from django.http import HttpResponse
    from django.urls import path
    from django.views.decorators.http import require_POST
    from sites import _django

    from hookkit.contrib.django import webhook

    @require_POST
    @webhook(KEY)
    def outer(request: Any, verified: Verified, number: int) -> HttpResponse:
        return HttpResponse(status=200 + number)

    def plain(request: Any) -> HttpResponse:
        raise AssertionError

    _django().urlpatterns += [path("outer/<int:number>", outer), path("plain", plain)]
    assert send(call("/outer/4")).status == 204
    assert send(call("/plain")).status in {302, 403}


def test_django_its_own_limit_holds(log: pytest.LogCaptureFixture) -> None:
    """A body over DATA_UPLOAD_MAX_MEMORY_SIZE is 413, not the 400 that Django would make of it."""
    to = Receiver(KEY)
    send = SITES["django"](to)
    from django.test import override_settings

    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=len(BODY)):
        assert send(call()).status == 204
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=len(BODY) - 1):
        assert send(call()).status == 413
    assert [record.reason for record in log.records if record.name == "hookkit.contrib"] == ["too_large"]


def test_rest_framework_functions_are_decorated_below_api_view() -> None:
    """The view gets REST framework's request; what it makes of the body afterwards is as ever."""
    SITES["drf"](Receiver(KEY))
    from rest_framework.decorators import api_view
    from rest_framework.response import Response

    from hookkit.contrib.django import webhook

    @api_view(["POST"])
    @webhook(KEY)
    def hooks(request: Any, verified: Verified) -> Response:
        return Response(request.data, status=200)

    send = _django_site(hooks, hooks)
    answer = send(call())
    assert (answer.status, json.loads(answer.text)) == (200, json.loads(BODY))
    assert send(TAMPERED).status == 401


def test_rest_framework_data_written_again_is_not_what_was_signed() -> None:
    """The mistake that most receivers make: the raw body verifies, ``json.dumps(request.data)`` does not."""
    SITES["drf"](Receiver(KEY))
    from django.core.handlers.wsgi import WSGIRequest
    from rest_framework.parsers import JSONParser
    from rest_framework.request import Request

    from hookkit.contrib.django import verify_request

    request = Request(WSGIRequest(environ_of(call())), parsers=[JSONParser()])
    assert request.data["data"] == {"name": "ada"}
    with pytest.raises(VerificationError):
        verify_signature(json.dumps(request.data).encode(), request.headers, KEY)
    assert verify_request(request, KEY).body == BODY


# --- aiohttp ----------------------------------------------------------------------------------------------------------


def test_aiohttp_class_based_views_verify_by_hand() -> None:
    """A ``web.View`` has its request on itself."""
    from aiohttp import web
    from sites import _by_aiohttp

    from hookkit.contrib.aiohttp import verify_request

    class Hooks(web.View):
        async def post(self) -> web.Response:
            verified = await verify_request(self.request, KEY)
            return web.Response(status=204, headers={"x-id": verified.id})

    routes = [web.view("/hooks", Hooks)]
    assert [_by_aiohttp(routes, one).status for one in (call(), TAMPERED)] == [204, 401]


def test_aiohttp_its_own_limit_holds(log: pytest.LogCaptureFixture) -> None:
    """A body over ``client_max_size`` is refused in hookkit's words, and logged."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    from hookkit.contrib.aiohttp import webhook

    @webhook(KEY)
    async def hooks(request: web.Request, verified: Verified) -> web.Response:
        return web.Response(status=204)

    async def post(limit: int) -> tuple[int, str]:
        app = web.Application(client_max_size=limit)
        app.router.add_post("/hooks", hooks)
        one = call()
        async with (
            TestClient(TestServer(app)) as client,
            client.post("/hooks", data=one.body, headers=one.headers) as response,
        ):
            return response.status, await response.text()

    assert asyncio.run(post(len(BODY))) == (204, "")
    assert asyncio.run(post(len(BODY) - 1)) == (413, "Content Too Large")
    assert [record.reason for record in log.records if record.name == "hookkit.contrib"] == ["too_large"]
