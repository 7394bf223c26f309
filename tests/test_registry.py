"""The registry, beyond what the page on webhooks says: tenants, pages, doing it again, and logs kept elsewhere."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import attrs
import pytest

from hookkit import (
    AsyncRegistry,
    AsyncWorker,
    Endpoint,
    Event,
    InvalidEndpoint,
    InvalidKey,
    NotFound,
    PayloadError,
    Registry,
    Reply,
    RetryPolicy,
    SigningKey,
    StoreError,
    Worker,
    verify_signature,
)
from hookkit.catalogs.logto import CATALOG
from hookkit.keys import new_ed25519_pair
from hookkit.profiles import BUILTIN, STANDARD
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.targets import PUBLIC_HTTPS, TargetPolicy
from worlds import URL, Flaky, World, eventually

HOUR = timedelta(hours=1)
UNKNOWN = "whk_unknown"


def delivered(world: World, event: str = "user.created", **fields: Any) -> str:
    """Emit, attempt once, and return the delivery's id."""
    delivery = world.emit(event, **fields)
    world.worker().deliver(delivery)
    return delivery


# --- Webhooks ---------------------------------------------------------------------------------------------------------


def test_each_shell_says_which_store_it_needs() -> None:
    """A store of the other kind is refused at once, with the way out."""
    for shell in (AsyncRegistry, AsyncWorker):
        with pytest.raises(TypeError, match="ThreadedStore"):
            shell(MemoryStore())
    for shell in (Registry, Worker):
        with pytest.raises(TypeError, match=f"Async{shell.__name__}"):
            shell(AsyncMemoryStore())


def test_what_is_given_is_kept(world: World) -> None:
    """Every field comes back as it went in."""
    given = Endpoint(
        URL,
        ["user.*", "role.created"],
        name="Café",
        id="whk_mine",
        tenant="acme",
        headers={"X-B": "2", "X-A": "1"},
        keys=["whsec_" + "A" * 44],
        retry=RetryPolicy([1, HOUR], statuses=[500, 503, 504], network_errors=False, jitter=0.5, max_delay=HOUR),
        max_in_flight=7,
        rate_limit=(10, timedelta(seconds=0.5)),
        metadata={"plan": ["gold", None, 1.5]},
    )
    registry = world.registry()
    made = registry.create(given)
    assert made == attrs.evolve(given, created_at=world.clock.now())
    assert registry.get("whk_mine") == made
    assert list(registry.get("whk_mine").headers.items()) == [("X-B", "2"), ("X-A", "1")]
    assert registry.get("whk_mine").keys[0].value == given.keys[0].value


def test_an_id_is_taken_once(world: World) -> None:
    """A second webhook of that id is refused, and changes nothing."""
    registry = world.registry()
    made = registry.create(Endpoint(URL, "*", id="whk_mine"))
    with pytest.raises(InvalidEndpoint) as refused:
        registry.create(Endpoint(URL, "*", id="whk_mine", name="second"))
    assert refused.value.reason == "id"
    assert registry.get("whk_mine") == made


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("id", {"id": "with.stop"}),
        ("name", {"name": "x" * 257}),
        ("tenant", {"tenant": "\0"}),
        ("profile", {"profile": "unknown"}),
        ("keys", {"keys": "not base64!"}),
        ("max_in_flight", {"max_in_flight": 0}),
        ("rate_limit", {"rate_limit": (0, 1)}),
        ("metadata", {"metadata": {"at": object()}}),
    ],
)
def test_what_is_wrong_is_named(world: World, reason: str, fields: dict[str, Any]) -> None:
    """The error's reason is the field; nothing is stored, and no key is in the message."""
    with pytest.raises(InvalidEndpoint) as refused:
        world.registry().create(Endpoint(URL, "*", **fields))
    assert refused.value.reason == reason
    assert reason in str(refused.value)
    assert "base64!" not in str(refused.value)
    assert list(world.registry().list()) == []


def test_fields_can_be_changed(world: World) -> None:
    """Those that say where and what to send, one or several at once; the others stay."""
    registry = world.registry()
    made = registry.create(Endpoint(URL, "*"))
    changes = {
        "name": "new",
        "url": "https://new.example.com/",
        "events": ("user.*",),
        "headers": {"X-A": "1"},
        "retry": RetryPolicy([1]),
        "max_in_flight": 2,
        "rate_limit": (1, timedelta(seconds=1)),
        "metadata": {"a": 1},
    }
    for name, value in changes.items():
        before = registry.get(made.id)
        assert registry.update(made.id, **{name: value}) == attrs.evolve(before, **{name: value})
    assert registry.update(made.id, profile="logto", name="both").name == "both"
    assert registry.get(made.id) == attrs.evolve(made, **{**changes, "profile": "logto", "name": "both"})


@pytest.mark.parametrize("field", ["id", "tenant", "keys", "enabled", "created_at", "disabled_reason", "nonsense"])
def test_other_fields_have_verbs_of_their_own(world: World, field: str) -> None:
    """Or none: changing them here is a mistake of the caller's."""
    made = world.register()
    with pytest.raises(TypeError, match=field):
        world.registry().update(made.id, **{field: "x"})
    assert world.registry().get(made.id) == made


def test_a_wrong_change_changes_nothing(world: World) -> None:
    """Not even the right half of it."""
    made = world.register()
    with pytest.raises(InvalidEndpoint):
        world.registry().update(made.id, name="new", events=[])
    assert world.registry().get(made.id) == made


def test_pending_deliveries_go_to_the_new_url(world: World) -> None:
    """In the form that they were made for: a delivery keeps its profile."""
    made = world.register()
    world.emit()
    world.registry().update(made.id, url="https://new.example.com/", profile="logto")
    world.emit()
    world.worker().drain()
    assert [request.url for request in world.sent] == ["https://new.example.com/"] * 2
    kinds = sorted("webhook-signature" in dict(request.headers) for request in world.sent)
    assert kinds == [False, True]


def test_removing_ends_what_was_to_come_and_keeps_the_log(world: World) -> None:
    """Pending and held deliveries fail as removed; what was delivered can still be read."""
    registry = world.registry()
    made = registry.create(Endpoint(URL, "*"))
    done = delivered(world)
    pending = world.emit()
    registry.remove(made.id)
    assert (registry.entry(pending).state, registry.entry(pending).reason) == ("failed", "removed")
    assert [entry.delivery_id for entry in registry.recent(made.id)] == [done]
    assert registry.health(made.id)[made.id].succeeded == 1
    assert world.dispatcher().emit("user.created").delivery_ids == ()
    assert world.worker().drain() == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda registry: registry.get(UNKNOWN),
        lambda registry: registry.update(UNKNOWN, name="x"),
        lambda registry: registry.remove(UNKNOWN),
        lambda registry: registry.disable(UNKNOWN),
        lambda registry: registry.enable(UNKNOWN),
        lambda registry: registry.rotate_key(UNKNOWN),
        lambda registry: registry.send_test(UNKNOWN),
        lambda registry: registry.recover(UNKNOWN, since=registry.subject._clock.now()),
        lambda registry: registry.entry("dlv_unknown"),
        lambda registry: registry.redeliver("dlv_unknown"),
    ],
)
def test_what_is_not_there_is_not_found(world: World, call: Any) -> None:
    """Of webhooks and of deliveries."""
    with pytest.raises(NotFound, match="unknown"):
        call(world.registry())


def test_webhooks_are_listed_in_pages(world: World) -> None:
    """In the order of their ids; each page begins after the last id of the one before."""
    registry = world.registry()
    made = [registry.create(Endpoint(URL, "*", id=f"whk_{number}")) for number in (3, 1, 2)]
    order = sorted(made, key=lambda endpoint: endpoint.id)
    assert list(registry.list()) == order
    assert list(registry.list(limit=2)) == order[:2]
    assert list(registry.list(limit=2, after="whk_2")) == order[2:]
    assert list(registry.list(after="whk_3")) == []


def test_health_covers_more_webhooks_than_fit_on_a_page(world: World) -> None:
    """Asked for all of them, all are there."""
    made = {f"whk_{number:03}" for number in range(510)}
    for endpoint_id in made:
        world.store.add_webhook(Endpoint(URL, "*", id=endpoint_id, keys="whsec_" + "A" * 44))
    assert set(world.registry().health()) == made


def test_enabling_takes_one_of_two_words(world: World) -> None:
    """Any other is a mistake of the caller's."""
    made = world.register(enabled=False)
    with pytest.raises(ValueError, match="'deliver' or 'drop'"):
        world.registry().enable(made.id, held="keep")


def test_enabling_starts_health_afresh(world: World) -> None:
    """Whatever the webhook was disabled for, its breaker is closed and its failures are forgotten."""
    world.answer(410)
    made = world.register()
    delivered(world)
    gone = world.registry().get(made.id)
    assert (gone.enabled, gone.disabled_reason) == (False, "gone")
    assert world.registry().health(made.id)[made.id].state == "disabled"
    world.registry().enable(made.id)
    health = world.registry().health(made.id)[made.id]
    assert (health.state, health.consecutive_failures) == ("healthy", 0)


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [-1, timedelta(days=30, microseconds=1)])
def test_an_overlap_is_bounded(world: World, overlap: Any) -> None:
    """It is not negative, and no key lives on for ever."""
    made = world.register()
    with pytest.raises(ValueError, match="0 to 30 days"):
        world.registry().rotate_key(made.id, overlap=overlap)
    assert world.registry().get(made.id).keys == made.keys


def test_rotations_in_a_row_keep_every_live_key(world: World) -> None:
    """An old key never lives longer than it was given; expired ones go."""
    registry = world.registry()
    made = registry.create(Endpoint(URL, "*"))
    first = made.keys[0].value
    second = registry.rotate_key(made.id, overlap=2 * HOUR).value
    world.clock.advance(HOUR)
    third = registry.rotate_key(made.id, overlap=24 * HOUR).value
    assert [key.value for key in registry.get(made.id).keys] == [third, second, first]
    world.clock.advance(HOUR)
    fourth = registry.rotate_key(made.id).value
    assert [key.value for key in registry.get(made.id).keys] == [fourth, third, second]


def test_an_asymmetric_key_stays_one(world: World) -> None:
    """A webhook that signs with Ed25519 gets another such key; receivers verify with its public half."""
    made = world.register(keys=new_ed25519_pair(lambda count: bytes(range(count)))[0])
    new = world.registry().rotate_key(made.id, overlap=0)
    assert new.value.startswith("whsk_")
    world.emit()
    world.worker().drain()
    assert verify_signature(world.sent[0].body, world.sent[0].headers, new.public, now=world.clock.now())


def test_a_profile_that_is_not_known_here_makes_no_key(world: World) -> None:
    """A process without that profile says so, where it would have to sign or to make a key."""
    mine = {**BUILTIN, "mine": attrs.evolve(STANDARD, name="mine")}
    made = world.registry(profiles=mine).create(Endpoint(URL, "*", profile="mine"))
    for call in (world.registry().rotate_key, world.registry().send_test):
        with pytest.raises(InvalidEndpoint, match="not known here") as refused:
            call(made.id)
        assert refused.value.reason == "profile"
    assert world.registry(profiles=mine).rotate_key(made.id).value.startswith("whsec_")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"x-a": "a\r\nx-b: 1"},
        {"x a": "1"},
        {"x-a": "1", "X-A": "2"},
        {"x-a": "y" * 8_190},
        {"x-a": " y"},
    ],
    ids=repr,
)
def test_headers_are_checked_when_they_are_changed(world: World, headers: dict[str, str]) -> None:
    """As they are when a webhook is made; it stays as it was."""
    made = world.register(headers={"x-old": "1"})
    with pytest.raises(InvalidEndpoint) as caught:
        world.registry().update(made.id, headers=headers)
    assert caught.value.reason == "headers"
    assert dict(world.registry().get(made.id).headers) == {"x-old": "1"}


# --- Targets ----------------------------------------------------------------------------------------------------------


def test_the_transports_own_policy_counts_unless_another_is_given(world: World) -> None:
    """One place says what may be called; a host may still say it aloud."""
    world.transport.targets = TargetPolicy(allow_networks="10.0.0.0/8")
    assert world.registry().create(Endpoint("https://10.1.2.3/", "*")).id
    with pytest.raises(InvalidEndpoint):
        world.registry(targets=PUBLIC_HTTPS).create(Endpoint("https://10.1.2.3/", "*"))


# --- Tests ------------------------------------------------------------------------------------------------------------


def test_test_payloads_have_ids_and_times_of_their_own(world: World) -> None:
    """Each is an event that never happened: no delivery has its id."""
    made = world.register(["a", "b"])
    results = world.registry().send_test(made.id)
    ids = {dict(result.request.headers)["webhook-id"] for result in results}
    assert len(ids) == 2
    world.emit("a", id=ids.pop())
    assert len(world.registry().recent(made.id, state="pending")) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(204), (True, 204, "")),
        (Reply(204, reason="too_large"), (True, 204, "")),
        (Reply(302), (False, 302, "redirect")),
        (Reply(302, reason="mine"), (False, 302, "mine")),
        (Reply(404), (False, 404, "status")),
        (Reply(None, reason="dns"), (False, None, "dns")),
    ],
)
def test_a_test_tells_the_reason_that_a_delivery_has(world: World, reply: Reply, expected: tuple[Any, ...]) -> None:
    """Whatever transport it came from, one that gives no reason included."""
    world.answer(reply)
    made = world.register("a")
    (result,) = world.registry().send_test(made.id)
    assert (result.ok, result.status, result.reason) == expected
    attempt = world.worker().deliver(world.emit("a")).attempts[0]
    assert (attempt.status, attempt.reason) == expected[1:]


def test_a_standard_test_has_the_catalogues_data(world: World) -> None:
    """A flat sample is sent as data where the format does not lift its keys."""
    made = world.register("PostSignIn")
    world.registry(catalog=CATALOG).send_test(made.id)
    assert json.loads(world.sent[0].body)["data"] == CATALOG["PostSignIn"].example


class Choosy:
    """A scheme of the host's that cannot sign what speaks of `a`, and breaks on what speaks of `b`."""

    header_names = frozenset({"x-signature"})

    def sign(self, body: bytes, keys: Any, **_: Any) -> dict[str, str]:
        if b'"a"' in body:
            raise InvalidKey("no key for it")
        if b'"b"' in body:
            raise KeyError("a scheme of the host's")
        return {"x-signature": "signed"}


def test_a_test_that_cannot_be_signed_is_a_result(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """So that the others are sent; the log says why, and the result shows the body that was not sent."""
    mine = {**BUILTIN, "mine": attrs.evolve(STANDARD, name="mine", scheme=Choosy())}
    registry = world.registry(profiles=mine)
    made = registry.create(Endpoint(URL, ["a", "b", "c"], profile="mine"))
    results = registry.send_test(made.id)
    assert [(one.event, one.ok, one.status, one.reason) for one in results] == [
        ("a", False, None, "unsendable"),
        ("b", False, None, "unsendable"),
        ("c", True, 200, ""),
    ]
    assert [json.loads(one.request.body)["type"] for one in results] == ["a", "b", "c"]
    assert [one.request.headers for one in results[:2]] == [(), ()]
    assert world.sent == [results[2].request]
    assert f"a test of {made.id} cannot be signed: no key for it" in caplog.text
    assert "a scheme of the host's" in caplog.text


class Fussy:
    """A payload format of the host's that cannot carry `a`."""

    content_type, lifts_context, per_endpoint = "application/json", False, False

    def encode(self, event: Event, **options: Any) -> bytes:
        if event.type == "a":
            raise PayloadError("not in this format")
        return STANDARD.payload.encode(event, **options)


def test_a_sample_that_cannot_be_encoded_is_a_result(world: World) -> None:
    """There is no body to show then; the other events are tested."""
    mine = {**BUILTIN, "mine": attrs.evolve(STANDARD, name="mine", payload=Fussy())}
    registry = world.registry(profiles=mine)
    made = registry.create(Endpoint(URL, ["a", "b"], profile="mine"))
    results = registry.send_test(made.id)
    assert [(one.ok, one.reason) for one in results] == [(False, "unsendable"), (True, "")]
    assert (results[0].request.headers, results[0].request.body) == ((), b"")
    assert world.sent == [results[1].request]


def test_expired_keys_test_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Every result says so; the log does not quote the key. A new key mends it."""
    key = SigningKey("whsec_" + "A" * 44, expires_at=world.clock.now() + HOUR)
    made = world.register(["a", "b"], keys=[key])
    world.clock.advance(HOUR)
    assert [one.reason for one in world.registry().send_test(made.id)] == ["unsendable"] * 2
    assert "AAAA" not in caplog.text
    world.registry().rotate_key(made.id)
    assert all(one.ok for one in world.registry().send_test(made.id))


# --- Doing it again ---------------------------------------------------------------------------------------------------


def test_redelivering_is_a_new_delivery_of_the_same_bytes(world: World) -> None:
    """The receiver sees the same event id and body; the log has an entry of its own for it."""
    made = world.register()
    old = delivered(world)
    world.clock.advance(1)
    new = world.registry().redeliver(old)
    assert new != old
    assert world.worker().drain() == 1
    first, second = world.sent
    assert first.body == second.body
    assert dict(first.headers)["webhook-id"] == dict(second.headers)["webhook-id"]
    assert [one.delivery_id for one in world.registry().recent(made.id)] == [new, old]
    assert [len(world.entry(one).attempts) for one in (new, old)] == [1, 1]


def test_what_is_not_kept_cannot_be_redelivered(world: World) -> None:
    """After its payload's retention, or once the webhook is gone."""
    made = world.register()
    old, other = delivered(world), delivered(world)
    world.clock.advance(HOUR)
    later = world.clock.now()
    world.store.prune(payloads_before=later, entries_before=later - 10 * HOUR, limit=100)
    with pytest.raises(StoreError, match="no longer kept"):
        world.registry().redeliver(old)
    world.registry().remove(made.id)
    with pytest.raises(NotFound, match="gone"):
        world.registry().redeliver(other)


def test_recovering_tries_what_failed_once_more(world: World) -> None:
    """The same deliveries and log entries, with the retry schedule restarted; a dry run only counts."""
    world.answer([404, 404, 500, 500, 200])
    made = world.register(profile="logto")
    since = world.clock.now()
    failed = [delivered(world) for _ in range(2)]
    world.clock.advance(1)
    registry = world.registry()
    assert registry.recover(made.id, since=world.clock.now()) == 0
    assert registry.recover(made.id, since=since, dry_run=True) == 2
    assert [world.entry(one).state for one in failed] == ["failed", "failed"]
    assert registry.recover(made.id, since=since, until=since) == 2
    assert registry.recover(made.id, since=since) == 0
    worker = world.worker()
    assert worker.drain() == 2
    assert [world.entry(one).state for one in failed] == ["pending", "pending"]
    world.clock.advance(1)
    assert worker.drain() == 2
    assert [(world.entry(one).state, len(world.entry(one).attempts)) for one in failed] == [("succeeded", 3)] * 2
    assert registry.recover(made.id, since=since, states=["succeeded", "failed"], dry_run=True) == 2


def test_what_was_asked_for_again_is_sent_at_once(world: World, no_polling: None) -> None:
    """Enabling, redelivering and recovering wake the workers of the process, which sleep."""
    made = world.register()
    done = delivered(world)
    flaky = world.flaky()
    registry = world.registry(store=flaky)
    with world.worker(store=flaky):
        flaky.rest()
        registry.redeliver(done)
        eventually(lambda: len(world.sent) == 2)
        flaky.rest()
        registry.disable(made.id)
        held = world.emit()
        registry.enable(made.id)
        eventually(lambda: world.entry(held).state == "succeeded")
        flaky.rest()
        registry.recover(made.id, since=world.clock.now() - HOUR, states=["succeeded"])
        eventually(lambda: len(world.sent) == 6)


# --- Tenants ----------------------------------------------------------------------------------------------------------


def test_a_tenant_sees_its_own_webhooks_only(world: World) -> None:
    """Everybody else's are not found, whatever is asked; nothing happens to them."""
    registry = world.registry()
    theirs = registry.create(Endpoint(URL, "*", tenant="other"))
    delivery = delivered(world, tenant="other")
    mine = registry.for_tenant("acme")
    now = world.clock.now()
    calls = [
        lambda: mine.get(theirs.id),
        lambda: mine.update(theirs.id, name="x"),
        lambda: mine.remove(theirs.id),
        lambda: mine.disable(theirs.id),
        lambda: mine.enable(theirs.id),
        lambda: mine.rotate_key(theirs.id),
        lambda: mine.send_test(theirs.id),
        lambda: mine.health(theirs.id),
        lambda: mine.health([theirs.id]),
        lambda: mine.recover(theirs.id, since=now),
        lambda: mine.entry(delivery),
        lambda: mine.redeliver(delivery),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()
    assert list(mine.list()) == list(mine.recent(theirs.id)) == []
    assert list(mine.list(tenant="other")) == []
    assert mine.health() == {}
    assert registry.get(theirs.id) == theirs
    assert registry.entry(delivery).state == "succeeded"
    assert len(world.sent) == 1


def test_a_tenants_registry_creates_for_the_tenant(world: World) -> None:
    """What it creates is the tenant's; for another it creates nothing."""
    registry = world.registry()
    mine = registry.for_tenant("acme")
    made = mine.create(Endpoint(URL, "*"))
    assert made.tenant == "acme"
    assert mine.create(Endpoint(URL, "*", tenant="acme")).tenant == "acme"
    with pytest.raises(InvalidEndpoint) as refused:
        mine.create(Endpoint(URL, "*", tenant="other"))
    assert refused.value.reason == "tenant"
    assert [one.tenant for one in registry.list()] == ["acme", "acme"]
    assert list(registry.list(tenant="")) == []
    assert [one.id for one in mine.list(tenant="acme")] == [one.id for one in mine.list()]


def test_a_tenants_registry_does_everything_else(world: World) -> None:
    """Its own webhooks and deliveries are there as in the whole registry, which is as it was."""
    registry = world.registry()
    mine = registry.for_tenant("acme")
    made = mine.create(Endpoint(URL, "*"))
    delivery = delivered(world, tenant="acme")
    assert mine.entry(delivery) == registry.entry(delivery)
    assert [one.delivery_id for one in mine.recent(made.id)] == [delivery]
    assert set(mine.health()) == {made.id} == set(mine.health(made.id))
    assert mine.redeliver(delivery)
    assert mine.update(made.id, name="new").name == "new"
    mine.remove(made.id)
    assert registry.create(Endpoint(URL, "*", tenant="other")).tenant == "other"


def test_the_empty_tenant_is_one_like_any_other(world: World) -> None:
    """It does not see everybody's."""
    registry = world.registry()
    theirs = registry.create(Endpoint(URL, "*", tenant="other"))
    with pytest.raises(NotFound):
        registry.for_tenant("").get(theirs.id)


# --- A log kept elsewhere ---------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(world: World) -> Any:
    """Return a second store of the world's kind, in memory, as a log of the host's own."""
    return world.plain(AsyncMemoryStore() if world.asynchronous else MemoryStore())


def test_the_log_may_be_elsewhere(world: World, elsewhere: Any) -> None:
    """Entries and counts come from there; the state of an endpoint and what waits, from the queue."""
    world.answer([500] * 5 + [200])
    registry = world.registry(logs=elsewhere.subject)
    worker = world.worker(logs=elsewhere.subject)
    made = registry.create(Endpoint(URL, "*"))
    tried = [world.emit() for _ in range(5)]
    for delivery in tried:
        worker.deliver(delivery)
    world.emit()
    health = registry.health()[made.id]
    assert (health.requests, health.retrying, health.pending) == (5, 5, 1)
    assert (health.state, health.consecutive_failures) == ("failing", 5)
    assert sorted(one.delivery_id for one in registry.recent(made.id)) == sorted(tried)
    assert registry.entry(tried[0]) == elsewhere.entry(tried[0])
    assert registry.for_tenant("").entry(tried[0]).delivery_id == tried[0]


def test_what_waits_is_the_queues_to_tell(world: World, elsewhere: Any) -> None:
    """A delivery that was never attempted is in no log yet, and can be looked at nevertheless."""
    registry = world.registry(logs=elsewhere.subject)
    worker = world.worker(logs=elsewhere.subject)
    made = registry.create(Endpoint(URL, "*"))
    waiting = world.emit()
    assert registry.entry(waiting).state == "pending"
    assert [one.delivery_id for one in registry.recent(made.id, state="pending")] == [waiting]
    assert list(registry.recent(made.id)) == []
    registry.disable(made.id)
    assert [one.delivery_id for one in registry.recent(made.id, state="held")] == [waiting]
    assert worker.deliver(waiting).state == "held"
    assert registry.redeliver(waiting) != waiting
    with pytest.raises(NotFound):
        registry.entry("dlv_unknown")


def test_a_log_elsewhere_hears_of_what_is_dropped(world: World, elsewhere: Any) -> None:
    """At once: attempted or not, it has failed there as it has in the queue."""
    world.answer(500)
    registry = world.registry(logs=elsewhere.subject)
    worker = world.worker(logs=elsewhere.subject)
    made = registry.create(Endpoint(URL, "*"))
    tried = world.emit()
    worker.drain()
    waiting = world.emit()
    registry.disable(made.id)
    world.clock.advance(1)
    assert elsewhere.entry(tried).state == "pending"
    registry.enable(made.id, held="drop")
    for delivery in (tried, waiting):
        entry = elsewhere.entry(delivery)
        assert (entry.state, entry.reason, entry.finished_at) == ("failed", "dropped", world.clock.now())
        assert entry == world.entry(delivery)
    health = registry.health()[made.id]
    assert (health.requests, health.failed, health.retrying, health.pending) == (1, 1, 0, 0)


def test_a_log_elsewhere_hears_of_what_is_removed(world: World, elsewhere: Any) -> None:
    """Only of this webhook's, and only of what had not ended before."""
    world.answer([500, 200])
    registry = world.registry(logs=elsewhere.subject)
    worker = world.worker(logs=elsewhere.subject)
    made, other = (registry.create(Endpoint(URL, name)) for name in "ab")
    retried, done, others = world.emit("a"), world.emit("a"), world.emit("b")
    for delivery in (retried, done):
        worker.deliver(delivery)
    world.clock.advance(1)
    registry.remove(made.id)
    assert (elsewhere.entry(retried).state, elsewhere.entry(retried).reason) == ("failed", "removed")
    assert elsewhere.entry(done).state == "succeeded"
    with pytest.raises(NotFound):
        elsewhere.entry(others)
    assert [one.delivery_id for one in registry.recent(other.id, state="pending")] == [others]


def test_many_ends_are_told_in_parts(world: World, elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, whatever their number."""
    for module in ("hookkit._sync.courier", "hookkit._async.courier"):
        monkeypatch.setattr(f"{module}.TELL_BATCH", 2)
    flaky = Flaky(elsewhere.subject, asynchronous=world.asynchronous)
    registry = world.registry(logs=flaky)
    made = registry.create(Endpoint(URL, "*"))
    deliveries = [world.emit() for _ in range(5)]
    registry.remove(made.id)
    assert {elsewhere.entry(one).reason for one in deliveries} == {"removed"}
    assert flaky.calls["record"] == 3


def test_a_log_elsewhere_that_fails_undoes_nothing(
    world: World, elsewhere: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What was asked for is done, and the failure is logged; the worker's housekeeping will tell it."""
    flaky = Flaky(elsewhere.subject, asynchronous=world.asynchronous)
    flaky.fail("record", StoreError("disk full"))
    registry = world.registry(logs=flaky)
    made = registry.create(Endpoint(URL, "*"))
    delivery = world.emit()
    registry.remove(made.id)
    assert flaky.is_well()
    assert world.entry(delivery).reason == "removed"
    assert "the log was not told" in caplog.text


def test_a_log_that_is_the_queues_own_is_told_nothing(world: World) -> None:
    """It knows: the queue is not even asked what has ended."""
    flaky = world.flaky()
    registry = world.registry(store=flaky)
    made = registry.create(Endpoint(URL, "*"))
    world.emit()
    registry.disable(made.id)
    registry.enable(made.id, held="drop")
    registry.remove(made.id)
    assert (flaky.calls["ended"], flaky.calls["record"]) == (0, 0)


def test_what_came_back_meanwhile_is_not_told_as_an_end(world: World, elsewhere: Any) -> None:
    """Between asking what has ended and telling it, one was recovered, and another forgotten."""
    registry = world.registry()
    made = registry.create(Endpoint(URL, "*"))
    back, ended = world.emit(), world.emit()
    registry.disable(made.id)
    registry.enable(made.id, held="drop")
    registry.recover(made.id, since=world.clock.now())
    world.worker().deliver(back)
    world.store.fail_pending(made.id, reason="dropped", now=world.clock.now())
    flaky = world.flaky()
    found = ["dlv_forgotten", back, ended]

    async def soon() -> list[str]:
        return found

    flaky.ended = lambda *, since: soon() if world.asynchronous else found
    world.registry(store=flaky, logs=elsewhere.subject).remove(made.id)
    assert elsewhere.entry(ended).reason == "dropped"
    for delivery in ("dlv_forgotten", back):
        with pytest.raises(NotFound):
            elsewhere.entry(delivery)
