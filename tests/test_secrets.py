"""No secret leaks: not into a ``repr``, a log line, an exception, a pickle, or the log store.

Each test plants marked secrets and then looks for the marks everywhere.
"""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hookkit import (
    Endpoint,
    Event,
    HookkitError,
    InvalidKey,
    OutboxDispatcher,
    Registry,
    SigningKey,
    VerificationError,
    Worker,
    schemes,
    verify_signature,
)
from hookkit.stores.memory import MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK
from hookkit.testing import FakeTransport, ManualClock, sign_request
from hookkit.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "whsec_" + base64.b64encode(b"planted-standard-key-24-bytes-or-more").decode()
OTHER = "whsec_" + base64.b64encode(b"another-standard-key-24-bytes-or-more").decode()
LOGTO_KEY = "PlantedLogtoKeyPlantedLogtoKey12"
HEADER = "planted-header-value"
BODY = "planted-body-value"
MARKS = (KEY, KEY.removeprefix("whsec_"), "planted-standard-key", LOGTO_KEY, HEADER)


def leaks(text: str, *more: str) -> list[str]:
    """Return the planted secrets that `text` shows."""
    return [mark for mark in (*MARKS, *more) if mark in text]


def everything(error: BaseException) -> str:
    """Return all that a log would show of `error`, what it was raised from included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + repr(vars(error))


def endpoint(profile: str = "standard") -> Endpoint:
    """Return an endpoint full of secrets."""
    key = LOGTO_KEY if profile == "logto" else KEY
    return Endpoint("http://127.0.0.1:9/", "*", headers={"x-api-key": HEADER}, keys=key, profile=profile)


@pytest.mark.parametrize("profile", ["standard", "logto"])
def test_values_show_no_secret(profile: str) -> None:
    """Neither ``repr``, ``str`` nor ``asdict`` of a registered endpoint, of its parts or of what it becomes does."""
    registry = Registry(MemoryStore(), targets=LOOPBACK, transport=FakeTransport(204))
    registered = registry.create(endpoint(profile))
    (result,) = registry.send_test(registered.id, events=["x"])
    for value in (registered, registered.keys, registered.headers, registered.keys[0], result, registry):
        assert leaks(f"{value!r} {value!s}") == []
    assert leaks(repr(attrs.asdict(registered, recurse=True))) == []
    assert leaks(repr(attrs.asdict(registered.keys[0]))) == []


@pytest.mark.parametrize(
    "make", [endpoint, lambda: SigningKey(KEY), lambda: endpoint().headers], ids=["endpoint", "key", "headers"]
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secrets_are_not_pickled(make: Callable[[], Any], protocol: int) -> None:
    """What holds a key or a header value refuses to be pickled, and does not show it while refusing."""
    with pytest.raises(TypeError) as caught:
        pickle.dumps(make(), protocol)
    assert leaks(everything(caught.value)) == []


@pytest.mark.parametrize("profile", ["standard", "logto"])
def test_a_delivery_logs_no_secret(profile: str, caplog: pytest.LogCaptureFixture) -> None:
    """Registering, emitting, failing, giving up and rotating log no key, header value, signature or body."""
    caplog.set_level(logging.DEBUG)
    clock, store = ManualClock(), MemoryStore()
    transport = FakeTransport(["timeout", 500, "tls_expired", 410])
    registry = Registry(store, targets=LOOPBACK, transport=transport, clock=clock)
    registered = registry.create(endpoint(profile))
    OutboxDispatcher(store, clock=clock).emit("user.created", {"text": BODY})
    worker = Worker(store, targets=LOOPBACK, transport=transport, clock=clock)
    for _ in range(4):
        worker.run_once()
        clock.advance(timedelta(days=1))
    registry.rotate_key(registered.id)
    assert len(transport.requests) == 4
    signatures = [value for request in transport.requests for name, value in request.headers if "signature" in name]
    assert signatures
    shown = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert leaks(shown, BODY, *signatures) == []
    assert leaks(repr(registry.recent(registered.id, window=timedelta(days=9))), *signatures) == []


@pytest.mark.parametrize("scheme", [schemes.STANDARD, schemes.SVIX, schemes.LOGTO], ids=["standard", "svix", "logto"])
def test_a_refused_request_shows_neither_key_nor_body(scheme: Any) -> None:
    """What is raised for a request that does not verify holds no key, no signature and no body."""
    key = LOGTO_KEY if scheme is schemes.LOGTO else KEY
    body = f'{{"text":"{BODY}"}}'.encode()
    headers = sign_request(body, OTHER if key is KEY else "x" * 32, scheme=scheme)
    signature = next(value for name, value in headers.items() if "signature" in name)
    with pytest.raises(VerificationError) as caught:
        verify_signature(body, headers, key, scheme=scheme)
    assert caught.value.reason == "bad_signature"
    assert leaks(everything(caught.value), BODY, signature) == []


@pytest.mark.parametrize(
    "key",
    [
        "whsec_planted-header-value!",
        "whsk_" + base64.b64encode(b"planted-standard-key").decode(),
        "whpk_planted-header-value",
        "planted-header-value ü",
        "whsec_" + base64.b64encode(b"planted-standard-key").decode() + "=planted-header-value",
    ],
)
def test_an_unreadable_key_is_not_quoted(key: str) -> None:
    """What is raised for a key that cannot be used does not quote it."""
    with pytest.raises(InvalidKey) as caught:
        verify_signature(b"{}", sign_request(b"{}", OTHER), key)
    assert leaks(everything(caught.value), key, base64.b64encode(b"planted-standard-key").decode()) == []


@pytest.mark.parametrize(
    "mistake",
    [
        {"headers": {"x-api-key": HEADER + "\n"}},
        {"headers": {"host": HEADER}},
        {"headers": {"x-a": HEADER, "X-A": HEADER}},
        {"headers": {"x-a": HEADER * 500}},
        {"url": "http://user:planted-header-value@127.0.0.1/"},
        {"keys": [KEY, "whsec_!" + HEADER]},
        {"profile": "none"},
        {"events": []},
    ],
    ids=str,
)
def test_a_refused_endpoint_shows_no_secret(mistake: dict[str, Any]) -> None:
    """What is raised for an endpoint that cannot be registered quotes neither its keys nor its header values."""
    fields: dict[str, Any] = {"url": "http://127.0.0.1/", "events": "*", "keys": KEY, "headers": {"x-api-key": HEADER}}
    with pytest.raises(HookkitError) as caught:
        Registry(MemoryStore(), targets=LOOPBACK).create(Endpoint(**fields | mistake))
    assert leaks(everything(caught.value)) == []


def test_a_refused_event_does_not_show_its_data() -> None:
    """What is raised for an event that JSON cannot carry names the path, not the value."""
    with pytest.raises(HookkitError) as caught:
        Event("user.created", {"password": [BODY, {BODY}]})
    assert leaks(everything(caught.value), BODY) == []


def test_a_vault_seals_what_is_on_disk(tmp_path: Path) -> None:
    """With a vault, neither keys nor header values stand in the database's files; the store still reads them."""
    with closing(SQLiteStore(tmp_path / "hooks.db", vault=Vault({"k1": bytes(range(32))}))) as store:
        registered = Registry(store, targets=LOOPBACK).create(endpoint())
        OutboxDispatcher(store).emit("user.created", {"text": BODY})
        read = store.get_webhook(registered.id)
        assert (read.keys[0].value, read.headers["x-api-key"]) == (KEY, HEADER)
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != "hooks.db-shm")
    assert BODY.encode() in files
    assert [mark for mark in MARKS if mark.encode() in files] == []
