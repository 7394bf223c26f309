"""Django: receiving webhooks, and emitting them. For Django from 4.2 on.

To receive takes no more than this module: :func:`webhook` and what stands beside it (REST framework's views, too). To
emit, ``"hookkit.contrib.django"`` goes into ``INSTALLED_APPS``: that is an app with migrations, admin pages and the
command ``hookkit_worker``; see ``docs/django.md``.

Names load when they are first used: a project that only receives needs no database, and Django imports this package
before its apps are ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hookkit.contrib.django.emitting import DjangoDispatcher as DjangoDispatcher
    from hookkit.contrib.django.emitting import dispatcher_for as dispatcher_for
    from hookkit.contrib.django.emitting import registry_for as registry_for
    from hookkit.contrib.django.emitting import store_for as store_for
    from hookkit.contrib.django.receiving import refusal as refusal
    from hookkit.contrib.django.receiving import verify_request as verify_request
    from hookkit.contrib.django.receiving import webhook as webhook

_HOMES: Final = {
    "DjangoDispatcher": "emitting",
    "dispatcher_for": "emitting",
    "refusal": "receiving",
    "registry_for": "emitting",
    "store_for": "emitting",
    "verify_request": "receiving",
    "webhook": "receiving",
}

__all__ = [
    "DjangoDispatcher",
    "dispatcher_for",
    "refusal",
    "registry_for",
    "store_for",
    "verify_request",
    "webhook",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
