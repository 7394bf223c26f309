"""Signature schemes as data: what each sender calls its headers, what it signs, and how it writes that down.

Each scheme signs and verifies: it is a :class:`~hookkit.Signer`, and what :func:`~hookkit.verify_signature` takes as
``scheme``. A new vendor is one more :class:`HmacScheme`; whatever a template cannot say derives from :class:`Scheme`,
which holds the checks that none of them can forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hookkit.checks import Scheme
from hookkit.schemes._hmac import HmacScheme
from hookkit.schemes._standard import StandardScheme

__all__ = ["BUILTIN", "LOGTO", "STANDARD", "SVIX", "HmacScheme", "Scheme", "StandardScheme"]

STANDARD: Final = StandardScheme()
"""Standard Webhooks: ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``. Supabase Auth, OpenAI and others."""

SVIX: Final = StandardScheme(("svix", "webhook"))
"""The same under ``svix-…`` names: Clerk, and whoever else sends through Svix."""

LOGTO: Final = HmacScheme("logto", "logto-signature-sha-256")
"""Logto (``utils/sign.ts``): hex HMAC-SHA256 of the body. No id and no timestamp, so process each `dedupe_key` once."""

BUILTIN: Final[Mapping[str, StandardScheme | HmacScheme]] = MappingProxyType(
    {"STANDARD": STANDARD, "SVIX": SVIX, "LOGTO": LOGTO}
)
"""Every scheme here, by its name."""
