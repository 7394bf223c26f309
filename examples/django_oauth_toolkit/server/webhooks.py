"""Which change is told as which event. This is the file to learn from.

What changes tokens is emitted in the request's transaction: rolled back, it was never told; if it cannot be stored, the
change is not made. A sign-in is emitted aside: no login waits for it, or fails by it.

The toolkit's one signal, ``app_authorized``, tells of tokens that are issued. Of their end it tells nothing, and tokens
end in many ways: a client's request (RFC 7009), the user's own page, the admin site, an OpenID logout, a stolen refresh
token. All of them delete the access token and mark the refresh token, so that is what is listened to.

Each event names a token by its row's id: never by its value or checksum.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_delete, post_save
from oauth2_provider.models import get_access_token_model, get_refresh_token_model
from oauth2_provider.signals import app_authorized

from hookkit.contrib.django import dispatcher_for
from server.aside import Aside

dispatcher = dispatcher_for()
aside = Aside(dispatcher)

_refreshing: ContextVar[bool] = ContextVar("refreshing", default=False)


@contextmanager
def refreshing() -> Generator[None, None, None]:
    """Within this block tokens go because others come."""
    before = _refreshing.set(True)
    try:
        yield
    finally:
        _refreshing.reset(before)


def of_client(client: Any, user: Any) -> dict[str, Any]:
    """Return whose it is; a client may act for itself alone, without a user."""
    return {"client_id": client and client.client_id, "user_id": user and str(user.pk)}


def authorized(user: Any, client: Any, scopes: Iterable[str]) -> None:
    """Tell that a user lets a client act for them."""
    dispatcher.emit("oauth.client.authorized", of_client(client, user) | {"scopes": sorted(scopes)})


def issued(token: Any, **_: Any) -> None:
    """Tell of a token: a first one, or one of a refresh."""
    data = {"id": str(token.pk)} | of_client(token.application, token.user) | {"scopes": sorted(token.scope.split())}
    dispatcher.emit("oauth.token.issued", data)


def access_token_gone(instance: Any, **_: Any) -> None:
    """Tell of an access token that goes before its time, unless it is refreshed."""
    if not _refreshing.get() and not instance.is_expired():
        _revoked("access_token", instance)


def refresh_token_saved(instance: Any, **_: Any) -> None:
    """Tell of a refresh token that can be used no more, unless it was."""
    if not _refreshing.get() and instance.revoked is not None:
        _revoked("refresh_token", instance)


def _revoked(kind: str, token: Any) -> None:
    data = {"id": str(token.pk), "kind": kind} | of_client(token.application, token.user)
    dispatcher.emit("oauth.token.revoked", data)


def signed_in(user: Any, **_: Any) -> None:
    """Tell of a sign-in."""
    aside.emit("user.signed_in", {"id": str(user.pk)})


def signed_out(user: Any, **_: Any) -> None:
    """Tell of a sign-out; somebody may who was signed in nowhere."""
    if user is not None:
        aside.emit("user.signed_out", {"id": str(user.pk)})


def connect() -> None:
    """Connect all of them."""
    app_authorized.connect(issued)
    post_delete.connect(access_token_gone, sender=get_access_token_model())
    post_save.connect(refresh_token_saved, sender=get_refresh_token_model())
    user_logged_in.connect(signed_in)
    user_logged_out.connect(signed_out)
