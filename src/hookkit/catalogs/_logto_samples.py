"""The pieces that samples of Logto's events are made of.

Keys stand in the order in which Logto's code puts them. All values are made up; names, addresses and numbers are
reserved for examples (RFC 2606, RFC 5737, and telephone numbers 555-01xx).
"""

from __future__ import annotations

import re
from typing import Any, Final

# --- Pieces -----------------------------------------------------------------------------------------------------------

TENANT_ID: Final = "default"
USER_ID: Final = "g5k2x8qw1mzt"
DEVICE_ID: Final = "td5q8w2e9r4t7y1u3i6o0"
ROLE_ID: Final = "r7n4c1v9b2m6x3z8k5j0h"
RESOURCE_ID: Final = "a3f8s2d7g1h6j4k9l5q0w"
SCOPE_ID: Final = "s2w9e4r7t1y6u3i8o5p0a"
ORGANIZATION_ID: Final = "org8d3k5m1q7"
ORGANIZATION_ROLE_ID: Final = "p6o1i9u4y2t7r3e8w5q0l"
ORGANIZATION_SCOPE_ID: Final = "z4x9c2v7b1n6m3a8s5d0f"
APPLICATION_ID: Final = "q1w6e2r7t3y8u4i9o5p0s"
SESSION_ID: Final = "Vq3m8Zt1Kx6Rb9Wc4Ny7P"

CREATED_AT: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z, in Logto's milliseconds
SIGNED_IN_AT: Final = 1_769_850_000_000
EXPIRES_AT: Final = 1_772_442_000_000

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SERVER: Final = "my-backend/1.0"
USER_IP: Final = "203.0.113.7"
SERVER_IP: Final = "198.51.100.20"

USER: Final[dict[str, Any]] = {
    "id": USER_ID,
    "username": "alex_example",
    "primaryEmail": "alex@example.com",
    "primaryPhone": "12025550123",
    "name": "Alex Example",
    "avatar": "https://example.com/avatars/alex.png",
    "customData": {"theme": "light"},
    "identities": {"google": {"userId": "100000000000000000001", "details": {"id": "100000000000000000001"}}},
    "lastSignInAt": SIGNED_IN_AT,
    "createdAt": CREATED_AT,
    "updatedAt": SIGNED_IN_AT,
    "profile": {"locale": "en"},
    "applicationId": APPLICATION_ID,
    "cimdClientId": None,
    "isSuspended": False,
}
API_USER: Final[dict[str, Any]] = {**USER, "hasPassword": True}
APPLICATION: Final[dict[str, Any]] = {
    "id": APPLICATION_ID,
    "type": "SPA",
    "name": "Example app",
    "description": "The application that the user signs in to",
}
DEVICE: Final[dict[str, Any]] = {"id": DEVICE_ID, "userId": USER_ID, "expiresAt": EXPIRES_AT}
ROLE: Final[dict[str, Any]] = {
    "tenantId": TENANT_ID,
    "id": ROLE_ID,
    "name": "editor",
    "description": "May change what is published",
    "type": "User",
    "isDefault": False,
}
SCOPE: Final[dict[str, Any]] = {
    "tenantId": TENANT_ID,
    "id": SCOPE_ID,
    "resourceId": RESOURCE_ID,
    "name": "read:articles",
    "description": "Read articles",
    "createdAt": CREATED_AT,
}
ORGANIZATION: Final[dict[str, Any]] = {
    "tenantId": TENANT_ID,
    "id": ORGANIZATION_ID,
    "name": "Example organization",
    "description": None,
    "customData": {},
    "isMfaRequired": False,
    "color": {},
    "branding": {},
    "customCss": None,
    "createdAt": CREATED_AT,
}
ORGANIZATION_ROLE: Final[dict[str, Any]] = {
    "tenantId": TENANT_ID,
    "id": ORGANIZATION_ROLE_ID,
    "name": "member",
    "description": "An ordinary member",
    "type": "User",
}
ORGANIZATION_SCOPE: Final[dict[str, Any]] = {
    "tenantId": TENANT_ID,
    "id": ORGANIZATION_SCOPE_ID,
    "name": "invite:member",
    "description": "Invite members",
}

ADAPTIVE_MFA: Final[dict[str, Any]] = {
    "requiresMfa": True,
    "triggeredRules": [
        {
            "rule": "new_country",
            "details": {
                "currentCountry": "NO",
                "windowDays": 180,
                "recentCountries": [{"country": "PT", "lastSignInAt": CREATED_AT}],
            },
        }
    ],
}

# --- What triggers an event gives it its shape ------------------------------------------------------------------------


def interaction(kind: str) -> dict[str, Any]:
    """Return what a user's own sign-in, registration or password reset sends."""
    return {
        "interactionEvent": kind,
        "sessionId": SESSION_ID,
        "userAgent": BROWSER,
        "userId": USER_ID,
        "userIp": USER_IP,
        "user": USER,
        "application": APPLICATION,
    }


def during_interaction(rest: dict[str, Any], *, ip: bool = True) -> dict[str, Any]:
    """Return what an event sends that comes from within a sign-in."""
    return {
        "interactionEvent": "SignIn",
        "userAgent": BROWSER,
        "applicationId": APPLICATION_ID,
        "sessionId": SESSION_ID,
        **({"ip": USER_IP} if ip else {}),
        "application": APPLICATION,
        **rest,
    }


def api(
    call: str,
    status: int,
    params: dict[str, str],
    *,
    first: dict[str, Any] | None = None,
    rest: dict[str, Any] | None = None,
    ip: bool = True,
) -> dict[str, Any]:
    """Return what a call of the Management API sends.

    Args:
        call: Method and route, such as ``DELETE /roles/:id``.
        status: The status that the API answered.
        params: The route's parameters.
        first: What the route adds before the path.
        rest: What it adds after everything else.
        ip: False where Logto leaves the address out.
    """
    method, _, route = call.partition(" ")
    path = re.sub(":([A-Za-z]+)", lambda name: params[name[1]], route)
    return {
        "userAgent": SERVER,
        **({"ip": SERVER_IP} if ip else {}),
        **(first or {}),
        "path": path,
        "method": method,
        "status": status,
        "params": params,
        "matchedRoute": route,
        **(rest or {}),
    }
