"""What a test has a process of the project do, outside of any test of Django's: ``python live.py STEP …``."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from django.contrib.auth.models import User
from django.test import Client
from urls import dispatcher

from hookkit import Endpoint
from hookkit.contrib.django import registry_for


def register(url: str) -> dict[str, str]:
    """Register a webhook; return its key, to verify with."""
    made = registry_for().create(Endpoint(url, "*", id="whk_1"))
    return {"key": made.keys[0].value}


def visit(*paths: str) -> dict[str, list[int]]:
    """Visit pages."""
    client = Client(raise_request_exception=False)
    return {"statuses": [client.get(path).status_code for path in paths]}


def emit(count: str) -> dict[str, int]:
    """Emit so many events, without any block."""
    return {"emitted": len([dispatcher.emit("user.created", {"n": n}) for n in range(int(count))])}


def tell() -> dict[str, object]:
    """Tell what has become of everything."""
    registry = registry_for()
    waiting = [registry.recent("whk_1", state=state) for state in ("pending", "leased", "held")]
    return {
        "users": sorted(User.objects.values_list("username", flat=True)),
        "states": sorted(one.state for one in registry.recent("whk_1", limit=1000)),
        "waiting": sum(len(each) for each in waiting),
    }


step, *arguments = sys.argv[1:]
told = {"register": register, "visit": visit, "emit": emit, "tell": tell}[step](*arguments)
sys.stdout.write(f"{json.dumps(told)}\n")
