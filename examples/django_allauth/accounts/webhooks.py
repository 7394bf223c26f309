"""Which signal is told as which event. This is the file to learn from.

What changes an account is emitted in the request's transaction: rolled back, it was never told; if it cannot be stored,
the change is not made. What comes and goes with a session is emitted aside: no login waits for it, or fails by it.

Each event has an id of a user, and what is named below: never a form, a model's ``__dict__``, or a signal's arguments
as they are. Passwords, tokens and session keys are in there. ``email_confirmation_sent`` is not connected: all that it
has to tell is a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.socialaccount import signals as social
from django.apps import apps
from django.db.models.signals import post_delete
from django.dispatch import Signal

from accounts.aside import Aside
from hookkit.contrib.django import dispatcher_for

dispatcher = dispatcher_for()
aside = Aside(dispatcher)

Picking = Callable[[dict[str, Any]], dict[str, Any]]


def of_user(given: dict[str, Any]) -> dict[str, Any]:
    """Return the user's id: all that is told of them, unless somebody needs more."""
    return {"id": str(given["user"].pk)}


def of_address(given: dict[str, Any]) -> dict[str, Any]:
    """Return an address, and whose it is."""
    address = given["email_address"]
    return {"id": str(address.user_id), "email": address.email}


def of_change(given: dict[str, Any]) -> dict[str, Any]:
    """Return the address that mail goes to now, and the one before."""
    before = given["from_email_address"]
    return of_user(given) | {"email": given["to_email_address"].email, "before": before and before.email}


def of_sign_up(given: dict[str, Any]) -> dict[str, Any]:
    """Return who it is, and the provider they came by."""
    by = given.get("sociallogin")
    return of_user(given) | {"email": given["user"].email, "provider": by and by.account.provider}


def of_social(given: dict[str, Any]) -> dict[str, Any]:
    """Return which account at which provider belongs to whom. Beside them a sociallogin holds the provider's tokens."""
    found = given["sociallogin"].account if "sociallogin" in given else given["socialaccount"]
    return {"id": str(found.user_id), "provider": found.provider, "uid": found.uid}


def of_authenticator(given: dict[str, Any]) -> dict[str, Any]:
    """Return what kind it is: totp, webauthn or recovery_codes. Its data is its secret."""
    return of_user(given) | {"authenticator": given["authenticator"].type}


def of_client(given: dict[str, Any]) -> dict[str, Any]:
    """Return which session is now used from where. What identifies it is its row's id; its key would open it."""
    to = given["to_session"]
    return {"id": str(to.user_id), "session": str(to.pk), "ip": to.ip, "user_agent": to.user_agent}


def of_session(given: dict[str, Any]) -> dict[str, Any]:
    """Return whose session it was."""
    session = given["instance"]
    return {"id": str(session.user_id), "session": str(session.pk)}


CHANGES: dict[str, tuple[Signal, Picking]] = {
    "user.created": (account.user_signed_up, of_sign_up),
    "user.password.set": (account.password_set, of_user),
    "user.password.changed": (account.password_changed, of_user),
    "user.password.reset": (account.password_reset, of_user),
    "user.email.added": (account.email_added, of_address),
    "user.email.verified": (account.email_confirmed, of_address),
    "user.email.changed": (account.email_changed, of_change),
    "user.email.removed": (account.email_removed, of_address),
    "user.social_account.added": (social.social_account_added, of_social),
    "user.social_account.removed": (social.social_account_removed, of_social),
    "user.mfa.added": (mfa.authenticator_added, of_authenticator),
    "user.mfa.reset": (mfa.authenticator_reset, of_authenticator),
    "user.mfa.removed": (mfa.authenticator_removed, of_authenticator),
}
PASSING: dict[str, tuple[Signal, Picking]] = {
    "user.signed_in": (account.user_logged_in, of_user),
    "user.signed_out": (account.user_logged_out, of_user),
    "user.mfa.used": (mfa.authenticator_used, of_authenticator),
    "user.mfa.failed": (mfa.authentication_failed, of_authenticator),
}


def listen(signal: Signal, type: str, pick: Picking, emit: Callable[[str, dict[str, Any]], object]) -> None:
    """Have an event emitted whenever a signal is sent."""

    def told(**given: Any) -> None:
        if given.get("user", True) is not None:  # somebody may sign out who was signed in nowhere
            emit(type, pick(given))

    signal.connect(told, weak=False, dispatch_uid=f"webhooks {type}")


def connect() -> None:
    """Connect all of them, once."""
    for type, (signal, pick) in CHANGES.items():
        listen(signal, type, pick, dispatcher.emit)
    for type, (signal, pick) in PASSING.items():
        listen(signal, type, pick, aside.emit)
    if apps.is_installed("allauth.usersessions"):
        from allauth.usersessions.models import UserSession
        from allauth.usersessions.signals import session_client_changed

        def ended(**given: Any) -> None:
            aside.emit("session.ended", of_session(given))

        listen(session_client_changed, "session.client_changed", of_client, aside.emit)
        # allauth has no signal for a session that is revoked, or was found dead: its row goes.
        post_delete.connect(ended, sender=UserSession, weak=False, dispatch_uid="webhooks session.ended")
