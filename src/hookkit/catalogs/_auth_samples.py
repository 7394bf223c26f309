"""The pieces that samples of an auth server's events are made of: one user, one session, one organisation.

All values are made up; names, addresses and numbers are reserved for examples (RFC 2606, RFC 5737, and telephone
numbers 555-01xx). Methods of signing in are those of RFC 8176. Nothing here is a secret, nor has the name of one.
"""

from __future__ import annotations

from typing import Any, Final

USER_ID: Final = "usr_7h2k9m4xq1"
ADMIN_ID: Final = "usr_3d8w5n6bz0"
SESSION_ID: Final = "ses_5t1r8y3kc6"
CLIENT_ID: Final = "cli_9b4v2j7ms5"
ORGANIZATION_ID: Final = "org_6p3z8f1wd2"
ROLE_ID: Final = "rol_2q7c5x9gt4"

CREATED_AT: Final = "2026-01-05T08:15:00Z"
SIGNED_IN_AT: Final = "2026-01-31T09:12:30Z"
NOW: Final = "2026-01-31T09:30:00Z"
SOON: Final = "2026-01-31T10:30:00Z"
LATER: Final = "2026-02-07T09:30:00Z"

EMAIL: Final = "alex@example.com"
REQUEST: Final[dict[str, Any]] = {
    "ip": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
BY_USER: Final[dict[str, Any]] = {"type": "user", "id": USER_ID}
BY_ADMIN: Final[dict[str, Any]] = {"type": "admin", "id": ADMIN_ID}
BY_SYSTEM: Final[dict[str, Any]] = {"type": "system", "id": None}

USER: Final[dict[str, Any]] = {
    "id": USER_ID,
    "username": "alex_example",
    "email": EMAIL,
    "email_verified": True,
    "phone": "+12025550123",
    "phone_verified": True,
    "name": "Alex Example",
    "picture": "https://example.com/avatars/alex.png",
    "locale": "en",
    "status": "active",
    "has_password": True,
    "mfa_enabled": True,
    "last_login_at": SIGNED_IN_AT,
    "created_at": CREATED_AT,
    "updated_at": SIGNED_IN_AT,
}
NEW_USER: Final[dict[str, Any]] = {
    **USER,
    "email_verified": False,
    "phone": None,
    "phone_verified": False,
    "mfa_enabled": False,
    "last_login_at": None,
    "created_at": NOW,
    "updated_at": NOW,
}
CHANGED_USER: Final[dict[str, Any]] = {**USER, "updated_at": NOW}

SESSION: Final[dict[str, Any]] = {
    "id": SESSION_ID,
    "user_id": USER_ID,
    "client_id": CLIENT_ID,
    "organization_id": ORGANIZATION_ID,
    "amr": ["pwd", "otp", "mfa"],
    **REQUEST,
    "created_at": SIGNED_IN_AT,
    "expires_at": LATER,
}
CLIENT: Final[dict[str, Any]] = {
    "id": CLIENT_ID,
    "name": "Example app",
    "type": "confidential",
    "redirect_uris": ["https://app.example.com/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "created_at": CREATED_AT,
    "updated_at": NOW,
}
ORGANIZATION: Final[dict[str, Any]] = {
    "id": ORGANIZATION_ID,
    "name": "Example organisation",
    "slug": "example",
    "domains": ["example.com"],
    "mfa_required": False,
    "created_at": CREATED_AT,
    "updated_at": NOW,
}
ROLE: Final[dict[str, Any]] = {
    "id": ROLE_ID,
    "name": "editor",
    "description": "May change what is published",
    "permissions": ["articles:read", "articles:write"],
    "organization_id": None,
    "created_at": CREATED_AT,
    "updated_at": NOW,
}
MEMBER: Final[dict[str, Any]] = {
    "organization_id": ORGANIZATION_ID,
    "user_id": USER_ID,
    "role_ids": [ROLE_ID],
    "joined_at": NOW,
}
INVITATION: Final[dict[str, Any]] = {
    "id": "inv_8m5h1s4ve7",
    "organization_id": ORGANIZATION_ID,
    "email": EMAIL,
    "role_ids": [ROLE_ID],
    "invited_by": ADMIN_ID,
    "status": "pending",
    "created_at": NOW,
    "expires_at": LATER,
}
CONNECTION: Final[dict[str, Any]] = {
    "id": "con_4k9d3u7ry1",
    "organization_id": ORGANIZATION_ID,
    "protocol": "oidc",
    "issuer": "https://idp.example.com",
    "domains": ["example.com"],
    "created_at": NOW,
}
IDENTITY: Final[dict[str, Any]] = {
    "provider": "google",
    "provider_user_id": "100000000000000000001",
    "email": EMAIL,
    "linked_at": NOW,
}
FACTOR: Final[dict[str, Any]] = {
    "id": "mfa_1x6b8n2jq9",
    "type": "totp",
    "name": "Authenticator app",
    "created_at": NOW,
}
PASSKEY: Final[dict[str, Any]] = {
    "id": "pkc_3v7g2l5az8",
    "name": "Laptop",
    "backed_up": True,
    "transports": ["internal", "hybrid"],
    "created_at": NOW,
}
API_KEY: Final[dict[str, Any]] = {
    "id": "key_0w4e8t6pf3",
    "name": "Continuous integration",
    "owner_id": USER_ID,
    "scopes": ["articles:read"],
    "created_at": NOW,
    "expires_at": LATER,
}
CONSENT: Final[dict[str, Any]] = {
    "id": "cns_6r2y9c5mk4",
    "user_id": USER_ID,
    "client_id": CLIENT_ID,
    "scopes": ["openid", "profile", "articles:read"],
    "granted_at": NOW,
}
TOKEN: Final[dict[str, Any]] = {
    "token_id": "tok_9z3q7a1hd5",
    "token_type": "refresh_token",
    "user_id": USER_ID,
    "client_id": CLIENT_ID,
    "session_id": SESSION_ID,
    "scopes": ["openid", "profile", "articles:read"],
}
