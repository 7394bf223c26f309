"""The receiver's paths: requests that verify or do not, keys that cannot be used, and what is handled once."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from stage import URL, Stage, damage

from canaries import CANARIES, KEYS, PAIR
from hookkit import HookkitError, SigningKey, VerificationError, schemes, verify_signature
from hookkit.challenges import okta_verification, zoom_url_validation
from hookkit.explain import explain
from hookkit.schemes import BUILTIN, StandardScheme
from hookkit.testing import sign_request
from senders import SIGNING_ANY_BODY

__all__ = ["AT", "BODY", "challenging", "receiving", "unreadable_keys", "verifying"]

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"text":"canary in a payload"}}'


def verifying(stage: Stage) -> None:
    """A request that verifies, and one that does not for every reason, in every scheme, and why."""
    for scheme in SIGNING_ANY_BODY.values():
        key = KEYS["whsec"] if isinstance(scheme, StandardScheme) else KEYS["plain"]
        headers = sign_request(BODY, key, scheme=scheme, at=AT, url=URL)
        options: dict[str, Any] = {"scheme": scheme, "now": AT, "url": URL, "method": "POST"}
        stage.look(verify_signature(BODY, headers, key, **options))
        stage.look(str(explain(BODY + b" ", headers, [key], **options)), str(explain(BODY, {}, [key], **options)))
        signature = next(one for one in reversed(headers) if "sign" in one or "hmac" in one or "digest" in one)
        for body, sent, more in (
            (BODY + b" ", headers, {}),
            (BODY, {}, {}),
            (BODY, {**headers, signature: "v1,x"}, {}),
            (BODY, {**headers, signature: ""}, {}),
            (BODY, [*headers.items(), *headers.items()], {}),
            (BODY, {**headers, signature: "v" * 5000}, {}),
            (BODY, headers, {"max_body_bytes": 5}),
        ):
            for keys in (key, [key, key], SigningKey(key)):
                call = partial(verify_signature, body, sent, keys, **options, **more)
                stage.fails(call, VerificationError)
    headers = sign_request(BODY, KEYS["whsec"], at=AT)
    for late in (timedelta(hours=2), -timedelta(hours=2)):
        stage.fails(lambda at=AT + late: verify_signature(BODY, headers, KEYS["whsec"], now=at), VerificationError)
        stage.look(str(explain(BODY, headers, KEYS["whsec"], now=AT + late)))
    for scheme in BUILTIN.values():
        keys = [KEYS["plain"], KEYS["whsec"]]
        stage.look(scheme, str(explain(BODY, headers, keys, scheme=scheme, now=AT, url=URL, method="POST")))


def unreadable_keys(stage: Stage) -> None:
    """Keys that cannot be used, at verifying, signing and looking for the reason."""
    headers = sign_request(BODY, KEYS["whsec"], at=AT)
    for text in (
        KEYS["whsec"] + "!",
        PAIR[0],
        PAIR[0][:-4],
        PAIR[1][:-4],
        KEYS["plain"],
        f"{KEYS['whsec']} {KEYS['whsec']}",
        base64.urlsafe_b64encode(b"\xff\xfe" + CANARIES["whsec"][1]).decode(),
    ):
        key = SigningKey(text)
        stage.look(key)
        stage.fails(lambda key=key: verify_signature(BODY, headers, key, now=AT), HookkitError)
        stage.fails(
            lambda key=key: verify_signature(BODY, headers, [key, SigningKey(KEYS["whsec"])], now=AT), HookkitError
        )
        stage.look(str(explain(BODY, headers, key, now=AT)))
        stage.fails(lambda key=key: key.public.parsed("x", _failing), HookkitError)
    stage.fails(lambda: schemes.STANDARD.sign(BODY, [SigningKey(KEYS["plain"])], id="x", at=AT), HookkitError)
    expired = SigningKey(KEYS["whsec"], expires_at=AT)
    stage.fails(lambda: verify_signature(BODY, headers, expired, now=AT), HookkitError)


def _failing(_: str) -> Any:
    raise VerificationError("x", "x")


def challenging(stage: Stage) -> None:
    """Answers to the handshakes of vendors, and a body that is no event."""
    token = b'{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}'
    headers = sign_request(token, KEYS["plain"], scheme=schemes.ZOOM, at=AT)
    proven = verify_signature(token, headers, KEYS["plain"], scheme=schemes.ZOOM, now=AT)
    stage.look(zoom_url_validation(proven, SigningKey(KEYS["plain"])), okta_verification({}))
    headers = sign_request(b"canary in a payload", KEYS["whsec"], at=AT)
    odd = verify_signature(b"canary in a payload", headers, KEYS["whsec"], now=AT)
    for read in (odd.event, odd.json):
        stage.fails(read, HookkitError)


def receiving(stage: Stage) -> None:
    """An inbox: handled, repeated, given back, overtaken, wrongly asked, locked, damaged and closed."""
    headers = sign_request(BODY, KEYS["whsec"], at=AT)
    verified = verify_signature(BODY, headers, KEYS["whsec"], now=AT)
    inbox = stage.new_inbox()
    stage.look(verified, inbox)

    def handle(receipt: Any) -> None:
        stage.look(receipt)
        raise RuntimeError("the host's handler")

    def overtaken(receipt: Any) -> Any:
        return inbox.release(receipt)

    def receive(handler: Any = stage.look, **options: Any) -> None:
        stage.receive(inbox, verified, handler, **({"source": "acme", "now": AT} | options))

    stage.fails(lambda: receive(handle), RuntimeError)
    receive(overtaken)
    receive()
    receive()
    for wrong in ({"source": ""}, {"now": AT.replace(tzinfo=None)}, {"lease": 10**9}):
        stage.fails(partial(receive, **wrong), ValueError)
    stage.fails(lambda: receive(tx="no connection"), TypeError)
    stage.run(inbox.prune(now=AT + timedelta(days=30)))
    if stage.medium == "sqlite":
        damage(stage.folder / "inbox.db", "ALTER TABLE hookkit_inbox RENAME TO lost")
        stage.fails(receive, HookkitError)
        stage.fails(lambda: receive(handle), HookkitError)
    stage.close(inbox)
    if stage.medium == "sqlite":
        stage.fails(receive, HookkitError)
