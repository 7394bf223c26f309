"""Payload formats: the bytes that an event becomes."""

from __future__ import annotations

import datetime as dt
import json
import random
import struct
import subprocess
from enum import IntEnum, StrEnum
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Event, PayloadError
from hookkit.jsontext import parse_json
from hookkit.payloads import LOGTO, STANDARD, js_number, js_stringify
from strategies import any_text, event_types, finite_floats, json_values

VECTORS = {
    row["name"]: row["body"] for row in json.loads((Path(__file__).parent / "vectors/logto.json").read_text("utf-8"))
}
MOMENT = dt.datetime(1970, 1, 1, 0, 1, 40, tzinfo=dt.UTC)
instants = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC))  # noqa: DTZ001


def event(name="user.created", data=None, *, occurred_at=MOMENT, **context):
    return Event(name, data, id="evt_1", occurred_at=occurred_at, context=context)


def standard(*args, **context):
    return STANDARD.encode(event(*args, **context), endpoint_id="whk_1")


def logto(*args, test=False, **context):
    return LOGTO.encode(event(*args, **context), endpoint_id="hook_id", test=test)


# --- STANDARD ---------------------------------------------------------------------------------------------------------


def test_standard_is_type_timestamp_data():
    """Three keys in this order, compact, and neither context nor id nor webhook among them."""
    assert standard("user.created", {"id": 7, "name": "Zoë"}, ip="::1") == (
        '{"type":"user.created","timestamp":"1970-01-01T00:01:40Z","data":{"id":7,"name":"Zoë"}}'.encode()
    )


def test_standard_sends_no_data_as_null():
    """A receiver can rely on the key."""
    assert standard("a") == b'{"type":"a","timestamp":"1970-01-01T00:01:40Z","data":null}'


def test_standard_is_one_body_for_all():
    """Neither the webhook nor being a test changes a byte, and the format says so."""
    assert (STANDARD.content_type, STANDARD.per_endpoint, STANDARD.lifts_context) == ("application/json", False, False)
    one = event("a", [1], ip="::1")
    bodies = {STANDARD.encode(one, endpoint_id=whose, test=test) for whose in ("a", "b") for test in (True, False)}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "2026-01-31T09:30:00Z"), (1, "2026-01-31T09:30:00.000001Z"), (250_000, "2026-01-31T09:30:00.250000Z")],
)
def test_standard_writes_microseconds_where_there_are_some(microsecond, text):
    """RFC 3339 in UTC, with none or six decimals."""
    at = dt.datetime(2026, 1, 31, 10, 30, 0, microsecond, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert parse_json(standard("a", occurred_at=at))["timestamp"] == text


@given(event_types.filter(lambda name: len(name) <= 128), json_values(), instants)
def test_standard_reads_back(name, data, at):
    """Type, time to the microsecond, and data come out of the body as they went in, in order, whatever they are."""
    read = json.loads(standard(name, data, occurred_at=at))
    assert read == {"type": name, "timestamp": read["timestamp"], "data": data}
    assert dt.datetime.fromisoformat(read["timestamp"]) == at
    assert json.dumps(read["data"]) == json.dumps(data)


def test_standard_keeps_floats_floats():
    """Numbers are written as Python knows them: 1.0 is not 1 to a receiver who tells them apart."""
    assert standard("a", [1.0, 1, 1e16, -0.0]).endswith(b'"data":[1.0,1,1e+16,-0.0]}')


# --- LOGTO: Logto's own bytes -----------------------------------------------------------------------------------------

FAKE_USER = {
    "id": "fake-id",
    "username": "fake-user",
    "primaryEmail": "fake-user@fake-service.com",
    "primaryPhone": "1234567890",
    "name": "Fake User",
    "avatar": "https://fake-service.com/avatars/fake-user.png",
    "customData": {"theme": "light"},
    "identities": {"google": {"userId": "fake-google-user-id"}},
    "profile": {},
    "applicationId": "fake-application-id",
    "cimdClientId": None,
    "isSuspended": False,
    "lastSignInAt": 100_000,
    "createdAt": 100_000,
    "updatedAt": 100_000,
}
FAKE_CALL = {"userAgent": "fake-user-agent", "path": "/fake-path/:id", "method": "POST", "status": 200}


def test_logto_test_payload_of_an_interaction():
    """Byte for byte what Logto sends for the button "Send test payload" and ``PostSignIn``."""
    body = logto(
        "PostSignIn",
        test=True,
        userAgent="fake-user-agent",
        sessionId="fake-session-id",
        userIp="fake-user-ip",
        userId="fake-id",
        user=FAKE_USER,
        application={
            "id": "fake-spa-application-id",
            "type": "SPA",
            "name": "Fake Application",
            "description": "Fake application data for testing",
        },
    )
    assert body == VECTORS["test payload PostSignIn (interaction)"].encode()


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("Role.Created", "test payload Role.Created (data)"),
        ("Identifier.Lockout", "test payload Identifier.Lockout (exception)"),
    ],
)
def test_logto_test_payload_of_data_and_exceptions(name, vector):
    """Byte for byte what Logto sends as the test of a data or an exception event."""
    body = logto(name, {"result": "success"}, test=True, **FAKE_CALL, params={"id": "fake-id"})
    assert body == VECTORS[vector].encode()


def test_logto_real_payload():
    """Byte for byte Logto's shape of a membership change, whatever order the context is given in."""
    context = {
        "organizationId": "o1",
        "matchedRoute": "/organizations/:id/users",
        "ip": "::ffff:192.168.65.1",
        "params": {"id": "o1"},
        "addedUserIds": ["u_001"],
        "status": 201,
        "method": "POST",
        "path": "/organizations/o1/users",
        "userAgent": "ua",
    }
    at = dt.datetime(2025, 11, 11, 14, 11, 46, 523_999, tzinfo=dt.UTC)
    body = logto("Organization.Membership.Updated", occurred_at=at, **context)
    assert body == VECTORS["real-shape Organization.Membership.Updated"].encode()


def test_logto_writes_text_and_numbers_as_javascript_does():
    """Byte for byte ``JSON.stringify`` of edge cases; None stands where JavaScript had NaN, which no Event holds."""
    value = {
        "a": 'é \u2028\u2029 😀 / \x7f "\\ \b\f\n\r\t\x01',
        "10": 1,
        "n": None,
        "lone": "\ud800",
        "f1": 1.0,
        "f2": 1e21,
        "f3": 1e-7,
        "f4": 1e16,
        "nz": -0.0,
        "nan": None,
        "2": 2,
        "arr": [None, 1],
    }
    body = VECTORS["unicode + undefined + numbers"]
    assert js_stringify(value).encode("utf-8", "backslashreplace") == body.encode()
    assert f'"data":{body},"hookId"'.encode() in logto("a", value)


def test_logto_upstream_bodies():
    """The two bodies of Logto's own signing tests."""
    assert js_stringify({"bar": "bar", "foo": "foo"}) == VECTORS["upstream sign.test.ts #1"]
    assert js_stringify({}) == VECTORS["upstream sign.test.ts #2"]


# --- LOGTO: the order of keys -----------------------------------------------------------------------------------------

CALL = ["path", "method", "status", "params", "matchedRoute"]
INTERACTION = ["sessionId", "userAgent", "userId", "userIp", "user", "application", "cimdClientId"]
LAYOUTS = {
    **{
        name: ["adaptiveMfaResult", "event", "interactionEvent", "createdAt", *INTERACTION, "data", "hookId"]
        for name in ("PostRegister", "PostSignIn", "PostSignInAdaptiveMfaTriggered", "PostResetPassword")
    },
    **{
        name: [
            "event",
            "createdAt",
            "interactionEvent",
            "userAgent",
            "applicationId",
            "cimdClientId",
            "sessionId",
            "ip",
            "application",
            *CALL,
            "roleId",
            "data",
            "hookId",
        ]
        for name in (
            "User.Created",
            "Role.Scopes.Updated",
            "TrustedDevice.Created",
            "Identifier.Lockout",
            "anything.else",
        )
    },
    "User.Deleted": ["event", "createdAt", "userAgent", "ip", "data", *CALL, "hookId"],
    "Grant.LimitExceeded": [
        "event",
        "createdAt",
        "ip",
        "userAgent",
        "application",
        "userId",
        "applicationId",
        "cimdClientId",
        "revokedGrantIds",
        "maxAllowedGrants",
        "preRevocationActiveGrantCount",
        "data",
        "hookId",
    ],
}


@pytest.mark.parametrize("name", LAYOUTS)
@given(data=st.data())
def test_logto_key_order(name, data):
    """Any part of what Logto knows stands where Logto puts it, in whatever order it was given."""
    layout = LAYOUTS[name]
    own = {"event", "createdAt", "hookId", "data"}
    keys = data.draw(st.lists(st.sampled_from([key for key in layout if key not in own]), unique=True))
    body = logto(name, 1, **dict.fromkeys(keys, 0))
    assert list(json.loads(body)) == [key for key in layout if key in keys or key in own]


@given(st.lists(st.text("abc", min_size=1), unique=True, max_size=6))
def test_logto_puts_what_it_does_not_know_before_the_hook_id(keys):
    """Other context keys follow those that Logto knows, in the order given; ``hookId`` is last."""
    body = logto("Role.Created", 1, **dict.fromkeys(keys, 0), ip="::1")
    assert list(json.loads(body)) == ["event", "createdAt", "ip", "data", *keys, "hookId"]


def test_logto_test_payload_keeps_the_order_given():
    """Only ``event``, ``hookId`` and ``createdAt`` have a place in a test payload; the data comes last."""
    body = logto("User.Deleted", 1, test=True, zone=1, path="/a", userAgent="b", application=None)
    keys = ["event", "hookId", "createdAt", "zone", "path", "userAgent", "application", "data"]
    assert list(json.loads(body)) == keys


def test_logto_leaves_absent_data_out():
    """As JavaScript drops what is undefined. False, 0 and empty are data."""
    assert "data" not in json.loads(logto("Role.Deleted"))
    assert "data" not in json.loads(logto("Role.Deleted", test=True))
    for data in (False, 0, "", [], {}):
        assert json.loads(logto("Role.Deleted", data))["data"] == data


def test_logto_array_indexes_come_first():
    """Even before ``event``, and at every level, as in every JavaScript object; ``01`` and 2**32 - 1 are no indexes."""
    body = logto("a", {"b": 1, "4294967295": 2, "4294967294": 3, "01": 4, "0": 5, "-1": 6, "٣": 7}, **{"7": 8, "10": 9})
    read = json.loads(body)
    assert list(read) == ["7", "10", "event", "createdAt", "data", "hookId"]
    assert list(read["data"]) == ["0", "4294967294", "b", "4294967295", "01", "-1", "٣"]


def test_logto_is_a_body_for_each_webhook():
    """The webhook's id is in it, and the format says so."""
    assert (LOGTO.content_type, LOGTO.per_endpoint, LOGTO.lifts_context) == ("application/json", True, True)
    one = event("a")
    assert json.loads(LOGTO.encode(one, endpoint_id="whk_2"))["hookId"] == "whk_2"


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "2026-01-31T09:30:00.000Z"), (999, "2026-01-31T09:30:00.000Z"), (999_999, "2026-01-31T09:30:00.999Z")],
)
def test_logto_writes_milliseconds(microsecond, text):
    """``Date.toISOString``: three decimals always, never rounded up."""
    at = dt.datetime(2026, 1, 31, 9, 30, 0, microsecond, tzinfo=dt.UTC)
    assert json.loads(logto("a", occurred_at=at))["createdAt"] == text


def as_doubles(value: object) -> object:
    """Return `value` as JavaScript holds it: every number is a double."""
    return json.loads(json.dumps(value), parse_int=float)


own_keys = {"event", "createdAt", "hookId", "data"}
contexts = st.dictionaries(any_text.filter(lambda key: key not in own_keys), json_values(), max_size=4)


@given(json_values(), contexts, instants, st.booleans())
def test_logto_reads_back(data, context, at, test):
    """Whatever the event holds comes out of the body as JavaScript would hold it."""
    body = LOGTO.encode(Event("a", data, occurred_at=at, context=context), endpoint_id="whk_1", test=test)
    read = json.loads(body, parse_int=float)
    expected = {"event": "a", "hookId": "whk_1", "createdAt": read["createdAt"], **context}
    assert read == as_doubles(expected if data is None else {**expected, "data": data})
    assert at - dt.datetime.fromisoformat(read["createdAt"]) < dt.timedelta(milliseconds=1)


# --- Both -------------------------------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("payload", [STANDARD, LOGTO], ids=["STANDARD", "LOGTO"])


@BOTH
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\ud800", b"\\ud800"),
        ("a\udc80b", b"a\\udc80b"),
        ("\udfff\ud800", b"\\udfff\\ud800"),
        ("\ud83d\ude00", "😀".encode()),
        ("\ud83d\ud83d\ude00\ude00", b"\\ud83d" + "😀".encode() + b"\\ude00"),
        ("é\u2028\u2029\x7f/", "é\u2028\u2029\x7f/".encode()),
        ('"\\\b\f\n\r\t\0\x1f', rb"\"\\\b\f\n\r\t\u0000\u001f"),
    ],
)
def test_text_is_escaped_only_where_it_must_be(payload, text, written):
    """A lone surrogate becomes an escape, a pair the character it means; keys are text like any other."""
    body = payload.encode(event("a", {text: text}, odd=text), endpoint_id="whk_1")
    assert b'"data":{"' + written + b'":"' + written + b'"}' in body
    assert parse_json(body)["data"] is not None


@BOTH
@given(data=json_values())
def test_every_body_is_strict_json(payload, data):
    """A receiver who reads strictly reads it; it is UTF-8 without a byte of waste."""
    body = payload.encode(event("a", {"b": data}), endpoint_id="whk_1")
    assert as_doubles(parse_json(body)["data"]) == as_doubles({"b": data})
    assert payload.encode(event("a", {"b": data}), endpoint_id="whk_1") == body


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    A = "a"


@BOTH
def test_what_python_takes_for_json_is_written_as_such(payload):
    """Enum members are their values, tuples are arrays, and large integers keep every digit."""
    body = payload.encode(event("a", [Level.HIGH, {Word.A: Word.A}, (True, None), 2**200]), endpoint_id="whk_1")
    assert b'"data":[3,{"a":"a"},[true,null],' + str(2**200).encode() + b"]" in body


@BOTH
@pytest.mark.parametrize(
    "late", [{"at": object()}, {"at": float("nan")}, {"at": [float("inf")]}, {"at": b"s3cret"}, "cycle"]
)
def test_data_changed_after_the_check_is_refused(payload, late):
    """An event's data is the host's own object: what it was turned into is an error of ours, which does not show it."""
    data = {}
    changed = event("a", data)
    data.update({"at": data} if late == "cycle" else late)
    with pytest.raises(PayloadError, match="changed after the event was made") as caught:
        payload.encode(changed, endpoint_id="whk_1")
    assert "s3cret" not in str(caught.value)


def test_a_key_changed_after_the_check_is_refused():
    """JavaScript's order needs keys that are text."""
    data = {}
    changed = event("a", data)
    data[1] = 2
    with pytest.raises(PayloadError, match="changed after"):
        LOGTO.encode(changed, endpoint_id="whk_1")


@BOTH
def test_an_event_without_its_time_is_not_encoded(payload):
    """The dispatcher sets it first; a body without it would change from attempt to attempt."""
    with pytest.raises(ValueError, match="occurred_at is not set"):
        payload.encode(Event("a"), endpoint_id="whk_1")


@BOTH
def test_a_format_is_a_value(payload):
    """Frozen, and equal to its like."""
    assert payload == type(payload)()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        payload.per_endpoint = None


# --- JavaScript's numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (100.0, "100"),
        (123.456, "123.456"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (2.0**53, "9007199254740992"),
        (2.0**60, "1152921504606847000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e20, "100000000000000000000"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (-1e21, "-1e+21"),
        (1.5e21, "1.5e+21"),
        (1e100, "1e+100"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (0.001, "0.001"),
        (1e-4, "0.0001"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1.234e-6, "0.000001234"),
        (9.99e-7, "9.99e-7"),
        (1e-7, "1e-7"),
        (-1.5e-7, "-1.5e-7"),
        (2.2250738585072014e-308, "2.2250738585072014e-308"),
        (5e-324, "5e-324"),
    ],
)
def test_numbers(value, text):
    """Where JavaScript puts the point, and from where on it writes an exponent."""
    assert js_number(value) == text
    assert js_stringify([value]) == f"[{text}]"


@given(finite_floats)
def test_numbers_read_back(value):
    """The text is a JSON number that is the very same double, and no longer than Python's own."""
    text = js_number(value)
    assert float(text) == value
    assert float(json.loads(text)) == value
    assert len(text.replace(".", "")) <= max(22, len(repr(value)) + 1)
    assert "e0" not in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_json_number_is_refused(value):
    """JavaScript would write null; nobody would learn of it."""
    with pytest.raises(ValueError, match="NaN and Infinity"):
        js_number(value)


def test_what_is_not_json_is_refused():
    """Nothing is guessed."""
    with pytest.raises(TypeError):
        js_stringify({"a": {1, 2}})


def doubles(count: int) -> list[float]:
    """Return doubles of every size, the same each time: random bits, and short decimals."""
    numbers = random.Random(7)
    bits = (struct.unpack("<d", numbers.randbytes(8))[0] for _ in range(count))
    decimals = (numbers.randrange(10**6) * 10.0 ** numbers.randrange(-12, 26) for _ in range(count))
    return [value for value in (*bits, *decimals) if value - value == 0]


@pytest.mark.interop
def test_node_writes_the_same():
    """Node.js reads the values and writes them with ``JSON.stringify``: byte for byte ours."""
    texts = ["".join(map(chr, range(128))), "é\u2028\u2029😀", "\ud800", "\udfff\ud800", "\ud83d\ude00"]
    keys = ["b", "4294967295", "4294967294", "10", "9", "01", "-1", "1.5", "", "__proto__", "a", "0", "\udc00"]
    values = [
        *doubles(5_000),
        *texts,
        {key: [{"2": 1.0, "1": -0.0}] for key in keys},
        2**53,
        -(2**53),
        True,
        None,
        {},
        [[]],
    ]
    script = (
        "const lines = require('fs').readFileSync(0, 'utf8').trim().split('\\n');"
        "process.stdout.write(lines.map((line) => JSON.stringify(JSON.parse(line))).join('\\n'))"
    )
    given_lines = "\n".join(map(json.dumps, values))
    done = subprocess.run(
        ["node", "-e", script], input=given_lines, capture_output=True, check=True, text=True, encoding="utf-8"
    )
    ours = [LOGTO.encode(event("a", [value]), endpoint_id="").decode() for value in values]
    start, end = len('{"event":"a","createdAt":"1970-01-01T00:01:40.000Z","data":['), len('],"hookId":""}')
    assert [body[start:-end] for body in ours] == done.stdout.split("\n")
