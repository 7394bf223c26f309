"""The recipes of ``docs/frameworks.md`` work as they stand there, each behind its framework's own test client."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from sites import KEY, _django
from wires import Call, event_of

from hookkit import schemes
from hookkit.testing import signed_request
from sourcetree import PROJECT
from transcripts import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookkit.testing import SignedRequest

pytestmark = pytest.mark.frameworks

PAGE = PROJECT / "docs" / "frameworks.md"
TEXT = PAGE.read_text(encoding="utf-8")
RECIPES = {
    (title, number): block.text
    for title, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks(section))
}
DATA = {"type": "user.created", "timestamp": "2026-01-31T09:30:00Z", "data": {"name": "ada"}}


def asgi(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Post to an application of Starlette or FastAPI."""
    from starlette.testclient import TestClient

    with TestClient(names["app"]) as client:
        return client.post(path, content=request.body, headers=request.headers).status_code


def litestar(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Post to an application of Litestar."""
    from litestar.testing import TestClient

    with TestClient(names["app"]) as client:
        return client.post(path, content=request.body, headers=request.headers).status_code


def flask(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Post to an application of Flask."""
    with names["app"].test_client() as client:
        return client.post(path, data=request.body, headers=request.headers).status_code


def quart(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Post to an application of Quart."""

    async def post() -> int:
        client = names["app"].test_client()
        return (await client.post(path, data=request.body, headers=request.headers)).status_code

    return asyncio.run(post())


def django(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Post to views of Django, with CSRF protection on, synchronously or not."""
    from django.conf import settings
    from django.test import AsyncClient, Client, override_settings
    from django.urls import clear_url_caches

    if "csrf_exempt" in names:  # verifying by hand, in a project where views are open unless they say otherwise
        with override_settings(MIDDLEWARE=[one for one in settings.MIDDLEWARE if "LoginRequired" not in one]):
            names.pop("csrf_exempt")
            return django(names, path, request)
    _django().urlpatterns[:] = names["urlpatterns"]
    clear_url_caches()
    headers = {name: value for name, value in request.headers.items() if name != "content-type"}
    rest = {"content_type": request.content_type, "headers": headers}
    status = Client(enforce_csrf_checks=True).post(path, request.body, **rest).status_code
    client = AsyncClient(enforce_csrf_checks=True)
    assert asyncio.run(client.post(path, request.body, **rest)).status_code == status
    return status


def aiohttp(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Post to an application of aiohttp."""
    from aiohttp.test_utils import TestClient, TestServer

    async def post() -> int:
        async with (
            TestClient(TestServer(names["app"])) as client,
            client.post(path, data=request.body, headers=request.headers) as response,
        ):
            return response.status

    return asyncio.run(post())


def aws_lambda(names: dict[str, Any], path: str, request: SignedRequest) -> int:
    """Call a Lambda function."""
    call = Call(path, request.body, list(request.headers.items()))
    return names["handler"](event_of(call, "http"), None)["statusCode"]


CLIENTS: dict[tuple[str, int], Callable[[dict[str, Any], str, SignedRequest], int]] = {
    ("FastAPI", 0): asgi,
    ("Starlette", 0): asgi,
    ("Litestar", 0): litestar,
    ("Django", 0): django,
    ("Django", 1): django,
    ("Django", 2): django,
    ("Django REST framework", 0): django,
    ("Flask", 0): flask,
    ("Quart", 0): quart,
    ("aiohttp", 0): aiohttp,
    ("AWS Lambda", 0): aws_lambda,
    ("Keys", 0): asgi,
    ("Senders that sign the URL", 0): asgi,
}
PATHS = {"Keys": "/hooks/acme", "Senders that sign the URL": "/sms?number=1"}
HANDLED = {
    "Keys": ("acme evt_test", {"name": "ada"}),
    "Senders that sign the URL": (hashlib.sha256(b"From=%2B15550100&Body=ada").hexdigest(), "ada"),
}


def request_for(title: str) -> SignedRequest:
    """Return what the sender of a recipe sends."""
    if title != "Senders that sign the URL":
        return signed_request(DATA, KEY)
    form, url = "application/x-www-form-urlencoded", "https://hooks.example.com/sms?number=1"
    return signed_request(b"From=%2B15550100&Body=ada", KEY, scheme=schemes.TWILIO, url=url, content_type=form)


def test_every_block_is_a_recipe() -> None:
    """None is left out, and all are Python."""
    assert list(RECIPES) == list(CLIENTS)
    assert {block.tag for block in blocks(TEXT)} == {"python"}
    assert len(re.findall(r"^```", TEXT, re.MULTILINE)) == 2 * len(RECIPES)


@pytest.mark.parametrize("recipe", CLIENTS, ids=lambda recipe: f"{recipe[0]} {recipe[1]}")
def test_a_recipe_works(recipe: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed webhook is handled, a changed one is answered with 401."""
    handled: list[tuple[str, Any]] = []

    def post(path: str, request: SignedRequest) -> int:
        module = ModuleType("recipe")
        module.__dict__.update(
            KEY=KEY, handle_once=lambda key, what: handled.append((key, getattr(what, "data", what)))
        )
        monkeypatch.setitem(sys.modules, "recipe", module)
        exec(compile(RECIPES[recipe], PAGE.name, "exec", dont_inherit=True), module.__dict__)
        return CLIENTS[recipe](module.__dict__, path, request)

    _django()
    path = PATHS.get(recipe[0], "/hooks")
    request = request_for(recipe[0])
    assert post(path, request) in {200, 204}
    assert handled
    assert [what for what in handled if what != HANDLED.get(recipe[0], ("evt_test", {"name": "ada"}))] == []
    handled.clear()
    assert post(path, attrs.evolve(request, body=request.body.replace(b"ada", b"ida"))) == 401
    if recipe[0] == "Keys":
        assert post("/hooks/other", request) == 404
    assert handled == []


def test_every_link_leads_somewhere() -> None:
    """Files are there, and so are the sections that the page links to."""
    links = re.findall(r"\]\(([^)#]+)", TEXT)
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)", TEXT)) <= titles
    assert "## Handle each event once" in (PAGE.parent / "receiving.md").read_text(encoding="utf-8")


def test_the_statuses_are_the_codes() -> None:
    """The table of reasons is the one that the adapters use."""
    from hookkit.contrib._answers import answer_to

    for status, row in re.findall(r"^\| +(\d+) \| (.+?) +\|$", TEXT, re.MULTILINE):
        for reason in re.findall(r"`([a-z]+_[a-z_]+)`", row):
            assert answer_to(reason).status == int(status), reason
