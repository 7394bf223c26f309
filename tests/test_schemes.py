"""Signature schemes: what is signed and sent, and that every parameter of :class:`HmacScheme` means what it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import InvalidKey, PayloadError, SigningKey, VerificationError, verify_signature
from hookkit.checks import as_tolerance, header_text, unix_time
from hookkit.event import check_id
from hookkit.keys import HmacKey, new_ed25519_pair
from hookkit.schemes import BUILTIN, LOGTO, STANDARD, SVIX, HmacScheme, Scheme, StandardScheme, TokenScheme
from hookkit.signing import MAX_KEYS
from senders import BODY, body_of, covers_id, covers_time

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECRET, PUBLIC = new_ed25519_pair(bytes)
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SECONDS = 1614265330
AT = datetime.fromtimestamp(SECONDS, UTC)

# Stand-ins for vendors, one for each way in which they differ.
STRIPE_LIKE = HmacScheme(
    "stripe-like", "Stripe-Signature", signed="{timestamp}.{body}", timestamp_field="t", signature_field="v1"
)
WORKOS_LIKE = HmacScheme(
    "workos-like", "x-sig", signed="{timestamp}.{body}", separator=", ", timestamp_field="t", signature_field="v1",
    timestamp_unit="ms", tolerance=180,
)  # fmt: skip
PADDLE_LIKE = HmacScheme(
    "paddle-like", "x-sig", signed="{timestamp}:{body}", separator=";", timestamp_field="ts", signature_field="h1",
    tolerance=timedelta(seconds=5),
)  # fmt: skip
SLACK_LIKE = HmacScheme(
    "slack-like", "X-Slack-Signature", signed="v0:{timestamp}:{body}", prefix="v0=", timestamp_header="X-Slack-Time"
)
GITHUB_LIKE = HmacScheme("github-like", "X-Hub-Signature-256", prefix="sha256=", id_header="X-Delivery")
SHOPIFY_LIKE = HmacScheme("shopify-like", "x-hmac", encoding="base64")
LINEAR_LIKE = HmacScheme("linear-like", "x-sig", timestamp_json="webhookTimestamp", timestamp_unit="ms", tolerance=60)
APPWRITE_LIKE = HmacScheme("appwrite-like", "x-sig", signed="{url}{body}", encoding="base64", digest="sha1")
COLON_LIKE = HmacScheme(
    "colon-like", "x-sig", signed="{method}|{timestamp}:{id}:{body}", timestamp_header="x-time", id_header="x-id"
)
FIELDS_LIKE = HmacScheme("fields-like", "x-sig", signature_field="v1")
COMMAS_LIKE = HmacScheme("commas-like", "x-sig", prefix="sha256=", separator=",")
SPACES_LIKE = HmacScheme("spaces-like", "x-sig", separator=" ")

STAND_INS = [
    STRIPE_LIKE,
    WORKOS_LIKE,
    PADDLE_LIKE,
    SLACK_LIKE,
    GITHUB_LIKE,
    SHOPIFY_LIKE,
    LINEAR_LIKE,
    APPWRITE_LIKE,
    COLON_LIKE,
    FIELDS_LIKE,
    COMMAS_LIKE,
    SPACES_LIKE,
]
ALL = [*BUILTIN.values(), *STAND_INS]
TIMED = [scheme for scheme in ALL if covers_time(scheme)]
SIGNING = [scheme for scheme in ALL if not isinstance(scheme, TokenScheme)]
URL = "https://receiver.example/hook?a=1"


def names(scheme):
    return getattr(scheme, "name", None) or "+".join(getattr(scheme, "families", [type(scheme).__name__]))


def mac(message: bytes, key: str = KEY, digest: str = "sha256") -> bytes:
    return hmac.new(key.encode(), message, digest).digest()


def sign(scheme, body=BODY, keys=(KEY,), **changed):
    return scheme.sign(body, list(keys), **{"id": ID, "at": AT, "method": "POST", "url": URL, **changed})


def verify(scheme, headers, body=BODY, keys=(KEY,), **changed):
    options = {"scheme": scheme, "now": SECONDS, "method": "POST", "url": URL, **changed}
    return verify_signature(body, headers, list(keys), **options)


def reason(scheme, headers, body=BODY, keys=(KEY,), **changed):
    with pytest.raises(VerificationError) as caught:
        verify(scheme, headers, body, keys, **changed)
    return caught.value.reason


# --- All of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ALL, ids=names)
def test_what_a_scheme_signs_it_verifies(scheme):
    """A signed request verifies, says only what is covered, and has a key to recognise it by."""
    body = body_of(scheme)
    headers = sign(scheme, body)
    assert headers.keys() <= scheme.header_names
    assert all(name == name.lower() for name in headers)
    found = verify(scheme, headers, body)
    assert found.id == (ID if covers_id(scheme) else None)
    assert found.timestamp == (AT if covers_time(scheme) else None)
    assert found.body == body
    assert found.dedupe_key == (ID if covers_id(scheme) else hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("scheme", SIGNING, ids=names)
def test_one_changed_byte_of_the_body_is_seen(scheme):
    """Whatever else a scheme covers, it covers the body; only a static token signs nothing."""
    body = body_of(scheme)
    assert reason(scheme, sign(scheme, body), body + b" ") == "bad_signature"
    assert reason(scheme, sign(scheme, body), body, keys=[OTHER]) == "bad_signature"


@pytest.mark.parametrize("scheme", ALL, ids=names)
@pytest.mark.parametrize("change", ["missing", "empty", "twice", "long"])
def test_a_header_that_matters_comes_once_and_short(scheme, change):
    """Each header that a scheme reads is required, once, and bounded; those it only sends are not looked at."""
    body = body_of(scheme)
    headers = sign(scheme, body)
    for name in headers:
        pairs = [(other, value) for other, value in headers.items() if other != name]
        pairs += {
            "missing": [],
            "empty": [(name, " \t ")],
            "twice": [(name, headers[name]), (name.upper(), headers[name])],
            "long": [(name, headers[name] + " " * 5000)],
        }[change]
        if name == getattr(scheme, "id_header", None) and not covers_id(scheme):
            assert verify(scheme, pairs, body).id is None
            continue
        expected = {"twice": "duplicate_header", "long": "too_large"}.get(change, "missing_header")
        assert reason(scheme, pairs, body) == expected


@pytest.mark.parametrize("scheme", ALL, ids=names)
def test_white_space_around_a_value_is_not_part_of_it(scheme):
    """HTTP says so (RFC 9110 §5.5), and what is signed is the trimmed text."""
    body = body_of(scheme)
    assert verify(scheme, {name: f" \t{value} " for name, value in sign(scheme, body).items()}, body).body == body


@pytest.mark.parametrize("scheme", TIMED, ids=names)
def test_the_window_is_the_schemes_own_inclusive_and_both_ways(scheme):
    """At the edge it verifies, one second beyond it does not; an old and a new timestamp have reasons of their own."""
    body = body_of(scheme)
    headers, width = sign(scheme, body), int(scheme.tolerance.total_seconds())
    for now, expected in [
        (SECONDS + width, None),
        (SECONDS - width, None),
        (SECONDS + width + 1, "timestamp_too_old"),
        (SECONDS - width - 1, "timestamp_too_new"),
    ]:
        if expected is None:
            assert verify(scheme, headers, body, now=now).timestamp == AT
        else:
            assert reason(scheme, headers, body, now=now) == expected


@pytest.mark.parametrize("scheme", ALL, ids=names)
def test_signing_needs_a_key_that_is_still_valid(scheme):
    """An expired key signs nothing, and none at all is an error, not an unsigned request."""
    expired, live = SigningKey(OTHER, expires_at=AT), SigningKey(KEY, expires_at=AT + timedelta(microseconds=1))
    body = body_of(scheme)
    assert sign(scheme, body, keys=[expired, live]) == sign(scheme, body, keys=[KEY])
    for keys in ([expired], (expired,), [], (), [" "]):
        with pytest.raises(InvalidKey):
            sign(scheme, body, keys=keys)


@pytest.mark.parametrize("scheme", ALL, ids=names)
def test_signing_needs_bytes_and_an_aware_time(scheme):
    """Text would be signed as other bytes than are sent, a naive time as another instant."""
    with pytest.raises(TypeError, match="str"):
        sign(scheme, body="text")
    with pytest.raises(TypeError, match="at: int; give an aware datetime"):
        sign(scheme, body_of(scheme), at=SECONDS)
    with pytest.raises(ValueError, match="naive"):
        sign(scheme, body_of(scheme), at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="1970"):
        sign(scheme, body_of(scheme), at=datetime(1969, 12, 31, tzinfo=UTC))


@given(st.sampled_from([STANDARD, SVIX, COLON_LIKE]), st.text(max_size=130) | st.text("ab.: ~!\x7f", max_size=8))
def test_an_id_is_signed_only_if_it_verifies(scheme, id):
    """Whatever id is given, signing raises ValueError or its headers verify; an event could have it just the same."""
    try:
        check_id(id)
        allowed = scheme is not COLON_LIKE or ":" not in id
    except PayloadError:
        allowed = False
    if allowed:
        assert verify(scheme, sign(scheme, id=id)).id == id
    else:
        with pytest.raises(ValueError, match="id"):
            sign(scheme, id=id)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_signed_alike(kind):
    """A view of a buffer is the bytes it shows."""
    assert sign(STANDARD, kind(BODY)) == sign(STANDARD, BODY)
    assert sign(LOGTO, kind(BODY)) == sign(LOGTO, BODY)


# --- Standard Webhooks ------------------------------------------------------------------------------------------------


def test_standard_signs_once_for_each_live_key_newest_first():
    """``v1`` for HMAC keys, ``v1a`` for Ed25519 keys, joined by single spaces."""
    headers = sign(STANDARD, keys=[OTHER, SECRET, KEY])
    alone = [sign(STANDARD, keys=[key])["webhook-signature"] for key in (OTHER, SECRET, KEY)]
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": str(SECONDS),
        "webhook-signature": " ".join(alone),
    }
    assert [text.partition(",")[0] for text in alone] == ["v1", "v1a", "v1"]
    assert alone[2] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_any_receiver_of_a_rotation_can_verify():
    """Whoever has one of the keys, old, new or public, accepts the same headers."""
    headers = sign(STANDARD, keys=[OTHER, SECRET, KEY])
    for key in (OTHER, KEY, PUBLIC):
        assert verify(STANDARD, headers, keys=[key]).id == ID


def test_sixteen_keys_make_headers_that_verify():
    """The most keys that sign are the most signatures that are read, and the header stays within its bound."""
    keys = [new_ed25519_pair(lambda _, n=n: bytes([n] * 32)) for n in range(MAX_KEYS)]
    headers = sign(STANDARD, keys=[secret for secret, _ in keys])
    assert verify(STANDARD, headers, keys=[keys[-1][1]]).id == ID
    with pytest.raises(InvalidKey, match="16"):
        sign(STANDARD, keys=[KEY] * 17)


def test_a_key_signs_or_verifies_as_its_kind_allows():
    """A public key signs nothing, a secret Ed25519 key verifies nothing, each beside a good one, too."""
    with pytest.raises(InvalidKey, match="whsk_"):
        sign(STANDARD, keys=[KEY, PUBLIC])
    with pytest.raises(InvalidKey, match="whpk_"):
        verify(STANDARD, sign(STANDARD), keys=[KEY, SECRET])


def test_an_attempts_time_is_sent_in_whole_seconds_of_utc():
    """Fractions are cut, and a zone makes no other instant of it."""
    at = (AT + timedelta(microseconds=999_999)).astimezone()
    assert sign(STANDARD, at=at) == sign(STANDARD, at=AT)


def test_svix_sends_its_own_headers():
    """The first family is what signing uses."""
    assert sign(SVIX) == {name.replace("webhook", "svix"): value for name, value in sign(STANDARD).items()}
    assert SVIX.header_names == {"svix-id", "svix-timestamp", "svix-signature"}
    assert STANDARD.header_names == {"webhook-id", "webhook-timestamp", "webhook-signature"}


def test_svix_takes_a_full_set_of_one_family_and_never_a_mix():
    """A full ``svix-`` set wins, a full ``webhook-`` set is the second choice, and no header is borrowed."""
    own, plain = sign(SVIX), sign(STANDARD)
    assert verify(SVIX, plain).id == ID
    assert verify(SVIX, own | dict.fromkeys(plain, "other")).id == ID
    assert reason(SVIX, dict.fromkeys(own, "other") | plain) == "invalid_timestamp"
    for name in own:
        partial = {other: value for other, value in own.items() if other != name}
        assert verify(SVIX, partial | plain).id == ID
        assert verify(SVIX, {**partial, name: " "} | plain).id == ID
        for missing in plain:
            mixed = partial | {other: value for other, value in plain.items() if other != missing}
            assert reason(SVIX, mixed) == "missing_header"
    assert reason(SVIX, [*own.items(), ("svix-id", ID), *plain.items()]) == "duplicate_header"


@pytest.mark.parametrize(
    ("families", "error"), [("webhook", TypeError), ((), ValueError), (("web hook",), ValueError), (("",), ValueError)]
)
def test_families_are_header_prefixes(families, error):
    """One text instead of a tuple would be a family for each letter."""
    with pytest.raises(error):
        StandardScheme(families)


@pytest.mark.parametrize(
    ("offered", "keys", "says"),
    [
        ([KEY], [OTHER], "raw bytes"),
        ([KEY], [PUBLIC], "whsec_"),
        ([SECRET], [KEY], "whpk_"),
        ([SECRET, KEY], [OTHER], "raw bytes"),
    ],
)
def test_the_hint_says_which_key_is_needed(offered, keys, says):
    """A developer with the wrong kind of key learns it, and sees neither key nor signature."""
    headers = sign(STANDARD, keys=offered)
    with pytest.raises(VerificationError) as caught:
        verify(STANDARD, headers, keys=keys)
    assert says in caught.value.hint
    assert not any(text in str(caught.value) for text in [*headers.values(), *keys, *offered])


def test_the_hint_says_when_no_signature_is_of_a_known_version():
    """``v2`` may come one day; an old receiver says what it misses."""
    with pytest.raises(VerificationError, match="no v1 or v1a"):
        verify(STANDARD, {**sign(STANDARD), "webhook-signature": "v2,abc garbage"})


# --- HMAC schemes -----------------------------------------------------------------------------------------------------


def test_logto_is_hex_over_the_body_under_the_key_as_it_stands():
    """One header, the newest key; an id that LOGTO does not send may be anything."""
    expected = {"logto-signature-sha-256": mac(BODY).hex()}
    assert sign(LOGTO, keys=[KEY, OTHER], id="any id.") == expected
    assert verify(LOGTO, expected, keys=[OTHER, KEY]).id is None
    assert LOGTO.header_names == {"logto-signature-sha-256"}


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (STRIPE_LIKE, {"stripe-signature": f"t={SECONDS},v1={mac(b'%d.' % SECONDS + BODY).hex()}"}),
        (WORKOS_LIKE, {"x-sig": f"t={SECONDS}000, v1={mac(b'%d000.' % SECONDS + BODY).hex()}"}),
        (PADDLE_LIKE, {"x-sig": f"ts={SECONDS};h1={mac(b'%d:' % SECONDS + BODY).hex()}"}),
        (
            SLACK_LIKE,
            {"x-slack-signature": f"v0={mac(b'v0:%d:' % SECONDS + BODY).hex()}", "x-slack-time": str(SECONDS)},
        ),
        (GITHUB_LIKE, {"x-hub-signature-256": f"sha256={mac(BODY).hex()}", "x-delivery": ID}),
        (SHOPIFY_LIKE, {"x-hmac": base64.b64encode(mac(BODY)).decode()}),
        (LINEAR_LIKE, {"x-sig": mac(BODY).hex()}),
        (APPWRITE_LIKE, {"x-sig": base64.b64encode(mac(URL.encode() + BODY, digest="sha1")).decode()}),
        (
            COLON_LIKE,
            {
                "x-sig": mac(f"POST|{SECONDS}:{ID}:".encode() + BODY).hex(),
                "x-time": str(SECONDS),
                "x-id": ID,
            },
        ),
        (FIELDS_LIKE, {"x-sig": f"v1={mac(BODY).hex()}"}),
        (COMMAS_LIKE, {"x-sig": f"sha256={mac(BODY).hex()}"}),
        (SPACES_LIKE, {"x-sig": mac(BODY).hex()}),
    ],
    ids=[names(scheme) for scheme in STAND_INS],
)
def test_each_parameter_says_what_is_signed_and_where_it_is_written(scheme, expected):
    """The headers, written out by hand."""
    assert sign(scheme) == expected
    assert scheme.header_names == expected.keys()


STRIPE_MAC = mac(b"%d." % SECONDS + BODY).hex()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("t={t},v1=bad,v1={mac}", "ok"),
        ("v1={mac},t={t}", "ok"),
        ("t={t}, v1={mac}", "ok"),
        ("t={t},,v1={mac},", "ok"),
        ("t={t},v0=x,junk,v1={mac}", "ok"),
        ("t={t},v0={mac}", "bad_signature"),
        ("t={t},V1={mac}", "bad_signature"),
        ("t={t},v1=", "bad_signature"),
        ("t={t},v1=é", "bad_signature"),
        ("t={t},v1={MAC}", "bad_signature"),
        ("t={t},v1={mac}0", "bad_signature"),
        ("t={t},v1 ={mac}", "bad_signature"),
        ("t={t},\u00a0v1={mac}", "bad_signature"),
        ("t={t},\x0bv1={mac}", "bad_signature"),
        ("\u00a0t={t},v1={mac}", "malformed_signature"),
        ("t={t},Xv1={mac}", "bad_signature"),
        ("t={t}", "malformed_signature"),
        ("t={t},junk", "malformed_signature"),
        ("v1={mac}", "malformed_signature"),
        ("t={t},t={t},v1={mac}", "malformed_signature"),
        ("junk", "malformed_signature"),
        (",", "malformed_signature"),
        ("t=,v1={mac}", "invalid_timestamp"),
        ("t= {t},v1={mac}", "invalid_timestamp"),
        ("t={t}.0,v1={mac}", "invalid_timestamp"),
        ("t=0{t},v1={mac}", "invalid_timestamp"),
        ("t=1234567890123,v1={mac}", "invalid_timestamp"),
        ("t={t}" + ",v1=x" * 15 + ",v1={mac}", "ok"),
        ("t={t}" + ",v1=x" * 16 + ",v1={mac}", "too_large"),
        ("t={t}" + ",v0=x" * 17, "too_large"),
    ],
)
def test_a_header_of_fields_is_read_strictly(value, expected):
    """One timestamp; any number of signatures up to 16; other fields passed over; every spelling counts."""
    headers = {"stripe-signature": value.format(t=SECONDS, mac=STRIPE_MAC, MAC=STRIPE_MAC.upper())}
    if expected == "ok":
        assert verify(STRIPE_LIKE, headers).timestamp == AT
    else:
        assert reason(STRIPE_LIKE, headers) == expected


@pytest.mark.parametrize(
    ("scheme", "header", "value", "expected"),
    [
        (FIELDS_LIKE, "x-sig", "v0=a,v1=b,v1={mac}", "ok"),
        (FIELDS_LIKE, "x-sig", "{mac}", "malformed_signature"),
        (COMMAS_LIKE, "x-sig", "sha256=bad,sha256={mac}", "ok"),
        (COMMAS_LIKE, "x-sig", "sha256=bad , {mac}", "bad_signature"),
        (COMMAS_LIKE, "x-sig", ",".join(["x"] * 16 + ["sha256={mac}"]), "too_large"),
        (SPACES_LIKE, "x-sig", "bad  \t{mac}", "ok"),
        (SPACES_LIKE, "x-sig", "bad,{mac}", "bad_signature"),
        (SPACES_LIKE, "x-sig", "bad\t{mac}", "ok"),
        (SPACES_LIKE, "x-sig", "bad\u00a0{mac}", "bad_signature"),
        (SPACES_LIKE, "x-sig", "bad\n{mac}", "bad_signature"),
        (SHOPIFY_LIKE, "x-hmac", "{b64}", "ok"),
        (SHOPIFY_LIKE, "x-hmac", "{b64},", "bad_signature"),
        (SHOPIFY_LIKE, "x-hmac", "{mac}", "bad_signature"),
        (GITHUB_LIKE, "x-hub-signature-256", "sha256={mac}", "ok"),
        (GITHUB_LIKE, "x-hub-signature-256", "{mac}", "bad_signature"),
        (GITHUB_LIKE, "x-hub-signature-256", "SHA256={mac}", "bad_signature"),
        (GITHUB_LIKE, "x-hub-signature-256", "sha256=sha256={mac}", "bad_signature"),
    ],
)
def test_prefix_and_separator_are_exact(scheme, header, value, expected):
    """Without a separator the header is one signature; with one, each item is, behind its prefix."""
    headers = {header: value.format(mac=mac(BODY).hex(), b64=base64.b64encode(mac(BODY)).decode())}
    if expected == "ok":
        assert verify(scheme, headers).body == BODY
    else:
        assert reason(scheme, headers) == expected


def test_milliseconds_keep_their_fraction():
    """A timestamp in milliseconds is reported to the millisecond, and judged in whole seconds."""
    at = AT + timedelta(milliseconds=789)
    headers = sign(WORKOS_LIKE, at=at)
    assert verify(WORKOS_LIKE, headers).timestamp == at
    assert verify(WORKOS_LIKE, headers, now=SECONDS + 180).timestamp == at
    assert verify(WORKOS_LIKE, headers, now=SECONDS - 180).timestamp == at
    assert reason(WORKOS_LIKE, headers, now=SECONDS + 181) == "timestamp_too_old"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[1614265330000]",
        b'{"other":1614265330000}',
        b'{"webhookTimestamp":"1614265330000"}',
        b'{"webhookTimestamp":1614265330000.0}',
        b'{"webhookTimestamp":true}',
        b'{"webhookTimestamp":null}',
        b'{"webhookTimestamp":-1}',
        b'{"webhookTimestamp":1234567890123456}',
        b'{"webhookTimestamp":' + b"9" * 5000 + b"}",
        b'{"webhookTimestamp":1614265330000,"webhookTimestamp":1614265330000}',
        b"[" * 100_000,
    ],
)
def test_a_timestamp_in_the_body_is_read_strictly_and_only_from_a_proven_body(body):
    """A body that its signature covers, but that holds no such integer, has an invalid timestamp."""
    assert reason(LINEAR_LIKE, sign(LINEAR_LIKE, body), body) == "invalid_timestamp"
    assert reason(LINEAR_LIKE, sign(LINEAR_LIKE, body), body, keys=[OTHER]) == "bad_signature"


def test_a_timestamp_is_found_in_a_body_of_any_size():
    """As large as the receiver takes it."""
    body = body_of(LINEAR_LIKE)[:-1] + b',"x":"%s"}' % (b"x" * 1_048_576)
    assert verify(LINEAR_LIKE, sign(LINEAR_LIKE, body), body, max_body_bytes=2_000_000).timestamp == AT


@pytest.mark.parametrize(
    ("changed", "expected"), [({"url": URL + "x"}, "bad_signature"), ({"url": "\udcff"}, "bad_signature")]
)
def test_a_signed_url_is_part_of_the_message(changed, expected):
    """Another URL is another message, even one that is no proper text."""
    assert reason(APPWRITE_LIKE, sign(APPWRITE_LIKE), **changed) == expected
    assert reason(COLON_LIKE, sign(COLON_LIKE), method="PUT") == expected


def test_what_a_scheme_signs_must_be_given():
    """A URL that was forgotten is the program's mistake; it must not look like a forgery."""
    for forgotten in (APPWRITE_LIKE, "url"), (COLON_LIKE, "method"):
        scheme, name = forgotten
        with pytest.raises(ValueError, match=f"{name}="):
            verify(scheme, sign(scheme), **{name: None})
        with pytest.raises(TypeError, match="bytes"):
            verify(scheme, sign(scheme), **{name: b"POST"})
    with pytest.raises(ValueError, match="url="):
        sign(APPWRITE_LIKE, url=None)


def test_a_request_is_a_post_unless_another_method_is_given():
    """Signing without a method signs ``POST``."""
    headers = COLON_LIKE.sign(BODY, [KEY], id=ID, at=AT)
    assert headers == sign(COLON_LIKE, method="POST") != sign(COLON_LIKE, method="PUT")


def test_an_id_cannot_move_the_seam_to_what_is_signed_beside_it():
    """``a:1`` and ``1:…`` would be the same bytes as ``a`` and ``1:1:…``."""
    scheme = HmacScheme("ids", "x-sig", signed="{id}:{body}", id_header="x-id")
    headers = sign(scheme, body=b"b:rest", id="a")
    assert verify(scheme, headers, b"b:rest").id == "a"
    assert reason(scheme, {**headers, "x-id": "a:b"}, b"rest") == "invalid_id"
    last = HmacScheme("ids", "x-sig", signed="{body}:{id}", id_header="x-id")
    headers = sign(last, body=b"rest:b", id="a")
    assert reason(last, {**headers, "x-id": "b:a"}, b"rest") == "invalid_id"


def test_each_side_of_an_id_has_a_seam():
    """What joins it to the field before it, and what joins it to the field after it; other literals are no matter."""
    scheme = HmacScheme(
        "ids", "x-sig", signed="v0{method}|{timestamp}:{id}--{body}", id_header="x-id", timestamp_header="x-time"
    )
    assert sign(scheme, id="v0|X")["x-sig"] == mac(f"v0POST|{SECONDS}:v0|X--".encode() + BODY).hex()
    for id in ("a:b", "a-b", ":", "-"):
        with pytest.raises(ValueError, match="joins"):
            sign(scheme, id=id)
        assert reason(scheme, {**sign(scheme), "x-id": id}) == "invalid_id"


def test_a_timestamp_may_stand_beside_a_header_of_fields():
    """The signature in a field, the time in a header of its own."""
    scheme = HmacScheme("both", "x-sig", signed="{timestamp}.{body}", signature_field="v1", timestamp_header="x-time")
    headers = {"x-sig": f"v1={mac(b'%d.' % SECONDS + BODY).hex()}", "x-time": str(SECONDS)}
    assert sign(scheme) == headers
    assert verify(scheme, headers).timestamp == AT
    assert reason(scheme, {**headers, "x-time": str(SECONDS + 1)}) == "bad_signature"


def test_fixed_text_at_either_end_restricts_no_id():
    """Only what stands between two variable parts is a seam."""
    scheme = HmacScheme("ids", "x-sig", signed="v0:{id}-{body}", id_header="x-id")
    assert verify(scheme, sign(scheme, id="v0:X"), BODY).id == "v0:X"
    last = HmacScheme("ids", "x-sig", signed="{body}-{id}:end", id_header="x-id")
    assert verify(last, sign(last, id="X:end"), BODY).id == "X:end"
    braces = HmacScheme("ids", "x-sig", signed="{{{id}}}{body}{{}}", id_header="x-id")
    assert sign(braces, id="a")["x-sig"] == mac(b"{a}" + BODY + b"{}").hex()
    with pytest.raises(ValueError, match="id"):
        sign(braces, id="a}")


@pytest.mark.parametrize(
    "parameters",
    [
        {"signed": "{timestamp}"},
        {"signed": ""},
        {"signed": "{body}{body}"},
        {"signed": "{body}{other}"},
        {"signed": "{body!r}"},
        {"signed": "{body:>9}"},
        {"signed": "{body"},
        {"signed": "{}"},
        {"signed": "{timestamp}.{body}"},
        {"signed": "{timestamp}.{body}", "timestamp_json": "at"},
        {"signed": "{id}.{body}"},
        {"signed": "{id}{body}", "id_header": "x-id"},
        {"signed": "{body}{id}", "id_header": "x-id"},
        {"timestamp_header": "x-time"},
        {"timestamp_field": "t", "signature_field": "v1"},
        {"signed": "{timestamp}.{body}", "timestamp_field": "t"},
        {"signed": "{timestamp}.{body}", "timestamp_header": "x-time", "timestamp_json": "at"},
        {
            "signed": "{timestamp}.{body}",
            "timestamp_header": "x-time",
            "timestamp_field": "t",
            "signature_field": "v1",
        },
        {"signed": "{id}.{body}", "id_header": "X-Sig"},
        {"id_header": "no name"},
        {"encoding": "base32"},
        {"digest": "md5"},
        {"timestamp_unit": "us"},
        {"tolerance": -1},
        {"tolerance": timedelta(hours=25)},
    ],
)
def test_parameters_that_contradict_each_other_make_no_scheme(parameters):
    """A row of the table that would leave something unprotected fails where it is written."""
    with pytest.raises(ValueError):
        HmacScheme("broken", "x-sig", **parameters)


def test_a_header_name_is_checked():
    """The name of the signature's header is a token, in any case."""
    assert HmacScheme("name", "X-Sig").header == "x-sig"
    with pytest.raises(ValueError, match="header name"):
        HmacScheme("name", "x sig")


@pytest.mark.parametrize("key", [PUBLIC, SECRET, f" {PUBLIC}"])
def test_an_ed25519_key_is_never_an_hmac_key(key):
    """Everybody knows the public key: an HMAC under it proves nothing."""
    with pytest.raises(InvalidKey, match="Ed25519"):
        sign(LOGTO, keys=[key])
    with pytest.raises(InvalidKey, match="Ed25519"):
        verify(LOGTO, sign(LOGTO), keys=[KEY, key])


def test_a_key_that_is_no_proper_text_is_refused_without_being_quoted():
    """The exception of the codec would hold the whole key."""
    with pytest.raises(InvalidKey, match="surrogate") as caught:
        sign(LOGTO, keys=["secret\udcff"])
    assert caught.value.__context__ is None
    assert "secret" not in str(caught.value)


def test_a_key_of_another_scheme_is_taken_verbatim():
    """``whsec_`` means nothing here, and white space counts; the hint says so when that is the trouble."""
    assert sign(LOGTO, keys=[" key "]) == {"logto-signature-sha-256": mac(BODY, " key ").hex()}
    with pytest.raises(VerificationError, match="white space"):
        verify(LOGTO, sign(LOGTO, keys=["key"]), keys=["key\n"])


@given(
    st.text().filter(lambda text: text.strip() and "\udfff" not in text and not text.startswith(("whsk_", "whpk_"))),
    st.binary(),
)
def test_any_text_is_a_key_of_an_hmac_scheme(key, body):
    """Any UTF-8 text that is not blank signs and verifies, except a key that is Ed25519's by its prefix."""
    assert verify(LOGTO, sign(LOGTO, body, [key]), body, [key]).body == body
    assert verify(SHOPIFY_LIKE, sign(SHOPIFY_LIKE, body, [key]), body, [SigningKey(key)]).body == body


def test_one_key_serves_several_schemes():
    """What each of them makes of it is kept apart."""
    key = SigningKey(KEY)
    for scheme in (STANDARD, LOGTO, SHOPIFY_LIKE, APPWRITE_LIKE, STANDARD):
        assert sign(scheme, keys=[key]) == sign(scheme, keys=[KEY])
        assert verify(scheme, sign(scheme, keys=[KEY]), keys=[key]).body == BODY


# --- A scheme of one's own --------------------------------------------------------------------------------------------


@attrs.frozen
class Reversed(Scheme):
    """A host's own scheme: the MAC of the body, back to front."""

    def _reader(self, key):
        return key.parsed("reversed", lambda text: HmacKey(text.encode(), encoding="hex"))

    def _names(self, headers):
        return ["x-reversed"]

    def _claim(self, values, body, method, url):
        signatures = [header_text(text) for text in values[0].split(";")]
        return None, values[0].partition("?")[2] or None, [body[::-1]], signatures


def test_a_scheme_of_ones_own_cannot_forget_the_checks():
    """It says what is signed; caps, presence, grammar and comparison are there without a word of it."""
    scheme = Reversed()
    good = mac(BODY[::-1]).hex()
    assert verify(scheme, {"X-Reversed": good}).timestamp is None
    assert verify(scheme, {"X-Reversed": f"bad;{good}"}).dedupe_key == hashlib.sha256(BODY).hexdigest()
    for value, expected in [
        (good[:-1], "bad_signature"),
        ("x" * 4097, "too_large"),
        (";" * 16 + good, "too_large"),
        (f"{good};?0{SECONDS}", "invalid_timestamp"),
        (f"{good};?{SECONDS - 301}", "timestamp_too_old"),
        ([good, good], "duplicate_header"),
        (" ", "missing_header"),
    ]:
        assert reason(scheme, {"X-Reversed": value}) == expected


# --- Values -----------------------------------------------------------------------------------------------------------


def test_a_scheme_is_a_value():
    """Equal parameters, equal schemes; another tolerance is one ``evolve`` away."""
    assert StandardScheme() == STANDARD
    assert hash(StandardScheme()) == hash(STANDARD)
    assert HmacScheme("logto", "logto-signature-sha-256") == LOGTO
    assert attrs.evolve(STANDARD, tolerance=60).tolerance == timedelta(seconds=60)
    assert attrs.evolve(STRIPE_LIKE, signed="{body}.{timestamp}") != STRIPE_LIKE
    assert BUILTIN["SVIX"] is SVIX


@pytest.mark.parametrize(
    ("given_tolerance", "seconds"), [(0, 0), (1.5, 1.5), (timedelta(minutes=5), 300), (86_400, 86_400)]
)
def test_a_tolerance_is_a_duration(given_tolerance, seconds):
    """A timedelta, or seconds."""
    assert as_tolerance(given_tolerance) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (-1, ValueError),
        (86_400.5, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (timedelta(seconds=-1), ValueError),
        (timedelta.max, ValueError),
        (None, TypeError),
        (True, TypeError),
        ("300", TypeError),
    ],
)
def test_a_window_cannot_be_turned_off(wrong, error):
    """Neither by a negative, nor by an endless, nor by a meaningless tolerance."""
    with pytest.raises(error):
        as_tolerance(wrong)
    with pytest.raises(error):
        StandardScheme(tolerance=wrong)


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_written_as_a_whole_number(milliseconds):
    """Exact for every instant up to the year 9999, rounded down."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds, microseconds=999)
    assert unix_time(at, "ms") == str(milliseconds)
    assert unix_time(at, "s") == str(milliseconds // 1000)
