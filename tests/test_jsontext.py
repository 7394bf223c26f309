"""What may be sent as JSON, and how strictly a received body is read."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import PayloadError
from hookkit.jsontext import MAX_DEPTH, check_json, parse_json
from strategies import json_values


def nested(levels: int, kind: type = list) -> object:
    """Return containers in one another, `levels` of them."""
    value: object = 1
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


def depth(value: object) -> int:
    """Return how many containers lie in one another in `value`."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


# --- What may be sent -------------------------------------------------------------------------------------------------


@given(json_values())
def test_json_is_accepted(value):
    """Whatever JSON can carry passes the check, odd text and large integers included."""
    check_json(value, "data")


@pytest.mark.parametrize("value", [(1, "a", None), {"a": (True,)}, 2**1024 - 1, -(2**1024) + 1, "\ud800", 5e-324])
def test_what_is_nearly_odd_is_accepted(value):
    """Tuples serve as lists; integers up to 1,024 bits and lone surrogates are fine."""
    check_json(value, "data")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "data: nan is not JSON; use None or a string"),
        ({"a": math.inf}, "data.a: inf is not JSON; use None or a string"),
        ([0, [-math.inf]], "data[1][0]: -inf is not JSON; use None or a string"),
        (2**1024, "data: an integer of 1025 bits; send it as a string"),
        ([-(2**1024)], "data[0]: an integer of 1025 bits; send it as a string"),
        ({"user": {1: 2}}, "data.user: a key of type int; JSON keys are strings"),
        ({"user": {None: 2}}, "data.user: a key of type NoneType; JSON keys are strings"),
        (
            {"user": {"created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}},
            "data.user.created_at: datetime; use .isoformat()",
        ),
        ([dt.date(2026, 1, 1)], "data[0]: date; use .isoformat()"),
        (dt.time(1, 2), "data: time; use .isoformat()"),
        (uuid.UUID(int=0), "data: UUID; use str()"),
        (decimal.Decimal(1), "data: Decimal; use str()"),
        (b"x", "data: bytes; use base64 text"),
        ({1}, "data: set; use sorted() or list()"),
        (frozenset(), "data: frozenset; use sorted() or list()"),
        ((1, {"a": object()}), "data[1].a: object; use dict, list, str, int, float, bool or None"),
    ],
)
def test_what_json_cannot_carry_is_named_by_its_path(value, message):
    """The error says where it lies, what it is, and what to use instead."""
    with pytest.raises(PayloadError) as caught:
        check_json(value, "data")
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [list, dict])
def test_depth_is_bounded(kind):
    """64 containers in one another pass, 65 do not, and those the value lies in already count."""
    check_json(nested(MAX_DEPTH, kind), "data")
    check_json(nested(MAX_DEPTH - 3, kind), "data", 3)
    for value, lies_in in ((nested(MAX_DEPTH + 1, kind), 0), (nested(MAX_DEPTH, kind), 1)):
        with pytest.raises(PayloadError, match="nested more than 64 levels deep"):
            check_json(value, "data", lies_in)


def test_a_value_that_contains_itself_is_refused():
    """A cycle ends at the depth limit, with an error that stays short."""
    cycle: dict[str, object] = {}
    cycle["a long name that repeats"] = [cycle]
    with pytest.raises(PayloadError, match="or it contains itself") as caught:
        check_json(cycle, "data")
    assert len(str(caught.value)) < 200


# --- How a received body is read --------------------------------------------------------------------------------------


@given(json_values())
def test_what_was_sent_is_read(value):
    """Every JSON value comes back as it was, lone surrogates and large integers included."""
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON in UTF-8"),
        (b"{", "the body is not JSON in UTF-8"),
        (b"{}{}", "the body is not JSON in UTF-8"),
        (b"{'a': 1}", "the body is not JSON in UTF-8"),
        (b"[1,]", "the body is not JSON in UTF-8"),
        (b"01", "the body is not JSON in UTF-8"),
        (b'"\x01"', "the body is not JSON in UTF-8"),
        (b'"\\u12"', "the body is not JSON in UTF-8"),
        (b'"\xff"', "the body is not JSON in UTF-8"),
        (b'"\xed\xa0\x80"', "the body is not JSON in UTF-8"),
        (b"\xef\xbb\xbf{}", "the body is not JSON in UTF-8"),
        ("{}".encode("utf-16"), "the body is not JSON in UTF-8"),
        (b'{"a":1,"a":1}', "the body repeats a name within one object"),
        (b'{"a":1,"\\u0061":2}', "the body repeats a name within one object"),
        (b'[{"b":{"a":1,"c":2,"a":3}}]', "the body repeats a name within one object"),
        (b"NaN", "the body has NaN or Infinity, which are not JSON"),
        (b"[Infinity]", "the body has NaN or Infinity, which are not JSON"),
        (b'{"a":-Infinity}', "the body has NaN or Infinity, which are not JSON"),
        (b"1e400", "the body has a number too large to hold"),
        (b"-1e99999999999999999999", "the body has a number too large to hold"),
        (b"9" * 401, "the body has a number too large to hold"),
        (b"9" * 5_000, "the body has a number too large to hold"),
    ],
)
def test_what_is_not_strict_json_is_refused(body, message):
    """Two parsers that could disagree about one body are an attack, so nothing is read leniently."""
    with pytest.raises(PayloadError) as caught:
        parse_json(body)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a" : [1, 2.5, -0, null, true]}\r\n\t', {"a": [1, 2.5, 0, None, True]}),
        (b'{"a":{"a":1},"b":{"a":1}}', {"a": {"a": 1}, "b": {"a": 1}}),
        (b'"\\ud83d\\ude00\\ud83d"', "\N{GRINNING FACE}\ud83d"),
        (b"1e-999999", 0.0),
        (b"9" * 400, int("9" * 400)),
        (b'"' + b"[" * 1_000 + b'\\"' + b"{" * 1_000 + b'"', "[" * 1_000 + '"' + "{" * 1_000),
        (b"[" + b",".join([b"[]"] * 1_000) + b"]", [[]] * 1_000),
    ],
)
def test_strict_json_is_read(body, value):
    """Whitespace, names that recur in different objects, and brackets that are text are all fine."""
    assert parse_json(body) == value


def test_the_size_is_bounded():
    """A body of `max_bytes` is read, one byte more is not even looked at."""
    assert parse_json(b'"abc"', max_bytes=5) == "abc"
    with pytest.raises(PayloadError, match="the body has 5 bytes; at most 4 are parsed"):
        parse_json(b'"abc"', max_bytes=4)
    assert parse_json(b'"' + b"a" * 1_048_574 + b'"') == "a" * 1_048_574
    with pytest.raises(PayloadError, match="at most 1048576"):
        parse_json(b'"' + b"a" * 1_048_575 + b'"')


@pytest.mark.parametrize("body", [b"[" * 500_000, b'{"a":' * 200_000, b"[" * 65 + b"]" * 65, b'["]",' * 65])
def test_nesting_is_bounded_before_the_parser_sees_it(body):
    """A body of brackets is refused by counting them, never by a recursion."""
    with pytest.raises(PayloadError, match="nested more than 64 levels deep"):
        parse_json(body)


@given(json_values(st.text('[]{}"\\a', max_size=6)))
def test_the_nesting_limit_counts_what_is_nested(value):
    """Exactly the containers that lie in one another count; brackets inside strings do not."""
    body = json.dumps(value).encode()
    levels = depth(json.loads(body))
    assert parse_json(body, max_depth=levels) == value
    if levels:
        with pytest.raises(PayloadError, match=f"nested more than {levels - 1} levels"):
            parse_json(body, max_depth=levels - 1)


@given(
    st.binary()
    | st.text('[]{}":,\\ a1.eE+-', max_size=60).map(str.encode)
    | json_values().map(repr).map(ascii).map(str.encode)
)
def test_no_body_raises_anything_else(body):
    """Whatever bytes arrive are read as the standard parser reads them, or refused with our error."""
    try:
        value = parse_json(body)
    except PayloadError:
        return
    assert json.loads(body) == value


@pytest.mark.parametrize(
    "body", [b'{"a":"s3cret"', b'"s3cret\xff"', b'{"s3cret":1,"s3cret":2}', b"[" * 70 + b'"s3cret"']
)
def test_no_error_quotes_the_body(body):
    """What a stranger sent stays out of logs: neither the message nor a chained exception shows it."""
    with pytest.raises(PayloadError) as caught:
        parse_json(body)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
