"""An auth server with webhooks and a log in tables of its own, and hookkit to deliver.

    python examples/custom_store/app.py --port 8000

``webhook_rows.py`` and ``log_rows.py`` have what to learn from. hookkit's store keeps what is its business, in the same
database: the outbox, the queue, and a copy of each webhook.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from aside import Aside
from flask import Flask, abort, request, session
from flask.typing import ResponseReturnValue
from log_rows import RowLog
from passwords import hashed, matches
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker
from webhook_rows import Base, Subscription, User, endpoint_of, follow, follow_all

from hookkit import InvalidEndpoint, Notice, OutboxDispatcher, Registry, Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK

DATABASE = Path(os.environ.get("DATA", ".")) / "app.db"
TARGETS = LOOPBACK  # for trying this out; without targets=, here and in the worker, only public HTTPS URLs are called

# hide_parameters: the message of an IntegrityError, which your log will have, would quote hashes.
engine = create_engine(f"sqlite:///{DATABASE}", hide_parameters=True)
sessions = sessionmaker(engine, expire_on_commit=False)
app = Flask(__name__)
app.secret_key = os.environ.get("SECRET") or secrets.token_urlsafe(32)  # set it, or a restart ends all sessions


@contextmanager
def running() -> Generator[None, None, None]:
    """Open the database, and deliver for as long as the server runs."""
    with SQLiteStore(DATABASE) as store:  # in earnest, with vault= to seal the keys
        Base.metadata.create_all(engine)
        log = RowLog(sessions)
        registry = Registry(store, logs=log, targets=TARGETS)
        with sessions() as db:
            follow_all(registry, db.scalars(select(Subscription)))
        dispatcher = OutboxDispatcher(store)
        with Worker(store, logs=log, targets=TARGETS, on_notice=noticed), Aside(dispatcher) as aside:
            app.extensions.update(dispatcher=dispatcher, aside=aside, registry=registry)
            yield
    engine.dispose()


def noticed(notice: Notice) -> None:
    """Show in our own table what hookkit has disabled by itself."""
    if notice.kind == "disabled":
        with sessions.begin() as db:
            row = db.get(Subscription, notice.endpoint_id)
            if row is not None:
                row.active = False


# --- Subscriptions: in earnest, for administrators alone --------------------------------------------------------------


def its(db: Session, number: str) -> Subscription:
    """Return a row."""
    return db.get(Subscription, number) or abort(404)


@app.errorhandler(InvalidEndpoint)
def refuse(error: InvalidEndpoint) -> ResponseReturnValue:
    """Tell the customer what is not right."""
    return {"error": str(error)}, 400


@app.post("/subscriptions")
def subscribe() -> ResponseReturnValue:
    """Add a webhook, and show its key, this once."""
    registry: Registry = app.extensions["registry"]
    secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
    row = Subscription(id=f"sub_{uuid4()}", url=request.form["url"], label="", secret=secret, active=True)
    row.topics = request.form.getlist("topic")
    registry.create(endpoint_of(row))  # first: it checks the URL. If the commit fails, the next start removes it
    with sessions.begin() as db:
        db.add(row)
    return {"id": row.id, "secret": secret}, 201


@app.patch("/subscriptions/<number>")
def change(number: str) -> ResponseReturnValue:
    """Change a webhook."""
    registry: Registry = app.extensions["registry"]
    with sessions.begin() as db:
        row = its(db, number)
        row.url = request.form.get("url", row.url)
        row.topics = request.form.getlist("topic") or row.topics
        row.active = request.form.get("active", str(row.active)).lower() == "true"
        if "url" in request.form or "topic" in request.form:
            registry.update(number, url=row.url, events=tuple(row.topics))  # which checks them
    follow(registry, row)
    if "active" in request.form and row.active and not registry.get(number).enabled:
        registry.enable(number)  # what hookkit had disabled: somebody says that it is well again
    return "", 204


@app.delete("/subscriptions/<number>")
def unsubscribe(number: str) -> ResponseReturnValue:
    """Delete a webhook. Its log stays."""
    registry: Registry = app.extensions["registry"]
    with sessions.begin() as db:
        db.delete(its(db, number))
    registry.remove(number)
    return "", 204


@app.get("/subscriptions/<number>/log")
def show(number: str) -> ResponseReturnValue:
    """Show how a webhook did, from our own log."""
    registry: Registry = app.extensions["registry"]
    with sessions() as db:
        active = its(db, number).active
    health = registry.health(number)[number]
    entries: list[dict[str, Any]] = [
        {"event": one.event_type, "state": one.state, "tries": len(one.attempts), "status": one.attempts[-1].status}
        for one in registry.recent(number)
    ]
    return {"active": active, "state": health.state, "success_rate": health.success_rate, "entries": entries}


# --- Users ------------------------------------------------------------------------------------------------------------


@app.post("/users")
def sign_up() -> ResponseReturnValue:
    """Sign up. The user and the event are stored together, or neither is."""
    dispatcher: OutboxDispatcher = app.extensions["dispatcher"]
    user = User(id=str(uuid4()), email=request.form["email"].lower(), password=hashed(request.form["password"]))
    try:
        with sessions.begin() as db:
            db.add(user)
            dispatcher.emit("user.created", {"id": user.id, "email": user.email}, tx=db)
    except IntegrityError:  # from the commit; the event, which was emitted already, has never been
        return {"error": "this address is taken"}, 400
    dispatcher.wake()
    return {"id": user.id}, 201


@app.post("/login")
def sign_in() -> ResponseReturnValue:
    """Sign in. Nothing is written, so there is no transaction to join, and nobody waits for one."""
    with sessions() as db:
        user = db.scalar(select(User).where(User.email == request.form["email"].lower()))
    if not matches(request.form["password"], user.password if user else None) or user is None:
        return {"error": "wrong address or password"}, 400
    session["user"] = user.id
    aside: Aside = app.extensions["aside"]
    aside.emit("user.signed_in", {"id": user.id})
    return "", 204


# --- Start ------------------------------------------------------------------------------------------------------------


def interrupt(*_: object) -> None:
    """End as at Ctrl-C, so that the worker gives back what it has not sent yet."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    signal.signal(signal.SIGTERM, interrupt)
    with running():
        app.run(port=parser.parse_args().port)  # in earnest, a server such as gunicorn's
