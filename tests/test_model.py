"""The values that a host sees: how they are made, what they show, and that they stay as they are."""

from __future__ import annotations

import copy
import enum
import inspect
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from hookkit import (
    Attempt,
    Emission,
    Endpoint,
    Health,
    LogEntry,
    Notice,
    PayloadError,
    Reply,
    Request,
    RetryPolicy,
    SigningKey,
    TestResult,
)
from hookkit.events import EventSpec
from hookkit.model import Headers, HealthBucket, as_duration
from hookkit.profiles import LOGTO
from hookkit.testing.clock import START

URL = "https://receiver.example.com/"
SECOND = timedelta(seconds=1)


# --- Durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "duration"),
    [(0, timedelta(0)), (5, 5 * SECOND), (0.25, 0.25 * SECOND), (-1, -SECOND), (timedelta(days=2), timedelta(days=2))],
)
def test_a_bare_number_is_seconds(value, duration):
    """A timedelta is itself."""
    assert as_duration(value) == duration


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Request("POST", URL, (), b"", 2.5), "deadline"),
        (Reply(200, elapsed=2.5), "elapsed"),
        (Attempt(1, START, 2.5), "duration"),
    ],
)
def test_durations_may_be_given_in_seconds(value, field):
    """Everywhere."""
    assert getattr(value, field) == 2.5 * SECOND


# --- Headers ----------------------------------------------------------------------------------------------------------


def test_custom_headers_are_a_mapping():
    """Names as they were given, in their order; equal to a dict of the same."""
    headers = Headers({"X-Api-Key": "secret", "x-b": "2"})
    assert isinstance(headers, Mapping)
    assert list(headers.items()) == [("X-Api-Key", "secret"), ("x-b", "2")]
    assert headers == {"x-b": "2", "X-Api-Key": "secret"} == dict(headers)
    assert headers == Headers([("X-Api-Key", "secret"), ("x-b", "2")])
    assert (len(headers), len(Headers())) == (2, 0)
    assert "x-api-key" not in headers
    with pytest.raises(KeyError):
        headers["x-c"]
    with pytest.raises(TypeError):
        headers["x-c"] = "3"


def test_custom_headers_are_their_own():
    """What they were made of may change afterwards."""
    given = {"x-a": "1"}
    headers = Headers(given)
    given["x-a"] = "2"
    assert headers["x-a"] == "1"


def test_custom_header_values_are_not_shown():
    """The names are."""
    headers = Headers({"x-api-key": "planted"})
    assert repr(headers) == str(headers) == "{'x-api-key': '***'}"
    assert "planted" not in repr(Endpoint(URL, "*", headers=headers))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(headers, protocol)
    assert copy.copy(headers) is copy.deepcopy(headers) is headers


# --- Endpoint ---------------------------------------------------------------------------------------------------------


class Names(enum.StrEnum):
    """A host's own names."""

    CREATED = "user.created"


class Kind:
    """A host's own event type."""

    name = "user.deleted"
    description = ""
    example = None


def test_an_endpoint_has_defaults():
    """A URL and events are enough."""
    endpoint = Endpoint(URL, ["*"])
    assert attrs.asdict(endpoint) == {
        "url": URL,
        "events": ("*",),
        "name": "",
        "id": "",
        "tenant": "",
        "headers": Headers(),
        "keys": (),
        "enabled": True,
        "profile": "standard",
        "retry": None,
        "max_in_flight": 4,
        "rate_limit": None,
        "metadata": {},
        "created_at": None,
        "disabled_reason": None,
    }


def test_an_endpoints_arguments_are_its_attributes():
    """The same names in the same order, url and events by position; the rest by name only."""
    parameters = inspect.signature(Endpoint).parameters.values()
    assert [one.name for one in parameters] == [field.name for field in attrs.fields(Endpoint)]
    by_position = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert by_position == ["url", "events"]
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters if one.name not in by_position)


def test_every_argument_is_kept():
    """As it was given, or as what it stands for."""
    given = {
        "name": "hook",
        "id": "whk_1",
        "tenant": "acme",
        "headers": {"x-a": "1"},
        "keys": (SigningKey("k"),),
        "enabled": False,
        "profile": "logto",
        "retry": RetryPolicy([1]),
        "max_in_flight": 9,
        "rate_limit": (10, SECOND),
        "metadata": {"plan": "free"},
        "created_at": START,
        "disabled_reason": "manual",
    }
    endpoint = Endpoint(URL, ("a.b",), **given)
    assert {name: getattr(endpoint, name) for name in given} == given
    assert isinstance(endpoint.headers, Headers)


@pytest.mark.parametrize(
    ("events", "names"),
    [
        ("*", ("*",)),
        ("user.created", ("user.created",)),
        (["a", "b"], ("a", "b")),
        ((name for name in "ab"), ("a", "b")),
        (Names.CREATED, ("user.created",)),
        ([Names.CREATED, "x"], ("user.created", "x")),
        (Kind(), ("user.deleted",)),
        ([Kind(), EventSpec("a.b")], ("user.deleted", "a.b")),
        ([], ()),
    ],
)
def test_events_in_any_form(events, names):
    """One or several; text, members of a ``StrEnum``, event types: plain names in the end."""
    endpoint = Endpoint(URL, events)
    assert endpoint.events == names
    assert all(type(name) is str for name in endpoint.events)


@pytest.mark.parametrize("events", [None, 5, [None], [5], b"x", [b"user.created"]])
def test_what_names_no_event_is_refused(events):
    """Said at once, with the type that was given."""
    with pytest.raises(PayloadError, match="use the event's name"):
        Endpoint(URL, events)


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ("k1", ["k1"]),
        (SigningKey("k1"), ["k1"]),
        (["k1", SigningKey("k2")], ["k1", "k2"]),
        ((text for text in ("k1", "k2")), ["k1", "k2"]),
        ((), []),
    ],
)
def test_keys_in_any_form(keys, values):
    """One or several, text or keys; keys in the end, in their order."""
    endpoint = Endpoint(URL, "*", keys=keys)
    assert [key.value for key in endpoint.keys] == values
    assert all(isinstance(key, SigningKey) for key in endpoint.keys)


def test_a_key_stays_the_same_object():
    """So that what a scheme made of its text is made once."""
    key = SigningKey("k1")
    assert Endpoint(URL, "*", keys=[key]).keys[0] is key


@pytest.mark.parametrize(
    ("given", "kept"),
    [((10, 1), (10, SECOND)), ((10, 0.5), (10, 0.5 * SECOND)), ((1, timedelta(hours=1)), (1, timedelta(hours=1)))],
)
def test_a_rates_period_may_be_seconds(given, kept):
    """As every duration."""
    assert Endpoint(URL, "*", rate_limit=given).rate_limit == kept


def test_a_profile_stands_for_its_name():
    """An endpoint holds the name: the profile may be another version's tomorrow."""
    assert Endpoint(URL, "*", profile=LOGTO).profile == "logto"


def test_an_endpoint_without_metadata_has_its_own():
    """Two endpoints never share one dict."""
    assert Endpoint(URL, "*").metadata is not Endpoint(URL, "*").metadata


def test_an_endpoint_is_a_value():
    """Frozen, compared by what it holds, evolved with what is given converted as ever."""
    endpoint = Endpoint(URL, "*", headers={"x-a": "1"}, keys="k")
    assert endpoint == Endpoint(URL, ["*"], headers=[("x-a", "1")], keys=[SigningKey("k")])
    assert endpoint != Endpoint(URL, "*", headers={"x-a": "2"}, keys="k")
    changed = attrs.evolve(endpoint, events="a.b", rate_limit=(1, 2), headers={"x-b": "2"})
    assert (changed.events, changed.rate_limit) == (("a.b",), (1, 2 * SECOND))
    assert isinstance(changed.headers, Headers)
    assert (changed.keys, changed.url) == (endpoint.keys, URL)
    assert attrs.evolve(endpoint) == endpoint
    for name in ("url", "events", "nonsense"):
        with pytest.raises(AttributeError):
            setattr(endpoint, name, "x")


def test_an_endpoint_shows_no_secret():
    """Neither key nor header value, not in ``repr`` and not in ``asdict``; it is copied as itself and never pickled."""
    endpoint = Endpoint(URL, "*", keys="planted-key", headers={"x-api-key": "planted-value"})
    shown = repr(endpoint) + repr(attrs.asdict(endpoint)) + repr(attrs.astuple(endpoint))
    assert "planted" not in shown
    assert "x-api-key" in shown
    assert copy.copy(endpoint) is copy.deepcopy(endpoint) is endpoint
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(endpoint, protocol)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example", "'https://a.example'"),
        ("https://a.example/", "'https://a.example/'"),
        ("https://a.example:8443/planted", "'https://a.example:8443/***'"),
        ("https://a.example?token=planted", "'https://a.example/***'"),
        ("https://user:planted/2@a.example/", "'***'"),
        ("https://user:12#planted@a.example/", "'***'"),
        ("https://a.example/@planted", "'https://a.example/***'"),
        ("https://planted:planted@a.example/", "'https://a.example/'"),
        ("planted", "'***'"),
        ("//planted", "'***'"),
    ],
)
def test_a_repr_shows_no_more_of_a_url_than_where_it_leads(url, shown):
    """The rest may be a credential; so may all of what is no URL."""
    for value in (Endpoint(url, "*"), Request("POST", url, (), b"")):
        assert f"url={shown}" in repr(value)


def test_unknown_arguments_are_an_error():
    """A typing mistake is not stored."""
    with pytest.raises(TypeError, match="max_inflight"):
        Endpoint(URL, "*", max_inflight=2)


# --- The others -------------------------------------------------------------------------------------------------------

ENTRY = LogEntry("dlv_1", "evt_1", "a.b", "whk_1", "", "pending", (), START)
REQUEST = Request("POST", URL, (("authorization", "planted"), ("x-a", "1")), b"planted")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (REQUEST, "headers=['authorization', 'x-a'], body=<7 bytes>"),
        (Reply(200, body=b"planted"), "body=<7 bytes>"),
        (Attempt(1, START, response_body=b"planted"), "response_body=<7 bytes>"),
        (attrs.evolve(ENTRY, body=b"planted"), "body=<7 bytes>"),
        (TestResult("a.b", ok=True, status=200, reason="", duration=SECOND, request=REQUEST), "body=<7 bytes>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bodies_and_header_values_are_not_shown(value, shown):
    """Their size is: a log of values is no log of what customers sent each other."""
    assert shown in repr(value)
    assert "planted" not in repr(value)


def test_a_health_does_not_show_its_slices():
    """Twenty-four of them would hide the rest."""
    slices = tuple(HealthBucket(START) for _ in range(24))
    health = Health(0, 0, 0, 0, 0, None, "healthy", START, START, slices)
    assert "buckets=<24>" in repr(health)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Emission("evt_1", ()), {"duplicate": False}),
        (REQUEST, {"deadline": 15 * SECOND}),
        (
            Reply(None),
            {"headers": (), "body": b"", "truncated": False, "reason": "", "elapsed": timedelta(0)},
        ),
        (
            Attempt(1, START),
            {
                "duration": timedelta(0),
                "status": None,
                "reason": "",
                "response_headers": (),
                "response_body": b"",
                "retry_after": None,
            },
        ),
        (ENTRY, {"finished_at": None, "next_attempt_at": None, "body": b"", "reason": ""}),
        (HealthBucket(START), {"succeeded": 0, "failed": 0, "retrying": 0}),
        (
            Health(0, 0, 0, 0, 0, None, "healthy", START, START),
            {"buckets": (), "last_success_at": None, "consecutive_failures": 0, "latency_p50": None},
        ),
        (Notice("recovered", "whk_1", "", START), {"share": 0.0, "detail": ""}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_have_defaults_and_are_frozen(value, expected):
    """What is not said is what one would expect; and nothing changes afterwards."""
    assert {name: getattr(value, name) for name in expected} == expected
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, next(iter(expected)), None)


def test_pytest_leaves_test_results_alone():
    """A class whose name begins with ``Test`` is no test."""
    assert TestResult.__test__ is False


def test_a_log_entry_may_be_pickled():
    """It holds no secret of ours; a host may cache it."""
    entry = attrs.evolve(ENTRY, attempts=(Attempt(1, datetime(2026, 1, 1, tzinfo=UTC), 1, 200),))
    assert pickle.loads(pickle.dumps(entry)) == entry
