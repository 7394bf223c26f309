"""Logto's 31 events, with a sample of what each one really sends.

The names and their order are those of Logto's ``hookEvents``; the samples have the keys, in the order, that its code
gives them (``schemas/src/types/hook.ts``, ``core/src/libraries/hook``), which is more than its own test payloads do.
Where an event has several triggers, the sample shows the one that sends most. All values are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from hookkit.catalogs._logto_samples import (
    ADAPTIVE_MFA,
    API_USER,
    APPLICATION,
    APPLICATION_ID,
    BROWSER,
    DEVICE,
    DEVICE_ID,
    ORGANIZATION,
    ORGANIZATION_ID,
    ORGANIZATION_ROLE,
    ORGANIZATION_ROLE_ID,
    ORGANIZATION_SCOPE,
    ORGANIZATION_SCOPE_ID,
    RESOURCE_ID,
    ROLE,
    ROLE_ID,
    SCOPE,
    SCOPE_ID,
    USER,
    USER_ID,
    USER_IP,
    api,
    during_interaction,
    interaction,
)
from hookkit.events import Catalog, EventSpec

__all__ = ["CATALOG", "GROUPS"]


def _flat(name: str, description: str, example: dict[str, Any]) -> EventSpec:
    return EventSpec(name, description, example, flat=True)


# --- The catalogue, in Logto's order ----------------------------------------------------------------------------------

_INTERACTIONS: Final = (
    _flat("PostRegister", "A user has signed up.", interaction("Register")),
    _flat("PostSignIn", "A user has signed in.", interaction("SignIn")),
    _flat(
        "PostSignInAdaptiveMfaTriggered",
        "A sign-in looked unusual, and a second factor is asked for.",
        {"adaptiveMfaResult": ADAPTIVE_MFA, **interaction("SignIn")},
    ),
    _flat("PostResetPassword", "A user has reset a forgotten password.", interaction("ForgotPassword")),
)

_OF_USER: Final = {"userId": USER_ID}

_USERS: Final = (
    _flat(
        "User.Created",
        "A user was created, by the API or by signing up.",
        api("POST /users", 200, {}, rest={"data": API_USER}),
    ),
    _flat(
        "User.Deleted",
        "A user was deleted; the data is what the user was.",
        # Here alone the data stands before the path (Logto's `appendDataHookContext`, given a `user`).
        api("DELETE /users/:userId", 204, _OF_USER, first={"data": USER}),
    ),
    _flat(
        "User.Data.Updated",
        "A user's profile, identifiers, password, factors, identities or custom data changed.",
        api("PATCH /users/:userId", 200, _OF_USER, rest={"data": API_USER}),
    ),
    _flat(
        "User.SuspensionStatus.Updated",
        "A user was suspended, or is so no longer.",
        api("PATCH /users/:userId/is-suspended", 200, _OF_USER, rest={"data": {**API_USER, "isSuspended": True}}),
    ),
)

_TRUSTED_DEVICES: Final = (
    _flat(
        "TrustedDevice.Created",
        "A user chose to trust a device, which will not ask for a second factor again.",
        during_interaction({"data": DEVICE}, ip=False),
    ),
    _flat(
        "TrustedDevice.Deleted",
        "A device is trusted no longer.",
        api(
            "DELETE /users/:userId/trusted-devices/:trustedDeviceId",
            204,
            {**_OF_USER, "trustedDeviceId": DEVICE_ID},
            rest={"data": DEVICE},
            ip=False,
        ),
    ),
)

_OF_ROLE: Final = {"id": ROLE_ID}

_ROLES: Final = (
    _flat("Role.Created", "A role was created.", api("POST /roles", 200, {}, rest={"data": ROLE})),
    _flat("Role.Deleted", "A role was deleted.", api("DELETE /roles/:id", 204, _OF_ROLE)),
    _flat(
        "Role.Data.Updated",
        "A role's name, description or default changed.",
        api("PATCH /roles/:id", 200, _OF_ROLE, rest={"data": ROLE}),
    ),
    _flat(
        "Role.Scopes.Updated",
        "Permissions were given to a role, or taken from it.",
        api("POST /roles", 200, {}, rest={"roleId": ROLE_ID, "data": [SCOPE]}),
    ),
)

_OF_RESOURCE: Final = {"resourceId": RESOURCE_ID}
_OF_SCOPE: Final = {"resourceId": RESOURCE_ID, "scopeId": SCOPE_ID}

_SCOPES: Final = (
    _flat(
        "Scope.Created",
        "A permission of an API resource was created.",
        api("POST /resources/:resourceId/scopes", 201, _OF_RESOURCE, rest={"data": SCOPE}),
    ),
    _flat(
        "Scope.Deleted",
        "A permission of an API resource was deleted.",
        api("DELETE /resources/:resourceId/scopes/:scopeId", 204, _OF_SCOPE),
    ),
    _flat(
        "Scope.Data.Updated",
        "A permission's name or description changed.",
        api("PATCH /resources/:resourceId/scopes/:scopeId", 200, _OF_SCOPE, rest={"data": SCOPE}),
    ),
)

_OF_ORGANIZATION: Final = {"id": ORGANIZATION_ID}

_ORGANIZATIONS: Final = (
    _flat(
        "Organization.Created",
        "An organization was created.",
        api("POST /organizations", 201, {}, rest={"data": ORGANIZATION}),
    ),
    _flat(
        "Organization.Deleted",
        "An organization was deleted.",
        api("DELETE /organizations/:id", 204, _OF_ORGANIZATION),
    ),
    _flat(
        "Organization.Data.Updated",
        "An organization's name, description, branding or custom data changed.",
        api("PATCH /organizations/:id", 200, _OF_ORGANIZATION, rest={"data": ORGANIZATION}),
    ),
    _flat(
        "Organization.Membership.Updated",
        "Users or applications joined an organization, or left it.",
        api(
            "PUT /organizations/:id/users",
            204,
            _OF_ORGANIZATION,
            # Empty lists are left out, so applications are not there at all.
            rest={
                "organizationId": ORGANIZATION_ID,
                "addedUserIds": [USER_ID],
                "removedUserIds": ["h6t1p9ra4cvb"],
            },
        ),
    ),
)

_OF_ORGANIZATION_ROLE: Final = {"id": ORGANIZATION_ROLE_ID}

_ORGANIZATION_ROLES: Final = (
    _flat(
        "OrganizationRole.Created",
        "A role of the organization template was created.",
        api("POST /organization-roles", 201, {}, rest={"data": ORGANIZATION_ROLE}),
    ),
    _flat(
        "OrganizationRole.Deleted",
        "A role of the organization template was deleted.",
        api("DELETE /organization-roles/:id", 204, _OF_ORGANIZATION_ROLE),
    ),
    _flat(
        "OrganizationRole.Data.Updated",
        "An organization role's name or description changed.",
        api("PATCH /organization-roles/:id", 200, _OF_ORGANIZATION_ROLE, rest={"data": ORGANIZATION_ROLE}),
    ),
    _flat(
        "OrganizationRole.Scopes.Updated",
        "Permissions were given to an organization role, or taken from it.",
        api("POST /organization-roles", 201, {}, rest={"organizationRoleId": ORGANIZATION_ROLE_ID}),
    ),
)

_OF_ORGANIZATION_SCOPE: Final = {"id": ORGANIZATION_SCOPE_ID}

_ORGANIZATION_SCOPES: Final = (
    _flat(
        "OrganizationScope.Created",
        "A permission of the organization template was created.",
        api("POST /organization-scopes", 201, {}, rest={"data": ORGANIZATION_SCOPE}),
    ),
    _flat(
        "OrganizationScope.Deleted",
        "A permission of the organization template was deleted.",
        api("DELETE /organization-scopes/:id", 204, _OF_ORGANIZATION_SCOPE),
    ),
    _flat(
        "OrganizationScope.Data.Updated",
        "An organization permission's name or description changed.",
        api("PATCH /organization-scopes/:id", 200, _OF_ORGANIZATION_SCOPE, rest={"data": ORGANIZATION_SCOPE}),
    ),
)

_EXCEPTIONS: Final = (
    _flat(
        "Identifier.Lockout",
        "Too many failed attempts: an identifier is locked for a while.",
        during_interaction({"type": "email", "value": "alex@example.com"}),
    ),
    _flat(
        "Message.RateLimited",
        "A verification code was not sent: this recipient has had too many.",
        during_interaction({"action": "VerificationCodeSend", "recipient": "alex@example.com"}),
    ),
    _flat(
        "Grant.LimitExceeded",
        "An application's oldest grants of a user were revoked to make room for a new one.",
        {
            "ip": USER_IP,
            "userAgent": BROWSER,
            "application": APPLICATION,
            "userId": USER_ID,
            "applicationId": APPLICATION_ID,
            "revokedGrantIds": ["Lr4Kx9Tb2Wm7Qz1Nc6Vy8"],
            "maxAllowedGrants": 3,
            "preRevocationActiveGrantCount": 4,
        },
    ),
)

CATALOG: Final = Catalog(
    (
        *_INTERACTIONS,
        *_USERS,
        *_TRUSTED_DEVICES,
        *_ROLES,
        *_SCOPES,
        *_ORGANIZATIONS,
        *_ORGANIZATION_ROLES,
        *_ORGANIZATION_SCOPES,
        *_EXCEPTIONS,
    )
)
"""Logto's events: ``Registry(store, catalog=CATALOG)`` refuses others, and sends these samples as test payloads."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "User": CATALOG.match("User.*"),
        "Trusted device": CATALOG.match("TrustedDevice.*"),
        "Organization": CATALOG.match("Organization.*"),
        "Role": CATALOG.match("Role.*"),
        "Organization role": CATALOG.match("OrganizationRole.*"),
        "Permission": CATALOG.match("Scope.*"),
        "Organization permission": CATALOG.match("OrganizationScope.*"),
        "User interaction": tuple(spec.name for spec in _INTERACTIONS),
        "Security": tuple(spec.name for spec in _EXCEPTIONS),
    }
)
"""The names by the heading under which Logto's Console offers them, in its order."""
