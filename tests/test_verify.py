"""``verify_signature``: whatever a framework hands over, and whatever a sender thinks of."""

from __future__ import annotations

import base64
import doctest
import http.client
import inspect
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import InvalidKey, SigningKey, VerificationError, verify_signature
from hookkit import verify as verify_module
from hookkit.keys import new_ed25519_pair
from hookkit.schemes import LOGTO, STANDARD, SVIX, HmacScheme

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECRET, PUBLIC = new_ed25519_pair(bytes)
BODY = b'{"test": 2432232314}'
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
NOW = 1614265330
AT = datetime.fromtimestamp(NOW, UTC)
HEADERS = {
    "webhook-id": ID,
    "webhook-timestamp": str(NOW),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
RAW = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
ENVIRON = {
    "wsgi.version": (1, 0),
    "wsgi.input": io.BytesIO(),
    "wsgi.multithread": True,
    "REQUEST_METHOD": "POST",
    "CONTENT_TYPE": "application/json",
    **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS.items()},
}


def verify(headers=HEADERS, body=BODY, keys=KEY, **options):
    return verify_signature(body, headers, keys, **{"now": NOW, **options})


def refused(headers=HEADERS, body=BODY, keys=KEY, **options) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify(headers, body, keys, **options)
    return caught.value


# --- Headers, as frameworks have them ---------------------------------------------------------------------------------


class Items:
    """Nothing but ``items()``, as aiohttp's and Werkzeug's headers: each occurrence is a pair."""

    def __init__(self, pairs):
        self.pairs = pairs

    def items(self):
        return iter(self.pairs)


class MultiItems(Items):
    """As Starlette's and Litestar's: ``items()`` drops repeated names, ``multi_items()`` does not."""

    def items(self):
        return dict(self.pairs).items()

    def multi_items(self):
        return list(self.pairs)


class Lists(dict):
    """As Django's and Werkzeug's multi-dicts: ``items()`` shows one value of a name, ``lists()`` all."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs

    def lists(self):
        found: dict[object, list[object]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        return found.items()


class Attributes(dict):
    """A dict whose members are attributes too: a header may be called ``lists``."""

    __getattr__ = dict.__getitem__


def message(pairs):
    found = http.client.HTTPMessage()
    for name, value in pairs:
        found[name] = value
    return found


CONTAINERS = {
    "dict": dict,
    "list": list,
    "tuple": tuple,
    "list of lists": lambda pairs: [list(pair) for pair in pairs],
    "mapping": lambda pairs: MappingProxyType(dict(pairs)),
    "items": Items,
    "multi_items": MultiItems,
    "lists": Lists,
    "attributes": lambda pairs: Attributes([*pairs, ("lists", "1"), ("multi_items", "1")]),
    "httpx": httpx.Headers,
    "http.client": message,
    "upper case": lambda pairs: [(name.upper(), value) for name, value in pairs],
    "bytes": lambda pairs: [(name.encode(), value.encode()) for name, value in pairs],
    "bytes in a dict": lambda pairs: {name.encode(): value.encode() for name, value in pairs},
    "listed values": lambda pairs: {name: [value] for name, value in pairs},
    "listed bytes": lambda pairs: {name: (value.encode(),) for name, value in pairs},
    "environ": lambda pairs: {**ENVIRON, **{"HTTP_" + n.upper().replace("-", "_"): v for n, v in pairs}},
    "environ as pairs": lambda pairs: [*ENVIRON.items()],
    "environ in a mapping": lambda pairs: MappingProxyType(ENVIRON),
    "other headers": lambda pairs: [("host", "a"), ("cookie", "b"), ("cookie", "c"), *pairs, ("x", ""), ("", "")],
    "str subclasses": lambda pairs: [
        (type("S", (str,), {})(name), type("S", (str,), {})(value)) for name, value in pairs
    ],
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_headers_come_in_any_container(container):
    """Whatever a framework keeps its headers in, the same request verifies."""
    assert verify(container(list(HEADERS.items()))).id == ID


SHOWING_ALL = ["list", "tuple", "items", "multi_items", "lists", "httpx", "http.client", "bytes", "upper case"]


@pytest.mark.parametrize("container", [CONTAINERS[name] for name in SHOWING_ALL], ids=SHOWING_ALL)
@pytest.mark.parametrize("name", HEADERS)
def test_a_repeated_header_is_refused_in_any_container(container, name):
    """Two parsers may each take another one of two headers; even two equal ones are one too many."""
    pairs = [*HEADERS.items(), (name, HEADERS[name])]
    assert refused(container(pairs)).reason == "duplicate_header"


@pytest.mark.parametrize(
    "headers",
    [
        {**HEADERS, "Webhook-Id": ID},
        {**HEADERS, b"WEBHOOK-ID": ID},
        {**HEADERS, "webhook-id": [ID, ID]},
        {**HEADERS, "webhook-id": (ID.encode(), "")},
        {**HEADERS, "WEBHOOK-ID": None},
    ],
)
def test_two_spellings_of_a_name_and_two_values_of_one_are_repeats(headers):
    """Case and kind of text make no other header, and a list of two is two."""
    assert refused(headers).reason == "duplicate_header"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("HTTP_WEBHOOK_ID", f"{ID},{ID}", "bad_signature"),
        ("HTTP_WEBHOOK_TIMESTAMP", f"{NOW},{NOW}", "invalid_timestamp"),
        ("HTTP_WEBHOOK_SIGNATURE", f"{HEADERS['webhook-signature']},{HEADERS['webhook-signature']}", "bad_signature"),
    ],
)
def test_repeats_that_a_wsgi_server_joined_do_not_verify(name, value, reason):
    """WSGI joins repeated headers with a comma, so that they cannot be told apart; none of them gets through."""
    assert refused({**ENVIRON, name: value}).reason == reason


def test_only_what_came_as_a_header_counts_in_an_environ():
    """An environ holds the server's own variables, too, and a sender cannot make headers look like one."""
    assert refused({"wsgi.version": (1, 0), **HEADERS}).reason == "missing_header"
    assert verify([*HEADERS.items(), ("wsgi.version", "(1, 0)"), ("HTTP_WEBHOOK_ID", "x")]).id == ID
    assert verify([*RAW, (b"wsgi.version", b"(1, 0)")]).id == ID
    assert verify([*HEADERS.items(), (b"wsgi.version", (1, 0))]).id == ID
    assert verify({**ENVIRON, 5: "x", b"HTTP_X": "y", None: None}).id == ID


@pytest.mark.parametrize(
    "wrong",
    [None, 5, "webhook-id: 1", b"webhook-id: 1", {1}, iter([]), object(), SimpleNamespace(items=5), HEADERS.items()],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_holds_no_headers_is_a_type_error(wrong):
    """A mistake in the program is named by its type."""
    with pytest.raises(TypeError, match="headers"):
        verify(wrong)


@pytest.mark.parametrize("junk", [None, 5, (), ("a",), ("a", "b", "c"), "ab", b"ab", {"a": "b"}, (None, None), (5, 5)])
def test_what_is_no_pair_of_texts_is_passed_over(junk):
    """Junk among the headers neither helps nor hurts."""
    assert verify([junk, *HEADERS.items(), junk]).id == ID
    assert refused([junk]).reason == "missing_header"


@pytest.mark.parametrize("value", [None, 5, 1.5, [], (), [None], [[ID]], {}, object(), bytearray(b"x")], ids=range(10))
def test_a_value_that_is_no_text_is_a_missing_header(value):
    """A header that matters and is not text cannot verify; no exception but ours says so."""
    for name in HEADERS:
        assert refused({**HEADERS, name: value}).reason == "missing_header"


# --- Bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda body: memoryview(body + body)[: len(body)], type("B", (bytes,), {})]
)
def test_the_body_is_bytes_and_is_returned_as_bytes(kind):
    """A buffer that the server will use again is copied: what was verified stays what it was."""
    found = verify(body=kind(BODY))
    assert type(found.body) is bytes
    assert found.body == BODY


def test_a_verified_body_does_not_follow_its_buffer():
    """Nobody can change what has been verified."""
    buffer = bytearray(BODY)
    found = verify(body=buffer)
    buffer[:] = bytes(len(buffer))
    assert found.body == BODY


@pytest.mark.parametrize("body", ["text", {"a": 1}, [1], None, 5, io.BytesIO(BODY)])
def test_a_decoded_or_parsed_body_is_a_type_error_that_says_how_to_get_the_raw_one(body):
    """What was decoded or parsed cannot be turned back into the signed bytes."""
    with pytest.raises(TypeError, match=rf"body: {type(body).__name__}; .*request\.get_data\(\)"):
        verify(body=body)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_beyond_the_bound_is_refused_before_it_is_read(kind):
    """The bound is inclusive, and comes before headers are looked at."""
    assert verify(body=kind(BODY), max_body_bytes=len(BODY)).body == BODY
    error = refused({}, kind(BODY), max_body_bytes=len(BODY) - 1)
    assert error.reason == "too_large"
    assert refused(body=kind(bytes(1_048_577))).reason == "too_large"


@pytest.mark.parametrize("body", [b"", b"\0", b"\xff\xfe\0", b"hello", b"\xef\xbb\xbf{}\r\n", b"[" * 100_000])
def test_a_body_is_never_decoded_or_parsed_to_verify_it(body):
    """Whatever the bytes are, they verify if they were signed."""
    assert verify(STANDARD.sign(body, [KEY], id="a", at=AT), body).body == body


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys", [KEY, SigningKey(KEY), [KEY], [OTHER, KEY], (SigningKey(OTHER), KEY), {KEY, OTHER}, [OTHER] * 15 + [KEY]]
)
def test_any_of_the_keys_may_have_signed(keys):
    """One key, or up to sixteen, as text or not."""
    assert verify(keys=keys).id == ID


@pytest.mark.parametrize("headers", [HEADERS, {}])
@pytest.mark.parametrize(
    "keys", [None, "", " \n", [], (), [""], [KEY, ""], [KEY, "!"], [KEY, SECRET], SECRET, "whsec_", [KEY] * 17]
)
def test_a_bad_key_is_an_invalid_key_whatever_the_request(keys, headers):
    """A mistake of the host shows with the first request, good or bad, and even beside a good key."""
    with pytest.raises(InvalidKey):
        verify(headers, keys=keys)


@pytest.mark.parametrize("keys", [b"whsec_", [None], [5], {"key": KEY}, 5])
def test_what_is_no_key_at_all_is_a_type_error(keys):
    """Bytes, numbers and dicts are mistakes in the program."""
    with pytest.raises(TypeError):
        verify(keys=keys)


def test_an_expired_key_is_skipped():
    """From its ``expires_at`` on it verifies nothing; if no other is left there is no key."""
    expired = SigningKey(KEY, expires_at=AT)
    live = SigningKey(KEY, expires_at=AT + timedelta(seconds=1))
    assert verify(keys=live).id == ID
    assert verify(keys=[expired, KEY]).id == ID
    assert verify(keys=[SigningKey("!", expires_at=AT), KEY]).id == ID
    assert refused(keys=[expired, OTHER]).reason == "bad_signature"
    with pytest.raises(InvalidKey, match="expired"):
        verify(keys=expired)


def test_a_public_key_is_no_hmac_key_and_an_hmac_key_answers_no_v1a():
    """The kinds of keys and of signatures never cross, also where both kinds are configured."""
    both = STANDARD.sign(BODY, [SECRET, KEY], id=ID, at=AT)
    ed25519, hmac = both["webhook-signature"].split(" ")
    for text, keys, good in [
        (ed25519, PUBLIC, True),
        (hmac, KEY, True),
        (ed25519, [OTHER, PUBLIC], True),
        (hmac, [PUBLIC, KEY], True),
        (ed25519, KEY, False),
        (hmac, PUBLIC, False),
        (ed25519.replace("v1a,", "v1,"), [KEY, PUBLIC], False),
        (hmac.replace("v1,", "v1a,"), [KEY, PUBLIC], False),
    ]:
        headers = {**both, "webhook-signature": text}
        if good:
            assert verify(headers, keys=keys).id == ID
        else:
            assert refused(headers, keys=keys).reason == "bad_signature"


# --- Time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now",
    [NOW, NOW + 0.999, float(NOW), AT, AT + timedelta(microseconds=999_999), AT.astimezone(), NOW + 300.9, NOW - 300],
)
def test_now_is_an_aware_time_or_unix_seconds(now):
    """Either way it counts in whole seconds, and both ends of the window are inside."""
    assert verify(now=now).timestamp == AT


@pytest.mark.parametrize(
    ("now", "tolerance", "reason"),
    [
        (NOW + 301, None, "timestamp_too_old"),
        (NOW - 301, None, "timestamp_too_new"),
        (AT + timedelta(seconds=301), None, "timestamp_too_old"),
        (NOW + 1, 0, "timestamp_too_old"),
        (NOW - 1, 0, "timestamp_too_new"),
        (NOW + 11, 10, "timestamp_too_old"),
        (NOW + 61, timedelta(minutes=1), "timestamp_too_old"),
        (NOW + 86_401, timedelta(hours=24), "timestamp_too_old"),
        (0, None, "timestamp_too_new"),
        (253_402_214_399, None, "timestamp_too_old"),
    ],
)
def test_outside_the_window_a_good_signature_is_too_old_or_too_new(now, tolerance, reason):
    """The tolerance that is given replaces the scheme's, and none turns the window off."""
    error = refused(now=now, tolerance=tolerance)
    assert error.reason == reason
    assert "s are allowed" in error.hint


def test_a_tolerance_may_be_wider_than_the_schemes():
    """Up to 24 hours, both ways and inclusive."""
    assert verify(now=NOW + 86_400, tolerance=86_400).timestamp == AT
    assert verify(now=NOW - 86_400, tolerance=timedelta(hours=24)).timestamp == AT
    assert verify(tolerance=0).timestamp == AT


def test_a_forged_request_does_not_learn_about_the_clock():
    """The signature comes first: only what verified is told that it is late."""
    assert refused(keys=OTHER, now=NOW + 9999).reason == "bad_signature"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"now": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001
        ({"now": -1}, ValueError),
        ({"now": NOW * 1000}, ValueError),
        ({"now": float("nan")}, ValueError),
        ({"now": float("inf")}, ValueError),
        ({"now": datetime.max.replace(tzinfo=UTC)}, ValueError),
        ({"now": "1614265330"}, TypeError),
        ({"now": True}, TypeError),
        ({"tolerance": -1}, ValueError),
        ({"tolerance": timedelta(hours=24, microseconds=1)}, ValueError),
        ({"tolerance": float("nan")}, ValueError),
        ({"tolerance": "300"}, TypeError),
    ],
)
def test_a_wrong_option_is_the_programs_mistake(options, error):
    """ValueError for a value, TypeError for a type; never a request that verifies anyway."""
    with pytest.raises(error):
        verify(**options)


def test_without_now_the_clock_is_read():
    """The usual call gives no time."""
    headers = STANDARD.sign(BODY, [KEY], id=ID, at=datetime.now(UTC))
    assert abs(verify_signature(BODY, headers, KEY).timestamp.timestamp() - time.time()) < 60
    with pytest.raises(VerificationError, match="timestamp_too_old"):
        verify_signature(BODY, HEADERS, KEY)


# --- The grammar of Standard Webhooks ---------------------------------------------------------------------------------

GOOD = HEADERS["webhook-signature"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, "ok"),
        (f"{GOOD},", "ok"),
        (f"v1,bad {GOOD}", "ok"),
        (f"v1,bad,\t \t{GOOD},", "ok"),
        (f", ,, {GOOD}", "ok"),
        (f"v2,x junk v1a,AAAA {GOOD}", "ok"),
        (f"é \udcff\0 {GOOD}", "ok"),
        (" ".join(["x"] * 15 + [GOOD]), "ok"),
        (" ".join(["x"] * 16 + [GOOD]), "too_large"),
        (" ".join(["," * 9] * 16 + [GOOD]), "too_large"),
        (f"{GOOD},,", "bad_signature"),
        (f"{GOOD},extra", "bad_signature"),
        (f",{GOOD}", "bad_signature"),
        (GOOD.replace(",", "="), "bad_signature"),
        (GOOD.replace(",", ", "), "bad_signature"),
        (GOOD.removeprefix("v1,"), "bad_signature"),
        (GOOD.upper(), "bad_signature"),
        (f"{GOOD}\n", "bad_signature"),
        (f"{GOOD}\u00a0{GOOD}", "bad_signature"),
        (f"{GOOD};{GOOD}", "bad_signature"),
        (GOOD.rstrip("="), "bad_signature"),
        (f"{GOOD}=", "bad_signature"),
        (GOOD.replace("E=", "F="), "bad_signature"),
        (GOOD.replace("+", "-").replace("/", "_"), "bad_signature"),
        ("v1,", "bad_signature"),
        ("v1", "bad_signature"),
        (",", "bad_signature"),
        ("?", "bad_signature"),
    ],
)
def test_signatures_are_tokens(text, expected):
    """Split on space and tab, one trailing comma dropped, what is unknown or malformed skipped, at most sixteen."""
    headers = {**HEADERS, "webhook-signature": text}
    if expected == "ok":
        assert verify(headers).id == ID
    else:
        assert refused(headers).reason == expected


@pytest.mark.parametrize("length", [1, 128])
def test_an_id_is_printable_ascii(length):
    """1 to 128 characters without space and full stop."""
    for character in map(chr, {*range(0x21, 0x7F)} - {ord(".")}):
        headers = STANDARD.sign(BODY, [KEY], id=character * length, at=AT)
        assert verify(headers).id == character * length


@pytest.mark.parametrize("id", ["a.b", ".", "a b", "a\tb", "a\0", "\x7f", "é", "a\r\nb", "a" * 129, "\udcff", "\u3000"])
def test_any_other_id_is_invalid_before_the_signature_is_looked_at(id):
    """A full stop could move the seam between id and timestamp; nothing is computed over such a request."""
    assert refused({**HEADERS, "webhook-id": id}).reason == "invalid_id"


@pytest.mark.parametrize(
    "text",
    [
        *"01614265330 00 +1614265330 -1 1614265330.0 1_614_265_330 1614265330s 0x6037 1e9 nan inf".split(),
        *("1614265330000", "1614265330\n", "１６１４２６５３３０", "²", "١", "9" * 4000, "\udcff", "\0", ""),
    ],
)
def test_a_timestamp_has_one_spelling(text):
    """Plain digits, no leading zero, at most twelve; an empty one is missing."""
    assert refused({**HEADERS, "webhook-timestamp": text}).reason == ("invalid_timestamp" if text else "missing_header")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"webhook-id": "x" * 4097, "webhook-timestamp": ""}, "too_large"),
        ({"webhook-id": "", "webhook-signature": "x" * 4097}, "too_large"),
        ({"webhook-id": [ID, "x" * 4097]}, "too_large"),
        ({"webhook-signature": " " * 4097}, "too_large"),
        ({"webhook-id": "", "webhook-timestamp": "x"}, "missing_header"),
        ({"webhook-id": "", "webhook-signature": "x" * 4096}, "missing_header"),
        ({"webhook-id": "a.b", "webhook-timestamp": "x"}, "invalid_id"),
        ({"webhook-signature": f"{GOOD}{' ' * (4096 - len(GOOD))}"}, "ok"),
    ],
)
def test_sizes_come_before_presence_and_presence_before_grammar(changed, reason):
    """Of several faults the first in this order is the reason; 4,096 characters are allowed."""
    headers = {**HEADERS, **changed}
    if reason == "ok":
        assert verify(headers).id == ID
    else:
        assert refused(headers).reason == reason


def test_nothing_is_computed_where_no_signature_could_match(monkeypatch):
    """Junk costs its reading, and no pass over the body, whichever way the headers come."""
    key = SigningKey(KEY)
    verify(keys=key)  # now it is parsed
    monkeypatch.setattr("hookkit.keys.HmacKey.sign", lambda *_: pytest.fail("computed a MAC"))
    for changed, reason in [
        *(({"webhook-signature": text}, "bad_signature") for text in ("junk", "v2,AAAA", "v1a,AAAA", "v1,", "v1")),
        *(({"webhook-signature": text + GOOD[3:]}, "bad_signature") for text in ("v2,", "v1=", "V1,", "v1a,", "v1,A")),
        ({"webhook-signature": " ".join([GOOD] * 17)}, "too_large"),
        ({"webhook-signature": GOOD + " " * 4096}, "too_large"),
        ({"webhook-timestamp": "x"}, "invalid_timestamp"),
        ({"webhook-timestamp": "0" + HEADERS["webhook-timestamp"]}, "invalid_timestamp"),
        ({"webhook-id": "a.b"}, "invalid_id"),
        ({"Webhook-Id": ID}, "duplicate_header"),
    ]:
        headers = {**HEADERS, **changed}
        assert refused(headers, keys=key).reason == reason
        assert refused([*headers.items()], keys=key).reason == reason


# --- Hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "scheme", "says"),
    [
        (SVIX.sign(BODY, [KEY], id=ID, at=AT), STANDARD, "hookkit.schemes.SVIX"),
        (LOGTO.sign(BODY, [KEY], id=ID, at=AT), STANDARD, "hookkit.schemes.LOGTO"),
        (HEADERS, LOGTO, "hookkit.schemes.STANDARD"),
        ({"HTTP_WEBHOOK_ID": ID}, STANDARD, "request.headers"),
        ({"webhook-id": ID}, STANDARD, "webhook-timestamp, webhook-signature"),
        ({}, SVIX, "svix-id, svix-timestamp, svix-signature"),
    ],
)
def test_the_hint_of_a_missing_header_says_what_came_instead(headers, scheme, says):
    """The usual causes are another sender's scheme and another object than the headers."""
    error = refused(headers, scheme=scheme)
    assert error.reason == "missing_header"
    assert says in error.hint


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        {**HEADERS, "webhook-id": "SENTINEL.SENTINEL"},
        {**HEADERS, "webhook-timestamp": "SENTINEL"},
        {**HEADERS, "webhook-signature": "v1,SENTINEL"},
        {**HEADERS, "webhook-signature": "SENTINEL " * 17},
        {**HEADERS, "webhook-signature": ["SENTINEL", "SENTINEL"]},
        {"SENTINEL": "SENTINEL"},
    ],
)
def test_no_error_shows_anything_of_the_request_or_the_key(headers):
    """Errors end up in logs and replies: no key, no signature, no body, nothing that a sender wrote."""
    error = refused(headers, b"SENTINEL", keys=[OTHER])
    shown = f"{error} {error!r} {error.args}"
    for hidden in ("SENTINEL", OTHER[6:20], GOOD[3:20], ID):
        assert hidden not in shown


# --- Schemes ----------------------------------------------------------------------------------------------------------


class Stamped:
    """A host's own scheme, with what :class:`hookkit.protocols.Verifier` asks for and no more."""

    header_names = frozenset({"x-stamp"})

    def __init__(self):
        self.given = None

    def verify(self, body, headers, keys, **options):
        self.given = (body, headers, keys, options)
        raise VerificationError("missing_header", "no x-stamp")


def test_a_hosts_own_scheme_gets_everything_in_one_form():
    """Bytes, lower-case names with lists of text, live SigningKeys, whole seconds."""
    scheme = Stamped()
    refused(
        [("X-Stamp", b"1"), (b"x-STAMP", "2")], bytearray(BODY), [SigningKey("a", expires_at=AT), "b"],
        scheme=scheme, now=NOW + 0.5, tolerance=60, method="PUT", url="https://a.example/",
    )  # fmt: skip
    assert scheme.given == (
        BODY,
        {"x-stamp": ["1", "2"]},
        (SigningKey("b"),),
        {"now": NOW, "tolerance": timedelta(seconds=60), "method": "PUT", "url": "https://a.example/"},
    )


def test_a_signer_that_cannot_verify_is_a_type_error():
    """A Signer needs ``verify`` to be a scheme here."""
    with pytest.raises(TypeError, match="cannot verify"):
        verify(scheme=object())


# --- Properties -------------------------------------------------------------------------------------------------------

event_ids = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="."), min_size=1, max_size=128
)
hmac_keys = st.binary(min_size=24, max_size=64).map(lambda raw: "whsec_" + base64.b64encode(raw).decode())
pairs = st.binary(min_size=32, max_size=32).map(lambda seed: new_ed25519_pair(lambda count: seed[:count]))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.binary(), event_ids, hmac_keys, moments, st.sampled_from([STANDARD, SVIX]))
def test_what_is_signed_with_any_key_verifies(body, id, key, at, scheme):
    """For any body, id, key and time."""
    found = verify_signature(body, scheme.sign(body, [key], id=id, at=at), key, scheme=scheme, now=at)
    assert (found.id, found.timestamp, found.body, found.dedupe_key) == (id, at.replace(microsecond=0), body, id)


@given(st.binary(), event_ids, pairs, hmac_keys)
def test_what_is_signed_with_ed25519_verifies_with_the_public_key(body, id, pair, key):
    """Beside an HMAC signature, in whichever order."""
    for keys in ([pair[0], key], [key, pair[0]]):
        headers = STANDARD.sign(body, keys, id=id, at=AT)
        assert verify(headers, body, pair[1]).id == id
        assert verify(headers, body, key).id == id


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_changed_byte_fails(body, data):
    """One byte of body, id, timestamp or signature, changed, added or taken away."""
    headers = STANDARD.sign(body, [KEY], id=ID, at=AT)
    part = data.draw(st.sampled_from(["body", *headers]))
    original = body if part == "body" else headers[part].encode()
    at = data.draw(st.integers(0, len(original) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda new: new != original[at]))
    changed = data.draw(
        st.sampled_from(
            [
                original[:at] + bytes([byte]) + original[at + 1 :],
                original[:at] + bytes([byte]) + original[at:],
                original[:at] + original[at + 1 :],
            ]
        )
    )
    if part == "body":
        if changed != original:
            refused(headers, changed)
    elif changed.strip(b", \t" if part == "webhook-signature" else b" \t") != original:
        refused({**headers, part: changed}, body)


names = st.sampled_from([*HEADERS, "svix-id", "logto-signature-sha-256", "x-sig", "wsgi.version", "HTTP_WEBHOOK_ID"])
texts = (
    st.text(st.characters(), max_size=60)
    | st.text("v1a,.= \t0123456789", max_size=60)
    | st.sampled_from([*HEADERS.values()])
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
field_names = names | names.map(str.upper) | names.map(str.encode) | texts | st.binary(max_size=20) | st.none()
values = texts | texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | anything
FIELDS_SCHEME = HmacScheme("f", "x-sig", signed="{timestamp}.{body}", timestamp_field="t", signature_field="v1")
JSON_SCHEME = HmacScheme("j", "x-sig", timestamp_json="t")


@given(
    st.binary(max_size=60),
    st.lists(st.tuples(field_names, values) | anything, max_size=8),
    st.sampled_from([list, tuple, Items, MultiItems, "dict"]),
    st.sampled_from([STANDARD, SVIX, LOGTO, FIELDS_SCHEME, JSON_SCHEME]),
    st.sampled_from([KEY, PUBLIC, [KEY, PUBLIC, OTHER]]),
)
def test_whatever_arrives_nothing_but_a_verification_error_escapes(body, fields, container, scheme, keys):
    """Any bytes, any headers, in any container and for every scheme."""
    if isinstance(container, str):
        headers = {pair[0]: pair[1] for pair in fields if isinstance(pair, tuple) and isinstance(pair[0], (str, bytes))}
    elif container is MultiItems:
        headers = MultiItems([pair for pair in fields if isinstance(pair, tuple)])
    else:
        headers = container(fields)
    keys = KEY if isinstance(scheme, HmacScheme) else keys
    with pytest.raises(VerificationError) as caught:
        verify_signature(body, headers, keys, scheme=scheme, now=NOW)
    assert caught.value.reason in REASONS
    assert caught.value.hint


REASONS = {
    "missing_header", "duplicate_header", "invalid_id", "invalid_timestamp", "timestamp_too_old", "timestamp_too_new",
    "malformed_signature", "bad_signature", "bad_digest", "too_large",
}  # fmt: skip


@given(st.binary(max_size=40), *[texts.map(lambda text: text.encode("utf-8", "surrogatepass"))] * 3)
def test_a_full_set_of_any_bytes_is_refused(body, id, stamp, signature):
    """All three headers present, each of them anything."""
    refused([(b"webhook-id", id), (b"webhook-timestamp", stamp), (b"webhook-signature", signature)], body + b"!")


def test_a_flood_of_headers_and_tokens_is_refused_in_one_pass():
    """A megabyte of tokens, a hundred thousand headers, ten thousand repeats: each ends at a cap."""
    assert refused({**HEADERS, "webhook-signature": f"{GOOD} " * 20_000}).reason == "too_large"
    assert refused({**HEADERS, "webhook-signature": "x " * 2000}).reason == "too_large"
    assert refused([*HEADERS.items(), *[("webhook-id", ID)] * 10_000]).reason == "duplicate_header"
    assert verify([*((f"x-{number}", "1") for number in range(100_000)), *HEADERS.items()]).id == ID


# --- What it costs to import ------------------------------------------------------------------------------------------

LOADED = """
import json, sys, time
import hookkit
headers = json.loads(sys.argv[1])
keys = [sys.argv[3], hookkit.SigningKey(sys.argv[3])]
hookkit.verify_signature(sys.argv[2].encode(), headers, keys, now=int(sys.argv[4]))
try:
    hookkit.verify_signature(b"", {}, sys.argv[3])
except hookkit.VerificationError:
    pass
print(json.dumps(sorted(sys.modules)))
"""


def test_verifying_an_hmac_signature_loads_no_heavy_module():
    """Neither the HTTP client, nor ``cryptography``, nor a database, nor an event loop, nor the sender's values."""
    arguments = [json.dumps(HEADERS), BODY.decode(), KEY, str(NOW)]
    run = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout))
    assert "hookkit.verify" in loaded
    heavy = "httpx httpcore cryptography sqlite3 asyncio hookkit.model hookkit.protocols hookkit.event"
    assert not loaded & set(heavy.split())


def test_headers_with_bytes_do_not_warn_under_bb():
    """``python -bb`` makes an error of every comparison of bytes and text; none is made."""
    pairs = [*RAW, (b"wsgi.version", (1, 0))]
    code = f"import hookkit; hookkit.verify_signature({BODY!r}, {pairs!r}, {KEY!r}, now={NOW})"
    subprocess.run([sys.executable, "-bb", "-c", code], check=True)


def test_the_example_in_the_documentation_runs():
    """What the docstring shows is what happens."""
    assert doctest.testmod(verify_module) == (0, 5)


def test_the_signature_of_the_function_is_the_contract():
    """Names and defaults of the arguments, in their order."""
    parameters = inspect.signature(verify_signature).parameters
    assert " ".join(parameters) == "body headers keys scheme now tolerance method url max_body_bytes"
    assert parameters["scheme"].default is STANDARD
    assert parameters["max_body_bytes"].default == 1_048_576
    assert all(parameters[name].default is None for name in ("now", "tolerance", "method", "url"))
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(parameters.values())[3:])
