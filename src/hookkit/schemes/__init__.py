"""Signature schemes as data: what each sender calls its headers, what it signs, and how it writes that down.

Each scheme signs and verifies: it is a :class:`~hookkit.Signer`, and what :func:`~hookkit.verify_signature` takes as
``scheme``. A new vendor is one more :class:`HmacScheme`, a row of the table; whatever a template cannot say derives
from :class:`Scheme`, which holds the checks that none of them can forget.

All but STANDARD are loaded when they are first used, so that a receiver pays for its own sender only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hookkit.checks import Scheme
from hookkit.schemes._standard import STANDARD, StandardScheme

if TYPE_CHECKING:
    from hookkit.schemes._hmac import HmacScheme as HmacScheme
    from hookkit.schemes._presets import APPWRITE as APPWRITE
    from hookkit.schemes._presets import AUTH0 as AUTH0
    from hookkit.schemes._presets import BUILTIN as BUILTIN
    from hookkit.schemes._presets import CLAVEX as CLAVEX
    from hookkit.schemes._presets import CLERK as CLERK
    from hookkit.schemes._presets import GITHUB as GITHUB
    from hookkit.schemes._presets import KEYCLOAK_PHASETWO as KEYCLOAK_PHASETWO
    from hookkit.schemes._presets import LINEAR as LINEAR
    from hookkit.schemes._presets import LOGTO as LOGTO
    from hookkit.schemes._presets import OKTA as OKTA
    from hookkit.schemes._presets import ORY as ORY
    from hookkit.schemes._presets import PADDLE as PADDLE
    from hookkit.schemes._presets import SHOPIFY as SHOPIFY
    from hookkit.schemes._presets import SLACK as SLACK
    from hookkit.schemes._presets import STRIPE as STRIPE
    from hookkit.schemes._presets import SUPABASE as SUPABASE
    from hookkit.schemes._presets import SVIX as SVIX
    from hookkit.schemes._presets import TWILIO as TWILIO
    from hookkit.schemes._presets import WORKOS as WORKOS
    from hookkit.schemes._presets import ZITADEL as ZITADEL
    from hookkit.schemes._presets import ZOOM as ZOOM
    from hookkit.schemes._token import TokenScheme as TokenScheme
    from hookkit.schemes._twilio import TwilioScheme as TwilioScheme

__all__ = [
    "APPWRITE",
    "AUTH0",
    "BUILTIN",
    "CLAVEX",
    "CLERK",
    "GITHUB",
    "KEYCLOAK_PHASETWO",
    "LINEAR",
    "LOGTO",
    "OKTA",
    "ORY",
    "PADDLE",
    "SHOPIFY",
    "SLACK",
    "STANDARD",
    "STRIPE",
    "SUPABASE",
    "SVIX",
    "TWILIO",
    "WORKOS",
    "ZITADEL",
    "ZOOM",
    "HmacScheme",
    "Scheme",
    "StandardScheme",
    "TokenScheme",
    "TwilioScheme",
]

_CLASSES = {"HmacScheme": "_hmac", "TokenScheme": "_token", "TwilioScheme": "_twilio"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_CLASSES.get(name, '_presets')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
