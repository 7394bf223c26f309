"""What happens to users, each change with its event in one transaction. This is the file to learn from."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Generator
from contextlib import contextmanager

from aside import Aside
from models import Token, User
from passwords import hashed, matches
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from hookkit import OutboxDispatcher


class Refused(Exception):
    """It cannot be done, and the user is told why."""


class Accounts:
    """Users and their tokens.

    Args:
        sessions: Makes sessions on the database that hookkit's store is on, too.
        dispatcher: Emits.
        aside: Emits what belongs to no change.
    """

    def __init__(self, sessions: sessionmaker[Session], dispatcher: OutboxDispatcher, aside: Aside) -> None:
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._aside = aside

    @contextmanager
    def _change(self) -> Generator[Session, None, None]:
        """Do what follows in one transaction: whatever is raised takes back all of it, events too."""
        with self._sessions.begin() as session:
            yield session
        self._dispatcher.wake()  # the commit is done; without this, a worker looks within half a second

    def sign_up(self, email: str, password: str) -> User:
        """Create a user."""
        user = User(id=uuid.uuid4(), email=email, password=hashed(password), version=1)
        try:
            with self._change() as session:
                session.add(user)
                # Name what you send, field by field: `user` has a hash in it.
                self._dispatcher.emit("user.created", {"id": str(user.id), "email": email}, tx=session)
                # The INSERT is sent by the commit. Where it fails, the event is in the transaction already, and goes
                # with it: nobody hears of a user who is not there.
        except IntegrityError:
            raise Refused("this address is taken") from None
        return user

    def sign_in(self, email: str, password: str) -> User:
        """Check a password. Nothing is written, so there is no transaction to join, and nobody waits for one."""
        with self._sessions() as session:
            user = session.scalar(select(User).where(User.email == email))
        if not matches(password, user.password if user else None) or user is None:
            raise Refused("wrong address or password")
        self._aside.emit("user.signed_in", {"id": str(user.id)})
        return user

    def change_password(self, user_id: uuid.UUID, old: str, new: str) -> User:
        """Change a password, and so end all other sessions."""
        with self._change() as session:
            user = session.get_one(User, user_id)
            if not matches(old, user.password):
                raise Refused("wrong password")
            user.password = hashed(new)
            user.version += 1
            self._dispatcher.emit("user.password.changed", {"id": str(user.id)}, tx=session)
        return user

    def delete(self, user_id: uuid.UUID) -> None:
        """Delete a user and their tokens."""
        with self._change() as session:
            session.delete(session.get_one(User, user_id))
            self._dispatcher.emit("user.deleted", {"id": str(user_id)}, tx=session)

    def create_token(self, user_id: uuid.UUID, name: str) -> tuple[uuid.UUID, str]:
        """Make a token; return its id, and the token itself for this one time."""
        secret = secrets.token_urlsafe(32)
        token = Token(id=uuid.uuid4(), user_id=user_id, name=name, digest=_digest(secret))
        data = {"id": str(token.id), "user_id": str(user_id), "name": name}
        with self._change() as session:
            session.add(token)
            self._dispatcher.emit("token.created", data, tx=session)
        return token.id, secret

    def revoke_token(self, user_id: uuid.UUID, token_id: uuid.UUID) -> None:
        """Revoke a token."""
        with self._change() as session:
            token = session.get(Token, token_id)
            if token is None or token.user_id != user_id:
                raise Refused("no such token")
            session.delete(token)
            self._dispatcher.emit("token.revoked", {"id": str(token_id), "user_id": str(user_id)}, tx=session)

    def of_session(self, user_id: uuid.UUID, version: int) -> User | None:
        """Return whose session it is; None if it has ended."""
        with self._sessions() as session:
            user = session.get(User, user_id)
        return user if user is not None and user.version == version else None

    def of_token(self, secret: str) -> User | None:
        """Return whose token it is; None if it was revoked."""
        with self._sessions() as session:
            return session.scalar(select(User).join(Token).where(Token.digest == _digest(secret)))


def _digest(secret: str) -> str:
    # It has 256 random bits, so unlike a password it needs neither salt nor a slow hash.
    return hashlib.sha256(secret.encode()).hexdigest()
