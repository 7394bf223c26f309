"""The project's pages."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from hookkit.contrib.django import dispatcher_for

dispatcher = dispatcher_for()


def sign_up(_: HttpRequest, name: str) -> HttpResponse:
    """Make a user; there is no room for a second of the name."""
    user = User.objects.create_user(name)
    dispatcher.emit("user.created", {"name": user.username})
    return HttpResponse(status=204)


def sign_up_failing(request: HttpRequest, name: str) -> HttpResponse:
    """Make a user, and fail afterwards."""
    sign_up(request, name)
    raise LookupError("the view fails")


def make(name: str) -> None:
    """Make a user, from an async view."""
    with transaction.atomic():
        User.objects.create_user(name)
        dispatcher.emit("user.created", {"name": name})


@transaction.non_atomic_requests
async def sign_up_awaited(_: Any, name: str) -> HttpResponse:
    """Make a user; async."""
    await sync_to_async(make)(name)
    return HttpResponse(status=204)


@transaction.non_atomic_requests
async def emit_wrongly(_: Any, name: str) -> HttpResponse:
    """Emit within the event loop, which Django forbids."""
    dispatcher.emit("user.created", {"name": name})
    return HttpResponse(status=204)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("sign-up/<name>", sign_up),
    path("sign-up-failing/<name>", sign_up_failing),
    path("sign-up-awaited/<name>", sign_up_awaited),
    path("emit-wrongly/<name>", emit_wrongly),
]
