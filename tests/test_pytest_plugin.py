"""The pytest plugin: its fixtures as a user's tests see them, what they rest on, and what it costs all others."""

from __future__ import annotations

import http.client
import re
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from threading import Thread

import attrs
import pytest

import hookkit.testing
from hookkit import (
    Endpoint,
    Event,
    OutboxDispatcher,
    PayloadError,
    Registry,
    Reply,
    SigningKey,
    VerificationError,
    Worker,
    schemes,
    verify_signature,
)
from hookkit.stores.memory import MemoryStore
from hookkit.targets import LOOPBACK
from hookkit.testing import AsyncRecordingDispatcher, RecordingDispatcher, ScriptedReceiver, signed_request
from sourcetree import PROJECT
from transcripts import Block, blocks, run

pytest_plugins = ["pytester"]

KEY = SigningKey("whsec_" + 4 * "MfKQ9r8G")
FIXTURES = "hookkit_signed_request hookkit_receiver hookkit_dispatcher hookkit_async_dispatcher hookkit_clock".split()


def test_pytest_finds_it() -> None:
    """The package announces the plugin under its own name."""
    (found,) = (one for one in entry_points(group="pytest11") if one.value == "hookkit._pytest")
    assert found.name == "hookkit"


PROGRAM = """
import sys
import pytest
before = set(sys.modules)
import hookkit._pytest
new = {name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names}
assert new == {"hookkit", "hookkit._pytest"}, new
"""


def test_it_costs_nothing_until_a_fixture_is_asked_for() -> None:
    """Loading the plugin imports no other module, of hookkit or of anybody else."""
    done = run("-c", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")


USERS = """
import asyncio
import http.client
import urllib.request
from datetime import datetime, timedelta

import pytest

from hookkit import Endpoint, OutboxDispatcher, Registry, VerificationError, Worker, schemes, verify_signature
from hookkit.stores.memory import MemoryStore
from hookkit.targets import LOOPBACK

KEY = "whsec_" + 4 * "MfKQ9r8G"


def test_receiving(hookkit_signed_request):
    request = hookkit_signed_request({"type": "user.created"}, KEY)
    assert verify_signature(request.body, request.headers, KEY).json() == {"type": "user.created"}
    late = hookkit_signed_request(b"{}", KEY, at=datetime.now().astimezone() - timedelta(minutes=6))
    with pytest.raises(VerificationError, match="timestamp_too_old"):
        verify_signature(late.body, late.headers, KEY)


@pytest.mark.parametrize("scheme", [schemes.LOGTO, schemes.SVIX])
def test_another_scheme(hookkit_signed_request, scheme):
    request = hookkit_signed_request({}, KEY, scheme=scheme)
    assert verify_signature(request.body, request.headers, KEY, scheme=scheme).body == b"{}"


def test_sending(hookkit_receiver):
    store = MemoryStore()
    Registry(store, targets=LOOPBACK).create(Endpoint(hookkit_receiver.url, "user.*", keys=KEY))
    OutboxDispatcher(store).emit("user.created", {"id": 7})
    assert Worker(store, targets=LOOPBACK).drain() == 1
    (verified,) = hookkit_receiver.verified(KEY)
    assert verified.event().data == {"id": 7}


def test_emitting(hookkit_dispatcher, hookkit_clock):
    hookkit_dispatcher.emit("user.created", {"id": 7})
    hookkit_dispatcher.assert_emitted("user.created", {"id": 7}, occurred_at=hookkit_clock.now())


def test_emitting_async(hookkit_async_dispatcher):
    asyncio.run(hookkit_async_dispatcher.emit("user.created"))
    hookkit_async_dispatcher.assert_emitted("user.created", None)


def test_each_test_has_its_own(hookkit_dispatcher, hookkit_receiver, hookkit_clock):
    hookkit_dispatcher.assert_not_emitted()
    assert hookkit_receiver.requests == []
    assert hookkit_clock.monotonic() == 0
"""


def plugged(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run a user's tests with the plugin loaded, as its entry point would."""
    return pytester.runpytest("-p", "no:hookkit", "-p", "hookkit._pytest", "-p", "no:cacheprovider", *arguments)


def test_users_tests_have_the_fixtures(pytester: pytest.Pytester) -> None:
    """Nothing has to be imported for them, and each test gets fresh ones."""
    pytester.makepyfile(USERS)
    plugged(pytester, "-W", "error").assert_outcomes(passed=7)


def test_the_fixtures_are_listed_with_what_they_are_for(pytester: pytest.Pytester) -> None:
    """``pytest --fixtures`` shows each with its first line."""
    shown = plugged(pytester, "--fixtures").stdout.str()
    for name in FIXTURES:
        assert f"{name} -- " in shown
        assert f"{name}: no docstring" not in shown
    assert "no docstring available" not in shown.partition("fixtures defined from hookkit")[2].partition("fixtures ")[0]


def test_an_answer_that_fails_fails_the_test(pytester: pytest.Pytester) -> None:
    """What a callable of the script raises, in the receiver's thread, is shown when the fixture ends."""
    pytester.makepyfile(
        """
        import urllib.error, urllib.request
        import pytest

        def test_it(hookkit_receiver):
            hookkit_receiver.answer(lambda request: {}["nothing"])
            with pytest.raises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(hookkit_receiver.url, b"x")
            raised.value.close()
            assert raised.value.code == 500
        """
    )
    result = plugged(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("*KeyError: 'nothing'*")


# --- Signed requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b'{"a" :1}', b'{"a" :1}'),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        ({"a": ["Zoë", None, 1.5]}, '{"a":["Zoë",null,1.5]}'.encode()),
        ("text", b'"text"'),
        (None, b"null"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_request_has_the_bytes_that_were_signed(data, body) -> None:
    """Bytes stay as they are, anything else is written as JSON."""
    request = signed_request(data, KEY, id="evt_7")
    assert request.body == body
    assert verify_signature(request.body, request.headers, KEY).id == "evt_7"
    assert request.content_type == request.headers["content-type"] == "application/json"


def test_a_request_can_be_changed_for_what_must_be_refused() -> None:
    """A changed body, or another content type."""
    request = signed_request(b"a=b", KEY, content_type="application/x-www-form-urlencoded")
    assert request.content_type == "application/x-www-form-urlencoded"
    changed = attrs.evolve(request, body=b"a=c")
    with pytest.raises(VerificationError, match="bad_signature"):
        verify_signature(changed.body, changed.headers, KEY)


def test_what_is_no_json_is_named() -> None:
    """By its path, as for an event."""
    with pytest.raises(PayloadError, match=r"data\.at: datetime"):
        signed_request({"at": datetime.now(UTC)}, KEY)


# --- What was emitted -------------------------------------------------------------------------------------------------


def recorder() -> RecordingDispatcher:
    """Return a dispatcher that has seen three events."""
    dispatcher = RecordingDispatcher()
    dispatcher.emit("user.created", {"id": 1}, tenant="acme")
    dispatcher.emit("user.created", {"id": 2})
    dispatcher.emit("role.created", None, id="evt_1")
    return dispatcher


def test_an_emitted_event_is_returned() -> None:
    """By type, data and whatever else is asked for; of several, the last."""
    dispatcher = recorder()
    assert dispatcher.assert_emitted("role.created").id == "evt_1"
    assert dispatcher.assert_emitted("role.created", None, id="evt_1").type == "role.created"
    assert dispatcher.assert_emitted("user.created", {"id": 1}, tenant="acme").data == {"id": 1}
    assert dispatcher.assert_emitted("user.created", times=2).data == {"id": 2}
    dispatcher.assert_not_emitted("user.deleted")


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        (("user.deleted",), {}, "emitted 0 times, not 1"),
        (("user.created",), {}, "emitted 2 times, not 1"),
        (("user.created", {"id": 3}), {}, "emitted 0 times, not 1"),
        (("user.created", None), {}, "emitted 0 times, not 1"),
        (("user.created",), {"tenant": "other"}, "emitted 0 times, not 1"),
        (("role.created",), {"times": 0}, "emitted 1 times, not 0"),
        (("user.deleted",), {"times": 0}, "emitted 0 times, not 0"),
    ],
    ids=repr,
)
def test_an_event_that_was_not_emitted_as_asked_is_an_assertion(arguments, fields, message) -> None:
    """The message shows what was emitted instead."""
    with pytest.raises(AssertionError, match=message) as raised:
        recorder().assert_emitted(*arguments, **fields)
    assert str(raised.value).count("Event(") == 3


def test_an_event_that_should_not_be_there_is_an_assertion() -> None:
    """Of one type, or any."""
    with pytest.raises(AssertionError, match=r"role\.created"):
        recorder().assert_not_emitted("role.created")
    with pytest.raises(AssertionError, match=r"user\.created"):
        recorder().assert_not_emitted()
    with pytest.raises(AssertionError, match="emitted was: nothing"):
        AsyncRecordingDispatcher().assert_emitted("user.created")
    AsyncRecordingDispatcher().assert_not_emitted()


# --- The receiver -----------------------------------------------------------------------------------------------------


def post(receiver: ScriptedReceiver, body: bytes = b"x", path: str = "/hooks") -> tuple[int, bytes, dict[str, str]]:
    """Post to a receiver; return status, body and headers."""
    connection = http.client.HTTPConnection(receiver.url.split("/")[2], timeout=10)
    try:
        connection.request("POST", path, body, {"x-name": "value"})
        with connection.getresponse() as response:
            return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def test_a_receiver_answers_by_its_script() -> None:
    """Each step once, the last one from then on; another script takes over at once."""
    with ScriptedReceiver(
        503, Reply(200, (("retry-after", "1"),), b"ok"), lambda request: 200 + len(request.body)
    ) as to:
        assert post(to)[:2] == (503, b"")
        status, body, headers = post(to)
        assert (status, body, headers["retry-after"]) == (200, b"ok", "1")
        assert [post(to, size * b"x")[0] for size in (1, 2)] == [201, 202]
        to.answer(204)
        status, body, headers = post(to, path="/other?x=1")
        assert (status, body) == (204, b"")
        assert "content-length" not in headers
    assert [request.target for request in to.requests] == ["/hooks"] * 4 + ["/other?x=1"]
    assert (to.requests[0].method, to.requests[0].header("x-name"), to.requests[0].body) == ("POST", ["value"], b"x")


def test_a_receiver_can_hang_up() -> None:
    """A Reply without a status is none: the sender sees a connection that ended."""
    with ScriptedReceiver(Reply(None)) as to:
        with pytest.raises(http.client.RemoteDisconnected):
            post(to)
        assert len(to.requests) == 1


@pytest.mark.parametrize("script", [(), (99,), (1000,), (199,), ("timeout",), (None,), (204, "x")], ids=repr)
def test_what_is_no_answer_is_said_at_once(script) -> None:
    """Where the script is given, and not when a request comes; the old script stays."""
    with ScriptedReceiver() as to:
        with pytest.raises(ValueError, match="give a status"):
            to.answer(*script)
        assert post(to)[0] == 204


def test_what_a_callable_returns_is_checked_when_it_does() -> None:
    """The sender gets a 500, the test gets the error."""
    with pytest.raises(ValueError, match="'nonsense' is no answer"), ScriptedReceiver(lambda request: "nonsense") as to:
        assert post(to)[0] == 500


def test_waiting_for_what_another_thread_sends() -> None:
    """It returns once the requests are there, or says how many came."""
    with ScriptedReceiver() as to:
        threads = [Thread(target=post, args=(to,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert len(to.wait(3)) == 3
        with pytest.raises(AssertionError, match=r"3 requests in 0\.01 s, 4 were expected"):
            to.wait(4, timeout=0.01)
        for thread in threads:
            thread.join()


def test_what_arrived_can_be_verified_on_another_clock() -> None:
    """Options go to ``verify_signature``; a request that does not verify is an error."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with ScriptedReceiver() as to:
        request = signed_request(b"{}", KEY, at=at)
        connection = http.client.HTTPConnection(to.url.split("/")[2], timeout=10)
        connection.request("POST", "/hooks", request.body, request.headers)
        connection.getresponse().close()
        connection.close()
        assert to.verified(iter([KEY]), now=at + timedelta(minutes=1))[0].timestamp == at
        with pytest.raises(VerificationError, match="timestamp_too_old"):
            to.verified(KEY)
        with pytest.raises(VerificationError, match="missing_header"):
            to.verified("x", scheme=schemes.LOGTO)


def test_a_worker_delivers_to_it_and_tries_again() -> None:
    """From the outbox over a real socket: a failure first, then a success."""
    store = MemoryStore()
    with ScriptedReceiver(503, 204) as to:
        registry = Registry(store, targets=LOOPBACK)
        registry.create(Endpoint(to.url, "*", keys=KEY))
        (delivery,) = OutboxDispatcher(store).emit(Event("user.created", id="evt_1")).delivery_ids
        worker = Worker(store, targets=LOOPBACK)
        assert worker.deliver(delivery).attempts[0].status == 503
        assert worker.deliver(delivery).state == "succeeded"
        assert [verified.id for verified in to.verified(KEY)] == ["evt_1", "evt_1"]


def test_the_interpreter_runs_without_the_plugin() -> None:
    """hookkit itself never imports it, so pytest stays what only tests need."""
    done = run("-c", "import sys; sys.modules['pytest'] = None; import hookkit.testing, hookkit.verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert sys.modules["pytest"] is pytest


# --- The page ---------------------------------------------------------------------------------------------------------

PAGE = (PROJECT / "docs" / "testing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", blocks(PAGE), ids=lambda block: block.text.split("\n")[0][:40])
def test_the_examples_of_the_page_pass(pytester: pytest.Pytester, block: Block) -> None:
    """Each block of ``docs/testing.md`` is a test file of its own."""
    assert block.tag == "python"
    pytester.makepyfile(block.text)
    outcome = plugged(pytester, "-W", "error").parseoutcomes()
    assert outcome == {"passed": block.text.count("\ndef test_")}


def test_the_page_has_all_fixtures() -> None:
    """Each is in its table, with the name under which others find it."""
    for name in FIXTURES:
        assert f"`{name}`" in PAGE
    for name in re.findall(r"\| `(\w+)` +\|$", PAGE, re.MULTILINE):
        assert hasattr(hookkit.testing, name)
