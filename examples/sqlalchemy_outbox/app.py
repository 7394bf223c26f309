"""An auth server on SQLAlchemy that emits in its own transactions: the application itself.

    WEBHOOK_URL=http://127.0.0.1:8001/hooks WEBHOOK_KEY=whsec_... python examples/sqlalchemy_outbox/app.py --port 8000

``accounts.py`` has what to learn from, ``aside.py`` what belongs to no transaction.
"""

from __future__ import annotations

import argparse
import os
import secrets
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from accounts import Accounts, Refused
from aside import Aside
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from models import Base, User
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, event
from sqlalchemy.orm import sessionmaker
from starlette.middleware.sessions import SessionMiddleware

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK

DATABASE = Path(os.environ.get("DATA", ".")) / "app.db"
SECRET = os.environ.get("SECRET") or secrets.token_urlsafe(32)  # set it, or a restart ends all sessions
TARGETS = LOOPBACK  # for trying this out; without targets=, here and in the worker, only public HTTPS URLs are called

# hide_parameters: the message of an IntegrityError, which your log will have, would quote the hash of a password.
engine = create_engine(f"sqlite:///{DATABASE}", hide_parameters=True)


@event.listens_for(engine, "connect")
def with_foreign_keys(connection: Any, _: object) -> None:
    """Have SQLite delete the tokens of a user who is deleted."""
    connection.execute("PRAGMA foreign_keys = ON")


# --- Webhooks ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Open the database for both, and deliver for as long as the server runs."""
    with SQLiteStore(DATABASE) as store:  # in earnest, with vault= to seal the keys
        Base.metadata.create_all(engine)
        register(store)
        dispatcher = OutboxDispatcher(store)
        with Worker(store, targets=TARGETS), Aside(dispatcher) as aside:  # the worker may be a process of its own
            app.state.accounts = Accounts(sessionmaker(engine, expire_on_commit=False), dispatcher, aside)
            yield
    engine.dispose()


def register(store: SQLiteStore) -> None:
    """Register the webhook of the environment, once. In earnest, your customers do this on a page of yours."""
    registry = Registry(store, targets=TARGETS)
    url = os.environ.get("WEBHOOK_URL")
    if url and not registry.list():
        registry.create(Endpoint(url, "*", keys=os.environ.get("WEBHOOK_KEY", "").split()))


# --- HTTP -------------------------------------------------------------------------------------------------------------

app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key=SECRET)  # in earnest, with https_only=True


@app.exception_handler(Refused)
def refuse(_: Request, error: Exception) -> JSONResponse:
    """Tell the user why."""
    return JSONResponse({"detail": str(error)}, 400)


class Credentials(BaseModel):
    """Address and password."""

    email: str = Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")
    password: str = Field(min_length=8, max_length=1024)


class NewPassword(BaseModel):
    """The password as it is, and as it shall be."""

    old: str
    new: str = Field(min_length=8, max_length=1024)


class NewToken(BaseModel):
    """What a token is for."""

    name: str = Field(max_length=100)


def get_accounts(request: Request) -> Accounts:
    """Return the accounts of this server."""
    accounts: Accounts = request.app.state.accounts
    return accounts


AccountsHere = Annotated[Accounts, Depends(get_accounts)]


def get_user(request: Request, accounts: AccountsHere) -> User:
    """Return who asks: by the token of a program, or by the session of a browser."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    user = None
    if kind.lower() == "bearer":
        user = accounts.of_token(token)
    elif "user" in request.session:
        user = accounts.of_session(uuid.UUID(request.session["user"]), request.session["version"])
    if user is None:
        raise HTTPException(401)
    return user


Me = Annotated[User, Depends(get_user)]


def begin_session(request: Request, user: User) -> None:
    """Write the session's cookie: signed, and stored nowhere here."""
    request.session.update(user=str(user.id), version=user.version)


@app.post("/users", status_code=201)
def sign_up(credentials: Credentials, accounts: AccountsHere) -> dict[str, str]:
    """Sign up."""
    user = accounts.sign_up(credentials.email.lower(), credentials.password)
    return {"id": str(user.id), "email": user.email}


@app.post("/login", status_code=204)
def sign_in(credentials: Credentials, request: Request, accounts: AccountsHere) -> None:
    """Sign in."""
    begin_session(request, accounts.sign_in(credentials.email.lower(), credentials.password))


@app.get("/me")
def me(user: Me) -> dict[str, str]:
    """Say who asks."""
    return {"id": str(user.id), "email": user.email}


@app.put("/me/password", status_code=204)
def change_password(passwords: NewPassword, request: Request, user: Me, accounts: AccountsHere) -> None:
    """Change the password."""
    begin_session(request, accounts.change_password(user.id, passwords.old, passwords.new))


@app.delete("/me", status_code=204)
def delete(user: Me, accounts: AccountsHere) -> None:
    """Delete the user."""
    accounts.delete(user.id)


@app.post("/me/tokens", status_code=201)
def create_token(token: NewToken, user: Me, accounts: AccountsHere) -> dict[str, str]:
    """Make a token."""
    token_id, secret = accounts.create_token(user.id, token.name)
    return {"id": str(token_id), "token": secret}


@app.delete("/me/tokens/{token_id}", status_code=204)
def revoke_token(token_id: uuid.UUID, user: Me, accounts: AccountsHere) -> None:
    """Revoke a token."""
    accounts.revoke_token(user.id, token_id)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    uvicorn.run(app, port=parser.parse_args().port)
