"""What happens to what users may do, and to whom they let act for them."""

from __future__ import annotations

from typing import Final

from hookkit.catalogs._auth_samples import (
    BY_ADMIN,
    BY_USER,
    CLIENT,
    CLIENT_ID,
    CONNECTION,
    CONSENT,
    INVITATION,
    LATER,
    MEMBER,
    NOW,
    ORGANIZATION,
    ORGANIZATION_ID,
    REQUEST,
    ROLE,
    ROLE_ID,
    SOON,
    TOKEN,
    USER,
    USER_ID,
)
from hookkit.events import EventSpec

__all__ = ["OAUTH", "ORGANIZATIONS", "ROLES"]

OAUTH: Final = (
    EventSpec("oauth.consent.granted", "A user let an application act for them.", {"consent": CONSENT}),
    EventSpec(
        "oauth.consent.revoked",
        "An application may act for a user no longer.",
        {"consent": CONSENT, "actor": BY_USER},
    ),
    EventSpec("oauth.token.issued", "An application got a token.", {**TOKEN, "issued_at": NOW, "expires_at": LATER}),
    EventSpec(
        "oauth.token.revoked",
        "A token is accepted no longer.",
        {**TOKEN, "reason": "consent_revoked", "actor": BY_USER},
    ),
    EventSpec(
        "oauth.token.reused",
        # RFC 9700 §4.14.2
        "A refresh token was used twice: one of the two was a thief. All tokens of its grant were revoked.",
        {**TOKEN, "revoked_count": 4, "request": REQUEST},
    ),
    EventSpec("oauth.client.created", "An application was registered.", {"client": CLIENT, "actor": BY_ADMIN}),
    EventSpec(
        "oauth.client.updated",
        "An application's registration changed.",
        {"client": CLIENT, "changed": ["redirect_uris"], "actor": BY_ADMIN},
    ),
    EventSpec("oauth.client.deleted", "An application was deleted.", {"client": CLIENT, "actor": BY_ADMIN}),
    EventSpec(
        "oauth.client.secret.rotated",
        "An application has a new client secret.",
        {"client_id": CLIENT_ID, "secret_id": "sec_2n8k4w7xb6", "previous_expires_at": SOON, "actor": BY_ADMIN},
    ),
)

ORGANIZATIONS: Final = (
    EventSpec(
        "organization.created", "An organisation was created.", {"organization": ORGANIZATION, "actor": BY_ADMIN}
    ),
    EventSpec(
        "organization.updated",
        "An organisation's name, domains or settings changed.",
        {
            "organization": {**ORGANIZATION, "mfa_required": True},
            "changed": ["mfa_required"],
            "previous": {"mfa_required": False},
            "actor": BY_ADMIN,
        },
    ),
    EventSpec(
        "organization.deleted", "An organisation was deleted.", {"organization": ORGANIZATION, "actor": BY_ADMIN}
    ),
    EventSpec(
        "organization.member.added",
        "A user joined an organisation.",
        {"member": MEMBER, "user": USER, "actor": BY_ADMIN},
    ),
    EventSpec(
        "organization.member.removed",
        "A user is in an organisation no longer.",
        {"member": MEMBER, "reason": "left", "actor": BY_USER},
    ),
    EventSpec(
        "organization.member.role.assigned",
        "A member of an organisation was given a role in it.",
        {"member": MEMBER, "role_id": ROLE_ID, "actor": BY_ADMIN},
    ),
    EventSpec(
        "organization.member.role.removed",
        "A role in an organisation was taken from one of its members.",
        {"member": {**MEMBER, "role_ids": []}, "role_id": ROLE_ID, "actor": BY_ADMIN},
    ),
    EventSpec(
        "organization.invitation.created", "Somebody was invited.", {"invitation": INVITATION, "actor": BY_ADMIN}
    ),
    EventSpec(
        "organization.invitation.accepted",
        "Somebody who was invited has joined.",
        {"invitation": {**INVITATION, "status": "accepted"}, "user_id": USER_ID},
    ),
    EventSpec(
        "organization.invitation.revoked",
        "An invitation is void.",
        {"invitation": {**INVITATION, "status": "revoked"}, "actor": BY_ADMIN},
    ),
    EventSpec(
        "organization.domain.verified",
        "An organisation has shown that a domain is its own.",
        {"organization_id": ORGANIZATION_ID, "domain": "example.com", "actor": BY_ADMIN},
    ),
    EventSpec(
        "organization.connection.created",
        "Members of an organisation can sign in by its own identity provider.",
        {"connection": CONNECTION, "actor": BY_ADMIN},
    ),
    EventSpec(
        "organization.connection.deleted",
        "An organisation's own identity provider is asked no longer.",
        {"connection": CONNECTION, "actor": BY_ADMIN},
    ),
)

ROLES: Final = (
    EventSpec("role.created", "A role was created.", {"role": ROLE, "actor": BY_ADMIN}),
    EventSpec(
        "role.updated",
        "A role's name or description changed.",
        {"role": ROLE, "changed": ["description"], "previous": {"description": "May read"}, "actor": BY_ADMIN},
    ),
    EventSpec(
        "role.permissions.changed",
        "Permissions were given to a role, or taken from it.",
        {"role": ROLE, "added": ["articles:write"], "removed": [], "actor": BY_ADMIN},
    ),
    EventSpec("role.deleted", "A role was deleted.", {"role": ROLE, "actor": BY_ADMIN}),
)
