"""The tables. hookkit's own, whose names begin with ``hookkit_``, are in the same database; its store makes them."""

from __future__ import annotations

import hashlib
import uuid

from authlib.integrations.sqla_oauth2 import OAuth2AuthorizationCodeMixin, OAuth2ClientMixin, OAuth2TokenMixin
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def new_id() -> str:
    """Return an id for a row. It says nothing, so an event may have it."""
    return str(uuid.uuid4())


def digest(secret: str) -> str:
    """Return what is stored of a token, a code or a client's secret.

    They have 256 random bits or so: unlike a password they need neither salt nor a slow hash.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


class Base(DeclarativeBase):
    """What all tables have in common."""


class User(Base):
    """A user."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]  # its hash
    version: Mapped[int] = mapped_column(default=1)  # of the password: a session that began with another has ended


class Client(Base, OAuth2ClientMixin):  # type: ignore[misc] # Authlib's mixins have no types
    """A program that users let in."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)

    def check_client_secret(self, client_secret: str) -> bool:
        """Return whether it is the secret."""
        return bool(self.client_secret == digest(client_secret))


class AuthorizationCode(Base, OAuth2AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that a client has exchanged for a token, or not yet. ``code`` is its digest."""

    __tablename__ = "codes"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))


class Token(Base, OAuth2TokenMixin):  # type: ignore[misc]
    """A token of a client's. ``access_token`` and ``refresh_token`` are digests; nobody keeps what they are of."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)  # None: the client's own
