r"""An OAuth 2.0 authorisation server on Authlib and Flask that tells webhooks of its tokens.

    WEBHOOK_URL=http://127.0.0.1:8001/hooks WEBHOOK_KEY=whsec_... CLIENT_SECRET=... \
        python examples/authlib_flask/app.py --port 8000

``oauth.py`` has what to learn from, ``aside.py`` what belongs to no transaction. Pages with forms are yours to add:
here browsers and programs send forms, and get JSON.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from aside import Aside
from authlib.integrations.flask_oauth2 import current_token
from authlib.oauth2 import OAuth2Error
from flask import Flask, abort, g, request, session
from flask.typing import ResponseReturnValue
from models import Base, Client, Token, User, digest, new_id
from oauth import emit, oauth, revoke
from passwords import hashed, matches
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK

DATABASE = Path(os.environ.get("DATA", ".")) / "auth.db"
TARGETS = LOOPBACK  # for trying this out; without targets=, here and in the worker, only public HTTPS URLs are called

# hide_parameters: the message of an IntegrityError, which your log will have, would quote hashes.
engine = create_engine(f"sqlite:///{DATABASE}", hide_parameters=True)
sessions = sessionmaker(engine, expire_on_commit=False)
app = Flask(__name__)
app.secret_key = os.environ.get("SECRET") or secrets.token_urlsafe(32)  # set it, or a restart ends all sessions
# Browsers keep the cookie from forms of other sites; in earnest, with SESSION_COOKIE_SECURE and a token in each form.
app.config.update(SESSION_COOKIE_SAMESITE="Lax")
server, protect = oauth(app)

# --- One session of the database for each request ---------------------------------------------------------------------


@app.before_request
def open_session() -> None:
    """Begin."""
    g.session = sessions()
    g.dispatcher = app.extensions["dispatcher"]


@app.teardown_request
def close_session(_: BaseException | None) -> None:
    """End: what is not committed is rolled back, events too."""
    g.session.close()


def commit() -> None:
    """Commit what was changed and emitted, and have it sent at once; without the wake, within half a second."""
    g.session.commit()
    g.dispatcher.wake()


def answered(response: Any) -> Any:
    """Commit what Authlib did, unless it answers with an error; return its answer."""
    if response.status_code < 400:
        commit()
    return response


def signed_in(view: Callable[[User], ResponseReturnValue]) -> Callable[[], ResponseReturnValue]:
    """Give a view the user whose browser asks."""

    @wraps(view)
    def wrapped() -> ResponseReturnValue:
        user = g.session.get(User, session.get("user", ""))
        if user is None or user.version != session["version"]:
            abort(401)
        return view(user)

    return wrapped


# --- Users ------------------------------------------------------------------------------------------------------------


@app.post("/users")
def sign_up() -> ResponseReturnValue:
    """Sign up."""
    user = User(id=new_id(), email=request.form["email"].lower(), password=hashed(request.form["password"]), version=1)
    g.session.add(user)
    emit("user.created", {"id": user.id, "email": user.email})
    try:
        commit()
    except IntegrityError:
        return {"error": "this address is taken"}, 400
    return {"id": user.id}, 201


@app.post("/login")
def sign_in() -> ResponseReturnValue:
    """Sign in. Nothing is written, so there is no transaction to join, and nobody waits for one."""
    user = g.session.scalar(select(User).where(User.email == request.form["email"].lower()))
    if not matches(request.form["password"], user.password if user else None) or user is None:
        return {"error": "wrong address or password"}, 400
    session.update(user=user.id, version=user.version)
    aside: Aside = app.extensions["aside"]
    aside.emit("user.signed_in", {"id": user.id})
    return "", 204


@app.post("/me/password")
@signed_in
def change_password(user: User) -> ResponseReturnValue:
    """Change the password, which ends all other sessions, and revokes the tokens of all clients."""
    if not matches(request.form["old"], user.password):
        return {"error": "wrong password"}, 400
    user.password = hashed(request.form["new"])
    user.version += 1
    emit("user.password.changed", {"id": user.id})
    for token in g.session.scalars(select(Token).where(Token.user_id == user.id)):
        if not token.is_revoked():
            revoke(token, "password")
    commit()
    session.update(version=user.version)
    return "", 204


# --- OAuth ------------------------------------------------------------------------------------------------------------


@app.route("/oauth/authorize", methods=["GET", "POST"])
@signed_in
def authorize(user: User) -> ResponseReturnValue:
    """Ask the user whether a client may come in, and send the browser back with a code."""
    try:
        grant = server.get_consent_grant(end_user=user)
    except OAuth2Error as error:
        return dict(error.get_body()), error.status_code
    if request.method == "GET":
        return {"client": grant.client.client_name, "scope": grant.request.scope}  # a page with two buttons
    agreed = user if request.form.get("consent") == "yes" else None
    response: ResponseReturnValue = answered(server.create_authorization_response(grant_user=agreed, grant=grant))
    return response


@app.post("/oauth/token")
def issue_token() -> ResponseReturnValue:
    """Issue a token: for a code, for a token that renews, or for a client itself."""
    response: ResponseReturnValue = answered(server.create_token_response())
    return response


@app.post("/oauth/revoke")
def revoke_token() -> ResponseReturnValue:
    """Revoke a token."""
    response: ResponseReturnValue = answered(server.create_endpoint_response("revocation"))
    return response


@app.get("/api/me")
@protect("profile")  # type: ignore[untyped-decorator] # Authlib has no types
def me() -> ResponseReturnValue:
    """Tell a client who let it in."""
    user = g.session.get(User, current_token.user_id or "")
    return {"id": user.id, "email": user.email} if user else abort(404)


# --- Start ------------------------------------------------------------------------------------------------------------


def register(store: SQLiteStore) -> None:
    """Register the webhook and the client of the environment, once. In earnest, people do both on pages of yours."""
    registry = Registry(store, targets=TARGETS)
    url, client_id = os.environ.get("WEBHOOK_URL"), os.environ.get("CLIENT_ID", "demo")
    if url and not registry.list():
        registry.create(Endpoint(url, "*", keys=os.environ.get("WEBHOOK_KEY", "").split()))
    with sessions.begin() as db:
        if not db.scalar(select(Client).where(Client.client_id == client_id)):
            client = Client(client_id=client_id, client_secret=digest(os.environ["CLIENT_SECRET"]))
            client.set_client_metadata(
                {
                    "client_name": "Demo",
                    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
                    "redirect_uris": [os.environ.get("REDIRECT_URI", "http://127.0.0.1:9/callback")],
                    "response_types": ["code"],
                    "scope": "profile",
                    "token_endpoint_auth_method": "client_secret_basic",
                }
            )
            db.add(client)


@contextmanager
def running() -> Generator[None, None, None]:
    """Open the database for both, and deliver for as long as the server runs."""
    with SQLiteStore(DATABASE) as store:  # in earnest, with vault= to seal the keys
        Base.metadata.create_all(engine)
        register(store)
        dispatcher = OutboxDispatcher(store)
        with Worker(store, targets=TARGETS), Aside(dispatcher) as aside:  # the worker may be a process of its own
            app.extensions.update(dispatcher=dispatcher, aside=aside)
            yield
    engine.dispose()


def interrupt(*_: object) -> None:
    """End as at Ctrl-C, so that the worker gives back what it has not sent yet."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")  # for trying this out: Authlib insists on HTTPS
    signal.signal(signal.SIGTERM, interrupt)
    with running():
        app.run(port=parser.parse_args().port)  # in earnest, a server such as gunicorn's
