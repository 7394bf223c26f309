"""An auth server with fastapi-users that tells webhooks what happens: the application itself.

    WEBHOOK_URL=http://127.0.0.1:8001/hooks WEBHOOK_KEY=whsec_... python examples/fastapi_users/app.py --port 8000

``users.py`` has what you copy into your own, ``sweeper.py`` what emits, ``models.py`` the tables.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi_users import FastAPIUsers, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from models import AccessToken, Base, User
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sweeper import Sweeper
from users import AccessTokens, UserDatabase, UserManager

from hookkit import AsyncOutboxDispatcher, AsyncRegistry, AsyncWorker, Endpoint
from hookkit.stores.sqlite import AsyncSQLiteStore
from hookkit.targets import LOOPBACK

FOLDER = Path(os.environ.get("DATA", "."))
SECRET = os.environ.get("SECRET") or secrets.token_urlsafe(32)  # set it, or a restart spoils the mails that were sent
TARGETS = LOOPBACK  # for trying this out; without targets=, here and in the worker, only public HTTPS URLs are called

# hide_parameters: the message of an IntegrityError, which your log will have, would quote the hash of a password.
engine = create_async_engine(f"sqlite+aiosqlite:///{FOLDER / 'users.db'}", hide_parameters=True)
sessions = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def with_foreign_keys(connection: Any, _: object) -> None:
    """Have SQLite delete the tokens of a user who is deleted."""
    connection.execute("PRAGMA foreign_keys = ON")


# --- Webhooks ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Open the databases, and emit and deliver for as long as the server runs."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    # A file of its own, or a database elsewhere: nothing here needs it where the users are, nor at the same time.
    async with aclosing(AsyncSQLiteStore(FOLDER / "hooks.db")) as store:  # in earnest, with vault= to seal the keys
        await register(store)
        app.state.sweeper = sweeper = Sweeper(sessions, AsyncOutboxDispatcher(store))
        async with AsyncWorker(store, targets=TARGETS), asyncio.TaskGroup() as tasks:
            tasks.create_task(sweeper.run())
            yield
            sweeper.stop()
    await engine.dispose()


async def register(store: AsyncSQLiteStore) -> None:
    """Register the webhook of the environment, once. In earnest, your customers do this on a page of yours."""
    registry = AsyncRegistry(store, targets=TARGETS)
    url = os.environ.get("WEBHOOK_URL")
    if url and not await registry.list():
        await registry.create(Endpoint(url, "*", keys=os.environ.get("WEBHOOK_KEY", "").split()))


# --- Users, as fastapi-users has it in its documentation --------------------------------------------------------------


async def get_session() -> AsyncGenerator[AsyncSession, None]:
    """Open a session for one request. What is not committed at its end is rolled back."""
    async with sessions() as session:
        yield session


SessionOfRequest = Annotated[AsyncSession, Depends(get_session)]


async def get_user_manager(request: Request, session: SessionOfRequest) -> UserManager:
    """Make the manager of one request."""
    return UserManager(UserDatabase(session, User), request.app.state.sweeper, SECRET)


def get_strategy(session: SessionOfRequest) -> DatabaseStrategy[User, uuid.UUID, AccessToken]:
    """Keep tokens in the database, so that a sign-out revokes them."""
    return DatabaseStrategy(AccessTokens(session, AccessToken), lifetime_seconds=3600)


class UserRead(schemas.BaseUser[uuid.UUID]):
    """A user as the API shows them."""


class UserCreate(schemas.BaseUserCreate):
    """What a sign-up takes."""


class UserUpdate(schemas.BaseUserUpdate):
    """What a user may change."""


backend = AuthenticationBackend("bearer", BearerTransport("auth/login"), get_strategy)
users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])

app = FastAPI(lifespan=lifespan)
app.include_router(users.get_auth_router(backend), prefix="/auth")
app.include_router(users.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(users.get_reset_password_router(), prefix="/auth")
app.include_router(users.get_verify_router(UserRead), prefix="/auth")
app.include_router(users.get_users_router(UserRead, UserUpdate), prefix="/users")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    uvicorn.run(app, port=parser.parse_args().port)
