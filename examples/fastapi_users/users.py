"""fastapi-users' own classes, with three additions: what changes is noted, the hooks have it told, and mails are sent.

fastapi-users commits first and calls its ``on_after_…`` hook then. An event that only the hook emits is lost if the
process ends in between, so it is noted ahead of the commit, and the hook only says that it can be told.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from fastapi_users import BaseUserManager, UUIDIDMixin
from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase
from models import AccessToken, Untold, User
from sweeper import Sweeper

# What a webhook may know of a user. A list of what is told, not of what is hidden: a column that you add tomorrow stays
# private until you put it here. What JSON does not have, such as a date, has to be made into text by `told`.
TOLD = ("email", "is_active", "is_superuser", "is_verified")
DEFAULTS = {"is_active": True, "is_superuser": False, "is_verified": False}  # the table's, which has them too late


def told(user: User) -> dict[str, Any]:
    """Return what an event says of a user."""
    return {"id": str(user.id), **{name: getattr(user, name) for name in TOLD}}


class UserDatabase(SQLAlchemyUserDatabase[User, uuid.UUID]):
    """Notes each change in the transaction that makes it: both are committed, or neither is."""

    _quiet = False

    async def create(self, create_dict: dict[str, Any]) -> User:
        """Create a user."""
        create_dict = {**DEFAULTS, "id": uuid.uuid4(), **create_dict}
        self.session.add(Untold(type="user.created", data=told(User(**create_dict))))
        return await super().create(create_dict)

    async def update(self, user: User, update_dict: dict[str, Any]) -> User:
        """Change a user. ``update_dict`` has the columns: the new password's hash, not the password."""
        changed = [name for name in TOLD if name in update_dict and update_dict[name] != getattr(user, name)]
        after = {**told(user), **{name: update_dict[name] for name in changed}}
        if "hashed_password" in update_dict and not self._quiet:
            self.session.add(Untold(type="user.password.changed", data={"id": after["id"]}))
        if changed == ["is_verified"] and after["is_verified"]:
            self.session.add(Untold(type="user.email.verified", data=after))
        elif changed:
            self.session.add(Untold(type="user.updated", data={**after, "changed": changed}))
        return await super().update(user, update_dict)

    async def delete(self, user: User) -> None:
        """Delete a user, of whom nothing but this is left."""
        self.session.add(Untold(type="user.deleted", data={"id": str(user.id)}))
        await super().delete(user)

    @contextmanager
    def quiet(self) -> Generator[None, None, None]:
        """Note no change of a password meanwhile."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


class AccessTokens(SQLAlchemyAccessTokenDatabase[AccessToken]):
    """Notes sign-ins and sign-outs. The token stays out of it."""

    async def create(self, create_dict: dict[str, Any]) -> AccessToken:
        """Store the token of a new sign-in."""
        self.session.add(Untold(type="session.created", data={"user_id": str(create_dict["user_id"])}))
        return await super().create(create_dict)

    async def delete(self, access_token: AccessToken) -> None:
        """Revoke a token. fastapi-users has no hook for this, so the sweeper finds it by itself, within a second."""
        self.session.add(Untold(type="session.revoked", data={"user_id": str(access_token.user_id)}))
        await super().delete(access_token)


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """All hooks of fastapi-users. What they are called for is committed by then, so none may fail or wait."""

    user_db: UserDatabase

    def __init__(self, user_db: UserDatabase, sweeper: Sweeper, secret: str) -> None:
        super().__init__(user_db)
        self.sweeper = sweeper
        self.reset_password_token_secret = self.verification_token_secret = secret

    async def on_after_register(self, user: User, request: Request | None = None) -> None:
        """``user.created``."""
        self.sweeper.wake()

    async def on_after_update(self, user: User, update_dict: dict[str, Any], request: Request | None = None) -> None:
        """``user.updated``, ``user.password.changed``. Never emit ``update_dict``: it has the password in clear."""
        self.sweeper.wake()

    async def on_after_request_verify(self, user: User, token: str, request: Request | None = None) -> None:
        """``user.verification.requested``. Whoever has the token is that user; it goes into the mail alone."""
        self.sweeper.tell("user.verification.requested", {"id": str(user.id)})
        send_mail(user.email, "verify", token)

    async def on_after_verify(self, user: User, request: Request | None = None) -> None:
        """``user.email.verified``."""
        self.sweeper.wake()

    async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None) -> None:
        """``user.password.forgotten``, without the token.

        This hook runs for known addresses only. If it waited, for a database too, anybody could tell by the time of the
        answer who has an account here.
        """
        self.sweeper.tell("user.password.forgotten", {"id": str(user.id)})
        send_mail(user.email, "reset", token)

    async def on_after_reset_password(self, user: User, request: Request | None = None) -> None:
        """``user.password.changed``."""
        self.sweeper.wake()

    async def on_after_login(
        self, user: User, request: Request | None = None, response: Response | None = None
    ) -> None:
        """``session.created``. The response has the token in it; leave it alone."""
        self.sweeper.wake()

    async def on_after_delete(self, user: User, request: Request | None = None) -> None:
        """``user.deleted``."""
        self.sweeper.wake()

    async def authenticate(self, credentials: OAuth2PasswordRequestForm) -> User | None:
        """Check a password. If its hash is of an older kind it is stored anew: the hash changes, the password not."""
        with self.user_db.quiet():
            return await super().authenticate(credentials)


def send_mail(address: str, what: str, token: str) -> None:
    """Send a mail: queue it here, as you do. This one only writes to the terminal."""
    print(f"mail to {address}: {what} {token}", flush=True)
