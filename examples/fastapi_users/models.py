"""The tables: those of fastapi-users, and one more for what webhooks have not been told of yet."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyBaseAccessTokenTableUUID
from fastapi_users_db_sqlalchemy.generics import GUID, TIMESTAMPAware, now_utc
from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hookkit import Event


class Base(DeclarativeBase):
    """What all tables have in common."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """A user, as fastapi-users has them."""


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """A token of a user who is signed in. Its primary key is the token itself, so no event may have it."""


class Untold(Base):
    """An event that webhooks have not been told of yet.

    It is committed together with the change that it tells of, and deleted once it has been emitted. So it is complete
    in itself: by then its user may have been changed again, or deleted.
    """

    __tablename__ = "untold"

    # Not a counting number: SQLite gives one anew when its row was deleted, and a backup that is restored counts from
    # an earlier one. Either would make a new event look like the repeat of an old one.
    key: Mapped[uuid.UUID] = mapped_column(GUID, primary_key=True, default=uuid.uuid4)
    type: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    occurred_at: Mapped[datetime] = mapped_column(TIMESTAMPAware(timezone=True), default=now_utc, index=True)

    def event(self) -> Event:
        """Return what is emitted. With its key it may be emitted as often as you like, and is sent once."""
        return Event(self.type, self.data, occurred_at=self.occurred_at, idempotency_key=str(self.key))
