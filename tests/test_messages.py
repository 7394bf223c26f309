"""What errors say: every message of keys, schemes and verifying, word by word.

They are what a developer has when a webhook does not verify. None shows a key, a signature or a body.
"""

# ruff: noqa: E501 - messages stand here as they are shown
from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from hookkit import HookkitError, SigningKey, Verified, schemes, verify_signature
from hookkit.checks import header_name
from hookkit.keys import new_standard_key, standard_key
from hookkit.schemes import (
    APPWRITE,
    AUTH0,
    CLAVEX,
    GITHUB,
    LINEAR,
    LOGTO,
    STANDARD,
    STRIPE,
    SUPABASE,
    TWILIO,
    WORKOS,
    HmacScheme,
    StandardScheme,
)
from hookkit.signing import as_keys, live_keys

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECRET = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
BODY = b'{"test": 2432232314}'
NOW = 1614265330
AT = datetime.fromtimestamp(NOW, UTC)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001
HEADERS = STANDARD.sign(BODY, [KEY], id="evt_1", at=AT)


def verify(changed=(), keys=KEY, **options):
    return verify_signature(BODY, {**HEADERS, **dict(changed)}, keys, **{"now": NOW, **options})


MESSAGES = [
    (
        "whsk length",
        lambda: standard_key("whsk_AAAA"),
        "InvalidKey: a whsk_ key holds 32 or 64 bytes, this one 3",
    ),
    (
        "whsk damaged",
        lambda: standard_key(SECRET[:60] + "aaaaaaaaaaaaaaaaaaaaaaaa" + SECRET[84:]),
        "InvalidKey: the public half of this whsk_ key does not belong to its secret half; it was damaged",
    ),
    (
        "whpk length",
        lambda: standard_key("whpk_AAAA"),
        "InvalidKey: a whpk_ key holds 32 bytes, this one 3",
    ),
    (
        "whpk of small order",
        lambda: standard_key("whpk_" + "A" * 43 + "="),
        "InvalidKey: this whpk_ key is a point of small order: anybody can sign for it",
    ),
    (
        "key with a separator",
        lambda: standard_key(f"{KEY}|{KEY}"),
        "InvalidKey: the signing key has a separator in it; give several keys as a list",
    ),
    (
        "key with a comma",
        lambda: standard_key("whsec_AAAA,AAAA"),
        "InvalidKey: the signing key has a separator in it; give several keys as a list",
    ),
    (
        "key with a space",
        lambda: standard_key("whsec_AAAA AAAA"),
        "InvalidKey: the signing key has a separator in it; give several keys as a list",
    ),
    (
        "key in URL-safe base64",
        lambda: standard_key("whsec_AAA_"),
        "InvalidKey: the signing key has '-' or '_' in it: it is URL-safe base64, or a key of another kind",
    ),
    (
        "key in URL-safe base64 too",
        lambda: standard_key("whsec_AAA-"),
        "InvalidKey: the signing key has '-' or '_' in it: it is URL-safe base64, or a key of another kind",
    ),
    (
        "key that is text",
        lambda: standard_key("whsec_AAA!"),
        "InvalidKey: the signing key is no base64; a plain-text key belongs to another scheme, such as hookkit.schemes.LOGTO",
    ),
    (
        "key without anything",
        lambda: standard_key("whsec_"),
        "InvalidKey: the signing key is empty after its prefix; is its setting cut off?",
    ),
    (
        "key cut off",
        lambda: standard_key("whsec_AAAAA"),
        "InvalidKey: the signing key is no base64: it has the wrong length; is its setting cut off?",
    ),
    (
        "no randomness",
        lambda: new_standard_key(lambda count: b""),
        "ValueError: the source of randomness gave 0 bytes instead of 32",
    ),
    (
        "key pickled",
        lambda: pickle.dumps(SigningKey(KEY)),
        "TypeError: a SigningKey is not pickled; store its value sealed, and make it anew",
    ),
    (
        "key of bytes",
        lambda: SigningKey(b"key"),
        "TypeError: a signing key is text, not bytes",
    ),
    (
        "blank key",
        lambda: SigningKey(" "),
        "InvalidKey: the signing key is empty; is its setting missing?",
    ),
    (
        "key's time a number",
        lambda: SigningKey(KEY, expires_at=5),
        "TypeError: a key's time is an aware datetime, not int",
    ),
    (
        "key's time naive",
        lambda: SigningKey(KEY, created_at=NAIVE),
        "ValueError: a key's time is a naive datetime; use an aware one, such as datetime.now(UTC)",
    ),
    (
        "public half of a secret",
        lambda: SigningKey(KEY).public,
        "InvalidKey: only a whsk_ key has a public half; receivers share any other key with the sender",
    ),
    (
        "no key at all",
        lambda: as_keys(None),
        "InvalidKey: no signing key (None); is its setting missing?",
    ),
    (
        "keys in a dict",
        lambda: as_keys({"a": KEY}),
        "TypeError: keys: dict; give a str, a SigningKey, or a list of them",
    ),
    (
        "no keys",
        lambda: as_keys([]),
        "InvalidKey: no signing key; without one nothing can be signed or verified",
    ),
    (
        "too many keys",
        lambda: as_keys([KEY] * 17),
        "InvalidKey: more than 16 signing keys; drop those that are no longer in use",
    ),
    (
        "all expired",
        lambda: live_keys([SigningKey(KEY, expires_at=AT)], AT),
        "InvalidKey: every signing key has expired; give one that is still valid",
    ),
    (
        "body no object",
        lambda: Verified(None, None, b"[]", "").event(),
        "PayloadError: the body is no JSON object; read it with .json()",
    ),
    (
        "body of another format",
        lambda: Verified(None, None, b"{}", "").event(),
        "PayloadError: the body is neither a STANDARD nor a LOGTO payload; read it with .json()",
    ),
    (
        "body with a bad time",
        lambda: Verified(None, None, b'{"type":"a","timestamp":"x"}', "").event(),
        "PayloadError: timestamp: no RFC 3339 time with a zone, such as 2026-01-31T09:30:00Z",
    ),
    (
        "body with a bad createdAt",
        lambda: Verified(None, None, b'{"event":"a","createdAt":1}', "").event(),
        "PayloadError: createdAt: no RFC 3339 time with a zone, such as 2026-01-31T09:30:00Z",
    ),
    (
        "tolerance of text",
        lambda: verify(tolerance="5"),
        "TypeError: tolerance: str; give a timedelta, or seconds",
    ),
    (
        "tolerance too wide",
        lambda: verify(tolerance=86401),
        "ValueError: tolerance: 0 seconds to 24 hours; the window cannot be turned off",
    ),
    (
        "id with a full stop",
        lambda: verify({"webhook-id": "a.b"}),
        "VerificationError: invalid_id: an id is 1 to 128 printable ASCII characters without space or '.'",
    ),
    (
        "timestamp with a zero",
        lambda: verify({"webhook-timestamp": f"0{NOW}"}),
        "VerificationError: invalid_timestamp: the timestamp is no plain number of unix seconds",
    ),
    (
        "timestamp in milliseconds with a zero",
        lambda: verify_signature(BODY, {"workos-signature": "t=01, v1=x"}, KEY, scheme=WORKOS),
        "VerificationError: invalid_timestamp: the timestamp is no plain number of unix milliseconds",
    ),
    (
        "too many signatures",
        lambda: verify({"webhook-signature": "a " * 17}),
        "VerificationError: too_large: more than 16 signatures",
    ),
    (
        "header too long",
        lambda: verify({"webhook-id": "a" * 4097}),
        "VerificationError: too_large: webhook-id is longer than 4096 characters",
    ),
    (
        "header twice",
        lambda: verify({"Webhook-Id": "evt_1"}),
        "VerificationError: duplicate_header: webhook-id came 2 times; it must come once",
    ),
    (
        "headers missing",
        lambda: verify_signature(BODY, {"webhook-id": "evt_1", "webhook-signature": " "}, KEY),
        "VerificationError: missing_header: missing or empty: webhook-timestamp, webhook-signature",
    ),
    (
        "another sender's headers",
        lambda: verify_signature(BODY, {"stripe-signature": "t=1"}, KEY),
        "VerificationError: missing_header: missing or empty: webhook-id, webhook-timestamp, webhook-signature; these are the headers of hookkit.schemes.STRIPE",
    ),
    (
        "headers missing beside a strange one",
        lambda: verify_signature(BODY, {"webhook-id": "\u00a0"}, KEY),
        "VerificationError: missing_header: missing or empty: webhook-timestamp, webhook-signature",
    ),
    (
        "an environ as headers",
        lambda: verify_signature(BODY, {"HTTP_X": "y"}, KEY),
        "VerificationError: missing_header: missing or empty: webhook-id, webhook-timestamp, webhook-signature; this is no WSGI environ: give request.headers",
    ),
    (
        "too old",
        lambda: verify(now=NOW + 301),
        "VerificationError: timestamp_too_old: it was signed 301 s ago, 300 s are allowed: delivered late, replayed, or this machine's clock is ahead",
    ),
    (
        "too old for a fraction",
        lambda: verify(now=NOW + 301, tolerance=0.5),
        "VerificationError: timestamp_too_old: it was signed 301 s ago, 0.5 s are allowed: delivered late, replayed, or this machine's clock is ahead",
    ),
    (
        "too new",
        lambda: verify(now=NOW - 301),
        "VerificationError: timestamp_too_new: it was signed 301 s in the future, 300 s are allowed: this machine's clock is behind, or the sender's ahead",
    ),
    (
        "wrong key",
        lambda: verify(keys=OTHER),
        "VerificationError: bad_signature: no key matches: is the body the raw bytes as they arrived, not parsed and serialised again, and is the key this endpoint's own?",
    ),
    (
        "only v1a",
        lambda: verify({"webhook-signature": "v1a,x v2,x"}),
        "VerificationError: bad_signature: it is signed with Ed25519 (v1a) only: give the sender's whpk_ key",
    ),
    (
        "only v1",
        lambda: verify(keys=PUBLIC),
        "VerificationError: bad_signature: it is signed with HMAC (v1) only: give the endpoint's whsec_ key",
    ),
    (
        "neither",
        lambda: verify({"webhook-signature": "v2,x"}),
        "VerificationError: bad_signature: the signature header holds no v1 or v1a signature",
    ),
    (
        "id to be signed",
        lambda: STANDARD.sign(BODY, [KEY], id="a.b", at=AT),
        "ValueError: id: 1 to 128 printable ASCII characters without space or '.'",
    ),
    (
        "naive time to be signed",
        lambda: STANDARD.sign(BODY, [KEY], id="a", at=NAIVE),
        "ValueError: at: a naive datetime; use an aware one, such as datetime.now(UTC)",
    ),
    (
        "early time to be signed",
        lambda: STANDARD.sign(BODY, [KEY], id="a", at=AT.replace(year=1969)),
        "ValueError: at: before 1970; no receiver would accept it",
    ),
    (
        "text to be signed",
        lambda: STANDARD.sign("text", [KEY], id="a", at=AT),
        "TypeError: body: str; sign the very bytes that will be sent",
    ),
    (
        "header name",
        lambda: header_name("a b"),
        "ValueError: 'a b' is no header name",
    ),
    (
        "scheme that cannot verify",
        lambda: verify(scheme=object()),
        "TypeError: scheme: object cannot verify; use one of hookkit.schemes",
    ),
    (
        "now naive",
        lambda: verify(now=NAIVE),
        "ValueError: now: a naive datetime; use an aware one, such as datetime.now(UTC)",
    ),
    (
        "now of text",
        lambda: verify(now="5"),
        "TypeError: now: str; give an aware datetime, or unix seconds",
    ),
    (
        "now in milliseconds",
        lambda: verify(now=NOW * 1000),
        "ValueError: now: not between the years 1970 and 9999; are these unix seconds, and not milliseconds?",
    ),
    (
        "body of text",
        lambda: verify_signature("text", HEADERS, KEY),
        "TypeError: body: str; give the raw bytes as they arrived, before anything decodes or parses them: request.body in Django, request.get_data() in Flask, await request.body() in Starlette and FastAPI",
    ),
    (
        "body too large",
        lambda: verify(max_body_bytes=3),
        "VerificationError: too_large: the body has 20 bytes, max_body_bytes is 3",
    ),
    (
        "headers of text",
        lambda: verify_signature(BODY, "text", KEY),
        "TypeError: headers: str; give an object with items(), or a list of pairs",
    ),
    (
        "unknown scheme",
        lambda: schemes.NOBODY,
        "AttributeError: module 'hookkit.schemes' has no attribute 'NOBODY'",
    ),
    (
        "families of text",
        lambda: StandardScheme("webhook"),
        "TypeError: families: a tuple of header prefixes, such as ('webhook',)",
    ),
    (
        "families of none",
        lambda: StandardScheme(()),
        "ValueError: families: at least one header prefix",
    ),
    (
        "too many joined keys",
        lambda: SUPABASE.sign(BODY, ["|".join([KEY] * 17)], id="a", at=AT),
        "InvalidKey: more than 16 signing keys; drop those that are no longer in use",
    ),
    (
        "whsk to verify",
        lambda: verify(keys=SECRET),
        "InvalidKey: a whsk_ key signs; give receivers the whpk_ key that belongs to it (SigningKey.public)",
    ),
    (
        "whpk to sign",
        lambda: STANDARD.sign(BODY, [PUBLIC], id="a", at=AT),
        "InvalidKey: a whpk_ key verifies; sign with the whsk_ key that it belongs to",
    ),
    (
        "Ed25519 for HMAC",
        lambda: GITHUB.sign(BODY, [PUBLIC], id="a", at=AT),
        "InvalidKey: an Ed25519 key is no HMAC key; github takes the secret text that the sender shows",
    ),
    (
        "surrogate in a key",
        lambda: GITHUB.sign(BODY, ["\udcff"], id="a", at=AT),
        "InvalidKey: the signing key holds a lone surrogate; read its setting as UTF-8",
    ),
    (
        "key of a prefix alone",
        lambda: CLAVEX.sign(BODY, ["whsec_"], id="a", at=AT),
        "InvalidKey: the signing key is empty after whsec_; is its setting cut off?",
    ),
    (
        "id with the seam",
        lambda: HmacScheme("mine", "x", signed="{id}:{body}", id_header="y").sign(BODY, [KEY], id="a:b", at=AT),
        "ValueError: id: mine joins it with a character that it holds",
    ),
    (
        "two headers of one name",
        lambda: HmacScheme("mine", "x", id_header="X"),
        "ValueError: header, timestamp_header and id_header are different headers",
    ),
    (
        "body not signed",
        lambda: HmacScheme("mine", "x", signed=""),
        "ValueError: signed: without {body} in it, the body could be anything",
    ),
    (
        "id from nowhere",
        lambda: HmacScheme("mine", "x", signed="{id}.{body}"),
        "ValueError: signed: {id} needs an id_header",
    ),
    (
        "two timestamps",
        lambda: HmacScheme("mine", "x", signed="{timestamp}.{body}", timestamp_header="y", timestamp_json="z"),
        "ValueError: a timestamp is in one place: timestamp_field, timestamp_header or timestamp_json",
    ),
    (
        "timestamp not signed",
        lambda: HmacScheme("mine", "x", timestamp_header="y"),
        "ValueError: signed: {timestamp} goes with timestamp_field or timestamp_header; unsigned, neither proves anything",
    ),
    (
        "field without a signature",
        lambda: HmacScheme("mine", "x", signed="{timestamp}.{body}", timestamp_field="t"),
        "ValueError: a timestamp_field needs a signature_field beside it",
    ),
    (
        "prefix that no header holds",
        lambda: HmacScheme("mine", "x", prefix="\n"),
        "ValueError: prefix, separator and fields are printable ASCII, as a header has to be",
    ),
    (
        "template with another field",
        lambda: HmacScheme("mine", "x", signed="{other}"),
        "ValueError: signed: '{other}' holds a field other than body, id, method, timestamp, url",
    ),
    (
        "template with a field twice",
        lambda: HmacScheme("mine", "x", signed="{body}{body}"),
        "ValueError: signed: '{body}{body}' holds a field twice",
    ),
    (
        "template without a seam",
        lambda: HmacScheme("mine", "x", signed="{id}{body}", id_header="y"),
        "ValueError: signed: '{id}{body}' has nothing between {id} and the field beside it",
    ),
    (
        "no timestamp field",
        lambda: verify_signature(BODY, {"stripe-signature": "v1=x"}, KEY, scheme=STRIPE),
        "VerificationError: malformed_signature: stripe-signature must hold one t=",
    ),
    (
        "no signature field",
        lambda: verify_signature(BODY, {"stripe-signature": "t=5"}, KEY, scheme=STRIPE),
        "VerificationError: malformed_signature: stripe-signature holds no v1=",
    ),
    (
        "no timestamp in the body",
        lambda: verify_signature(BODY, LINEAR.sign(BODY, [KEY], id="a", at=AT), KEY, scheme=LINEAR),
        "VerificationError: invalid_timestamp: the body is no JSON with an integer 'webhookTimestamp'",
    ),
    (
        "white space around a key",
        lambda: verify_signature(BODY, {"logto-signature-sha-256": "x"}, f"{KEY} ", scheme=LOGTO),
        "VerificationError: bad_signature: no key matches, and one has white space around it, which counts: take it away where the key is set",
    ),
    (
        "wrong key of another scheme",
        lambda: verify_signature(BODY, {"logto-signature-sha-256": "x"}, KEY, scheme=LOGTO),
        "VerificationError: bad_signature: no key matches: is the body the raw bytes as they arrived, not parsed and serialised again, and is the key this endpoint's own?",
    ),
    (
        "wrong token",
        lambda: verify_signature(BODY, {"authorization": "x"}, KEY, scheme=AUTH0),
        "VerificationError: bad_signature: authorization holds another token; the key is the whole value, with 'Bearer ' if the sender sends that",
    ),
    (
        "token with a line break",
        lambda: AUTH0.sign(BODY, ["a\n"], id="a", at=AT),
        "InvalidKey: a token is printable ASCII without white space around it, as a header's value has to be: look for a line break where it is set",
    ),
    (
        "URL forgotten",
        lambda: APPWRITE.sign(BODY, [KEY], id="a", at=AT),
        "ValueError: appwrite signs the request's url: give url=",
    ),
    (
        "URL of bytes",
        lambda: TWILIO.sign(BODY, [KEY], id="a", at=AT, url=b"x"),
        "TypeError: url: bytes; give text",
    ),
    (
        "URL forgotten for Twilio",
        lambda: TWILIO.sign(BODY, [KEY], id="a", at=AT),
        "ValueError: twilio signs the request's url: give url=",
    ),
    (
        "body that Twilio cannot sign",
        lambda: TWILIO.sign(BODY, [KEY], id="a", at=AT, url="https://a.example"),
        "ValueError: the body is no form of at most 1000 fields, and the URL holds no bodySHA256; it is the lower-case hex SHA-256 of the body",
    ),
    (
        "body that Twilio did not sign",
        lambda: verify_signature(BODY, {"x-twilio-signature": "x"}, KEY, scheme=TWILIO, url="https://a.example"),
        "VerificationError: bad_digest: the body is no form of at most 1000 fields, and the URL holds no bodySHA256",
    ),
    (
        "digest of another body",
        lambda: TWILIO.sign(BODY, [KEY], id="a", at=AT, url="https://a.example?bodySHA256=x"),
        "ValueError: the URL's bodySHA256 is not the body's; it is the lower-case hex SHA-256 of the body",
    ),
]


@pytest.mark.parametrize(("attempt", "expected"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES])
def test_an_error_says_what_was_wrong_and_what_to_do(attempt, expected):
    """Its kind, and its words."""
    with pytest.raises((HookkitError, AttributeError, TypeError, ValueError)) as caught:
        attempt()
    assert f"{type(caught.value).__name__}: {caught.value}" == expected


def test_no_message_shows_a_secret():
    """Not one word of a key, of a signature or of the body."""
    signature = HEADERS["webhook-signature"]
    for hidden in (KEY[6:20], OTHER[6:20], SECRET[5:20], PUBLIC[5:20], signature[3:20], "2432232314"):
        assert not [row for row in MESSAGES if hidden in row[2]]
