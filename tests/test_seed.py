"""What Logto's page on configuring webhooks promises, sentence by sentence, in every world.

The classes are the page's sections: creating, securing, testing and monitoring a webhook.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from hookkit import (
    Endpoint,
    InvalidEndpoint,
    Reply,
    SigningKey,
    TargetRefused,
    VerificationError,
    schemes,
    verify_signature,
)
from hookkit.catalogs.logto import CATALOG
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, TargetPolicy
from hookkit.testing.loopback import LoopbackServer
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport
from worlds import URL, World

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def names(requests: list[Any]) -> list[str]:
    """Return the event each request tells of, in either profile's form."""
    bodies = [json.loads(request.body) for request in requests]
    return [body.get("event") or body["type"] for body in bodies]


def header(request: Any, name: str) -> list[str]:
    return [value for key, value in request.headers if key.lower() == name]


def verified(world: World, request: Any, *keys: str | SigningKey, scheme: Any = schemes.STANDARD) -> Any:
    return verify_signature(request.body, request.headers, keys, scheme=scheme, now=world.clock.now())


class TestCreateAWebhook:
    """ "Criar um webhook"."""

    def test_it_is_created_with_a_name_a_url_and_events(self, world: World) -> None:
        """A webhook is found as it was created, with an id and a time of its own."""
        registry = world.registry()
        made = registry.create(Endpoint(URL, ["PostSignIn", "User.Created"], name="CRM"))
        assert (made.name, made.url, made.events) == ("CRM", URL, ("PostSignIn", "User.Created"))
        assert made.created_at == world.clock.now()
        assert made.id.startswith("whk_")
        assert [made] == list(registry.list()) == [registry.get(made.id)]

    def test_the_name_is_for_the_customer_only(self, world: World) -> None:
        """Nothing of the name is sent, and two webhooks may have the same one."""
        for _ in range(2):
            world.register(name="A name of my own")
        world.emit()
        assert world.worker().drain() == 2
        assert not any(b"A name" in request.body or "A name" in str(request.headers) for request in world.sent)

    def test_the_endpoint_is_sent_a_post(self, world: World) -> None:
        """The receiver gets a POST with the event as JSON."""
        world.register("user.created")
        world.emit("user.created", {"id": 7})
        world.worker().drain()
        (request,) = world.sent
        assert (request.method, request.url) == ("POST", URL)
        assert header(request, "content-type") == ["application/json"]
        assert json.loads(request.body)["data"] == {"id": 7}

    @pytest.mark.parametrize(
        ("url", "reason", "why", "how"),
        [
            ("http://example.com/hook", "scheme", "https", "schemes="),
            ("https://localhost/hook", "single_label", "localhost", "LOOPBACK"),
            ("https://127.0.0.1/hook", "ip", "loopback", "allow_networks="),
            ("https://[::1]/hook", "ip", "", "allow_networks="),
            ("https://10.1.2.3/hook", "ip", "private", "allow_networks="),
            ("https://192.168.0.10/hook", "ip", "private", "allow_networks="),
            ("https://169.254.169.254/latest/meta-data", "ip", "metadata", "allow_networks="),
            ("https://example.com:8443/hook", "port", "8443", "ports="),
        ],
    )
    def test_the_url_is_public_and_https(self, world: World, url: str, reason: str, why: str, how: str) -> None:
        """Any other is refused with the reason, and with the way for a host to allow it; nothing is stored."""
        registry = world.registry(targets=PUBLIC_HTTPS)
        with pytest.raises(TargetRefused) as refused:
            registry.create(Endpoint(url, "*"))
        assert refused.value.reason == reason
        assert why in str(refused.value)
        assert how in str(refused.value)
        assert list(registry.list()) == []

    def test_public_https_is_what_a_host_gets_that_says_nothing(self, world: World) -> None:
        """Without ``targets=`` and without a transport, only public HTTPS may be called."""
        with pytest.raises(TargetRefused):
            world.registry(transport=None).create(Endpoint("http://example.com", "*"))
        world.registry(transport=None).create(Endpoint("https://example.com", "*"))

    @pytest.mark.parametrize(
        ("url", "targets"),
        [
            ("http://localhost:8080/hook", LOOPBACK),
            ("http://127.0.0.1/hook", LOOPBACK),
            ("http://example.com/hook", TargetPolicy(schemes=("https", "http"), ports=(443, 80))),
            ("https://10.1.2.3/hook", TargetPolicy(allow_networks="10.1.0.0/16")),
        ],
    )
    def test_a_host_may_allow_more(self, world: World, url: str, targets: TargetPolicy) -> None:
        """What the refusal says helps: with that policy the same URL is registered, and called."""
        world.registry(targets=targets).create(Endpoint(url, "*"))
        world.emit()
        world.worker(targets=targets).drain()
        assert [request.url for request in world.sent] == [url]

    def test_changing_the_url_is_checked_too(self, world: World) -> None:
        """A webhook cannot be moved to where it could not be created; it stays as it was."""
        registry = world.registry(targets=PUBLIC_HTTPS)
        made = registry.create(Endpoint(URL, "*"))
        with pytest.raises(TargetRefused):
            registry.update(made.id, url="https://127.0.0.1/")
        assert registry.get(made.id) == made

    def test_a_url_that_is_no_longer_allowed_is_not_called(self, world: World) -> None:
        """The policy is asked again at every attempt; a refused URL is final, for no retry could help."""
        world.register(url="https://10.1.2.3/")
        delivery = world.emit()
        world.worker(targets=PUBLIC_HTTPS).drain()
        entry = world.entry(delivery)
        assert (entry.state, [one.reason for one in entry.attempts]) == ("failed", ["target_refused"])
        assert world.sent == []

    @pytest.mark.parametrize(("server", "profile"), [("/status/200", "standard"), ("/status/204", "logto")])
    def test_the_receiver_answers_200_soon(self, world: World, server: str, profile: str) -> None:
        """Over a real socket: a 2xx is a success, and is in the log with what came back."""
        kind = AsyncHttpxTransport if world.asynchronous else HttpxTransport
        transport = world.plain(kind(targets=LOOPBACK))
        with LoopbackServer() as receiver:
            made = world.register(url=receiver.url(server), profile=profile)
            delivery = world.emit()
            world.worker(transport=transport.subject).drain()
            (request,) = receiver.received
        (transport.aclose if world.asynchronous else transport.close)()
        scheme = schemes.LOGTO if profile == "logto" else schemes.STANDARD
        assert verify_signature(request.body, request.headers, made.keys, scheme=scheme, now=world.clock.now())
        entry = world.entry(delivery)
        assert (entry.state, [one.status for one in entry.attempts]) == ("succeeded", [int(server[-3:])])

    def test_a_receiver_that_works_before_it_answers_runs_into_the_timeout(self, world: World) -> None:
        """Over a real socket: no answer in time is a failed attempt, and is tried again."""
        kind = AsyncHttpxTransport if world.asynchronous else HttpxTransport
        transport = world.plain(kind(targets=LOOPBACK, total_timeout=0.3))
        with LoopbackServer() as receiver:
            world.register(url=receiver.url("/silent"))
            delivery = world.emit()
            world.worker(transport=transport.subject).run_once()
        (transport.aclose if world.asynchronous else transport.close)()
        entry = world.entry(delivery)
        assert (entry.state, len(entry.attempts)) == ("pending", 1)
        assert entry.attempts[0].reason.endswith("timeout")

    @pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 429, 500, 503])
    def test_any_other_answer_is_an_error(self, world: World, status: int) -> None:
        """Only a 2xx is a success; a redirect is none and is not followed."""
        world.answer(status)
        world.register()
        delivery = world.emit()
        world.worker().run_once()
        (attempt,) = world.entry(delivery).attempts
        assert (attempt.status, attempt.reason) == (status, "redirect" if status < 400 else "status")
        assert len(world.sent) == 1

    def test_only_chosen_events_arrive(self, world: World) -> None:
        """A webhook is told of what it subscribed to, and of nothing else."""
        world.register(["PostSignIn", "User.Created"])
        for event in ("PostSignIn", "PostRegister", "User.Created", "User.Deleted", "User"):
            world.dispatcher().emit(event)
        world.worker().drain()
        assert sorted(names(world.sent)) == ["PostSignIn", "User.Created"]

    @pytest.mark.parametrize("events", [(), ("PostSignIn", "PostSignIn"), ("no such name",), ("User.*.Created",)])
    def test_events_are_at_least_one_known_name(self, world: World, events: tuple[str, ...]) -> None:
        """None, one twice, and what is neither a name nor a pattern are refused."""
        with pytest.raises(InvalidEndpoint) as refused:
            world.registry().create(Endpoint(URL, events))
        assert refused.value.reason == "events"

    def test_events_are_the_catalogues(self, world: World) -> None:
        """With Logto's catalogue, all of its events and no others may be chosen."""
        registry = world.registry(catalog=CATALOG)
        assert len(registry.create(Endpoint(URL, list(CATALOG), profile="logto")).events) == 31
        with pytest.raises(InvalidEndpoint, match="not in the catalogue"):
            registry.create(Endpoint(URL, "User.Vanished", profile="logto"))

    def test_chosen_events_can_be_changed_later(self, world: World) -> None:
        """From then on the new choice counts, for the very next event."""
        made = world.register("PostSignIn")
        changed = world.registry().update(made.id, events=["PostRegister"])
        assert changed.events == ("PostRegister",)
        for event in ("PostSignIn", "PostRegister"):
            world.dispatcher().emit(event)
        world.worker().drain()
        assert names(world.sent) == ["PostRegister"]

    def test_it_is_enabled_at_once(self, world: World) -> None:
        """A webhook gets the first event after its creation, unless it was created disabled."""
        assert world.register().enabled
        later = world.register(enabled=False)
        deliveries = world.dispatcher().emit("user.created").delivery_ids
        assert world.worker().drain() == 1
        assert sorted(world.entry(one).state for one in deliveries) == ["held", "succeeded"]
        assert not world.registry().get(later.id).enabled

    def test_disabling_suspends_and_reenabling_resumes_it(self, world: World) -> None:
        """While it is disabled nothing is sent and nothing is lost; enabled again, it gets all of it."""
        registry = world.registry()
        made = world.register()
        before = world.emit()
        disabled = registry.disable(made.id)
        assert (disabled.enabled, disabled.disabled_reason) == (False, "manual")
        during = world.emit()
        assert world.worker().drain() == 0
        assert [world.entry(one).state for one in (before, during)] == ["held", "held"]
        enabled = registry.enable(made.id)
        assert (enabled.enabled, enabled.disabled_reason) == (True, None)
        assert world.worker().drain() == 2
        assert [world.entry(one).state for one in (before, during)] == ["succeeded", "succeeded"]

    def test_what_was_held_may_be_dropped(self, world: World) -> None:
        """Enabled with ``held="drop"``, only later events are sent; the log says what was dropped."""
        registry = world.registry()
        made = world.register()
        registry.disable(made.id, reason="maintenance")
        assert registry.get(made.id).disabled_reason == "maintenance"
        old = world.emit("user.created")
        registry.enable(made.id, held="drop")
        world.emit("user.deleted")
        world.worker().drain()
        assert names(world.sent) == ["user.deleted"]
        assert (world.entry(old).state, world.entry(old).reason) == ("failed", "dropped")


class TestSecureAWebhook:
    """ "Proteger webhook"."""

    def test_a_signing_key_is_made(self, world: World) -> None:
        """Each webhook has one of its own: ``whsec_`` and 32 bytes for STANDARD, 32 letters and digits for LOGTO."""
        standard, logto = world.register().keys, world.register(profile="logto").keys
        assert standard[0].value.startswith("whsec_")
        assert len(standard[0].value) == len("whsec_") + 44
        assert len(logto[0].value) == 32
        assert logto[0].value.isalnum()
        assert world.register().keys != world.register().keys
        assert standard[0].created_at == world.clock.now()

    @pytest.mark.parametrize(("profile", "scheme"), [("standard", schemes.STANDARD), ("logto", schemes.LOGTO)])
    def test_the_key_proves_where_a_payload_comes_from(self, world: World, profile: str, scheme: Any) -> None:
        """A delivery verifies with its webhook's key; with another's, or tampered with, it does not."""
        made, other = world.register("user.created", profile=profile), world.register("other", profile=profile)
        world.emit("user.created", {"id": 7})
        world.worker().drain()
        (request,) = world.sent
        assert verified(world, request, *made.keys, scheme=scheme).body == request.body
        with pytest.raises(VerificationError):
            verified(world, request, *other.keys, scheme=scheme)
        with pytest.raises(VerificationError):
            verify_signature(request.body + b" ", request.headers, made.keys, scheme=scheme, now=world.clock.now())

    def test_the_key_can_be_rotated_with_an_overlap(self, world: World) -> None:
        """STANDARD: while both keys live each verifies, so no delivery is refused; afterwards the old one does not."""
        registry = world.registry()
        made = world.register()
        old = made.keys[0].value
        new = registry.rotate_key(made.id, overlap=timedelta(hours=1))
        assert new == registry.get(made.id).keys[0] != old
        for elapsed in (timedelta(), timedelta(hours=1) - MICROSECOND):
            world.clock.advance(elapsed)
            world.emit()
            world.worker().drain()
            assert verified(world, world.sent[-1], old)
            assert verified(world, world.sent[-1], new)
        world.clock.advance(MICROSECOND)
        world.emit()
        world.worker().drain()
        assert verified(world, world.sent[-1], new)
        with pytest.raises(VerificationError):
            verified(world, world.sent[-1], old)

    def test_a_rotation_may_end_the_old_key_at_once(self, world: World) -> None:
        """With no overlap the old key is gone, as in Logto."""
        registry = world.registry()
        made = world.register()
        new = registry.rotate_key(made.id, overlap=0)
        assert registry.get(made.id).keys == (new,)

    def test_logto_signs_with_the_newest_key(self, world: World) -> None:
        """Its header has one slot: right after a rotation the new key verifies, and the old one does not."""
        made = world.register(profile="logto")
        new = world.registry().rotate_key(made.id)
        assert len(new.value) == 32
        world.emit()
        world.worker().drain()
        assert verified(world, world.sent[0], new, scheme=schemes.LOGTO)
        with pytest.raises(VerificationError):
            verified(world, world.sent[0], made.keys[0].value, scheme=schemes.LOGTO)

    def test_a_delivery_that_waits_is_signed_with_the_keys_of_its_attempt(self, world: World) -> None:
        """Signing happens when it is sent: what was emitted before a rotation verifies with the new key."""
        made = world.register()
        world.emit()
        new = world.registry().rotate_key(made.id, overlap=0)
        world.worker().drain()
        assert verified(world, world.sent[0], new)

    def test_custom_headers_are_sent(self, world: World) -> None:
        """With every delivery, as they were written."""
        world.register(headers={"X-Tenant": "acme", "Authorization": "Bearer of my own"})
        world.emit()
        world.worker().drain()
        assert header(world.sent[0], "x-tenant") == ["acme"]
        assert header(world.sent[0], "authorization") == ["Bearer of my own"]

    @pytest.mark.parametrize("profile", ["standard", "logto"])
    def test_some_headers_are_not_the_customers(self, world: World, profile: str) -> None:
        """What belongs to the connection or to a signature is refused, in any spelling."""
        reserved = """Host content-length Transfer-Encoding connection TE upgrade Expect cookie Proxy-Authorization
            webhook-id Webhook-Signature svix-id"""
        for name in reserved.split():
            with pytest.raises(InvalidEndpoint) as refused:
                world.registry().create(Endpoint(URL, "*", headers={name: "x"}, profile=profile))
            assert refused.value.reason == "headers"
            assert name in str(refused.value)

    def test_nobody_forges_the_logto_signature(self, world: World) -> None:
        """A custom header of that name would break receivers, so it is refused."""
        with pytest.raises(InvalidEndpoint, match="Logto-Signature"):
            world.register(profile="logto", headers={"Logto-Signature-SHA-256": "forged"})

    @pytest.mark.parametrize(
        "headers",
        [{"X-Line": "a\r\nb: c"}, {"X-Zero": "a\0"}, {"X Name": "a"}, {"X-É": "a"}, {"X-A": "é"}, {"": "a"}]
        + [{"X-A": "1", "x-a": "2"}, {"X-Big": "a" * 8192}],
    )
    def test_custom_headers_cannot_split_a_request(self, world: World, headers: dict[str, str]) -> None:
        """Names are tokens, values printable ASCII, no name twice, and all of them small."""
        with pytest.raises(InvalidEndpoint) as refused:
            world.register(headers=headers)
        assert refused.value.reason == "headers"

    def test_our_own_headers_take_precedence(self, world: World) -> None:
        """STANDARD lets the user agent be replaced, and nothing else."""
        world.register(headers={"User-Agent": "Acme/1"})
        world.emit()
        world.worker().drain()
        assert header(world.sent[0], "user-agent") == ["Acme/1"]
        with pytest.raises(InvalidEndpoint):
            world.register(headers={"Content-Type": "text/plain"})

    def test_logto_lets_two_headers_be_replaced(self, world: World) -> None:
        """User agent and content type, in any case; there is one of each."""
        world.register(profile="logto", headers={"USER-agent": "Acme/1", "Content-Type": "application/vnd.acme+json"})
        world.emit()
        world.worker().drain()
        assert header(world.sent[0], "user-agent") == ["Acme/1"]
        assert header(world.sent[0], "content-type") == ["application/vnd.acme+json"]

    def test_custom_headers_can_be_changed(self, world: World) -> None:
        """The next delivery has the new ones only."""
        made = world.register(headers={"X-Old": "1"})
        world.registry().update(made.id, headers={"X-New": "2"})
        world.emit()
        world.worker().drain()
        assert (header(world.sent[0], "x-old"), header(world.sent[0], "x-new")) == ([], ["2"])


class TestTestAWebhook:
    """ "Testar webhook"."""

    def test_a_sample_is_sent_for_every_chosen_event(self, world: World) -> None:
        """Each with the catalogue's sample data, signed like a delivery."""
        made = world.register(["PostSignIn", "User.*", "Role.Created"], profile="logto")
        results = world.registry(catalog=CATALOG).send_test(made.id)
        chosen = ["PostSignIn", *CATALOG.match("User.*"), "Role.Created"]
        assert chosen == [result.event for result in results] == names(world.sent)
        assert all(result.ok and result.status == 200 and result.reason == "" for result in results)
        assert [result.request for result in results] == world.sent
        for request in world.sent:
            assert verified(world, request, *made.keys, scheme=schemes.LOGTO)
        assert "user" in json.loads(world.sent[0].body)

    def test_events_without_a_sample_are_sent_empty(self, world: World) -> None:
        """Without a catalogue a name is sent with ``{}``, and a pattern as one ``webhook.test``."""
        made = world.register(["user.created", "user.*", "*"])
        world.registry().send_test(made.id)
        assert names(world.sent) == ["user.created", "webhook.test"]
        assert [json.loads(request.body)["data"] for request in world.sent] == [{}, {}]

    def test_single_events_can_be_tested(self, world: World) -> None:
        """Subscribed or not; what is no event's name is refused before anything is sent."""
        made = world.register("user.created")
        assert [one.event for one in world.registry().send_test(made.id, events=["other"])] == ["other"]
        with pytest.raises(InvalidEndpoint):
            world.registry().send_test(made.id, events=["other", "no name"])
        assert len(world.sent) == 1

    def test_all_are_sent_even_if_one_fails(self, world: World) -> None:
        """Each event has a result of its own, in order."""

        def quarrel(_: object) -> int:
            raise OSError("a transport that raises")

        world.answer([500, "timeout", quarrel, 302, 200])
        made = world.register(["a", "b", "c", "d", "e"])
        results = world.registry().send_test(made.id)
        assert [(one.event, one.ok, one.status, one.reason) for one in results] == [
            ("a", False, 500, "status"),
            ("b", False, None, "timeout"),
            ("c", False, None, "protocol_error"),
            ("d", False, 302, "redirect"),
            ("e", True, 200, ""),
        ]

    def test_tests_are_not_recorded(self, world: World) -> None:
        """Neither log, nor health, nor circuit breaker know of them, however many fail."""
        world.answer(500)
        made = world.register()
        before = world.registry().health(made.id)
        for _ in range(10):
            world.registry().send_test(made.id)
        assert list(world.registry().recent(made.id)) == []
        assert world.registry().health(made.id) == before
        assert before[made.id].state == "healthy"

    def test_it_works_while_the_webhook_is_disabled(self, world: World) -> None:
        """A customer tests first, and enables then."""
        made = world.register(enabled=False)
        assert world.registry().send_test(made.id)[0].ok
        assert not world.registry().get(made.id).enabled

    def test_a_target_that_is_refused_is_a_result(self, world: World) -> None:
        """Nothing is sent to a URL that the policy no longer allows."""
        made = world.register(url="https://10.1.2.3/")
        (result,) = world.registry(targets=PUBLIC_HTTPS).send_test(made.id)
        assert (result.ok, result.status, result.reason) == (False, None, "target_refused")
        assert world.sent == []

    def test_it_goes_over_the_wire(self, world: World) -> None:
        """Without a transport of the host's, one is made for the test and closed after it."""
        with LoopbackServer() as receiver:
            registry = world.registry(transport=None, targets=LOOPBACK)
            made = registry.create(Endpoint(receiver.url("/status/204"), "user.created"))
            (result,) = registry.send_test(made.id)
            (request,) = receiver.received
        assert (result.ok, result.status) == (True, 204)
        assert verify_signature(request.body, request.headers, made.keys, now=world.clock.now())


class TestMonitorAWebhook:
    """ "Monitorar status de saúde do webhook"."""

    def test_health_counts_requests_and_their_success(self, world: World) -> None:
        """For each webhook in the list: how many deliveries in 24 hours, and which share succeeded."""
        world.answer([200, 200, 404, 200])
        busy, idle = world.register("a", profile="logto"), world.register("b")
        for _ in range(4):
            world.emit("a")
            world.worker().drain()
        health = world.registry().health()
        assert set(health) == {busy.id, idle.id}
        assert (health[busy.id].requests, health[busy.id].succeeded, health[busy.id].failed) == (4, 3, 1)
        assert health[busy.id].success_rate == 0.75
        assert (health[idle.id].requests, health[idle.id].success_rate) == (0, None)

    def test_health_looks_back_24_hours_to_the_microsecond(self, world: World) -> None:
        """A delivery counts for exactly a day after its attempt."""
        made = world.register()
        world.emit()
        world.worker().drain()
        world.clock.advance(DAY)
        assert world.registry().health(made.id)[made.id].requests == 1
        world.clock.advance(MICROSECOND)
        assert world.registry().health(made.id)[made.id].requests == 0
        assert world.registry().health(made.id, window=DAY * 2)[made.id].requests == 1
        assert world.registry().health(made.id, window=86_401)[made.id].requests == 1

    def test_health_knows_every_webhook_asked_for(self, world: World) -> None:
        """Several at once, removed and unknown ones, too."""
        made = world.register()
        assert set(world.registry().health([made.id, "whk_unknown"])) == {made.id, "whk_unknown"}

    def test_health_counts_a_delivery_once_however_often_it_is_tried(self, world: World) -> None:
        """By its last attempt: retrying until it is given up, then failed."""
        world.answer(500)
        made = world.register(profile="logto")
        world.emit()
        worker = world.worker()
        for _ in range(3):
            worker.drain()
            health = world.registry().health(made.id)[made.id]
            assert (health.requests, health.retrying, health.failed) == (1, 1, 0)
            world.clock.advance(5)
        worker.drain()
        health = world.registry().health(made.id)[made.id]
        assert (health.requests, health.retrying, health.failed, health.success_rate) == (1, 0, 1, 0.0)

    def test_recent_requests_are_those_of_24_hours(self, world: World) -> None:
        """Newest first, each for exactly a day."""
        made = world.register()
        first = world.emit()
        world.worker().drain()
        world.clock.advance(DAY - timedelta(hours=1))
        second = world.emit()
        world.worker().drain()
        recent = world.registry().recent
        assert [one.delivery_id for one in recent(made.id)] == [second, first]
        world.clock.advance(timedelta(hours=1))
        assert [one.delivery_id for one in recent(made.id)] == [second, first]
        world.clock.advance(MICROSECOND)
        assert [one.delivery_id for one in recent(made.id)] == [second]
        assert [one.delivery_id for one in recent(made.id, window=DAY * 2)] == [second, first]

    def test_each_request_is_logged_with_its_details(self, world: World) -> None:
        """What was sent, what came back, when and how long it took."""
        world.answer(Reply(422, (("x-trace", "abc"),), b'{"error":"no such user"}', elapsed=0.25))
        made = world.register(profile="logto")
        delivery = world.emit("PostSignIn", {"id": 1})
        world.worker().drain()
        (entry,) = world.registry().recent(made.id)
        assert entry == world.registry().entry(delivery)
        assert (entry.event_type, entry.endpoint_id, entry.state) == ("PostSignIn", made.id, "failed")
        assert entry.body == world.sent[0].body
        (attempt,) = entry.attempts
        assert (attempt.number, attempt.status, attempt.reason) == (1, 422, "status")
        assert (attempt.response_headers, attempt.response_body) == ((("x-trace", "abc"),), b'{"error":"no such user"}')
        assert (attempt.started_at, attempt.duration) == (world.clock.now(), timedelta(seconds=0.25))

    def test_errors_and_anomalies_can_be_found(self, world: World) -> None:
        """By state and by event; an error without any answer says what went wrong."""
        world.answer([200, "connect_timeout", 200])
        made = world.register(profile="logto")
        for event in ("a", "b", "a"):
            world.emit(event)
            world.worker().drain()
        recent = world.registry().recent
        (broken,) = recent(made.id, state="pending")
        assert broken.event_type == "b"
        assert [(one.status, one.reason) for one in broken.attempts] == [(None, "connect_timeout")]
        assert [one.event_type for one in recent(made.id, event="a")] == ["a", "a"]
        assert [one.event_type for one in recent(made.id, limit=2)] == ["a", "b"]
        page = recent(made.id, limit=2)
        assert [one.event_type for one in recent(made.id, before=page[-1].delivery_id)] == ["a"]

    @pytest.mark.parametrize("status", [500, 502, 503, 599])
    def test_a_failed_delivery_is_retried_up_to_three_times(self, world: World, status: int) -> None:
        """At 500 and above: after 0.3, 0.6 and 1.2 seconds, never earlier, and then no more."""
        world.answer(status)
        world.register(profile="logto")
        delivery = world.emit()
        worker = world.worker()
        for attempts, wait in enumerate((0.3, 0.6, 1.2), start=1):
            assert worker.drain() == 1
            entry = world.entry(delivery)
            assert (entry.state, len(entry.attempts)) == ("pending", attempts)
            earliest = timedelta(seconds=wait)
            assert earliest <= entry.next_attempt_at - world.clock.now() <= earliest * 1.1
            world.clock.set(entry.next_attempt_at - MICROSECOND)
            assert worker.drain() == 0
            world.clock.advance(MICROSECOND)
        assert worker.drain() == 1
        assert (world.entry(delivery).state, world.entry(delivery).reason) == ("failed", "exhausted")
        world.clock.advance(DAY)
        assert worker.drain() == 0
        assert len(world.sent) == 4

    @pytest.mark.parametrize("status", [302, 400, 404, 408, 429, 499])
    def test_below_500_is_not_retried(self, world: World, status: int) -> None:
        """It is given up at once."""
        world.answer(status)
        world.register(profile="logto")
        delivery = world.emit()
        world.worker().drain()
        assert (world.entry(delivery).state, len(world.entry(delivery).attempts)) == ("failed", 1)

    def test_several_attempts_are_one_log_entry(self, world: World) -> None:
        """It holds all of them, and each was sent the same bytes."""
        world.answer([500, "timeout", 503, 200])
        made = world.register(profile="logto")
        delivery = world.emit()
        worker = world.worker()
        for _ in range(4):
            worker.drain()
            world.clock.advance(2)
        (entry,) = world.registry().recent(made.id)
        assert (entry.delivery_id, entry.state) == (delivery, "succeeded")
        assert [(one.number, one.status) for one in entry.attempts] == [(1, 500), (2, None), (3, 503), (4, 200)]
        assert len({request.body for request in world.sent}) == 1
        assert world.registry().health(made.id)[made.id].requests == 1
