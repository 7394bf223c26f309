"""The answers to the questions of Okta, Zoom and CloudEvents, and what nobody can make of them."""

from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import InvalidKey, PayloadError, SigningKey, VerificationError, Verified, verify_signature
from hookkit.challenges import Answer, cloudevents_handshake, okta_verification, zoom_url_validation
from hookkit.schemes import ZOOM
from hookkit.testing import sign_request
from strategies import any_text, json_values

VECTORS = json.loads((Path(__file__).parent / "vectors" / "signatures.json").read_text("utf-8"))


def rows(scheme):
    found = [pytest.param(row, id=row["id"]) for row in VECTORS if row["scheme"] == scheme]
    assert found
    return found


def verified(body: bytes) -> Verified:
    return Verified(None, None, body, "key")


# --- Okta -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x-okta-verification-challenge": "8i4vUa_Xq"},
        {"X-Okta-Verification-Challenge": " 8i4vUa_Xq\t"},
        [(b"x-okta-verification-challenge", b"8i4vUa_Xq"), (b"host", b"example.com")],
        {"wsgi.version": (1, 0), "HTTP_X_OKTA_VERIFICATION_CHALLENGE": "8i4vUa_Xq"},
    ],
)
def test_okta_gets_its_challenge_back(headers) -> None:
    """As JSON, whatever the framework makes of the headers."""
    answer = okta_verification(headers)
    assert (answer.status, answer.body) == (200, b'{"verification":"8i4vUa_Xq"}')
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("headers", [{}, {"x-okta-verification-challenge": " "}, [("host", "example.com")]])
def test_without_a_challenge_there_is_no_answer(headers) -> None:
    """A request that asks nothing is somebody else's business."""
    assert okta_verification(headers) is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [(["a", "a"], "duplicate_header"), (["a", ""], "duplicate_header"), (["a" * 4097], "too_large")],
)
@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("x-okta-verification-challenge", okta_verification),
        ("webhook-request-origin", partial(cloudevents_handshake, origins="*")),
    ],
)
def test_a_header_that_asks_too_much_is_refused(name, ask, values, reason) -> None:
    """Twice the header, or a very long one, is a VerificationError, as it is when verifying."""
    with pytest.raises(VerificationError) as caught:
        ask([(name, value) for value in values])
    assert caught.value.reason == reason
    assert "aaa" not in str(caught.value)


@given(any_text)
def test_a_challenge_is_only_ever_data(challenge) -> None:
    """Whatever is sent comes back as one JSON string in ASCII, which no browser is told to take for anything else."""
    answer = okta_verification({"x-okta-verification-challenge": challenge})
    if answer is None:
        assert challenge.strip(" \t") == ""
        return
    assert answer.body.isascii()
    assert json.loads(answer.body) == {"verification": challenge.strip(" \t")}
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- Zoom -------------------------------------------------------------------------------------------------------------

ZOOM_KEY = "secretValueTest"
TOKEN = "qgg8vlvZRS6UYooatFL8Aw"


def validation(token: object = TOKEN, **more: object) -> bytes:
    return json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token, **more}}).encode()


@pytest.mark.parametrize("row", rows("zoom-url-validation"))
@pytest.mark.parametrize("kind", [str, SigningKey])
def test_zoom_gets_its_token_signed(row, kind) -> None:
    """The published case."""
    answer = zoom_url_validation(verified(row["body"].encode()), kind(row["secret"]))
    assert answer.status == 200
    assert json.loads(answer.body) == row["expected_response"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":"meeting.started","payload":{"plainToken":"abc"}}',
        b'{"payload":{"plainToken":"abc"}}',
        b'{"event":["endpoint.url_validation"]}',
        b'["endpoint.url_validation"]',
        b"null",
    ],
)
def test_another_event_is_no_question(body) -> None:
    """None: handle it as usual."""
    assert zoom_url_validation(verified(body), ZOOM_KEY) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"event":"endpoint.url_validation"}',
        b'{"event":"endpoint.url_validation","payload":null}',
        b'{"event":"endpoint.url_validation","payload":["plainToken"]}',
        b'{"event":"endpoint.url_validation","event":"x","payload":{"plainToken":"abc"}}',
        *map(validation, [None, 5, "", "a" * 257, "a b", "a\n", "ü", "v0:1654503849:{}", "\u202e", ["abc"]]),
    ],
)
def test_a_question_without_a_proper_token_is_a_payload_error(body) -> None:
    """And nothing is signed."""
    with pytest.raises(PayloadError):
        zoom_url_validation(verified(body), ZOOM_KEY)


@given(st.binary(max_size=40), st.integers(0, 2_000_000_000))
def test_no_answer_is_a_signature(body, stamp) -> None:
    """A forger who may choose the token gets no MAC with which a request of his would verify."""
    message = b"v0:%d:%s" % (stamp, body)
    with pytest.raises(PayloadError):
        zoom_url_validation(verified(validation(message.decode("latin-1"))), ZOOM_KEY)


@given(st.from_regex(r"[A-Za-z0-9_+/=-]{1,256}", fullmatch=True), st.text("abc ü", min_size=1).filter(str.strip))
def test_any_proper_token_is_signed(token, key) -> None:
    """With the key's UTF-8 text, in hex."""
    answer = json.loads(zoom_url_validation(verified(validation(token)), key).body)
    assert answer == {
        "plainToken": token,
        "encryptedToken": hmac.new(key.encode(), token.encode(), hashlib.sha256).hexdigest(),
    }


def test_zoom_in_one_piece() -> None:
    """The question itself is signed: verified first, then answered."""
    body = validation()
    headers = sign_request(body, ZOOM_KEY, scheme=ZOOM)
    answer = zoom_url_validation(verify_signature(body, headers, ZOOM_KEY, scheme=ZOOM), ZOOM_KEY)
    assert json.loads(answer.body)["plainToken"] == TOKEN


def test_a_blank_key_signs_nothing() -> None:
    """As everywhere."""
    with pytest.raises(InvalidKey):
        zoom_url_validation(verified(validation()), " ")


# --- CloudEvents ------------------------------------------------------------------------------------------------------

ORIGIN = "eventemitter.example.com"


@pytest.mark.parametrize("row", rows("cloudevents-webhook-handshake"))
def test_a_sender_that_may_is_told_so(row) -> None:
    """The specification's own example."""
    answer = cloudevents_handshake(row["headers"], origins=[ORIGIN, "other.example.com"], rate=100)
    expected = {name.lower(): value for name, value in row["expected_response_headers"].items()}
    assert answer == Answer(200, expected)


@pytest.mark.parametrize(
    ("asked", "origins", "granted"),
    [
        (ORIGIN, [ORIGIN], ORIGIN),
        ("EventEmitter.EXAMPLE.com.", [ORIGIN], ORIGIN),
        (ORIGIN, ["EventEmitter.example.com"], "EventEmitter.example.com"),
        (f" {ORIGIN} ", {ORIGIN}, ORIGIN),
        ("anybody.example.net", "*", "*"),
        ("not even\ta name: \r\nx", "*", "*"),
        ("evil.example.com", [ORIGIN], None),
        (f"evil.{ORIGIN}", [ORIGIN], None),
        (f"{ORIGIN}.evil.example", [ORIGIN], None),
        (f"{ORIGIN}, evil.example", [ORIGIN], None),
        ("*", [ORIGIN], None),
        (ORIGIN, [], None),
    ],
)
def test_who_may_send(asked, origins, granted) -> None:
    """Exact names in any case; permission lies in the headers, which hold what was configured, never what was asked."""
    answer = cloudevents_handshake({"webhook-request-origin": asked}, origins=origins)
    if granted is None:
        assert answer == Answer(403, {"allow": "POST"})
    else:
        assert answer.headers == {"allow": "POST", "webhook-allowed-origin": granted, "webhook-allowed-rate": "*"}


@pytest.mark.parametrize("headers", [{}, {"webhook-request-origin": ""}, {"webhook-request-rate": "120"}])
def test_what_is_no_handshake_gets_no_answer(headers) -> None:
    """An OPTIONS may be about something else, such as CORS."""
    assert cloudevents_handshake(headers, origins="*") is None


@pytest.mark.parametrize("origins", [["a b"], [""], ["https://example.com"], ["*"], ["x\r\ny"], ["a" * 300]])
def test_origins_are_names(origins) -> None:
    """A setting that could never match, or would break the answer, is a ValueError."""
    with pytest.raises(ValueError):
        cloudevents_handshake({}, origins=origins)


def test_settings_of_another_kind() -> None:
    """One text is no list of origins, and nobody may send less than one request a minute."""
    with pytest.raises(TypeError, match="list of DNS names"):
        cloudevents_handshake({}, origins=ORIGIN)
    with pytest.raises(ValueError, match="rate"):
        cloudevents_handshake({}, origins="*", rate=0)


# --- All of them ------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(["x-okta-verification-challenge", "webhook-request-origin"]), any_text))
def test_whatever_headers_come(headers) -> None:
    """An answer, none, or a VerificationError; and no answer could break out of its headers."""
    for ask in (okta_verification, partial(cloudevents_handshake, origins=[ORIGIN])):
        try:
            answer = ask(headers)
        except VerificationError:
            continue
        for name, value in (answer.headers if answer else {}).items():
            assert name == name.lower()
            assert value.isascii()
            assert value.isprintable()


@given(json_values())
def test_whatever_body_comes(value) -> None:
    """An answer, none, or a PayloadError."""
    for body in (json.dumps(value).encode(), validation(value)):
        with suppress(PayloadError):
            zoom_url_validation(verified(body), ZOOM_KEY)
