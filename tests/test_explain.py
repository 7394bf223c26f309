"""Every usual mistake is found by its name, nothing secret is said of it, and no request is too strange to explain."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookkit import SigningKey, Verified, schemes, verify_signature
from hookkit.explain import Explanation, Finding, _explain, explain
from hookkit.keys import new_ed25519_pair
from hookkit.schemes import LOGTO, STANDARD, SVIX, HmacScheme
from hookkit.testing import sign_request
from strategies import any_text, json_values

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
RAW = hashlib.sha256(b"a key for these tests").digest()
KEY = "whsec_" + base64.b64encode(RAW).decode()
TEXT_KEY = "a text key of Logto's: 0123456789"
PRIVATE, PUBLIC = new_ed25519_pair(lambda count: bytes(range(7, 7 + count)))
BODY = '{"type":"user.created","n":1.50,"big":1e2,"url":"https://a/b?c&d","who":"Zoë <z@x>"}'.encode()
HEADERS = sign_request(BODY, KEY, at=NOW)


def found(explanation: Explanation) -> list[str]:
    """Return the codes of what was found for certain."""
    return [finding.code for finding in explanation.findings if finding.certain]


def guessed(explanation: Explanation) -> list[str]:
    """Return the codes of what may be."""
    return [finding.code for finding in explanation.findings if not finding.certain]


def codes(body=BODY, headers=HEADERS, keys=KEY, *, now=NOW, **options) -> list[str]:
    return found(explain(body, headers, keys, now=now, **options))


# --- It verifies ------------------------------------------------------------------------------------------------------


def test_a_request_that_verifies() -> None:
    """Then it says so, with what was verified, and when it was signed."""
    explanation = explain(BODY, HEADERS, KEY, now=NOW + timedelta(seconds=7))
    assert explanation.ok
    assert explanation.verified == verify_signature(BODY, HEADERS, KEY, now=NOW)
    assert (explanation.reason, explanation.hint, explanation.findings) == ("", "", ())
    assert explanation.age == timedelta(seconds=7)
    assert str(explanation).startswith("It verifies.\n- the body has 85 bytes, JSON\n")


def test_what_the_signature_does_not_cover_is_said() -> None:
    """Without a time a recording verifies for ever, without an id repeats are told by their body."""
    headers = sign_request(BODY, TEXT_KEY, scheme=LOGTO)
    text = str(explain(BODY, headers, TEXT_KEY, scheme=LOGTO))
    assert "covers no time" in text
    assert "covers no id" in text
    assert explain(BODY, headers, TEXT_KEY, scheme=LOGTO).age is None


def test_the_clock_is_read_when_there_is_no_now() -> None:
    """As by ``verify_signature``."""
    assert explain(BODY, sign_request(BODY, KEY), KEY).ok


# --- Bodies -----------------------------------------------------------------------------------------------------------

PLAIN = {
    "type": "user.created",
    "n": 1,
    "who": "Zoë <z@x> & co",
    "url": "https://a/b",
    "list": [],
    "more": {"x": [1, {}]},
}


def dumped(**options) -> bytes:
    return json.dumps(PLAIN, **options).encode()


COMPACT = {"separators": (",", ":")}
ASCII, UNICODE = dumped(**COMPACT), dumped(**COMPACT, ensure_ascii=False)
GO = UNICODE.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


@pytest.mark.parametrize(
    ("signed", "who"),
    [
        (UNICODE, "JSON.stringify"),
        (dumped(), "json.dumps writes it."),
        (ASCII, "separators="),
        (dumped(ensure_ascii=False), "ensure_ascii=False"),
        (ASCII.replace(b"/", b"\\/"), "PHP"),
        (GO, "json.Marshal"),
        (GO + b"\n", "json.Encoder"),
        (GO.replace(b"003c", b"003C").replace(b"003e", b"003E").replace("ë".encode(), b"\\u00EB"), ".NET"),
        (ASCII.replace(b"00eb", b"00EB"), "upper-case escapes"),
        (dumped(indent=2, ensure_ascii=False), "indented by two"),
        (dumped(indent=2), "by two and in ASCII"),
        (dumped(indent=4, ensure_ascii=False), "indented by four"),
        (dumped(indent=4), "by four and in ASCII"),
        (dumped(**COMPACT, sort_keys=True, ensure_ascii=False), "compact, with sorted names"),
        (dumped(**COMPACT, sort_keys=True), "compact and in ASCII, with sorted names"),
        (dumped(sort_keys=True), "spaced, with sorted names"),
        (dumped(sort_keys=True, ensure_ascii=False), "spaced and not in ASCII, with sorted names"),
    ],
)
def test_json_that_was_written_again(signed, who) -> None:
    """Whoever wrote the original, from whatever it was turned into, it is found, and said how it was written."""
    headers = sign_request(signed, KEY, at=NOW)
    for body in (dumped(), ASCII, UNICODE, dumped(indent=8)):
        explanation = explain(body, headers, KEY, now=NOW)
        if body != signed:
            assert found(explanation) == ["reserialised_json"]
            assert who in explanation.findings[0].text
    assert explain(signed, headers, KEY, now=NOW).ok


@given(json_values())
def test_any_json_that_was_written_again(value) -> None:
    """What ``json.dumps`` made of a compact body is traced back to it."""
    signed = json.dumps(value, **COMPACT).encode()
    given = json.dumps(value).encode()
    if given != signed:
        assert codes(given, sign_request(signed, KEY, at=NOW)) == ["reserialised_json"]


def test_numbers_keep_their_spelling() -> None:
    """A sender's 1.50 and 1e2 are not turned into 1.5 and 100 by the search itself."""
    assert codes(BODY.replace(b",", b", ")) == ["reserialised_json"]


FORM = b"payload=%7B%22a%22%3A1%7D"
SLACK = b"a=1&b=&c=x+y&d=%C3%BC~"

BODIES = [
    (BODY + b"\n", BODY, "line_ending"),
    (BODY, BODY + b"\n", "line_ending"),
    (BODY + b"\r\n", BODY, "line_ending"),
    (BODY, BODY + b"\r\n", "line_ending"),
    (b" \n" + BODY + b" ", BODY, "line_ending"),
    (b"a\r\nb\r\n", b"a\nb\n", "line_ending"),
    (b"a\nb\n", b"a\r\nb\r\n", "line_ending"),
    (b"\xef\xbb\xbf" + BODY, BODY, "byte_order_mark"),
    (BODY, b"\xef\xbb\xbf" + BODY, "byte_order_mark"),
    (base64.b64encode(BODY), BODY, "base64_body"),
    (base64.encodebytes(BODY[:30]), BODY[:30], "base64_body"),
    (json.dumps(BODY.decode()).encode(), BODY, "json_string"),
    (str(BODY).encode(), BODY, "bytes_repr"),
    (str(b"it's\t\\ \x00\xff\n").encode(), b"it's\t\\ \x00\xff\n", "bytes_repr"),
    (gzip.compress(BODY, mtime=0), BODY, "compressed_body"),
    (BODY.decode().encode("cp1252"), BODY, "charset"),
    (BODY.decode("latin-1").encode(), BODY, "charset"),
    (BODY.decode("cp1252").encode(), BODY, "charset"),
    (BODY.decode().encode("utf-16"), BODY, "charset"),
    (BODY, BODY.decode().encode("utf-16-le"), "charset"),
    (b'{"a":1}', FORM, "form_field"),
    (b"a=1&b=&c=x%20y&d=%C3%BC%7E", SLACK, "rewritten_form"),
    (BODY, BODY.decode(), "text_body"),
    (BODY, BODY.decode("latin-1"), "text_body"),
    (BODY.decode().encode("cp1252"), BODY.decode(), "text_body"),
]


@pytest.mark.parametrize("row", BODIES, ids=lambda row: f"{row[2]} {row[0][:12]!r}")
def test_bodies_that_were_changed(row) -> None:
    """Each change is undone, and named; text that was given is turned back into the bytes that were signed."""
    given, signed, code = row
    if code == "text_body":
        signed, given = given, signed
    explanation = explain(given, sign_request(signed, KEY, at=NOW), KEY, now=NOW)
    assert found(explanation) == [code]
    assert not explanation.ok
    assert explanation.reason == ("not_bytes" if code == "text_body" else "bad_signature")


def test_text_is_never_said_to_verify() -> None:
    """``verify_signature`` would refuse it, even where its UTF-8 is what was signed."""
    explanation = explain(BODY.decode(), HEADERS, KEY, now=NOW)
    assert explanation.verified is None
    assert explanation.reason == "not_bytes"


@pytest.mark.parametrize(
    ("body", "more", "code"),
    [
        (b"", {}, "empty_body"),
        (BODY[:-5], {"content-length": str(len(BODY))}, "body_length"),
        ("Zo\ufffd".encode(), {}, "charset"),
        (b"x", {"Content-Encoding": "br"}, "content_encoding"),
        (b"{'type': 'user.created'}", {}, "python_repr"),
        (b'{"n": 1.5, "s": "x"}', {}, "reserialised_json"),
        (b"something else", {}, "other_key_or_body"),
    ],
)
def test_bodies_that_look_wrong(body, more, code) -> None:
    """What cannot be undone is a guess, and says so."""
    explanation = explain(body, {**HEADERS, **more}, KEY, now=NOW)
    assert found(explanation) == []
    assert code in guessed(explanation)


def test_a_body_that_is_as_it_was_raises_no_suspicion() -> None:
    """Where the key is wrong and nothing else, nothing else is blamed."""
    headers = {**HEADERS, "content-length": str(len(BODY)), "content-encoding": "identity"}
    assert guessed(explain(BODY, headers, "whsec_" + "A" * 32, now=NOW)) == ["other_key_or_body"]


# --- Keys -------------------------------------------------------------------------------------------------------------

STANDARD_KEYS = [
    (f" {KEY}\n'", KEY, "key_wrapped"),
    (f'"{KEY}"', KEY, "key_wrapped"),
    (f"WEBHOOK_SECRET={KEY}", KEY, "key_wrapped"),
    (f"export WEBHOOK_SECRET='{KEY}'", KEY, "key_wrapped"),
    (f"Bearer {KEY}", KEY, "key_wrapped"),
    (f"{KEY}\\n", KEY, "key_wrapped"),
    (f"\ufeff{KEY}", KEY, "key_wrapped"),
    (f"{KEY[:20]}\n{KEY[20:]}", KEY, "key_wrapped"),
    (f"v1,{KEY}|v1,whsec_{'B' * 32}", KEY, "keys_joined"),
    (f"whsec_{'B' * 32}, {KEY}", KEY, "keys_joined"),
    (RAW.decode("latin-1"), KEY, "key_decoded_twice"),
    (RAW.hex(), KEY, "key_hex"),
    (f"whsec_{RAW.hex().upper()}", KEY, "key_hex"),
    (base64.b64encode(KEY.encode()).decode(), KEY, "key_encoded_twice"),
    (base64.b64encode(KEY[6:].encode()).decode(), KEY, "key_encoded_twice"),
    (
        "whsec_" + base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode(),
        "whsec_" + base64.b64encode(b"\xfb\xff" * 16).decode(),
        "key_urlsafe",
    ),
    ("plain text", "whsec_" + base64.b64encode(b"plain text").decode(), "key_not_decoded"),
    (
        "whsec_" + "C" * 32,
        "whsec_" + base64.b64encode(b"whsec_" + b"C" * 32).decode(),
        "key_not_decoded",
    ),
    (PRIVATE, PRIVATE, "private_key"),
    (f" {PRIVATE} ", PRIVATE, "private_key"),
    ("whpk_" + PRIVATE[5:], PRIVATE, "private_key"),
    ("whsec_" + PUBLIC[5:], PRIVATE, "key_prefix"),
    (PUBLIC[5:], PRIVATE, "key_prefix"),
]


@pytest.mark.parametrize("row", STANDARD_KEYS, ids=lambda row: row[2])
def test_keys_of_standard_webhooks(row) -> None:
    """Each spelling is undone, and named, whether or not the scheme could read it."""
    given, signing, code = row
    explanation = explain(BODY, sign_request(BODY, signing, at=NOW), given, now=NOW)
    assert code in found(explanation)
    assert len(found(explanation)) == 1
    assert explanation.reason in {"bad_signature", "invalid_key"}


@pytest.mark.parametrize(
    ("given", "signing", "code"),
    [
        (f"{TEXT_KEY}\n", TEXT_KEY, "key_wrapped"),
        (f"whsec_{TEXT_KEY}", TEXT_KEY, "key_prefix"),
        (f"v1,whsec_{TEXT_KEY}", TEXT_KEY, "key_prefix"),
        (TEXT_KEY, f"whsec_{TEXT_KEY}", "key_prefix"),
        (base64.b64encode(TEXT_KEY.encode()).decode(), TEXT_KEY, "key_encoded_twice"),
        (TEXT_KEY.encode().hex(), TEXT_KEY, "key_hex"),
        (RAW.decode("latin-1"), base64.b64encode(RAW).decode(), "key_decoded_twice"),
        ("zwölf Wörter", base64.b64encode("zwölf Wörter".encode()).decode(), "key_decoded_twice"),
    ],
)
def test_keys_that_are_used_as_they_stand(given, signing, code) -> None:
    """The same for senders that take the key's text."""
    headers = sign_request(BODY, signing, scheme=LOGTO)
    explanation = explain(BODY, headers, given, scheme=LOGTO, now=NOW)
    assert found(explanation) == [code]


@pytest.mark.parametrize(
    ("key", "header", "code"),
    [
        ("s3cret", "Bearer s3cret", "key_prefix"),
        ("Bearer s3cret", "s3cret", "key_wrapped"),
        ("s3cret\n", "s3cret", "key_wrapped"),
        ("s3cret", '"s3cret"', "signature_form"),
    ],
)
def test_tokens(key, header, code) -> None:
    """For senders that sign nothing, and send the key itself."""
    explanation = explain(BODY, {"Authorization": header}, key, scheme=schemes.AUTH0)
    assert found(explanation) == [code]
    assert "s3cret" not in str(explanation)


def test_which_of_several_keys() -> None:
    """The finding says which one is meant, and one that cannot be read does not hide another's."""
    explanation = explain(BODY, HEADERS, ["whsec_" + "A" * 32, RAW.hex()], now=NOW)
    assert found(explanation) == ["key_hex"]
    assert "Key 2 " in explanation.findings[0].text
    explanation = explain(BODY, HEADERS, ["no base64!", KEY], now=NOW)
    assert explanation.reason == "invalid_key"
    assert found(explanation) == ["unreadable_key"]
    assert guessed(explanation) == ["unreadable_key"]


@pytest.mark.parametrize("others", [(), ("whsec_" + "A" * 32,)])
def test_a_key_that_has_expired(others) -> None:
    """It is tried after all, and said when it expired."""
    expired = SigningKey(KEY, expires_at=NOW - timedelta(days=1))
    explanation = explain(BODY, HEADERS, [expired, *others], now=NOW)
    assert found(explanation) == ["key_expired"]
    assert "2026-01-30 09:30:00 UTC" in explanation.findings[0].text
    assert f"keys: {1 + len(others)} (" in str(explanation)
    assert ", 1 expired" in str(explanation)


@pytest.mark.parametrize("keys", ["", [], [" "], None, [KEY] * 17])
def test_no_key_at_all(keys) -> None:
    """What ``verify_signature`` says of it is the explanation."""
    explanation = explain(BODY, HEADERS, keys, now=NOW)
    assert (explanation.reason, explanation.findings) == ("invalid_key", ())
    assert explanation.hint


@pytest.mark.parametrize(
    ("keys", "signing", "what"),
    [(KEY, PRIVATE, "no whpk_ key"), (PUBLIC, KEY, "no whsec_ key"), ([PUBLIC, KEY], "whsec_" + "A" * 32, None)],
)
def test_the_wrong_kind_of_key(keys, signing, what) -> None:
    """Signed one way, with a key for the other: that is a guess, as both may be wrong."""
    explanation = explain(BODY, sign_request(BODY, signing, at=NOW), keys, now=NOW)
    assert found(explanation) == []
    assert guessed(explanation) == (["key_kind"] if what else ["other_key_or_body"])
    assert (what or "endpoint's own key") in explanation.findings[0].text


def test_nobody_is_told_to_use_a_public_key_as_a_secret() -> None:
    """Whoever signs with the text of a public key, which anybody can, is not explained into being right."""
    for secret in (
        PUBLIC.encode(),
        PUBLIC[5:].encode(),
        base64.b64decode(PUBLIC[5:]),
        base64.b64decode(PUBLIC[5:]).hex().encode(),
        b"whsec_" + PUBLIC[5:].encode(),
    ):
        forged = sign_request(BODY, "whsec_" + base64.b64encode(secret).decode(), at=NOW)
        assert codes(BODY, forged, PUBLIC) == []
        mac = hmac.digest(secret, BODY, "sha256").hex()
        assert codes(BODY, {"logto-signature-sha-256": mac}, PUBLIC) == []
        assert codes(BODY, {"logto-signature-sha-256": mac}, PUBLIC, scheme=LOGTO) == []


@pytest.mark.parametrize("key", ["whsec_", "v1,whsec_", "=", "\0", "whsec_\0"])
def test_nobody_is_told_to_use_an_empty_key(key) -> None:
    """Nor one of zeros, which is the same: anybody could sign with that."""
    mac = base64.b64encode(
        hmac.digest(b"\0" * 24, b".".join([b"a", str(int(NOW.timestamp())).encode(), BODY]), "sha256")
    ).decode()
    headers = {"webhook-id": "a", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": "v1," + mac}
    assert codes(BODY, headers, "whsec_" + base64.b64encode(b"\0" * 24).decode()) == []  # it verifies
    assert codes(BODY, headers, key) == []


# --- Headers ----------------------------------------------------------------------------------------------------------


def renamed(change) -> dict[str, str]:
    return {change(name): value for name, value in HEADERS.items()}


def token(signature: str) -> dict[str, str]:
    return {**HEADERS, "webhook-signature": signature}


VALUE = HEADERS["webhook-signature"].removeprefix("v1,")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (renamed(lambda name: name.replace("-", "_")), ["renamed_headers"]),
        (renamed(lambda name: "HTTP_" + name.upper().replace("-", "_")), ["renamed_headers"]),
        (renamed(lambda name: "X-" + name.title()), ["renamed_headers"]),
        (renamed(lambda name: "x-amzn-remapped-" + name), ["renamed_headers"]),
        ({**HEADERS, "webhook-id": "", "x-webhook-id": "evt_test"}, ["renamed_headers"]),
        ([*HEADERS.items(), *HEADERS.items()], ["repeated_headers"]),
        ({name: f"{value},{value}" for name, value in HEADERS.items()}, ["repeated_headers"]),
        ({**HEADERS, "webhook-id": "evt_test, evt_test"}, ["repeated_headers"]),
        (
            [(name.replace("-", "_"), f"{value}, {value}") for name, value in HEADERS.items()],
            ["renamed_headers", "repeated_headers"],
        ),
        (token(VALUE), ["signature_form"]),
        (token(f"sha256={base64.b64decode(VALUE).hex()}"), ["signature_form"]),
        (token(f"v1,{base64.b64decode(VALUE).hex().upper()}"), ["signature_form"]),
        (token(f"v1%2C{VALUE.replace('=', '%3D').replace('+', '%2B').replace('/', '%2F')}"), ["signature_form"]),
        (token(f'"v1,{VALUE}"'), ["signature_form"]),
        (token(f"v2,{VALUE}"), ["signature_form"]),
        (sign_request(BODY, KEY, scheme=SVIX, at=NOW), ["other_scheme"]),
        (sign_request(BODY, KEY, scheme=LOGTO), ["other_scheme"]),
    ],
)
def test_headers_that_were_changed(headers, expected) -> None:
    """Each change is undone, and named."""
    assert codes(headers=headers) == expected


GITHUB = HmacScheme("github", "x-hub-signature-256", prefix="sha256=")
MAC = hmac.digest(TEXT_KEY.encode(), BODY, "sha256")


@pytest.mark.parametrize(
    "value",
    [
        MAC.hex(),
        f"sha256={MAC.hex().upper()}",
        f"sha1={MAC.hex()}",
        f"sha256={base64.b64encode(MAC).decode()}",
        base64.b64encode(MAC).decode(),
    ],
)
def test_signatures_of_other_schemes_that_were_changed(value) -> None:
    """Prefix, case and encoding, for a scheme that was described in a line."""
    headers = {"X-Hub-Signature-256": value}
    assert codes(headers=headers, keys=TEXT_KEY, scheme=GITHUB) == ["signature_form"]


def test_the_right_signature_without_a_prefix_that_the_scheme_has_not() -> None:
    """A scheme without a prefix gets one."""
    bare = HmacScheme("bare", "x-signature", encoding="base64")
    headers = {"x-signature": "sha256=" + base64.b64encode(MAC).decode()}
    assert codes(headers=headers, keys=TEXT_KEY, scheme=bare) == ["signature_form"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "no_headers"),
        ({"x-request-id": "1"}, "no_headers"),
        ({name: value for name, value in HEADERS.items() if name != "webhook-signature"}, "lost_headers"),
        ({**HEADERS, "webhook-id": " "}, "lost_headers"),
        (sign_request(BODY, TEXT_KEY, scheme=LOGTO), "other_headers"),
        (renamed(lambda name: name.replace("-", "_") + ("" if "id" in name else "x")), "renamed_headers"),
        (token("v1,abc"), "signature_length"),
        (token(f"v1a,{VALUE[::-1]}"), "signature_length"),
        ({**HEADERS, "webhook-timestamp": "1769851800000"}, "timestamp_form"),
        ({**HEADERS, "webhook-timestamp": "2026-01-31T09:30:00Z"}, "timestamp_form"),
        ({**HEADERS, "webhook-timestamp": "1769851800.5"}, "timestamp_form"),
    ],
)
def test_headers_that_look_wrong(headers, code) -> None:
    """What cannot be undone is a guess."""
    explanation = explain(BODY, headers, KEY, now=NOW)
    assert found(explanation) == []
    assert code in guessed(explanation)


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ({**HEADERS, "webhook-id": ""}, STANDARD),  # SUPABASE has the same headers
        ({"authorization": "Bearer x"}, STANDARD),  # which many requests have
        ({"x-hub-signature-256": "sha256=" + "0" * 64}, schemes.GITHUB),  # its id is not signed, so it is not needed
    ],
)
def test_headers_that_say_nothing_of_another_sender(headers, scheme) -> None:
    """No sender is guessed from what any request may have, and nothing is missed that is not needed."""
    codes = guessed(explain(BODY, headers, TEXT_KEY if scheme is schemes.GITHUB else KEY, scheme=scheme, now=NOW))
    assert "other_headers" not in codes
    assert ("lost_headers" in codes) == ("webhook-id" in headers)


def test_the_facts_say_what_came() -> None:
    """Which headers are missing, empty or there twice, and the kinds of the keys, but no value of either."""
    headers = [("webhook-id", "evt_test"), ("webhook-id", "evt_other"), ("webhook-timestamp", "")]
    explanation = explain(b"\xff", headers, [KEY, PUBLIC], now=NOW)
    assert explanation.facts == (
        "the body has 1 bytes, no JSON in UTF-8",
        "headers that matter: webhook-id (2 times), webhook-timestamp (empty), webhook-signature (missing)",
        "keys: 2 (whsec_, whpk_)",
    )


def test_a_second_family_of_headers_is_the_one_looked_at() -> None:
    """SVIX takes webhook-… as well; where those came, they are what the explanation is about."""
    headers = sign_request(BODY + b"\n", KEY, at=NOW)
    assert codes(headers=headers, scheme=SVIX) == ["line_ending"]
    text = str(explain(BODY, headers, KEY, scheme=SVIX, now=NOW))
    assert "webhook-signature" in text
    assert "svix" not in text


# --- Time -------------------------------------------------------------------------------------------------------------

STRIPE = HmacScheme(
    "stripe", "stripe-signature", signed="{timestamp}.{body}", timestamp_field="t", signature_field="v1"
)
LINEAR = HmacScheme("linear", "linear-signature", timestamp_json="webhookTimestamp", timestamp_unit="ms")


@pytest.mark.parametrize(
    ("seconds", "expected", "guesses", "words"),
    [
        (301, ["clock_skew"], [], "5 min 1 s before now"),
        (-400, ["clock_skew"], [], "6 min 40 s after now"),
        (7200, ["clock_skew"], ["time_zone"], "2 h before now"),
        (-19_800 + 30, ["clock_skew"], ["time_zone"], "5 h 29 min 30 s after now"),
        (5000, ["clock_skew"], [], "1 h 23 min 20 s before now"),
        (86_401 + 5, ["old_signature"], [], "1 d 6 s before now"),
        (-400 * 86_400, ["clock_skew"], [], "400 d after now"),
    ],
)
@pytest.mark.parametrize("scheme", [STANDARD, STRIPE, LINEAR], ids=["header", "field", "body"])
def test_clocks(scheme, seconds, expected, guesses, words) -> None:
    """By how much they differ, wherever the time is written; and whether that is a difference between time zones."""
    body = json.dumps({"id": 12, "webhookTimestamp": int(NOW.timestamp() * 1000)}).encode()
    headers = sign_request(body, KEY, scheme=scheme, at=NOW)
    explanation = explain(body, headers, KEY, scheme=scheme, now=NOW + timedelta(seconds=seconds))
    assert explanation.reason == ("timestamp_too_old" if seconds > 0 else "timestamp_too_new")
    assert (found(explanation), guessed(explanation)) == (expected, guesses)
    assert words in explanation.findings[0].text
    assert explanation.age == timedelta(seconds=seconds)


def test_a_narrow_tolerance() -> None:
    """The window is the one that was given."""
    late = NOW + timedelta(seconds=11)
    assert codes(now=late, tolerance=10) == ["clock_skew"]
    assert explain(BODY, HEADERS, KEY, now=late, tolerance=11).ok


def test_two_mistakes_at_once() -> None:
    """A body that was changed, under a clock that is wrong: both are found."""
    explanation = explain(BODY + b"\n", HEADERS, KEY, now=NOW + timedelta(hours=1))
    assert found(explanation) == ["line_ending", "clock_skew"]
    assert guessed(explanation) == ["time_zone"]
    assert explanation.age == timedelta(hours=1)


# --- URLs -------------------------------------------------------------------------------------------------------------

URLS = HmacScheme("urls", "x-signature", signed="{url}{body}")


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("http://example.com/hooks", "https://example.com/hooks"),
        ("https://example.com/hooks", "https://example.com/hooks/"),
        ("https://example.com/hooks/", "https://example.com/hooks"),
        ("https://example.com/hooks?a=1", "https://example.com/hooks"),
        ("https://example.com:443/hooks", "https://example.com/hooks"),
        ("https://10.0.0.1:8000/hooks", "https://public.example/hooks"),
        ("http://10.0.0.1:8000/hooks", "https://public.example/hooks"),
    ],
)
def test_urls(given, called) -> None:
    """Where the URL is signed, the public one is found from the one behind the proxy."""
    headers = {**sign_request(BODY, TEXT_KEY, scheme=URLS, url=called), "x-forwarded-host": "public.example"}
    assert codes(headers=headers, keys=TEXT_KEY, scheme=URLS, url=given) == ["other_url"]


@pytest.mark.parametrize("url", ["http://[", "", "\0", "//", "https://other.example:99999/"])
def test_urls_that_are_none(url) -> None:
    """A setting that is no URL is no reason to fail."""
    headers = sign_request(BODY, TEXT_KEY, scheme=URLS, url="https://example.com/")
    assert codes(headers=headers, keys=TEXT_KEY, scheme=URLS, url=url) == []


# --- What is not a sender's fault -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (({"type": "x"}, HEADERS, KEY), {}, TypeError),
        ((BODY, 5, KEY), {}, TypeError),
        ((BODY, HEADERS, b"key"), {}, TypeError),
        ((BODY, HEADERS, KEY), {"now": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001 - naive on purpose
        ((BODY, HEADERS, KEY), {"tolerance": -1}, ValueError),
        ((BODY, {"x-signature": "a"}, TEXT_KEY), {"scheme": URLS}, ValueError),
    ],
)
def test_wrong_arguments_are_errors(arguments, options, error) -> None:
    """Those that ``verify_signature`` raises for the calling code are raised here, too."""
    with pytest.raises(error):
        explain(*arguments, **options)
    with pytest.raises(error):
        verify_signature(*arguments, **options)


def test_a_body_that_is_too_large_is_not_looked_at() -> None:
    """Only the reason is given."""
    explanation = explain(b"x" * 11, HEADERS, KEY, now=NOW, max_body_bytes=10)
    assert (explanation.reason, explanation.findings, explanation.facts) == ("too_large", (), ())


# --- Whatever comes ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *HEADERS,
        "svix-id",
        "svix-timestamp",
        "svix-signature",
        "logto-signature-sha-256",
        "webhook_id",
        "content-length",
        "content-encoding",
        "x-forwarded-host",
        "host",
    ]
)
VALUES = st.sampled_from(
    ["evt_test", "1769851800", "v1,", HEADERS["webhook-signature"], "a,a", "v1a,x", "\0", "²", "9" * 40, MAC.hex()]
)
STRANGE_BODIES = st.binary(max_size=60) | st.sampled_from(
    [
        b"{'",
        b'"\\ud800"',
        b"\x1f\x8b\x08\x00",
        b"b'\\'",
        b'b""',
        b"=&=",
        b"%=%",
        b"[" * 300,
        b'{"a":1,"a":2}',
        b"9" * 5000,
        b"1e999",
        b"AAAAAAAA=",
        b"\xff\xfe\x00\xd8",
        BODY,
    ]
)
KEYS = st.sampled_from([KEY, PUBLIC, PRIVATE, TEXT_KEY, "\ud800", "whsec_", "v1,|", "whpk_x", RAW.hex()]) | any_text


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    STRANGE_BODIES | any_text,
    st.lists(st.tuples(NAMES, VALUES | any_text), max_size=8),
    st.lists(KEYS, max_size=3),
    st.sampled_from([STANDARD, SVIX, LOGTO, STRIPE, LINEAR, GITHUB]),
    st.integers(0, 253_402_214_399),
)
def test_whatever_comes_is_explained(body, headers, keys, scheme, now) -> None:
    """No body, header or key is too strange: an explanation comes of it, in sentences that hold nothing secret."""
    explanation = explain(body, headers, keys, scheme=scheme, now=now)
    assert explanation.ok == (explanation.reason == "")
    assert str(explanation)
    for finding in explanation.findings:
        assert finding.code.isidentifier()
        assert finding.text[-1] in ".?"
        assert finding.text.isprintable()


def test_every_vector_is_explained() -> None:
    """A request of ours that was changed in any single byte is explained, too."""
    for at in range(len(BODY)):
        changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        explanation = explain(changed, HEADERS, KEY, now=NOW)
        assert found(explanation) == []
        assert explanation.reason == "bad_signature"


SECRETS = [
    KEY[6:],
    RAW.hex(),
    TEXT_KEY,
    PRIVATE[5:],
    VALUE,
    MAC.hex(),
    base64.b64encode(MAC).decode(),
    "planted",
    "Zoë",
]


def everything_explained():
    """Yield explanations of all the mistakes above."""
    for body, signed, _ in BODIES:
        headers = sign_request(signed, KEY, at=NOW) if isinstance(signed, bytes) else HEADERS
        yield explain(body, headers, KEY, now=NOW)
    for key, signing, _ in STANDARD_KEYS:
        headers = sign_request(BODY, signing, at=NOW)
        yield explain(BODY, headers, key, now=NOW)
        yield explain(b"planted-body", headers, key, now=NOW)
        headers = sign_request(BODY, TEXT_KEY, scheme=LOGTO)
        yield explain(BODY, headers, [key, TEXT_KEY + " "], scheme=LOGTO, now=NOW)
    yield explain(BODY, {"webhook-id": "planted-id", "planted-name": "planted-value"}, KEY, now=NOW)
    yield explain(BODY, [("webhook_planted", "planted")] * 3, KEY, now=NOW)
    yield explain("planted text", HEADERS, [KEY, TEXT_KEY, PRIVATE], now=NOW)


def test_nothing_secret_is_said() -> None:
    """No key, no signature, and nothing of the body or of a header's value, in any finding, hint, fact or ``repr``."""
    texts = [
        f"{explanation}{explanation.findings!r}{explanation.hint}{explanation.facts!r}"
        for explanation in everything_explained()
    ]
    assert len(texts) > 60
    assert [(secret, text) for text in texts for secret in SECRETS if secret in text] == []


def test_the_repr_hides_the_body() -> None:
    """As everywhere."""
    assert "Zoë" not in repr(explain(BODY, HEADERS, KEY, now=NOW))


class Counting:
    """A scheme that counts how often it is asked, and never says yes."""

    header_names = STANDARD.header_names

    def __init__(self) -> None:
        self.asked = 0
        self.hashed = 0

    def sign(self, *args, **options):
        return STANDARD.sign(*args, **options)

    def verify(self, body, headers, keys, **options) -> Verified:
        self.asked += 1
        self.hashed += len(body)
        return STANDARD.verify(body, headers, keys, **options)


@pytest.mark.parametrize("body", [b"{}", b"[" + b'"\xc3\xbc",' * 20_000 + b"0]", b"x" * 1_048_576, b"a=b&" * 200_000])
def test_the_work_is_bounded(body) -> None:
    """Whatever is sent, with as many keys as there may be: so many trials, over so many bytes, and no more."""
    scheme = Counting()
    keys = [f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in range(16)]
    explain(body, HEADERS, keys, scheme=scheme, now=NOW)
    assert scheme.asked <= _explain._MAX_TRIALS + 64
    assert scheme.hashed <= _explain._MAX_BYTES + 64 * len(body)


def test_the_bytes_are_bounded(monkeypatch) -> None:
    """A large body is not tried in every way there is."""
    scheme = Counting()
    monkeypatch.setattr(_explain, "_MAX_BYTES", 5000)
    explain(b"x" * 1000, HEADERS, KEY, scheme=scheme, now=NOW)
    assert scheme.asked < 12


def test_a_time_that_is_not_found_is_not_told() -> None:
    """Deep within a body with many numbers it is not looked for; then there is the hint."""
    body = json.dumps({"n": list(range(1000)), "webhookTimestamp": int(NOW.timestamp() * 1000)}).encode()
    headers = sign_request(body, KEY, scheme=LINEAR, at=NOW)
    explanation = explain(body, headers, KEY, scheme=LINEAR, now=NOW + timedelta(hours=2))
    assert (explanation.reason, explanation.age, explanation.findings) == ("timestamp_too_old", None, ())
    assert "7200 s ago" in explanation.hint


def test_a_bomb_is_not_unpacked() -> None:
    """A body that unpacks to very much more is unpacked no further than a body may be long."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert codes(bomb, sign_request(b"\0" * 50_000_000, KEY, at=NOW)) == []
    assert codes(bomb, sign_request(b"\0" * 1_048_576, KEY, at=NOW)) == ["compressed_body"]


# --- The module -------------------------------------------------------------------------------------------------------


def test_an_explanation_in_words() -> None:
    """What is certain comes first, then what may be, then what was looked at."""
    explanation = Explanation(
        None,
        "bad_signature",
        "hint",
        (Finding("a", "One.", certain=True), Finding("b", "Two?", certain=False)),
        ("x",),
        None,
    )
    assert str(explanation) == "It does not verify: bad_signature: hint\nFound: One.\nPerhaps: Two?\n- x"


def test_form_fields_are_as_github_sends_them() -> None:
    """The form that is put around the field again is the one that was signed."""
    assert urlencode({"payload": '{"a":1}'}).encode() == FORM


def test_every_scheme_of_ours_explains_its_own_requests() -> None:
    """For each that signs with a text and a URL: a good request verifies, a changed one is explained."""
    signed = 0
    for scheme in schemes.BUILTIN.values():
        try:
            headers = sign_request(BODY, KEY, scheme=scheme, at=NOW, url="https://example.com/hooks")
            options = {"scheme": scheme, "now": NOW, "url": "https://example.com/hooks", "method": "POST"}
            if not explain(BODY, headers, KEY, **options).ok:
                continue
        except ValueError:
            continue  # it wants another kind of body, URL or time
        signed += 1
        assert not explain(BODY + b" x", headers, "whsec_" + "A" * 32, **options).ok
    assert signed >= 3
