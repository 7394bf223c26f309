r"""A small auth server whose webhooks leave through an egress proxy: a transport of one's own, in its place.

    EGRESS=127.0.0.1:3128 WEBHOOK_URL=http://127.0.0.1:8001/hooks WEBHOOK_KEY=whsec_... \
        python examples/custom_transport/app.py --port 8000

``egress.py`` has the transport. Here it is given to worker and registry, and that is all.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

from aside import Aside
from egress import EgressTransport
from flask import Flask, request, session
from flask.typing import ResponseReturnValue
from passwords import hashed, matches

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK

DATABASE = Path(os.environ.get("DATA", ".")) / "app.db"
app = Flask(__name__)
app.secret_key = os.environ.get("SECRET") or secrets.token_urlsafe(32)  # set it, or a restart ends all sessions


@contextmanager
def running() -> Generator[None, None, None]:
    """Open the database, and deliver through the proxy for as long as the server runs."""
    proxy, _, port = os.environ["EGRESS"].rpartition(":")
    # LOOPBACK is for trying this out. Without targets=, only public HTTPS URLs are called.
    transport = EgressTransport(proxy, int(port), user=os.environ.get("EGRESS_USER"), targets=LOOPBACK)
    with SQLiteStore(DATABASE) as store, closing(sqlite3.connect(DATABASE)) as database:
        database.execute("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, email TEXT UNIQUE, password TEXT)")
        registry = Registry(store, transport=transport)  # its test requests leave the same way
        if not registry.list():
            keys = os.environ.get("WEBHOOK_KEY", "").split()
            registry.create(Endpoint(os.environ["WEBHOOK_URL"], "*", keys=keys))
        dispatcher = OutboxDispatcher(store)
        with Worker(store, transport=transport), Aside(dispatcher) as aside:
            app.extensions.update(dispatcher=dispatcher, aside=aside, registry=registry)
            yield


# --- Users ------------------------------------------------------------------------------------------------------------


@app.post("/users")
def sign_up() -> ResponseReturnValue:
    """Sign up. The user and the event are stored together, or neither is."""
    dispatcher: OutboxDispatcher = app.extensions["dispatcher"]
    user, email = str(uuid4()), request.form["email"].lower()
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("BEGIN")
        dispatcher.emit("user.created", {"id": user, "email": email}, tx=database)
        row = (user, email, hashed(request.form["password"]))
        if database.execute("INSERT OR IGNORE INTO users VALUES (?, ?, ?)", row).rowcount != 1:
            database.rollback()  # and the event, which was emitted already, has never been
            return {"error": "this address is taken"}, 400
    dispatcher.wake()
    return {"id": user}, 201


@app.post("/login")
def sign_in() -> ResponseReturnValue:
    """Sign in. Nothing is written, so there is no transaction to join, and nobody waits for one."""
    with closing(sqlite3.connect(DATABASE)) as database:
        found = database.execute("SELECT id, password FROM users WHERE email = ?", (request.form["email"].lower(),))
        user, password = found.fetchone() or (None, None)
    if not matches(request.form["password"], password):
        return {"error": "wrong address or password"}, 400
    session["user"] = user
    aside: Aside = app.extensions["aside"]
    aside.emit("user.signed_in", {"id": user})
    return "", 204


@app.post("/webhooks/test")
def try_webhooks() -> ResponseReturnValue:
    """Send each webhook a test payload. In earnest, for administrators alone."""
    registry: Registry = app.extensions["registry"]
    results = [result for hook in registry.list() for result in registry.send_test(hook.id)]
    return [{"event": one.event, "ok": one.ok, "status": one.status, "reason": one.reason} for one in results]


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
