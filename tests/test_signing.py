"""Signing keys as a host holds them, and what a verified request tells."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Event, InvalidKey, PayloadError, SigningKey, Verified
from hookkit.payloads import LOGTO, STANDARD
from hookkit.signing import MAX_KEYS, as_keys, live_keys, signing_keys
from strategies import event_types, json_values

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

# --- SigningKey -------------------------------------------------------------------------------------------------------


def test_a_key_shows_its_text_only_when_asked():
    """``value`` is the text; repr, asdict and pickle show none of it, copy and evolve keep the very key."""
    key = SigningKey(KEY)
    assert key.value == KEY
    for shown in (repr(key), str(attrs.asdict(key)), f"{key}"):
        assert "MfKQ" not in shown
        assert "***" in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    assert copy.deepcopy(key) == copy.copy(key) == key
    assert copy.deepcopy(key._value) is copy.copy(key._value) is key._value
    assert attrs.evolve(key, expires_at=NOW).value == KEY
    assert repr(key) == "SigningKey(_value='***', created_at=None, expires_at=None)"


def test_keys_are_equal_by_text_and_times():
    """Two keys of one text are one key in a set; another text or another end is another key."""
    assert SigningKey(KEY) == SigningKey(KEY)
    assert len({SigningKey(KEY), SigningKey(KEY), SigningKey("other")}) == 2
    assert SigningKey(KEY) != SigningKey("other")
    assert SigningKey(KEY) != SigningKey(KEY, expires_at=NOW)
    assert SigningKey(KEY) != KEY
    assert SigningKey(KEY)._value != KEY
    assert hash(SigningKey(KEY)) != hash(SigningKey("other"))
    assert SigningKey("\udcff") == SigningKey("\udcff") != SigningKey("\udcfe")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000"])
def test_a_blank_key_is_refused(text):
    """A setting that is missing must not become a key."""
    with pytest.raises(InvalidKey, match="empty"):
        SigningKey(text)


@pytest.mark.parametrize("value", [None, b"bytes", 1, ["text"]])
def test_a_key_is_text(value):
    """Anything else is a mistake in the program, named by its type and not by its value."""
    with pytest.raises(TypeError, match=type(value).__name__):
        SigningKey(value)


def test_a_key_keeps_its_times_in_utc():
    """Times are aware; whatever zone they come in, they are kept in UTC."""
    key = SigningKey(KEY, created_at=NOW.astimezone(timezone(timedelta(hours=2))), expires_at=NOW)
    assert key.created_at == NOW
    assert key.created_at.utcoffset() == timedelta(0)
    assert SigningKey(KEY).expires_at is None


@pytest.mark.parametrize(
    ("at", "error"),
    [(datetime(2026, 1, 1), ValueError), (1_800_000_000, TypeError), ("2026-01-01", TypeError)],  # noqa: DTZ001
)
def test_a_key_with_a_time_of_no_zone_is_refused(at, error):
    """A naive time would expire at another moment on every machine."""
    with pytest.raises(error):
        SigningKey(KEY, expires_at=at)
    with pytest.raises(error):
        SigningKey(KEY, created_at=at)


def test_a_key_expires_at_its_time():
    """From ``expires_at`` on it is expired, that moment included."""
    key = SigningKey(KEY, expires_at=NOW)
    assert not key.expired(NOW - timedelta(microseconds=1))
    assert key.expired(NOW)
    assert not SigningKey(KEY).expired(NOW)


def test_what_a_scheme_makes_of_a_key_is_made_once():
    """One parse for each form of each key, shared by copies; a failure is not kept."""
    calls: list[str] = []

    def parse(text: str) -> int:
        calls.append(text)
        return len(text)

    key = SigningKey("text")
    assert [key.parsed("length", parse), copy.copy(key).parsed("length", parse)] == [4, 4]
    assert attrs.evolve(key, expires_at=NOW).parsed("length", parse) == 4
    assert calls == ["text"]
    assert key.parsed("again", parse) == 4
    with pytest.raises(InvalidKey):
        key.parsed("broken", _refuse)
    with pytest.raises(InvalidKey):
        key.parsed("broken", _refuse)


def _refuse(text: str) -> int:
    raise InvalidKey("no")


def test_the_public_half_of_a_secret_key_is_what_receivers_get():
    """``public`` gives the ``whpk_`` key, valid as long as the secret one."""
    key = SigningKey(f" {SECRET}\n", created_at=NOW, expires_at=NOW + timedelta(days=1))
    assert key.public == SigningKey(PUBLIC, created_at=NOW, expires_at=NOW + timedelta(days=1))
    assert key.public.value == PUBLIC


@pytest.mark.parametrize("text", [KEY, PUBLIC, "anything", "whsk_AAAA", "whsk_!"])
def test_no_other_key_has_a_public_half(text):
    """A shared secret has none, a public key is one, and a damaged key is none at all."""
    with pytest.raises(InvalidKey):
        _ = SigningKey(text).public


# --- Several keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_keys",
    [KEY, SigningKey(KEY), [KEY], (SigningKey(KEY),), lambda: iter([KEY]), {KEY}, frozenset([SigningKey(KEY)])],
)
def test_a_key_may_come_alone_or_among_others(given_keys):
    """Text, a SigningKey, or any number of either up to 16."""
    for take in (as_keys, lambda keys: signing_keys(keys, NOW)):
        assert take(given_keys() if callable(given_keys) else given_keys) == (SigningKey(KEY),)


def test_sixteen_keys_are_taken_and_seventeen_are_not():
    """The bound on work is the number of keys times the number of signatures."""
    assert len(as_keys([f"key {number}" for number in range(MAX_KEYS)])) == 16
    with pytest.raises(InvalidKey, match="16"):
        as_keys(f"key {number}" for number in iter(int, 1))


@pytest.mark.parametrize("none", [None, "", " ", [], (), [""], [KEY, " "]])
def test_no_key_is_an_invalid_key(none):
    """Nothing is ever signed or verified without a key, and a blank one beside a good one is a mistake, too."""
    with pytest.raises(InvalidKey):
        as_keys(none)


@pytest.mark.parametrize("wrong", [b"whsec_", bytearray(b"k"), memoryview(b"k"), {"k": KEY}, 5, [5], [None], [b"k"]])
def test_what_is_no_key_is_a_type_error(wrong):
    """Bytes would be taken for a list of numbers, a dict for its names."""
    with pytest.raises(TypeError):
        as_keys(wrong)


def test_live_keys_keep_their_order_and_lose_the_expired():
    """Newest first stays newest first."""
    old, new = SigningKey("old", expires_at=NOW), SigningKey("new", expires_at=NOW + timedelta(seconds=1))
    assert live_keys([new, old, SigningKey("always")], NOW) == (new, SigningKey("always"))
    with pytest.raises(InvalidKey, match="expired"):
        live_keys([old], NOW)


def test_the_keys_that_sign_are_those_that_live():
    """Whatever they come in: the very tuple where nothing is to be done, else those that have not expired."""
    old, new, always = (
        SigningKey("old", expires_at=NOW),
        SigningKey("new", expires_at=NOW.max.replace(tzinfo=UTC)),
        SigningKey(KEY),
    )
    for several in ((always,), (always, SigningKey("b")), tuple([SigningKey("b")] * MAX_KEYS)):
        assert signing_keys(several, NOW) is several
    for several in ((always, old), [old, always], (KEY, old), [old, KEY]):
        assert signing_keys(several, NOW) == (always,)
    assert signing_keys((new, old, always), NOW) == (new, always)
    for none in ((), (old,), (" ",), tuple([always] * (MAX_KEYS + 1)), None):
        with pytest.raises(InvalidKey):
            signing_keys(none, NOW)
    with pytest.raises(TypeError):
        signing_keys((always, 5), NOW)


# --- Verified ---------------------------------------------------------------------------------------------------------


def verified(body: bytes, id: str | None = "evt_1") -> Verified:
    return Verified(id, NOW, body, id or "digest")


def test_the_repr_of_a_verified_request_does_not_show_its_body():
    """Bodies hold people's data, and reprs end up in logs."""
    shown = repr(verified(b'{"email":"a@b.example"}'))
    assert "<23 bytes>" in shown
    assert "example" not in shown


def test_the_body_is_parsed_strictly_on_demand():
    """``json()`` gives the value; what parsers could read differently is refused."""
    assert verified(b'{"a":[1,null]}').json() == {"a": [1, None]}
    with pytest.raises(PayloadError):
        verified(b'{"a":1,"a":2}').json()


times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
contexts = st.dictionaries(
    st.text().filter(lambda name: name not in {"event", "createdAt", "hookId", "data"}), json_values(), max_size=4
)


@given(event_types, json_values(), times)
def test_an_event_comes_back_from_a_standard_body(name, data, at):
    """What STANDARD wrote, ``event()`` reads, with the id that was verified."""
    sent = Event(name, data, id="evt_1", occurred_at=at)
    assert verified(STANDARD.encode(sent, endpoint_id="whk_1")).event() == sent


@pytest.mark.parametrize("encode", [STANDARD.encode, LOGTO.encode])
def test_an_event_has_the_id_that_was_verified_or_none(encode):
    """Whichever format the body has, the id is the request's, not the body's."""
    body = encode(Event("user.created", None, id="evt_0", occurred_at=NOW), endpoint_id="whk_1")
    assert verified(body, id="evt_1").event().id == "evt_1"
    assert verified(body, id=None).event().id == ""


@given(event_types, json_values(), times, contexts)
def test_an_event_comes_back_from_a_logto_body(name, data, at, context):
    """What LOGTO wrote, ``event()`` reads: context and all, but no id, no ``hookId``, and only milliseconds."""
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    sent = Event(name, data, occurred_at=at, context=context)
    for test in (False, True):
        body = LOGTO.encode(sent, endpoint_id="whk_1", test=test)
        received = verified(body, id=None).event()
        assert (received.type, received.occurred_at, received.id) == (name, at, "")
        # JavaScript has one kind of number and writes 1e16 as an integer, so it is the bytes that come back.
        assert LOGTO.encode(received, endpoint_id="whk_1", test=test) == body


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2022-11-03T20:26:10Z", datetime(2022, 11, 3, 20, 26, 10, tzinfo=UTC)),
        ("2022-11-03T20:26:10.344522Z", datetime(2022, 11, 3, 20, 26, 10, 344522, tzinfo=UTC)),
        ("2022-11-03T22:26:10.344522123+02:00", datetime(2022, 11, 3, 20, 26, 10, 344522, tzinfo=UTC)),
    ],
)
def test_other_senders_times_are_read(at, expected):
    """RFC 3339 with any zone, and nanoseconds as Go writes them, cut to microseconds."""
    event = verified(json.dumps({"type": "a", "timestamp": at, "data": {}}).encode()).event()
    assert event == Event("a", {}, id="evt_1", occurred_at=expected)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"type":"a"}',
        b'{"type":"a","timestamp":1614265330}',
        b'{"type":"a","timestamp":null}',
        b'{"type":"a","timestamp":"2022-11-03T20:26:10"}',
        b'{"type":"a","timestamp":"2022-11-03"}',
        b'{"type":"a","timestamp":"2022-13-03T20:26:10Z"}',
        b'{"type":"a","timestamp":"2022-11-03T20:26:60Z"}',
        b'{"type":"a","timestamp":"0001-01-01T00:00:00+23:00"}',
        b'{"type":"a","timestamp":"9999-12-31T23:00:00-23:00"}',
        '{"type":"a","timestamp":"２０22-11-03T20:26:10Z"}'.encode(),
        b'{"type":5,"timestamp":"2022-11-03T20:26:10Z"}',
        b'{"type":"a b","timestamp":"2022-11-03T20:26:10Z"}',
        b'{"type":{"name":"a"},"timestamp":"2022-11-03T20:26:10Z"}',
        b'{"type":"a","timestamp":"2022-11-03T20:26:10Z","data":' + b"9" * 390 + b"}",
        b'{"event":"a"}',
        b'{"event":"a","createdAt":7}',
        b'{"event":null,"createdAt":"2022-11-03T20:26:10Z"}',
    ],
)
def test_a_body_in_another_format_is_a_payload_error(body):
    """Nothing but PayloadError, whatever a verified sender put into the body."""
    with pytest.raises(PayloadError):
        verified(body).event()


@given(
    json_values() | st.dictionaries(st.sampled_from(["type", "timestamp", "event", "createdAt", "data"]), json_values())
)
def test_whatever_the_body_holds_it_is_an_event_or_a_payload_error(value):
    """No foreign exception leaves ``event()``."""
    try:
        event = verified(json.dumps(value).encode()).event()
    except PayloadError:
        return
    assert isinstance(event, Event)
