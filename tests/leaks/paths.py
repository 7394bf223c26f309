"""Every public path, failures included, as a function of a :class:`stage.Stage`. A new path is a function and a row."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import attrs
from command_paths import commands, operating, rekeying
from receiver_paths import challenging, receiving, unreadable_keys, verifying
from stage import HEADERS, PATH, PAYLOAD, QUERY, URL, Stage
from store_paths import failing_stores, joining, sealing, working
from wire_paths import delivering, delivering_by_the_hosts_client, delivering_over_tls, proxies

from canaries import CANARIES, KEYS, PAIR
from hookkit import Endpoint, Event, HookkitError, Reply, Request, SigningKey
from hookkit.profiles import BUILTIN, STANDARD
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, TargetPolicy
from worlds import WORLDS

__all__ = ["PATHS", "STORING"]

PASSWORD = CANARIES["password"][0]
COOKIES = tuple(
    (name, f"session={CANARIES['cookie'][0]}; HttpOnly") for name in ("set-cookie", "Set-Cookie", "Set-Cookie2")
)
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
            results = stage.registry(transport=stage.fake(answer)).send_test(made.id, events=["a", "b"])
            stage.look(results, *(result.request for result in results))
        stage.look(stage.registry(targets=PUBLIC_HTTPS).send_test(made.id, events=["a"]))
        stage.fails(lambda name=made.id: stage.registry().send_test(name, events=["no*pattern"]), HookkitError)


def emitting(stage: Stage) -> None:
    """Events, good ones and refused ones."""
    stage.register()
    event = Event("user.created", PAYLOAD, context=PAYLOAD)
    dispatcher = stage.dispatcher()
    stage.look(event, dispatcher, dispatcher.emit(event), dispatcher.emit_many([event]))
    small = stage.dispatcher(max_body=10)
    stage.fails(lambda: small.emit(event), HookkitError)
    for data in ({"a": {PAYLOAD["text"]}}, {"a": datetime.now(UTC), **PAYLOAD}, [PAYLOAD, float("nan")], {1: PAYLOAD}):
        stage.fails(lambda bad=data: dispatcher.emit("user.created", bad), HookkitError)
    stage.fails(lambda: dispatcher.emit("user.created", PAYLOAD, context={"data": PAYLOAD}), HookkitError)
    stage.fails(lambda: dispatcher.emit("user.created", PAYLOAD, tx="no connection"), TypeError)


def doing_it_again(stage: Stage) -> None:
    """Redelivering, recovering, rotating keys, and reading what became of it; and asking for what there is not."""
    registry = stage.registry()
    for key in ("whsec", "whsk", "logto"):
        made = stage.register(key)
        delivery = stage.emit()
        began = stage.clock.now()
        stage.deliver(stage.fake(500), rounds=2)
        stage.look(registry.entry(delivery), registry.redeliver(delivery))
        stage.look(registry.recover(made.id, since=began, dry_run=True), registry.recover(made.id, since=began))
        stage.look(registry.rotate_key(made.id, overlap=60), registry.get(made.id))
        stage.deliver(stage.fake("timeout"), rounds=2)
        stage.look(stage.worker(stage.fake(204)).deliver(registry.redeliver(delivery)))
        for overlap in (-1, 10**9):
            stage.fails(lambda name=made.id, bad=overlap: registry.rotate_key(name, overlap=bad), ValueError)
        _asking_in_vain(stage, made.id, delivery, began)
        registry.remove(made.id)
        stage.fails(lambda one=delivery: registry.redeliver(one), HookkitError)
    now = stage.clock.now()
    stage.store.prune(payloads_before=now, entries_before=now - timedelta(days=999), limit=99)
    stage.fails(lambda: registry.redeliver(delivery), HookkitError)


def _asking_in_vain(stage: Stage, name: str, delivery: str, began: datetime) -> None:
    """Ask for what is another tenant's, of a profile that is not known here, or not there at all."""
    registry = stage.registry()
    nobody, unknown = registry.for_tenant("another"), stage.registry(profiles={})
    for call in (
        lambda: nobody.rotate_key(name),
        lambda: nobody.recover(name, since=began),
        lambda: nobody.health([name]),
        lambda: nobody.send_test(name),
        lambda: nobody.redeliver(delivery),
        lambda: nobody.entry(delivery),
        lambda: unknown.rotate_key(name),
        lambda: unknown.send_test(name),
        lambda: registry.rotate_key("whk_none"),
        lambda: registry.recover("whk_none", since=began),
        lambda: registry.redeliver("dlv_none"),
        lambda: stage.worker(stage.fake()).deliver("dlv_none"),
    ):
        stage.fails(call, HookkitError)


def echoing(stage: Stage) -> None:
    """A receiver that answers with all it was sent, with the key in every form, and with a session of its own."""
    for key in ("whsec", "whsk", "logto"):
        forms = b" ".join(form for secret in CANARIES[key] for form in _forms_of(secret))

        def echo(request: Request, forms: bytes = forms) -> Reply:
            more = (("x-url", request.url), ("x-key", forms.decode("latin-1")), *COOKIES)
            return Reply(500, (*request.headers, *more), repr((request.url, request.headers)).encode() + forms)

        made = stage.register(key)
        stage.emit()
        stage.deliver(stage.fake(echo), rounds=2)
        stage.registry().remove(made.id)


def _forms_of(secret: str | bytes) -> list[bytes]:
    raw = secret.encode() if isinstance(secret, str) else secret
    return [raw, raw.hex().encode(), base64.b64encode(raw), quote(raw, safe="").encode()]


class Broken:
    """Whatever it is, it raises."""

    targets = LOOPBACK
    total_timeout = 5.0
    header_names = frozenset({"x-signature"})

    def send(self, _: object) -> Any:
        raise OSError("the host's own transport")

    def sign(self, *_: object, **__: object) -> Any:
        raise RuntimeError("the host's own scheme")


def failing_in_the_hosts_code(stage: Stage) -> None:
    """A transport that raises, one that returns nonsense, a scheme that raises, and rows that cannot be sent."""
    stage.register()
    stage.emit()
    stage.deliver(Broken())
    stage.deliver(stage.fake(lambda _: None))
    mine = {**BUILTIN, "mine": attrs.evolve(STANDARD, name="mine", scheme=Broken())}
    given: dict[str, Any] = {"url": URL, "events": "*", "headers": HEADERS, "keys": KEYS["whsec"]}
    odd: tuple[dict[str, Any], ...] = (
        {"id": "whk_bad", "headers": {**HEADERS, "x-bad": HEADER + "\r\nx: y"}},
        {"id": "whk_key", "keys": "not a key " + KEYS["plain"]},
        {"id": "whk_url", "url": f"http://u:{PASSWORD}@127.0.0.1/"},
        {"id": "whk_mine", "profile": "mine"},
    )
    for fields in odd:
        stage.store.add_webhook(Endpoint(**(given | fields)))
    stage.dispatcher(profiles=mine).emit("user.created", PAYLOAD)
    with stage.http() as transport:
        stage.deliver(transport, rounds=3, profiles=mine)
        for name in ("whk_bad", "whk_key", "whk_url", "whk_mine"):
            results = stage.registry(transport=transport, profiles=mine).send_test(name, events=["a"])
            stage.look(results, *(result.request for result in results))
            assert not results[0].ok
    stage.fails(lambda: stage.registry(profiles=mine).create(Endpoint(**(given | {"profile": "mine"}))), RuntimeError)
    stage.deliver(stage.fake(200), targets=TargetPolicy(), rounds=2)


EVERYWHERE = WORLDS
IN_MEMORY = ("threads-memory", "asyncio-memory")  # no store sees a secret that it does not see on another path
ON_DISK = ("threads-sqlite", "asyncio-sqlite")
ONCE = ("threads-memory",)  # neither a store nor a shell

PATHS: dict[str, tuple[Callable[[Stage], None], tuple[str, ...]]] = {
    path.__name__: (path, worlds)
    for path, worlds in (
        (registering, EVERYWHERE),
        (refusing, EVERYWHERE),
        (testing, IN_MEMORY),
        (emitting, IN_MEMORY),
        (doing_it_again, EVERYWHERE),
        (delivering, EVERYWHERE),
        (delivering_by_the_hosts_client, IN_MEMORY),
        (delivering_over_tls, IN_MEMORY),
        (proxies, IN_MEMORY),
        (echoing, EVERYWHERE),
        (failing_in_the_hosts_code, EVERYWHERE),
        (failing_stores, ON_DISK),
        (joining, EVERYWHERE),
        (sealing, EVERYWHERE),
        (working, EVERYWHERE),
        (receiving, EVERYWHERE),
        (verifying, ONCE),
        (unreadable_keys, ONCE),
        (challenging, ONCE),
        (commands, ONCE),
        (rekeying, ("threads-sqlite",)),
        (operating, ("threads-sqlite",)),
    )
}
"""The paths by name, and the worlds that each is driven in."""

STORING = (registering, refusing, doing_it_again, echoing, failing_in_the_hosts_code, working)
"""Those that any store is driven along."""
