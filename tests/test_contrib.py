"""What the framework adapters share, and the adapter for AWS Lambda, which needs no framework."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import InvalidKey, SigningKey, VerificationError, schemes, verify_signature
from hookkit.contrib._answers import Answer, answer_to, refused
from hookkit.contrib._settings import Options, Settings
from hookkit.contrib.aws_lambda import refusal, verify_request, webhook
from hookkit.schemes import HmacScheme
from hookkit.testing import sign_request

KEY = SigningKey("whsec_" + 4 * "MfKQ9r8G")
BODY = '{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"name":"Zoë"}}'.encode()
SECRET = "the key's own text"
CALLED = HmacScheme("called", "x-signature", signed="{method} {url} {body}")


# --- Answers ----------------------------------------------------------------------------------------------------------

REASONS = {
    "missing_header": 401,
    "duplicate_header": 400,
    "invalid_id": 400,
    "invalid_timestamp": 400,
    "timestamp_too_old": 401,
    "timestamp_too_new": 401,
    "malformed_signature": 400,
    "bad_signature": 401,
    "bad_digest": 401,
    "too_large": 413,
}


def test_every_reason_has_an_answer() -> None:
    """The table above has all reasons that there are."""
    documented = inspect.getdoc(VerificationError)
    assert [reason for reason in REASONS if f"``{reason}``" not in documented] == []


@pytest.mark.parametrize(("reason", "status"), REASONS.items())
def test_an_answer_is_a_status_and_its_name(reason: str, status: int) -> None:
    """401 unless the request is malformed or too large; the text says no more than the status."""
    assert answer_to(reason) == Answer(
        status, {400: "Bad Request", 401: "Unauthorized", 413: "Content Too Large"}[status]
    )


def test_a_reason_that_nobody_knows_is_unauthorized() -> None:
    """A scheme of the host's own may have reasons of its own."""
    assert answer_to("revoked").status == 401


def test_the_reason_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """As text, and as fields for those who log JSON."""
    with caplog.at_level(logging.WARNING, "hookkit.contrib"):
        assert refused(VerificationError("bad_digest", "look here")).status == 401
    (record,) = caplog.records
    assert record.getMessage() == "refused with 401: bad_digest: look here"
    assert (record.levelname, record.reason, record.hint) == ("WARNING", "bad_digest", "look here")


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_the_options_are_the_settings() -> None:
    """What is documented as an option is what there is to set, beside the keys."""
    fields = set(inspect.signature(Settings).parameters) - {"keys"}
    assert set(Options.__annotations__) == fields
    assert fields < set(inspect.signature(verify_signature).parameters)


@pytest.mark.parametrize(
    "length", [None, "", 0, 10, "10", "010", "x", "-1", "1e9", "１１", " 11", "9" * 30, "11x"], ids=repr
)
def test_a_length_within_the_limit_or_no_length_at_all_passes(length: Any) -> None:
    """A length that is no number is the server's to judge; what is read is counted all the same."""
    Settings(KEY, max_body_bytes=10).check_length(length)


@pytest.mark.parametrize("length", [11, "11", "999999999999999999"], ids=repr)
def test_a_length_over_the_limit_is_too_large(length: Any) -> None:
    """By its announcement alone."""
    with pytest.raises(VerificationError, match="too_large"):
        Settings(KEY, max_body_bytes=10).check_length(length)


@given(st.text())
def test_any_length_is_read_without_an_error_of_its_own(length: str) -> None:
    """Whatever a sender announces, it is too large or it passes."""
    with suppress(VerificationError):
        Settings(KEY).check_length(length)


def test_no_key_is_in_what_is_shown() -> None:
    """Settings hide their keys."""
    assert SECRET not in repr(Settings(SECRET))
    assert "MfKQ" not in repr(Settings(["whsec_" + 4 * "MfKQ9r8G"]))


def test_keys_are_taken_once() -> None:
    """An iterator of keys is not used up by the first request."""
    settings = Settings(iter([KEY]))
    headers = sign_request(BODY, KEY)
    for _ in range(2):
        assert settings.verify(None, BODY, headers, method="POST", query="").body == BODY


class Later:
    """Awaitable, and no coroutine."""

    def __await__(self) -> Any:
        yield from ()
        return KEY


@pytest.mark.parametrize("later", [Later, Settings.verify_async], ids=["awaitable", "coroutine"])
def test_keys_to_be_awaited_are_a_type_error_where_nobody_awaits(later: Any) -> None:
    """Of whatever kind they are; a coroutine is closed, so that no warning says the same again."""
    make = (lambda _: Later()) if later is Later else (lambda _: later(None, None, b"", {}, method="", query=""))
    with pytest.raises(TypeError, match="give a plain function"):
        Settings(make).verify(None, BODY, {}, method="POST", query="")


def test_keys_may_be_any_awaitable() -> None:
    """Where somebody does await them."""
    settings = Settings(lambda _: Later())
    headers = sign_request(BODY, KEY)
    assert asyncio.run(settings.verify_async(None, BODY, headers, method="POST", query="")).body == BODY


# --- AWS Lambda -------------------------------------------------------------------------------------------------------


def event(**more: Any) -> dict[str, Any]:
    """Return an event of an HTTP API with a signed request."""
    headers = {"content-type": "application/json", **sign_request(BODY, KEY)}
    return {
        "version": "2.0",
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"http": {"method": "POST"}},
        "body": BODY.decode(),
        "isBase64Encoded": False,
        **more,
    }


def encoded(body: bytes = BODY) -> dict[str, Any]:
    """Return what an API does with a body that it takes for binary."""
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


@pytest.mark.parametrize("more", [{}, encoded()], ids=["text", "base64"])
def test_lambda_a_body_is_text_or_base64(more: dict[str, Any]) -> None:
    """The API decides which, by the content type: either is decoded to the bytes that were sent."""
    assert verify_request(event() | more, KEY).body == BODY


@given(st.binary(max_size=100))
def test_lambda_any_bytes_verify_as_base64(body: bytes) -> None:
    """No body is too odd."""
    given_event = {"headers": sign_request(body, KEY), **encoded(body)}
    assert verify_request(given_event, KEY).body == body


def test_lambda_base64_that_is_not_marked_does_not_verify() -> None:
    """What the event says counts, not what its body looks like."""
    with pytest.raises(VerificationError, match="bad_signature"):
        verify_request(event() | encoded() | {"isBase64Encoded": False}, KEY)


def test_lambda_an_empty_body_is_none() -> None:
    """An API hands over None where there was no body."""
    assert verify_request({"headers": sign_request(b"", KEY), "body": None}, KEY).body == b""


@pytest.mark.parametrize("name", ["Webhook-Id", "WEBHOOK-ID", "webhook-id"])
def test_lambda_names_are_in_any_case(name: str) -> None:
    """REST APIs keep what the sender wrote, HTTP APIs write in lower case."""
    headers = {key: value for key, value in sign_request(BODY, KEY).items() if key != "webhook-id"}
    assert verify_request(event(headers={**headers, name: "evt_test"}), KEY).id == "evt_test"


def test_lambda_every_value_of_a_header_is_seen() -> None:
    """Where the event has them all, a header that came twice is refused, rather than its last value taken."""
    several = {name: [value] for name, value in sign_request(BODY, KEY).items()}
    assert verify_request(event(multiValueHeaders=several), KEY).id == "evt_test"
    several["webhook-id"] = ["evt_test", "evt_other"]
    with pytest.raises(VerificationError, match="duplicate_header"):
        verify_request(event(multiValueHeaders=several), KEY)


@pytest.mark.parametrize("headers", [{"headers": None}, {"headers": {}}, {"headers": None, "multiValueHeaders": None}])
def test_lambda_no_headers_are_missing_headers(headers: dict[str, Any]) -> None:
    """The consoles of AWS send such events."""
    with pytest.raises(VerificationError, match="missing_header"):
        verify_request({"body": "x", **headers}, KEY)


@pytest.mark.parametrize("what", [{"Records": []}, {}, None, [], "event"], ids=repr)
def test_lambda_what_is_no_http_request_is_a_type_error(what: Any) -> None:
    """A function that is called by a queue has no signature to look for."""
    with pytest.raises(TypeError, match="no HTTP request"):
        verify_request(what, KEY)


@pytest.mark.parametrize("body", [{"type": "x"}, ["x"], 1], ids=repr)
def test_lambda_a_body_that_was_parsed_is_a_type_error(body: Any) -> None:
    """A mapping template that parses JSON has thrown the signed bytes away."""
    with pytest.raises(TypeError, match="mapping template"):
        verify_request(event() | {"body": body}, KEY)


@pytest.mark.parametrize("body", ["é", "abc", "ab\ncd", "===="])
def test_lambda_a_body_that_is_no_base64_is_a_type_error(body: str) -> None:
    """No API would send it."""
    with pytest.raises(TypeError, match="base64"):
        verify_request(event() | {"body": body, "isBase64Encoded": True}, KEY)


@pytest.mark.parametrize("size", [97, 98, 99, 100])
def test_lambda_a_body_too_large_is_not_decoded(size: int) -> None:
    """Its length is known from that of its base64: the limit is exact."""
    body = b"x" * size
    given_event = {"headers": sign_request(body, KEY), **encoded(body)}
    assert len(verify_request(given_event, KEY, max_body_bytes=size).body) == size
    with pytest.raises(VerificationError, match="too_large"):
        verify_request(given_event, KEY, max_body_bytes=size - 1)
    with pytest.raises(VerificationError, match="too_large"):
        verify_request({**given_event, "body": "?" * 400}, KEY, max_body_bytes=size)


@pytest.mark.parametrize(
    ("more", "query"),
    [
        ({"rawQueryString": "a=%20b&c"}, "?a=%20b&c"),
        ({"rawQueryString": ""}, ""),
        ({"queryStringParameters": {"a": "ü b", "c": "d"}}, "?a=%C3%BC+b&c=d"),
        ({"queryStringParameters": {"a": "2"}, "multiValueQueryStringParameters": {"a": ["1", "2"]}}, "?a=1&a=2"),
        ({"queryStringParameters": None, "multiValueQueryStringParameters": None}, ""),
        ({"queryStringParameters": {"a": "%20b"}, "requestContext": {"elb": {}}}, "?a=%20b"),
    ],
    ids=repr,
)
def test_lambda_the_query_is_the_one_that_was_called(more: dict[str, Any], query: str) -> None:
    """For schemes that sign the URL, each kind of event gives it as well as it can."""
    headers = sign_request(BODY, SECRET, scheme=CALLED, url=f"https://example.com/x{query}")
    given_event = {"headers": headers, "body": BODY.decode(), "httpMethod": "POST", **more}
    assert verify_request(given_event, SECRET, scheme=CALLED, url="https://example.com/x").body == BODY


@pytest.mark.parametrize("where", [{"httpMethod": "PUT"}, {"requestContext": {"http": {"method": "PUT"}}}], ids=repr)
def test_lambda_the_method_is_the_one_that_was_called(where: dict[str, Any]) -> None:
    """It stands in another place in each kind of event."""
    headers = sign_request(BODY, SECRET, scheme=CALLED, url="https://example.com", method="PUT")
    given_event = {"headers": headers, "body": BODY.decode(), **where}
    assert verify_request(given_event, SECRET, scheme=CALLED, url="https://example.com").body == BODY


def test_lambda_a_decorated_handler_is_called_when_it_verifies(caplog: pytest.LogCaptureFixture) -> None:
    """It gets event, context and the Verified; everybody else gets an answer that says nothing."""
    seen: list[Any] = []

    @webhook(lambda given_event: KEY)
    def handler(given_event: Any, context: Any, verified: Any) -> dict[str, Any]:
        """Handle it."""
        seen.append((given_event["body"], context, verified.id))
        return {"statusCode": 204}

    good = event()
    assert handler(good, "context") == {"statusCode": 204}
    assert seen == [(BODY.decode(), "context", "evt_test")]
    assert (handler.__name__, handler.__doc__) == ("handler", "Handle it.")
    expected = {"statusCode": 401, "headers": {"content-type": "text/plain"}, "body": "Unauthorized"}
    assert handler(good | {"body": "{}"}, "context") == expected == refusal(VerificationError("bad_signature"))
    assert len(seen) == 1
    assert caplog.records[0].reason == "bad_signature"


def test_lambda_a_missing_key_stops_the_start() -> None:
    """It is found when the function is loaded."""
    with pytest.raises(InvalidKey):
        webhook("")
    with pytest.raises(TypeError, match="schema"):
        webhook(KEY, schema=schemes.LOGTO)


def test_the_options_are_documented() -> None:
    """Whoever asks for help on the decorator is told of each of them."""
    assert [name for name in Options.__annotations__ if f"``{name}``" not in inspect.getdoc(webhook)] == []
