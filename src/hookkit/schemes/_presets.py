"""The table of senders: one row for each, with where it comes from.

Each row keeps its vendor's own window. Some vendors look only one way, at timestamps that are too old; here every
window holds both ways, because a request dated tomorrow can be sent again until then. ``attrs.evolve(PADDLE,
tolerance=60)`` is the same sender with another window. STANDARD, which is the default, stands beside its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hookkit.schemes._hmac import HmacScheme
from hookkit.schemes._standard import STANDARD, StandardScheme
from hookkit.schemes._token import TokenScheme
from hookkit.schemes._twilio import TwilioScheme

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
]

# --- Standard Webhooks ------------------------------------------------------------------------------------------------

SVIX: Final[StandardScheme] = StandardScheme(("svix", "webhook"))
"""Svix (svix-webhooks, ``webhooks.py``): the same under ``svix-…`` names, and who sends through Svix."""

CLERK: Final[StandardScheme] = SVIX
"""Clerk (javascript, ``packages/backend/src/webhooks.ts``) sends through Svix."""

SUPABASE: Final[StandardScheme] = StandardScheme(separator=", ", key_separator="|")
"""Supabase Auth hooks (auth, ``internal/hooks/hookshttp/hookshttp.go``): signatures joined by ``", "``; the setting
holds keys as ``v1,whsec_…``, several of them joined by ``|``. A retry has a new id."""

# --- The body under the key's text ------------------------------------------------------------------------------------

LOGTO: Final[HmacScheme] = HmacScheme("logto", "logto-signature-sha-256")
"""Logto (``utils/sign.ts``): hex HMAC-SHA256 of the body. No id and no timestamp, so process each `dedupe_key` once."""

GITHUB: Final[HmacScheme] = HmacScheme("github", "x-hub-signature-256", prefix="sha256=", id_header="x-github-delivery")
"""GitHub (docs, "Validating webhook deliveries"). No timestamp, and the delivery's id is not signed. The old
``x-hub-signature`` (SHA-1) is not looked at."""

SHOPIFY: Final[HmacScheme] = HmacScheme(
    "shopify", "x-shopify-hmac-sha256", encoding="base64", id_header="x-shopify-webhook-id"
)
"""Shopify (shopify-api-js, ``webhooks/validate.ts``), under the app's secret. No timestamp; the id is not signed."""

KEYCLOAK_PHASETWO: Final[HmacScheme] = HmacScheme("keycloak-phasetwo", "x-keycloak-signature")
"""Keycloak with Phase Two's events (keycloak-events, ``HttpSenderEventListenerProvider.java``), set to HMAC-SHA256."""

CLAVEX: Final[HmacScheme] = HmacScheme("clavex", "x-clavex-signature", prefix="sha256=", key_prefix="whsec_")
"""Clavex (clavex-webhooks, ``Webhook``): the key's text without its ``whsec_``, and not decoded."""

APPWRITE: Final[HmacScheme] = HmacScheme(
    "appwrite", "x-appwrite-webhook-signature", signed="{url}{body}", encoding="base64", digest="sha1"
)
"""Appwrite (``Platform/Workers/Webhooks.php``): base64 HMAC-SHA1 of URL and body. Give the URL as registered there."""

LINEAR: Final[HmacScheme] = HmacScheme(
    "linear", "linear-signature", timestamp_json="webhookTimestamp", timestamp_unit="ms", tolerance=60
)
"""Linear (SDK, ``webhooks/client.ts``): hex HMAC-SHA256 of the body, whose ``webhookTimestamp`` must be there, in
milliseconds and within a minute. The header ``linear-timestamp`` is not signed, and not looked at."""

# --- Timestamp and body under the key's text --------------------------------------------------------------------------

STRIPE: Final[HmacScheme] = HmacScheme(
    "stripe", "stripe-signature", signed="{timestamp}.{body}", timestamp_field="t", signature_field="v1"
)
"""Stripe (stripe-python, ``WebhookSignature``): the key is the whole text, ``whsec_`` included, and not base64. Their
libraries let a timestamp in the future pass; this does not."""

ZITADEL: Final[HmacScheme] = HmacScheme(
    "zitadel", "zitadel-signature", signed="{timestamp}.{body}", timestamp_field="t", signature_field="v1"
)
"""ZITADEL actions v2 (``pkg/actions/signing.go``). Their helper lets a timestamp in the future pass; this does not."""

WORKOS: Final[HmacScheme] = HmacScheme(
    "workos",
    "workos-signature",
    signed="{timestamp}.{body}",
    separator=", ",
    timestamp_field="t",
    signature_field="v1",
    timestamp_unit="ms",
    tolerance=180,
)
"""WorkOS (workos-python, ``webhooks.py``): as Stripe's, but in milliseconds, and within three minutes."""

PADDLE: Final[HmacScheme] = HmacScheme(
    "paddle",
    "paddle-signature",
    signed="{timestamp}:{body}",
    separator=";",
    timestamp_field="ts",
    signature_field="h1",
    tolerance=5,
)
"""Paddle (paddle-python-sdk, ``Verifier``): within five seconds. Their SDK looks only for late ones; a clock that is
more than that behind refuses everything, so give a `tolerance` if yours may be."""

SLACK: Final[HmacScheme] = HmacScheme(
    "slack",
    "x-slack-signature",
    signed="v0:{timestamp}:{body}",
    prefix="v0=",
    timestamp_header="x-slack-request-timestamp",
)
"""Slack (docs, "Verifying requests from Slack")."""

ZOOM: Final[HmacScheme] = HmacScheme(
    "zoom", "x-zm-signature", signed="v0:{timestamp}:{body}", prefix="v0=", timestamp_header="x-zm-request-timestamp"
)
"""Zoom (developer docs, "Using webhooks": verify with Zoom's header), under the secret token. Zoom names no window."""

# --- Something else ---------------------------------------------------------------------------------------------------

TWILIO: Final[TwilioScheme] = TwilioScheme()
"""Twilio (twilio-python, ``request_validator.py``): URL and form, under the account's auth token."""

AUTH0: Final[TokenScheme] = TokenScheme("auth0")
"""Auth0 log streams and event streams (docs): a token in ``authorization``. Nothing is signed."""

OKTA: Final[TokenScheme] = TokenScheme("okta")
"""Okta event hooks (docs): a header of your choice, usually ``authorization``. Nothing is signed."""

ORY: Final[TokenScheme] = TokenScheme("ory")
"""Ory Kratos and Network (config schema, ``web_hook``): an API key in a header of your choice. Nothing is signed."""

BUILTIN: Final[Mapping[str, StandardScheme | HmacScheme | TwilioScheme | TokenScheme]] = MappingProxyType(
    {
        "STANDARD": STANDARD,
        "SVIX": SVIX,
        "CLERK": CLERK,
        "SUPABASE": SUPABASE,
        "LOGTO": LOGTO,
        "GITHUB": GITHUB,
        "STRIPE": STRIPE,
        "SLACK": SLACK,
        "SHOPIFY": SHOPIFY,
        "ZITADEL": ZITADEL,
        "WORKOS": WORKOS,
        "PADDLE": PADDLE,
        "LINEAR": LINEAR,
        "ZOOM": ZOOM,
        "TWILIO": TWILIO,
        "APPWRITE": APPWRITE,
        "KEYCLOAK_PHASETWO": KEYCLOAK_PHASETWO,
        "CLAVEX": CLAVEX,
        "AUTH0": AUTH0,
        "OKTA": OKTA,
        "ORY": ORY,
    }
)
"""Every scheme here, by its name."""
