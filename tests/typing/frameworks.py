"""What type checkers see of the framework adapters. Checked by mypy and pyright, never run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from aiohttp import web
from django.http import HttpRequest, HttpResponse
from flask import Request as FlaskRequest
from starlette.requests import Request as StarletteRequest

from hookkit import SigningKey, VerificationError, Verified, schemes
from hookkit.contrib import aiohttp, aws_lambda, django, flask, litestar, quart, starlette


async def awaited(request: StarletteRequest) -> list[SigningKey]:
    """Return the keys of a tenant."""
    return [SigningKey(request.path_params["tenant"])]


def plain(request: FlaskRequest) -> str:
    """Return the key of a tenant."""
    return str((request.view_args or {})["tenant"])


async def verifying(request: StarletteRequest, other: web.Request) -> None:
    """Keys are values or functions of the framework's own request; options are checked by name and type."""
    assert_type(await starlette.verify_request(request, "whsec_x"), Verified)
    assert_type(await starlette.webhook(awaited, scheme=schemes.LOGTO, tolerance=60)(request), Verified)
    assert_type(await starlette.verify_request(request, ["x"], url=lambda called: str(called.url)), Verified)
    assert_type(await aiohttp.verify_request(other, SigningKey("x"), max_body_bytes=10), Verified)
    litestar.webhook(("x", SigningKey("y")), tolerance=timedelta(minutes=1), url="https://example.com/")


@flask.webhook(plain)
def flask_view(verified: Verified, tenant: str) -> tuple[str, int]:
    """Take what the URL holds behind the Verified."""
    return verified.dedupe_key + tenant, 200


@quart.webhook("x")
async def quart_view(verified: Verified) -> str:
    """Be awaited."""
    return verified.dedupe_key


@django.webhook("x")
def django_view(request: HttpRequest, verified: Verified, number: int) -> HttpResponse:
    """Take what the URL holds behind the Verified."""
    return HttpResponse(verified.body, status=number)


@aiohttp.webhook("x")
async def aiohttp_handler(request: web.Request, verified: Verified) -> web.Response:
    """Be awaited."""
    return web.Response(body=verified.body)


@aws_lambda.webhook("x")
def lambda_handler(event: dict[str, Any], context: Any, verified: Verified) -> dict[str, Any]:
    """Answer."""
    return {"statusCode": 200, "body": verified.dedupe_key}


async def called(request: HttpRequest, error: VerificationError) -> None:
    """What a router calls has lost the Verified, and nothing else."""
    flask_view(tenant="acme")
    await quart_view()
    django_view(request, number=200)
    django_view(request, 200)
    assert_type(lambda_handler({}, None), dict[str, Any])
    assert_type(django.refusal(error), HttpResponse)
    assert_type(django.verify_request(request, "x"), Verified)
    assert_type(aws_lambda.verify_request({}, "x"), Verified)
