"""The shipped test support: clock, transports, dispatchers, signed requests, the adapter, and kits that bite."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import hookkit.testing
from hookkit import (
    Emission,
    Event,
    InvalidKey,
    OutboxDispatcher,
    PayloadError,
    Reply,
    Request,
    SigningKey,
    VerificationError,
    payloads,
    verify_signature,
)
from hookkit.clock import SYSTEM_CLOCK
from hookkit.events import Catalog, EventSpec
from hookkit.stores.memory import MemoryStore
from hookkit.testing import (
    AsyncFakeTransport,
    AsyncRecordingDispatcher,
    ClockContract,
    DispatcherContract,
    EventTypeContract,
    FakeTransport,
    ManualClock,
    PayloadContract,
    RecordingDispatcher,
    VerifierContract,
    WebhookContract,
    as_sync,
    sign_request,
)
from hookkit.testing.builders import KEY, attempt, endpoint
from hookkit.testing.clock import START
from kits.queue_machine import queue_machine
from kits.saboteurs import SABOTEURS, break_rule, check_rule, forgetting_leases
from senders import SIGNING_ANY_BODY

REQUEST = Request("POST", "https://receiver.example.com/", (("a", "b"),), b"body")

# --- the clock --------------------------------------------------------------------------------------------------------


class TestManualClock(ClockContract):
    """It keeps the contract of a clock, standing still."""

    @pytest.fixture
    def clock(self):
        return ManualClock()


class TestSystemClock(ClockContract):
    """So does the real one."""

    @pytest.fixture
    def clock(self):
        return SYSTEM_CLOCK


def test_a_clock_starts_where_it_is_told():
    """Or at a fixed instant, the same in every run; in UTC, whatever zone it was given."""
    tokyo = timezone(timedelta(hours=9))
    assert ManualClock().now() == ManualClock().now() == START
    assert ManualClock(datetime(2026, 1, 1, 9, tzinfo=tokyo)).now().isoformat() == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("delta", [90, 90.0, timedelta(minutes=1.5)])
def test_both_of_its_times_advance_together(delta):
    """By seconds or a timedelta; the new time is returned."""
    clock = ManualClock()
    assert clock.advance(delta) == clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == pytest.approx(90)


@given(st.lists(st.floats(-1e6, 1e6)))
def test_its_seconds_never_run_backwards(moves):
    """Whatever the wall clock is set to."""
    clock = ManualClock()
    read = [clock.monotonic()]
    for seconds in moves:
        clock.set(clock.now() + timedelta(seconds=seconds))
        read.append(clock.monotonic())
    assert read == sorted(read)


def test_a_clock_does_not_advance_backwards():
    """Setting the wall clock back is a call of its own, which the seconds ignore."""
    clock = ManualClock()
    clock.advance(10)
    with pytest.raises(ValueError):
        clock.advance(-1)
    clock.set(START)
    assert (clock.now(), clock.monotonic()) == (START, 10)


def test_a_clock_takes_no_naive_time():
    """It would be read in the machine's zone."""
    with pytest.raises(ValueError):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError):
        ManualClock().set(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_clock_shows_its_time():
    """In a failing test's output."""
    assert repr(ManualClock()) == "ManualClock(2026-01-01T12:00:00+00:00)"


def test_threads_share_a_clock():
    """No step is lost."""
    clock = ManualClock()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: clock.advance(1), range(800)))
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=800), 800)


# --- the transports ---------------------------------------------------------------------------------------------------


def send_all(script, count):
    """Send `count` requests through both fakes, and return what each answered."""
    sync = FakeTransport(script() if callable(script) else script)
    one = [sync.send(REQUEST) for _ in range(count)]

    async def main():
        async with AsyncFakeTransport(script() if callable(script) else script) as transport:
            return [await transport.send(REQUEST) for _ in range(count)]

    assert asyncio.run(main()) == one
    return one


@pytest.mark.parametrize(
    ("script", "reply"),
    [
        (200, Reply(200)),
        (410, Reply(410)),
        (302, Reply(302, reason="redirect")),
        ("timeout", Reply(None, reason="timeout")),
        ("tls_expired", Reply(None, reason="tls_expired")),
        (Reply(500, body=b"oops"), Reply(500, body=b"oops")),
        ([lambda request: request.body and 201], Reply(201)),
        ([lambda request: "dns"], Reply(None, reason="dns")),
    ],
)
def test_a_script_of_one_step_repeats(script, reply):
    """A status, a Reply, a reason, or a callable that chooses one."""
    assert send_all(script, 3) == [reply] * 3


def test_steps_are_used_once_and_the_last_one_repeats():
    """From a list or from any iterator."""
    steps = [500, "timeout", lambda _: 503, 200]
    expected = [500, None, 503, 200, 200, 200]
    assert [reply.status for reply in send_all(steps, 6)] == expected
    assert [reply.status for reply in send_all(lambda: iter(steps), 6)] == expected


@pytest.mark.parametrize("script", [[], 99, 1000, True, "", "time-out", "redirect", [None], [lambda _: None]])
def test_what_is_no_answer_is_said_at_once(script):
    """A misspelt reason must not look like a failure of the network."""
    with pytest.raises(ValueError):
        FakeTransport(script).send(REQUEST)
    with pytest.raises(ValueError):
        asyncio.run(AsyncFakeTransport(script).send(REQUEST))


def test_requests_are_remembered():
    """Every one, also those that were answered by a failure."""
    transport = FakeTransport([500, "timeout", 200])
    requests = [Request("POST", f"https://receiver.example.com/{number}", (), b"") for number in range(3)]
    with transport:
        for request in requests:
            transport.send(request)
    assert transport.requests == requests


def test_an_async_script_may_await():
    """A receiver that never answers is one line, and can be cancelled."""

    async def hang(_: Request) -> int:
        await asyncio.Event().wait()
        return 200

    async def main():
        transport = AsyncFakeTransport([hang, 200])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.send(REQUEST), 0.01)
        return [await transport.send(REQUEST), len(transport.requests)]

    assert asyncio.run(main()) == [Reply(200), 2]


def test_threads_share_a_transport():
    """Each step goes to one of them."""
    transport = FakeTransport([*range(200, 300), *range(400, 500), 500])
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: transport.send(REQUEST).status, range(200)))
    assert sorted(replies) == [*range(200, 300), *range(400, 500)]
    assert len(transport.requests) == 200


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/", "https://hooks/", "http://10.0.0.1/", "https://[::1]:1/", "https://example.com/"]
)
def test_a_fakes_policy_lets_any_url_pass(url):
    """So that a registry over it takes what the test has; what is no URL is still refused."""
    policy = FakeTransport().targets
    assert policy.check_url(url).path == "/"
    assert policy == AsyncFakeTransport().targets
    with pytest.raises(hookkit.TargetRefused):
        policy.check_url("ftp://example.com/")


# --- the dispatchers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redact", [True, False])
def test_a_recorded_event_is_as_the_real_one_would_be(redact: bool) -> None:
    """A catalogue takes secrets out, so a host's test sees what would be sent."""
    recording = RecordingDispatcher(catalog=Catalog([EventSpec("user.created")], redact=redact))
    recording.emit("user.created", {"id": "u_1", "password": "canary"})
    assert ("canary" in repr(recording.events[0].data)) is not redact


class TestRecordingDispatcher(DispatcherContract):
    """It keeps the contract of a dispatcher."""

    @pytest.fixture
    def dispatcher(self):
        return RecordingDispatcher()


class TestAsyncRecordingDispatcher(DispatcherContract):
    """So does its twin."""

    @pytest.fixture
    def dispatcher(self):
        with as_sync(AsyncRecordingDispatcher()) as dispatcher:
            yield dispatcher


class TestOutboxDispatcher(DispatcherContract):
    """So does the real one, which the fakes stand for."""

    @pytest.fixture
    def dispatcher(self):
        return OutboxDispatcher(MemoryStore())


@pytest.mark.parametrize("make", [RecordingDispatcher, AsyncRecordingDispatcher])
def test_emitted_events_are_remembered_whole(make):
    """With id and time, in order, repeats left out; those of a refused call are not."""
    clock = ManualClock()
    with ExitStack() as stack:
        recorder = make(catalog={"user.created", "user.deleted"}, clock=clock)
        dispatcher = stack.enter_context(as_sync(recorder)) if make is AsyncRecordingDispatcher else recorder
        first = dispatcher.emit("user.created", {"id": 1}, tenant="acme", idempotency_key="k", tx=object())
        clock.advance(1)
        dispatcher.emit("user.created", {"id": 2}, tenant="acme", idempotency_key="k")
        dispatcher.emit_many([Event("user.deleted", id="evt_1"), Event("user.deleted", id="evt_1")])
        with pytest.raises(PayloadError):
            dispatcher.emit("role.created")
        with pytest.raises(TypeError):
            dispatcher.emit(Event("user.created"), {"id": 3})
        with pytest.raises(TypeError):
            dispatcher.emit_many([Event("user.created"), "user.created"])
        dispatcher.wake()
    assert recorder.events == [
        Event("user.created", {"id": 1}, id=first.event_id, occurred_at=START, tenant="acme", idempotency_key="k"),
        Event("user.deleted", id="evt_1", occurred_at=START + timedelta(seconds=1)),
    ]
    assert first == Emission(first.event_id, ())


# --- signed requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SIGNING_ANY_BODY.values(), ids=SIGNING_ANY_BODY)
def test_a_signed_request_verifies(scheme):
    """Now, by whatever scheme that signs any body, with a key as text, as a SigningKey, or several."""
    body, url = b'{"a":1}', "https://receiver.example.com/webhooks"
    for key in (KEY, SigningKey(KEY), [SigningKey(KEY)]):
        headers = sign_request(body, key, scheme=scheme, url=url)
        assert verify_signature(body, headers, KEY, scheme=scheme, method="POST", url=url).body == body


def test_a_request_is_signed_for_the_event_and_the_time_it_is_told():
    """A late one tests that the receiver refuses it."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    headers = sign_request(b"body", KEY, id="evt_7", at=at)
    verified = verify_signature(b"body", headers, KEY, now=at)
    assert (verified.id, verified.timestamp) == ("evt_7", at)
    assert sign_request(b"body", KEY)["webhook-id"] == "evt_test"
    with pytest.raises(VerificationError) as caught:
        verify_signature(b"body", headers, KEY)
    assert caught.value.reason == "timestamp_too_old"


@pytest.mark.parametrize("body", ['{"a":1}', {"a": 1}, None])
def test_only_bytes_are_signed(body):
    """Text has no bytes until it is encoded, and then they may be others than those that are sent."""
    with pytest.raises(TypeError, match="bytes"):
        sign_request(body, KEY)


def test_any_kind_of_bytes_is_signed():
    """As a framework's test client may have them."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    expected = sign_request(b"body", KEY, at=at)
    assert [sign_request(kind(b"body"), KEY, at=at) for kind in (bytearray, memoryview)] == [expected] * 2


def test_a_request_is_not_signed_without_a_key():
    """The scheme says so."""
    with pytest.raises(InvalidKey):
        sign_request(b"body", [])


# --- the adapter ------------------------------------------------------------------------------------------------------


class Resource:
    """Something async that remembers its loop."""

    limit = 3

    def __init__(self):
        self.loop = None
        self.closed = 0

    async def where(self, *args, **kwargs):
        self.loop = self.loop or asyncio.get_running_loop()
        assert asyncio.get_running_loop() is self.loop
        return args, kwargs

    async def fail(self):
        raise LookupError("what it raises")

    def plain(self):
        return "plain"

    async def aclose(self):
        await self.where()
        self.closed += 1


def test_coroutines_become_plain_calls_on_one_loop():
    """Arguments and results pass through, and so do plain methods, attributes and what is raised."""
    resource = Resource()
    with as_sync(resource) as adapted:
        assert adapted.where(1, b=2) == ((1,), {"b": 2})
        assert (adapted.plain(), adapted.limit, adapted.run(asyncio.sleep(0, "slept"))) == ("plain", 3, "slept")
        with pytest.raises(LookupError, match="what it raises"):
            adapted.fail()
        with pytest.raises(AttributeError):
            _ = adapted.nothing
    adapted.close()
    assert resource.closed == 1


def test_calls_from_several_threads_are_under_way_at_once():
    """They meet at a barrier on the loop, which none of them would pass alone."""

    class Meeting:
        def __init__(self):
            self.waiting = 0
            self.all_here = asyncio.Event()

        async def meet(self):
            self.waiting += 1
            if self.waiting == 3:
                self.all_here.set()
            await asyncio.wait_for(self.all_here.wait(), 10)
            return threading.current_thread().name

    with as_sync(Meeting()) as meeting, ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: meeting.meet(), range(3))) == {"hookkit-testing"}


# --- the kits ---------------------------------------------------------------------------------------------------------


class TestPayloads(PayloadContract):
    """The shipped formats keep the contract of one."""

    @pytest.fixture(params=[payloads.STANDARD, payloads.LOGTO], ids=["standard", "logto"])
    def payload(self, request):
        return request.param


class TestSchemes(VerifierContract):
    """The shipped schemes keep the contract of a signer that can verify, as far as they sign any body."""

    @pytest.fixture(params=SIGNING_ANY_BODY.values(), ids=SIGNING_ANY_BODY)
    def signer(self, request):
        return request.param


class TestEndpoint(WebhookContract):
    """The shipped value keeps the contract of a webhook."""

    @pytest.fixture(params=[{}, {"rate_limit": (1, 2), "headers": {"x-a": "b"}, "enabled": False}])
    def webhook(self, request):
        return endpoint(**request.param)


class TestEventSpec(EventTypeContract):
    """The shipped value keeps the contract of an event type."""

    @pytest.fixture
    def event_type(self):
        return EventSpec("user.created", "A user was created.", {"id": "u_1"})


@pytest.mark.parametrize(
    ("given_reason", "status", "reason"),
    [(None, 204, ""), (None, 302, "status"), (None, None, "timeout"), ("dns", None, "dns")],
)
def test_a_made_attempt_has_the_reason_that_follows_from_its_status(given_reason, status, reason):
    """Unless the test says which."""
    assert attempt(at=START, status=status, reason=given_reason).reason == reason


@pytest.mark.parametrize(("method", "broken", "rule"), SABOTEURS, ids=[f"{row[0]}-{row[2][5:]}" for row in SABOTEURS])
def test_a_kit_notices_a_broken_promise(method, broken, rule):
    """Each of these rules holds for a good store, and fails for one that breaks it."""
    check_rule(MemoryStore(), rule)
    with pytest.raises((AssertionError, IndexError, pytest.fail.Exception)):
        break_rule(method, broken, rule)


BROKEN_QUEUES = [
    row for row in SABOTEURS if row[0] in {"give_back", "hold", "redeliver"} or row[1] is forgetting_leases
]


@pytest.mark.parametrize(("method", "broken", "_"), BROKEN_QUEUES)
def test_the_model_notices_a_broken_promise(method, broken, _):
    """Random histories find what the rules find, without being told where to look."""
    store = type("Saboteur", (MemoryStore,), {method: broken})
    some = settings(
        max_examples=100,
        stateful_step_count=40,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
    )
    with pytest.raises((AssertionError, ExceptionGroup, pytest.fail.Exception)):
        run_state_machine_as_test(queue_machine(lambda: closing(store())), settings=some)


FIXTURES = {
    "ClockContract": ("clock", "test_it_is_a_clock"),
    "DispatcherContract": ("dispatcher", "test_an_emission_names_the_event"),
    "EventTypeContract": ("event_type", "test_it_is_described"),
    "PayloadContract": ("payload", "test_its_content_type_can_be_sent"),
    "SignerContract": ("signer", "test_it_is_pure"),
    "StoreContract": ("store", "test_nothing_planned_is_nothing_stored"),
    "TransportContract": ("transport", "test_no_body_is_decoded"),
    "VerifierContract": ("signer", "test_it_is_pure"),
    "WebhookContract": ("webhook", "test_its_texts_are_text"),
}


def run_pytest(folder, source, *arguments):
    """Run pytest over a test module of this source, as somebody else's project would, and return what it said."""
    (folder / "test_mine.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        *arguments,
        ".",
    ]
    environment = {**os.environ, "COLUMNS": "300"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, env=environment, check=False)
    return ran.stdout


def test_a_kit_says_which_fixture_it_needs(tmp_path):
    """Whoever forgets it is told its name."""
    source = "from hookkit.testing import *\n"
    source += "".join(f"\n\nclass Test{kit}({kit}):\n    pass\n" for kit in FIXTURES)
    rules = " or ".join(rule for _, rule in FIXTURES.values())
    said = run_pytest(tmp_path, source, "--tb=no", "-rE", "-k", rules)
    assert [kit for kit, (fixture, _) in FIXTURES.items() if f"Test{kit} needs a fixture `{fixture}`" not in said] == []


def test_a_failing_rule_shows_what_it_compared(tmp_path):
    """Its assertions are rewritten as those of a test module are."""
    source = (
        "import pytest\n"
        "from hookkit.stores.memory import MemoryStore\n"
        "from hookkit.testing import WebhookStoreContract\n\n\n"
        "class Mine(MemoryStore):\n    def subscribers(self, *args, **kwargs):\n        return []\n\n\n"
        "class TestMine(WebhookStoreContract):\n"
        "    @pytest.fixture\n    def store(self):\n        return Mine()\n"
    )
    assert "assert [] == ['whk_1']" in run_pytest(tmp_path, source, "-k", "told_once")


def test_the_support_works_without_pytest():
    """Only the kits need it: a host may test with something else."""
    program = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import hookkit.testing as testing\n"
        "testing.ManualClock().advance(1)\n"
        "assert set(testing.__all__) <= set(dir(testing))\n"
        "try:\n    testing.StoreContract\n"
        "except ImportError:\n    print('the kits need pytest')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "the kits need pytest\n"


def test_every_public_name_is_there():
    """The list, the lazy table and the names agree; an unknown one is an AttributeError."""
    assert sorted(hookkit.testing.__all__) == hookkit.testing.__all__
    assert all(getattr(hookkit.testing, name) for name in hookkit.testing.__all__)
    with pytest.raises(AttributeError):
        _ = hookkit.testing.NoSuchContract
