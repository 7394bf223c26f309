"""What happens to users and to what they sign in with."""

from __future__ import annotations

from typing import Final

from hookkit.catalogs._auth_samples import (
    API_KEY,
    BY_ADMIN,
    BY_SYSTEM,
    BY_USER,
    CHANGED_USER,
    CLIENT_ID,
    EMAIL,
    FACTOR,
    IDENTITY,
    NEW_USER,
    PASSKEY,
    REQUEST,
    ROLE,
    SESSION,
    SESSION_ID,
    SOON,
    USER,
    USER_ID,
)
from hookkit.events import EventSpec

__all__ = ["CREDENTIALS", "LOGINS", "MFA", "SESSIONS", "USERS"]

USERS: Final = (
    EventSpec(
        "user.created",
        "A user was created, by signing up, by an administrator or by an import.",
        {"user": NEW_USER, "actor": BY_USER, "source": "sign_up"},
    ),
    EventSpec(
        "user.updated",
        "A user's profile changed.",
        {"user": CHANGED_USER, "changed": ["name"], "previous": {"name": "Alex"}, "actor": BY_USER},
    ),
    EventSpec("user.deleted", "A user was deleted; the data is what the user was.", {"user": USER, "actor": BY_ADMIN}),
    EventSpec(
        "user.suspended",
        "A user may not sign in any more.",
        {"user": {**CHANGED_USER, "status": "suspended"}, "reason": "policy", "actor": BY_ADMIN},
    ),
    EventSpec("user.reactivated", "A suspended user may sign in again.", {"user": CHANGED_USER, "actor": BY_ADMIN}),
    EventSpec(
        "user.email.changed",
        "A user has another email address.",
        {
            "user": {**CHANGED_USER, "email_verified": False},
            "previous_email": "alex.old@example.com",
            "actor": BY_USER,
        },
    ),
    EventSpec("user.email.verified", "A user has shown that an email address is theirs.", {"user": CHANGED_USER}),
    EventSpec(
        "user.phone.changed",
        "A user has another telephone number.",
        {"user": {**CHANGED_USER, "phone_verified": False}, "previous_phone": "+12025550198", "actor": BY_USER},
    ),
    EventSpec("user.phone.verified", "A user has shown that a telephone number is theirs.", {"user": CHANGED_USER}),
    EventSpec(
        "user.identity.linked",
        "A user can sign in by an identity provider.",
        {"user_id": USER_ID, "identity": IDENTITY, "actor": BY_USER},
    ),
    EventSpec(
        "user.identity.unlinked",
        "A user can sign in by an identity provider no longer.",
        {"user_id": USER_ID, "identity": IDENTITY, "actor": BY_USER},
    ),
    EventSpec(
        "user.role.assigned",
        "A user was given a role.",
        {"user_id": USER_ID, "role": ROLE, "actor": BY_ADMIN},
    ),
    EventSpec(
        "user.role.removed", "A role was taken from a user.", {"user_id": USER_ID, "role": ROLE, "actor": BY_ADMIN}
    ),
)

LOGINS: Final = (
    EventSpec(
        "login.succeeded",
        "A user has signed in.",
        {"user": USER, "session": SESSION, "client_id": CLIENT_ID, "first": False, "request": REQUEST},
    ),
    EventSpec(
        "login.failed",
        "Somebody failed to sign in; `user_id` is null where the identifier is nobody's.",
        {
            "user_id": USER_ID,
            "identifier": EMAIL,
            "client_id": CLIENT_ID,
            "method": "pwd",
            "reason": "wrong_password",
            "failures": 3,
            "request": REQUEST,
        },
    ),
    EventSpec(
        "login.challenged",
        "A second factor was asked for before a sign-in went on.",
        {"user_id": USER_ID, "client_id": CLIENT_ID, "factor_types": ["totp", "passkey"], "request": REQUEST},
    ),
    EventSpec(
        "login.blocked",
        "After too many failures nobody can sign in with this identifier for a while.",
        {
            "user_id": USER_ID,
            "identifier": EMAIL,
            "reason": "too_many_failures",
            "failures": 10,
            "until": SOON,
            "request": REQUEST,
        },
    ),
    EventSpec(
        "login.suspicious",
        "A sign-in looked unusual.",
        {
            "user_id": USER_ID,
            "session_id": SESSION_ID,
            "risk": "high",
            "reasons": ["new_country", "impossible_travel"],
            "action": "challenged",
            "request": REQUEST,
        },
    ),
)

SESSIONS: Final = (
    EventSpec("session.created", "A session began.", {"session": SESSION}),
    EventSpec(
        "session.ended", "A user has signed out.", {"session": SESSION, "reason": "signed_out", "actor": BY_USER}
    ),
    EventSpec("session.expired", "A session has come to its end.", {"session": SESSION}),
    EventSpec(
        "session.revoked",
        "A session was ended by somebody else, or for a reason: refuse what it authorised.",
        {"session": SESSION, "reason": "password_changed", "actor": BY_SYSTEM},
    ),
    EventSpec(
        "session.all_revoked",
        "All sessions of a user were ended.",
        {"user_id": USER_ID, "session_ids": [SESSION_ID], "reason": "user_suspended", "actor": BY_ADMIN},
    ),
)

CREDENTIALS: Final = (
    EventSpec(
        "credential.password.changed",
        "A user's password was set or changed.",
        {"user_id": USER_ID, "sessions_revoked": True, "actor": BY_USER, "request": REQUEST},
    ),
    EventSpec(
        "credential.password.reset_requested",
        "Somebody asked to reset a user's password; a message was sent.",
        {"user_id": USER_ID, "channel": "email", "recipient": EMAIL, "expires_at": SOON, "request": REQUEST},
    ),
    EventSpec(
        "credential.password.reset",
        "A user has reset a forgotten password.",
        {"user_id": USER_ID, "channel": "email", "sessions_revoked": True, "request": REQUEST},
    ),
    EventSpec(
        "credential.password.compromised",
        "A user's password was found in a list of stolen ones.",
        {"user_id": USER_ID, "source": "breach_list", "change_required": True},
    ),
    EventSpec(
        "credential.passkey.added",
        "A user can sign in with a new passkey.",
        {"user_id": USER_ID, "passkey": PASSKEY, "actor": BY_USER, "request": REQUEST},
    ),
    EventSpec(
        "credential.passkey.removed",
        "A passkey is accepted no longer.",
        {"user_id": USER_ID, "passkey": PASSKEY, "actor": BY_USER, "request": REQUEST},
    ),
    EventSpec("credential.api_key.created", "An API key was made.", {"key": API_KEY, "actor": BY_USER}),
    EventSpec(
        "credential.api_key.revoked",
        "An API key is accepted no longer.",
        {"key": API_KEY, "reason": "leaked", "actor": BY_ADMIN},
    ),
)

MFA: Final = (
    EventSpec(
        "mfa.enrolled",
        "A user has a second factor.",
        {"user_id": USER_ID, "factor": FACTOR, "actor": BY_USER, "request": REQUEST},
    ),
    EventSpec(
        "mfa.removed",
        "A second factor is accepted no longer; `remaining` says how many the user still has.",
        {"user_id": USER_ID, "factor": FACTOR, "remaining": 1, "actor": BY_ADMIN},
    ),
    EventSpec(
        "mfa.succeeded",
        "A user has shown a second factor.",
        {"user_id": USER_ID, "session_id": SESSION_ID, "factor_id": FACTOR["id"], "request": REQUEST},
    ),
    EventSpec(
        "mfa.failed",
        "Somebody who knew the first factor failed at the second.",
        {"user_id": USER_ID, "factor_id": FACTOR["id"], "reason": "wrong_code", "failures": 2, "request": REQUEST},
    ),
    EventSpec(
        "mfa.recovery_codes.generated",
        "A user got new recovery codes; the old ones are void.",
        {"user_id": USER_ID, "count": 10, "actor": BY_USER},
    ),
    EventSpec(
        "mfa.recovery_codes.used",
        "A user has signed in with a recovery code in place of a second factor.",
        {"user_id": USER_ID, "session_id": SESSION_ID, "remaining": 9, "request": REQUEST},
    ),
)
