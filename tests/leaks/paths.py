"""Every public path, failures included, as a function of a :class:`stage.Stage`. A new path is a function and a row."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import re
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from canaries import CANARIES, KEYS, PAIR
from stage import HEADERS, PATH, PAYLOAD, QUERY, URL, VAULT_KEYS, Stage, damage
from surfaces import error_leaks

from hookkit import (
    AsyncOutboxDispatcher,
    AsyncRegistry,
    AsyncWorker,
    Endpoint,
    Event,
    HookkitError,
    OutboxDispatcher,
    Registry,
    Reply,
    Request,
    SigningKey,
    VerificationError,
    schemes,
    verify_signature,
)
from hookkit.__main__ import _parser, main
from hookkit._listen.server import listen
from hookkit.challenges import okta_verification, zoom_url_validation
from hookkit.explain import explain
from hookkit.inbox import MemoryInbox
from hookkit.schemes import BUILTIN, StandardScheme
from hookkit.stores.memory import AsyncMemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, TargetPolicy
from hookkit.testing import AsyncFakeTransport, FakeTransport, sign_request
from hookkit.testing.loopback import LoopbackServer, closed_port
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport
from hookkit.vault import Vault
from senders import SIGNING_ANY_BODY

__all__ = ["PATHS", "WITHOUT_STORE"]

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"text":"canary in a payload"}}'
PASSWORD = CANARIES["password"][0]
HEADER = HEADERS["x-api-key"]


def registering(stage: Stage) -> None:
    """Create, get, list, update, rotate, disable, enable, remove: with each kind of key."""
    registry = stage.registry()
    for key in ("whsec", "whsk", "logto"):
        made = stage.register(key)
        stage.look(made, made.keys, made.headers, *made.keys, registry, registry.for_tenant("acme"))
        stage.look(registry.get(made.id), registry.list(), registry.update(made.id, name="x", headers=HEADERS))
        stage.look(registry.rotate_key(made.id), registry.get(made.id).keys)
        stage.look(registry.disable(made.id), registry.enable(made.id, held="drop"))
        registry.remove(made.id)
    stage.look(SigningKey(PAIR[0]).public)


def refusing(stage: Stage) -> None:
    """What is refused at registration and at a change."""
    made = stage.register()
    mistakes: list[dict[str, Any]] = [
        {"headers": {"x-api-key": HEADER + "\n"}},
        {"headers": {"x-api-key": HEADER + "é"}},
        {"headers": {"host": HEADER}},
        {"headers": {"content-type": HEADER}},
        {"headers": {"x-a": HEADER, "X-A": HEADER}},
        {"headers": {"x-a": HEADER * 500}},
        {"headers": {"x a": HEADER}},
        {"headers": {"x-a": HEADER, "webhook-id": "x"}},
        {"url": f"https://user:{PASSWORD}@hooks.example.com/"},
        {"url": f"ftp://hooks.example.com/{PATH}?{QUERY}"},
        {"url": f"http://10.0.0.1/{PATH}?token={QUERY}"},
        {"url": f"http://127.0.0.1/{PATH}?token={QUERY}#fragment"},
        {"url": f"http://127.0.0.1/{PATH}?token={QUERY}%zz"},
        {"url": f"http://127.0.0.1/{PATH} ?token={QUERY}"},
        {"events": []},
        {"events": "no such*pattern"},
        {"profile": "none"},
        {"max_in_flight": 0},
        {"rate_limit": (0, 1)},
        {"metadata": {"a": {1, 2}}},
        {"name": "\0"},
    ]
    fields: dict[str, Any] = {"url": URL, "events": "*", "headers": HEADERS, "keys": KEYS["whsec"]}
    for mistake in mistakes:
        wrong = Endpoint(**(fields | mistake))
        stage.fails(lambda bad=wrong: stage.registry().create(bad), HookkitError)
        stage.fails(lambda bad=mistake: stage.registry().update(made.id, **bad), HookkitError)
    for keys in (
        [KEYS["whsec"], "whsec_!" + KEYS["whsec"]],
        [KEYS["whsec"] + "=="],
        [KEYS["plain"]],
        ["whsk_" + KEYS["whsec"].removeprefix("whsec_")[:-4]],
        [PAIR[0][:-8]],
        [PAIR[0], "whpk_AAAA"],
        ["v1," + KEYS["whsec"] + "|" + KEYS["whsec"]],
        [KEYS["whsec"]] * 17,
    ):
        wrong = Endpoint(URL, "*", keys=keys)
        stage.fails(lambda bad=wrong: stage.registry().create(bad), HookkitError)
    stage.fails(lambda: stage.registry().update(made.id, keys=KEYS["whsec"], headers=HEADERS), TypeError)
    stage.fails(lambda: stage.registry().update("whk_none", headers=HEADERS), HookkitError)
    stage.fails(lambda: stage.registry().create(made), HookkitError)


def testing(stage: Stage) -> None:
    """Test payloads that succeed, fail, and go nowhere."""
    for key in ("whsec", "whsk", "logto"):
        made = stage.register(key)
        for answer in (204, 500, "timeout", 302):
            results = stage.registry(transport=FakeTransport(answer)).send_test(made.id, events=["a", "b"])
            stage.look(results, *(result.request for result in results))
        stage.look(stage.registry(targets=PUBLIC_HTTPS).send_test(made.id, events=["a"]))
        stage.fails(lambda: stage.registry().send_test(made.id, events=["no*pattern"]), HookkitError)  # noqa: B023


def emitting(stage: Stage) -> None:
    """Events, good ones and refused ones."""
    stage.register()
    event = Event("user.created", PAYLOAD, context=PAYLOAD)
    dispatcher = OutboxDispatcher(stage.store, clock=stage.clock)
    stage.look(event, dispatcher, dispatcher.emit(event), dispatcher.emit_many([event]))
    small = OutboxDispatcher(stage.store, max_body=10)
    stage.fails(lambda: small.emit(event), HookkitError)
    for data in ({"a": {PAYLOAD["text"]}}, {"a": datetime.now(UTC), **PAYLOAD}, [PAYLOAD, float("nan")], {1: PAYLOAD}):
        stage.fails(lambda bad=data: dispatcher.emit("user.created", bad), HookkitError)
    stage.fails(lambda: dispatcher.emit("user.created", PAYLOAD, context={"data": PAYLOAD}), HookkitError)
    stage.fails(lambda: dispatcher.emit("user.created", PAYLOAD, tx="no connection"), TypeError)


@contextmanager
def no_tls() -> Iterator[int]:
    """Yield a port where somebody answers a handshake with something else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # until it is shut down
                while True:
                    peer, _address = server.accept()
                    with peer:
                        peer.recv(65_536)
                        peer.sendall(b"220 mail.example.com ESMTP ready\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread
            thread.join()


def delivering(stage: Stage) -> None:
    """Deliveries over sockets: success, failure, refusal, a closed port, broken TLS, and a host's own transport."""
    with LoopbackServer() as server, no_tls() as plain_port, HttpxTransport(targets=LOOPBACK) as transport:
        stage.look(transport)
        port = server.url("").rpartition(":")[2]
        for where in (
            f"http://127.0.0.1:{port}/status/204",
            f"http://127.0.0.1:{port}/status/500",
            f"http://127.0.0.1:{port}/status/302",
            f"http://127.0.0.1:{port}/hang-up",
            f"http://127.0.0.1:{port}/garbage",
            f"http://127.0.0.1:{port}/cut",
            f"https://127.0.0.1:{plain_port}/",
            f"http://127.0.0.1:{closed_port()}/",
        ):
            made = stage.register(url=f"{where}?token={QUERY}&path={PATH}")
            stage.emit()
            stage.deliver(transport)
            stage.registry().remove(made.id)
        assert len(server.received) >= 6


def echoing(stage: Stage) -> None:
    """A receiver that answers with everything it was sent, and with the key in every form."""
    for key in ("whsec", "whsk", "logto"):
        forms = b" ".join(form for secret in CANARIES[key] for form in _forms_of(secret))

        def echo(request: Request, forms: bytes = forms) -> Reply:
            body = repr((request.url, request.headers)).encode()
            return Reply(
                500, (*request.headers, ("x-url", request.url), ("x-key", forms.decode("latin-1"))), body + forms
            )

        made = stage.register(key)
        stage.emit()
        stage.deliver(FakeTransport(echo), rounds=2)
        stage.registry().remove(made.id)


def _forms_of(secret: str | bytes) -> list[bytes]:
    raw = secret.encode() if isinstance(secret, str) else secret
    return [raw, raw.hex().encode(), base64.b64encode(raw), quote(raw, safe="").encode()]


class Broken:
    """Whatever it is, it raises."""

    targets = LOOPBACK
    total_timeout = 5.0

    def send(self, _: object) -> Any:
        raise OSError("the host's own transport")

    def sign(self, *_: object, **__: object) -> Any:
        raise RuntimeError("the host's own scheme")

    def seal(self, *_: object, **__: object) -> Any:
        raise RuntimeError("the host's own key service")

    unseal = seal


class Garbling:
    """A sealer of the host's own that does not give back what it was given."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, plain: bytes, *, bound_to: bytes) -> tuple[str, bytes]:
        raise HookkitError("the host's own key service is closed")

    def unseal(self, sealed: bytes, *, key_id: str, bound_to: bytes) -> bytes:
        return self._vault.unseal(sealed, key_id=key_id, bound_to=bound_to)[:-3]


def failing_in_the_hosts_code(stage: Stage) -> None:
    """A transport that raises, one that returns nonsense, and headers and keys in a store that cannot be sent."""
    stage.register()
    stage.emit()
    stage.deliver(Broken())
    stage.deliver(FakeTransport(lambda _: None))
    store = stage.store
    bad = Endpoint(URL, "*", id="whk_bad", headers={**HEADERS, "x-bad": HEADER + "\r\nx: y"}, keys=KEYS["whsec"])
    store.add_webhook(bad)
    store.add_webhook(Endpoint(URL, "*", id="whk_key", headers=HEADERS, keys="not a key " + KEYS["plain"]))
    store.add_webhook(
        Endpoint(f"http://u:{PASSWORD}@127.0.0.1/", "*", id="whk_url", headers=HEADERS, keys=KEYS["whsec"])
    )
    stage.emit()
    with HttpxTransport(targets=LOOPBACK) as transport:
        stage.deliver(transport, rounds=3)
    stage.deliver(FakeTransport(200), targets=TargetPolicy(), rounds=2)


def failing_stores(stage: Stage) -> None:
    """A locked file, a damaged row, another vault, a closed store, and a file that is no database."""
    made = stage.register()
    stage.emit()
    if stage.kind == "memory":
        return
    stage.store._database._connection().execute("PRAGMA busy_timeout = 1")
    file = stage.folder / "hooks.db"
    stranger = stage.new_store(Vault({"k1": b"another key of 32 bytes for this"}))
    nobody = stage.new_store(Vault({"k9": b"another key of 32 bytes for this"}))
    bare = SQLiteStore(file)
    for store in (stranger, nobody, bare):
        stage.fails(lambda one=store: Registry(one, targets=LOOPBACK).get(made.id), HookkitError)
        stage.fails(lambda one=store: Registry(one, targets=LOOPBACK).rotate_key(made.id), HookkitError)
        store.close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    stage.fails(lambda: stage.register("whsk"), HookkitError)
    stage.fails(lambda: OutboxDispatcher(stage.store).emit("user.created", PAYLOAD), HookkitError)
    other.execute("ROLLBACK")
    other.close()
    damage(file, "UPDATE hookkit_webhooks SET sealed_headers = sealed_keys")
    stage.fails(lambda: stage.registry().get(made.id), HookkitError)
    damage(file, "DROP TABLE hookkit_subscriptions")
    stage.fails(lambda: stage.register("whsk"), HookkitError)
    stage.store.close()
    stage.fails(lambda: stage.register("whsk"), HookkitError)
    stage.store = stage.new_store()


def sealing(stage: Stage) -> None:
    """Vaults: their own looks, wrong keys, and a key service of the host's that fails."""
    vault = Vault(VAULT_KEYS)
    stage.look(vault)
    for keys in ({**VAULT_KEYS, "k2": b"short"}, {}, {"": VAULT_KEYS["k1"]}):
        stage.fails(lambda bad=keys: Vault(bad), ValueError)
    key = base64.b64encode(VAULT_KEYS["k1"]).decode()
    for text in (f"k1={key},k1={key}", f"k1={key},k2=x", key, f"={key}", f"{key}={key}!"):
        stage.fails(lambda bad=text: Vault.from_text(bad), ValueError)
    key_id, sealed = vault.seal(CANARIES["whsec"][1], bound_to=b"x")
    stage.fails(lambda: vault.unseal(sealed, key_id=key_id, bound_to=b"y"), HookkitError)
    stage.fails(lambda: vault.unseal(sealed, key_id="other", bound_to=b"x"), HookkitError)
    if stage.kind == "sqlite":
        made = stage.register()
        fields: dict[str, Any] = {"events": "*", "headers": HEADERS, "keys": KEYS["whsec"]}
        for sealer, kind in ((Broken(), RuntimeError), (Garbling(vault), HookkitError)):
            with SQLiteStore(stage.folder / "hooks.db", vault=sealer) as store:
                registry = Registry(store, targets=LOOPBACK)
                stage.fails(lambda one=registry: one.create(Endpoint(URL, **fields)), kind)
                stage.fails(lambda one=registry: one.rotate_key(made.id), kind)
                stage.fails(lambda one=registry: one.get(made.id), kind)


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


def receiving(stage: Stage) -> None:
    """Challenges and the inbox."""
    headers = sign_request(BODY, KEYS["whsec"], at=AT)
    verified = verify_signature(BODY, headers, KEYS["whsec"], now=AT)
    inbox = MemoryInbox()

    def handle() -> None:
        with inbox.receive(verified, source="acme", now=AT) as receipt:
            stage.look(receipt)
            raise RuntimeError("the host's handler")

    stage.fails(handle, RuntimeError)
    with inbox.receive(verified, source="acme", now=AT) as receipt:
        stage.look(receipt, inbox, verified)
    token = b'{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}'
    proven = verify_signature(
        token,
        sign_request(token, KEYS["plain"], scheme=schemes.ZOOM, at=AT),
        KEYS["plain"],
        scheme=schemes.ZOOM,
        now=AT,
    )
    stage.look(zoom_url_validation(proven, SigningKey(KEYS["plain"])), okta_verification({}))
    stage.fails(lambda: verify_signature(b"not json", headers, SigningKey(KEYS["whsec"])).event(), HookkitError)


def proxies(stage: Stage) -> None:
    """A proxy with a password: reached, closed, and misspelt."""
    password = CANARIES["proxy"][0]
    with LoopbackServer() as server:
        port = int(server.url("").rpartition(":")[2])
        for where in (port, closed_port()):
            proxy = f"http://user:{password}@127.0.0.1:{where}"
            for url in (URL, URL.replace("http:", "https:")):
                with HttpxTransport(targets=LOOPBACK, proxy=proxy) as transport:
                    stage.look(transport, transport.send(Request("POST", url, (), b"{}", 2)))


def awaited(stage: Stage) -> None:
    """The async shells, over a store of their own kind."""

    async def main() -> None:
        store: Any = AsyncMemoryStore() if stage.kind == "memory" else ThreadedStore(stage.new_store())
        registry = AsyncRegistry(store, targets=LOOPBACK, transport=AsyncFakeTransport([500, "timeout"]))
        made = await registry.create(Endpoint(URL, "*", headers=HEADERS, keys=KEYS["whsec"]))
        stage.look(made, registry, await registry.send_test(made.id, events=["a"]), await registry.rotate_key(made.id))
        dispatcher = AsyncOutboxDispatcher(store)
        stage.look(dispatcher, await dispatcher.emit("user.created", PAYLOAD))
        async with AsyncHttpxTransport(targets=LOOPBACK) as transport:
            stage.look(transport)
            await AsyncWorker(store, transport=transport, on_notice=stage.look).run_once()
        stage.look(await registry.recent(made.id), await registry.list())
        for bad in ({"headers": {"x": HEADER + "\n"}}, {"keys": KEYS["whsec"]}, {"url": f"http://u:{PASSWORD}@h/"}):
            try:
                await registry.update(made.id, **bad)
            except (HookkitError, TypeError) as error:
                stage.leaks += error_leaks(error)
        await store.aclose()

    asyncio.run(main())


def commands(stage: Stage) -> None:
    """``hookkit verify``, ``listen`` and ``demo``: what verifies, what does not, and what cannot be read."""
    del stage  # they print, and what is printed is searched
    with TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("headers", "body", "key", "bad")}
        headers = sign_request(BODY, KEYS["whsec"], at=AT)
        secret = {"authorization": HEADER, "cookie": HEADER, "x-token": HEADER}
        files["headers"].write_text(json.dumps(headers | secret), "utf-8")
        files["body"].write_bytes(BODY)
        files["key"].write_text(KEYS["whsec"], "utf-8")
        files["bad"].write_text("whsec_!" + KEYS["whsec"], "utf-8")
        verify = ["verify", "--headers", str(files["headers"]), "--body", str(files["body"])]
        for more in (
            ["--key-file", str(files["key"]), "--now", AT.isoformat()],
            ["--key-file", str(files["key"]), "--now", AT.isoformat(), "--json"],
            ["--key-file", str(files["key"])],
            ["--key-file", str(files["key"]), "--scheme", "github"],
            ["--key-file", str(files["bad"])],
            ["--key-file", str(files["bad"]), str(files["key"])],
            ["--key-env", KEYS["plain"]],
            ["--key-file", KEYS["plain"]],
            ["--key", KEYS["whsec"]],
            ["--tolerance", KEYS["plain"]],
            ["--now", KEYS["plain"]],
        ):
            with suppress(SystemExit):
                main([*verify, *more])
        _listening(files["key"])
    main(["demo"])


def _listening(key: Path) -> None:
    """Have ``listen`` shown a request with credentials in its headers and its URL."""
    told: SimpleQueue[str] = SimpleQueue()

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            told.put(text)
            return sys.stdout.write(text)

    arguments = _parser().parse_args(["listen", "--port", "0", "--count", "1", "--key-file", str(key)])
    thread = threading.Thread(target=listen, args=(arguments, Output(), Output()))
    thread.start()
    port = int(re.findall(r":(\d+)/", told.get(timeout=10))[0])
    headers = {**sign_request(b"{}", KEYS["whsec"]), "authorization": HEADER, "x-api-key": HEADER, "cookie": HEADER}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"/hook?token={QUERY}", b"{}", headers)
    connection.getresponse().read()
    connection.close()
    thread.join(10)


WITHOUT_STORE = {"commands", "verifying", "unreadable_keys", "receiving", "proxies", "echoing", "emitting", "testing"}
"""Paths on which no store sees a secret that it does not see on another path: one kind of store is enough."""

PATHS: dict[str, Callable[[Stage], None]] = {
    one.__name__: one
    for one in (
        registering,
        refusing,
        testing,
        emitting,
        delivering,
        echoing,
        failing_in_the_hosts_code,
        failing_stores,
        sealing,
        verifying,
        unreadable_keys,
        receiving,
        proxies,
        awaited,
        commands,
    )
}
