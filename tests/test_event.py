"""Events: what may be in one, and how an error names what may not."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict
from enum import Enum, StrEnum
from types import MappingProxyType, SimpleNamespace

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Event, PayloadError
from hookkit.event import check_id, check_type, is_type, type_name
from hookkit.events import EventSpec
from strategies import any_text, event_types, json_values


class Users(StrEnum):
    CREATED = "user.created"


class Plain(Enum):
    user_created = 1


# --- Types ------------------------------------------------------------------------------------------------------------


@given(event_types.filter(lambda name: len(name) <= 128))
def test_dotted_words_are_types(name):
    """Letters, digits and underscores, joined by single full stops."""
    assert Event(name).type == name
    assert is_type(name)


@pytest.mark.parametrize(
    ("given_type", "name"),
    [
        ("a", "a"),
        ("A" * 128, "A" * 128),
        (Users.CREATED, "user.created"),
        (EventSpec("PostSignIn"), "PostSignIn"),
        (SimpleNamespace(name="a.b"), "a.b"),
        (SimpleNamespace(name=Users.CREATED), "user.created"),
        (Plain.user_created, "user_created"),
    ],
)
def test_what_stands_for_a_type(given_type, name):
    """Text, a StrEnum member and anything with a name all become the plain name."""
    assert Event(given_type).type == name
    assert type(Event(given_type).type) is str
    assert type_name(given_type) == check_type(given_type) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a-b",
        "a.*",
        "*",
        "a\n",
        "\na",
        "a\x00",
        "é",
        "a.é",
        "а",
        "1٢",
        "A" * 129,
        "a." * 64,
        "a" * 1000000,
        "�",
        "a/b",
        "a:b",
    ],
)
def test_what_is_no_type_is_refused(name):
    """Anything else is a PayloadError that says what a type is, and stays short."""
    assert not is_type(name)
    with pytest.raises(PayloadError, match="letters, digits and underscores") as caught:
        Event(name)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"], SimpleNamespace(name=None), object()])
def test_what_has_no_name_is_refused(value):
    """Neither text nor anything with a name in text: the error says what to pass."""
    with pytest.raises(PayloadError, match=f"type: {type(value).__name__}; use the event's name"):
        Event(value)


@given(any_text)
def test_no_text_raises_anything_else(name):
    """Any text at all is either a type or a PayloadError."""
    try:
        assert Event(name).type == name
    except PayloadError:
        assert not is_type(name)


# --- Data and context -------------------------------------------------------------------------------------------------


@given(st.data())
def test_json_is_data_and_context(data):
    """Any JSON value is data, any object of JSON values context; they are kept as they are."""
    value, context = data.draw(json_values()), data.draw(st.dictionaries(any_text, json_values(), max_size=3))
    event = Event("a", value, context=context)
    assert event.data is value
    assert event.context == context


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"data": {"user": {"created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}}},
            "data.user.created_at: datetime; use",
        ),
        ({"data": uuid.UUID(int=0)}, "data: UUID; use str()"),
        ({"data": [float("nan")]}, "data[0]: nan is not JSON"),
        ({"context": {"ip": b"::1"}}, "context.ip: bytes; use base64 text"),
        ({"context": {1: "a"}}, "context: a key of type int"),
        ({"context": [("ip", "::1")]}, "context: list; use a dict"),
        ({"context": None}, "context: NoneType; use a dict"),
        ({"context": "ip"}, "context: str; use a dict"),
    ],
)
def test_what_is_not_json_is_named_by_its_path(fields, message):
    """The error names the field and the way to the value, and says how to mend it."""
    with pytest.raises(PayloadError) as caught:
        Event("a", **fields)
    assert str(caught.value).startswith(message)


def test_data_may_be_nested_as_deep_as_a_receiver_reads():
    """63 levels of data make a body of 64, which is what strict receivers read; one more is refused here."""
    value: object = 1
    for _ in range(63):
        value = [value]
    Event("a", value)
    Event("a", context={"b": value})
    with pytest.raises(PayloadError, match="nested more than 64 levels deep"):
        Event("a", [value])
    with pytest.raises(PayloadError, match="nested more than 64 levels deep"):
        Event("a", context={"b": [value]})


@pytest.mark.parametrize("key", ["event", "createdAt", "hookId", "data"])
def test_context_says_nothing_that_a_body_says_already(key):
    """LOGTO lifts the context into its body: what stands there already, the context cannot say, not even as None."""
    with pytest.raises(PayloadError, match=f"context.{key}: a body has this key already; ") as caught:
        Event("a", 1, id="evt_1", context={key: None})
    assert "evt_1" not in str(caught.value)


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_context_is_a_copy(kind):
    """Any mapping will do, and what its owner does to it afterwards does not reach the event."""
    given_context = {"ip": "::1"}
    event = Event("a", context=kind(given_context))
    given_context["ip"] = "::2"
    assert event.context == {"ip": "::1"}
    assert type(event.context) is dict


# --- The other fields -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["evt_1", "x", "!#$%&'()*+,-/:;<=>?@[]^_`{|}~\"\\", "A" * 128])
def test_ids_are_printable_ascii(value):
    """Up to 128 printable characters of ASCII, without space and full stop."""
    assert Event("a", id=value).id == check_id(value) == value


@pytest.mark.parametrize(
    "value", [" ", "a b", "a.b", ".", "A" * 129, "é", "a\n", "\x7f", "\0", "\ud800", 7, None, b"a"]
)
def test_ids_that_could_not_be_signed_are_refused(value):
    """A full stop would move the seam between id, timestamp and body; the rest no header can hold."""
    with pytest.raises(PayloadError, match="id: 1 to 128 printable ASCII"):
        Event("a", id=value)
    with pytest.raises(PayloadError, match="delivery: 1 to 128"):
        check_id(value, "delivery")


def test_an_id_may_be_missing_in_an_event_only():
    """An empty id means that one will be made; as an id it is refused."""
    assert Event("a").id == ""
    with pytest.raises(PayloadError):
        check_id("")


def test_times_become_utc():
    """Any aware time will do; it is kept in UTC."""
    zone = dt.timezone(dt.timedelta(hours=-5, minutes=-30))
    event = Event("a", occurred_at=dt.datetime(2026, 1, 1, 20, 0, 0, 7, tzinfo=zone))
    assert event.occurred_at == dt.datetime(2026, 1, 2, 1, 30, 0, 7, tzinfo=dt.UTC)
    assert event.occurred_at.tzinfo is dt.UTC
    assert Event("a").occurred_at is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (dt.datetime(2026, 1, 1), "occurred_at: a naive datetime; use an aware one"),  # noqa: DTZ001 - the point
        (dt.date(2026, 1, 1), "occurred_at: date; use an aware datetime"),
        (1_700_000_000, "occurred_at: int; use an aware datetime"),
        ("2026-01-01T00:00:00Z", "occurred_at: str; use an aware datetime"),
        (
            dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-1))),
            "occurred_at: beyond the years 1 to 9999",
        ),
        (dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))), "occurred_at: beyond the years 1 to 9999"),
    ],
)
def test_what_is_no_instant_is_refused(value, message):
    """A naive time could be any; a time that UTC cannot hold would fail later, and worse."""
    with pytest.raises(PayloadError) as caught:
        Event("a", occurred_at=value)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("value", ["t" * 257, "a\0", "\ud800", None, 7, b"a"])
def test_a_tenant_is_text_that_every_store_can_hold(value):
    """At most 256 characters, without what UTF-8 or Postgres refuses."""
    with pytest.raises(PayloadError, match="tenant: text of at most 256 characters"):
        Event("a", tenant=value)
    assert [Event("a", tenant=text).tenant for text in ("", "t" * 256, "é\n")] == ["", "t" * 256, "é\n"]


@pytest.mark.parametrize("value", ["", "k" * 257, "a\0", "\udfff", 7, b"a"])
def test_an_idempotency_key_is_text_that_every_store_can_hold(value):
    """1 to 256 characters, without what UTF-8 or Postgres refuses; None means that there is none."""
    with pytest.raises(PayloadError, match="idempotency_key: text of 1 to 256 characters"):
        Event("a", idempotency_key=value)
    assert [Event("a", idempotency_key=key).idempotency_key for key in (None, "k", "k" * 256)] == [None, "k", "k" * 256]


def test_an_event_is_a_value():
    """Frozen, equal to its like, and changed only by making another, which is checked again."""
    event = Event("a", {"b": 1}, id="evt_1", tenant="t")
    assert event == Event("a", {"b": 1}, id="evt_1", tenant="t")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.type = "b"
    with pytest.raises(PayloadError):
        attrs.evolve(event, type="")
    with pytest.raises(TypeError):
        Event("a", None, "evt_1")
