"""What every adapter does alike, shown on the frameworks themselves: each request goes through a whole application."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from sites import KEY, SITES, Receiver
from wires import Answered, Call

from hookkit import InvalidKey, SigningKey, schemes
from hookkit.schemes import HmacScheme
from hookkit.testing import sign_request

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.frameworks

BODY = '{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"name":"Zoë"}}'.encode()
FORM = urlencode({"From": "+15550100", "Body": "hello, wörld"}).encode()
URLENCODED = [("Content-Type", "application/x-www-form-urlencoded")]
MULTIPART = [("Content-Type", "multipart/form-data; boundary=xx")]
PARTS = b'--xx\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n--xx--\r\n'
LIMIT = 200_000

ALL = list(SITES)
ASYNC = ["starlette", "fastapi", "litestar", "quart", "django-async", "aiohttp"]
LOOKING = [name for name in ALL if not name.startswith("lambda")]
WIRE_KEEPS_DUPLICATES = ["starlette", "fastapi", "litestar", "quart", "aiohttp", "lambda-rest", "lambda-alb"]
CHUNKED = [name for name in ALL if not name.startswith(("lambda", "django", "drf"))] + ["django-async"]

TEXTS = {400: "Bad Request", 401: "Unauthorized", 413: "Content Too Large"}


def signed(body: bytes = BODY, *, key: Any = KEY, more: Any = (), **options: Any) -> list[tuple[str, str]]:
    """Return the headers of a request with this body, those of the signature among them."""
    return [("Content-Type", "application/json"), *sign_request(body, key, **options).items(), *more]


def assert_refused(answer: Answered, to: Receiver, log: pytest.LogCaptureFixture, status: int, reason: str) -> None:
    """The sender is told the status and its name, nobody else anything; the log has the reason and the hint."""
    assert answer.status == status
    assert TEXTS[status] in answer.text or TEXTS[status] == "Content Too Large"
    for word in (reason, "signature", "key", "timestamp", "webhook", "hookkit"):
        assert word not in answer.text
    assert to.handled == []
    (record,) = [record for record in log.records if record.name == "hookkit.contrib"]
    assert (record.levelname, record.reason) == ("WARNING", reason)
    assert record.hint
    assert reason in record.getMessage()


@pytest.mark.parametrize("name", ALL)
def test_a_signed_request_is_handled(name: str, log: pytest.LogCaptureFixture) -> None:
    """The handler gets the Verified, with the body byte for byte; the answer is the handler's."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/hooks", BODY, signed())).status == 204
    (verified,) = to.handled
    assert (verified.body, verified.id, verified.event().data) == (BODY, "evt_test", {"name": "Zoë"})
    assert log.records == []


@pytest.mark.parametrize("name", LOOKING)
def test_a_request_can_be_verified_by_hand(name: str) -> None:
    """``verify_request`` returns the Verified, too, wherever the code that calls it stands."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/look", BODY, signed())).status == 204
    assert [verified.body for verified in to.handled] == [BODY]


@pytest.mark.parametrize("name", LOOKING)
def test_by_hand_it_is_refused_alike(name: str, log: pytest.LogCaptureFixture) -> None:
    """A tampered request is answered with 401, and the reason is logged."""
    to = Receiver(KEY)
    answer = SITES[name](to)(Call("/look", BODY + b" ", signed()))
    assert_refused(answer, to, log, 401, "bad_signature")


OLD = datetime.now(UTC) - timedelta(minutes=6)
HEADERS = dict(signed())

REFUSED = {
    "tampered": (BODY.replace(b"user", b"uses"), signed(), 401, "bad_signature"),
    "another key": (BODY, signed(key="whsec_" + 32 * "A"), 401, "bad_signature"),
    "replayed late": (BODY, signed(at=OLD), 401, "timestamp_too_old"),
    "signed in the future": (BODY, signed(at=OLD + timedelta(hours=2)), 401, "timestamp_too_new"),
    "not signed": (BODY, [], 401, "missing_header"),
    "empty": (b"", [], 401, "missing_header"),
    "an id that is none": (BODY, [*{**HEADERS, "webhook-id": "a b"}.items()], 400, "invalid_id"),
    "a time that is none": (BODY, [*{**HEADERS, "webhook-timestamp": "+1"}.items()], 400, "invalid_timestamp"),
    "a header too long": (BODY, [*{**HEADERS, "webhook-signature": "v1," * 1500}.items()], 413, "too_large"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", ALL)
def test_what_does_not_verify_is_refused(name: str, case: str, log: pytest.LogCaptureFixture) -> None:
    """It is not handled; its sender learns a status and no reason, which is in the log."""
    body, headers, status, reason = REFUSED[case]
    to = Receiver(KEY)
    assert_refused(SITES[name](to)(Call("/hooks", body, headers)), to, log, status, reason)


@pytest.mark.parametrize("name", ALL)
def test_a_signature_header_that_comes_twice_is_refused(name: str, log: pytest.LogCaptureFixture) -> None:
    """400 where the framework shows both; where the server has joined them, as WSGI's do, they do not verify."""
    to = Receiver(KEY)
    twice = [("webhook-id", "evt_test")]
    answer = SITES[name](to)(Call("/hooks", BODY, signed(more=twice)))
    if name in WIRE_KEEPS_DUPLICATES:
        assert_refused(answer, to, log, 400, "duplicate_header")
    else:
        assert_refused(answer, to, log, 401, "bad_signature")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title])
def test_header_names_are_read_in_any_case(name: str, spell: Callable[[str], str]) -> None:
    """Gateways and clients spell them as they like."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/hooks", BODY, [(spell(name), value) for name, value in signed()])).status == 204


@pytest.mark.parametrize("name", ALL)
def test_a_body_announced_as_too_large_is_not_read(name: str, log: pytest.LogCaptureFixture) -> None:
    """413 by its content-length alone; not a byte of it is taken."""
    to = Receiver(KEY, {"max_body_bytes": LIMIT})
    body = b" " * (LIMIT + 1)
    answer = SITES[name](to)(Call("/hooks", body, signed(body)))
    assert_refused(answer, to, log, 413, "too_large")
    if name == "quart":  # takes the first bytes before there is a view to ask
        assert answer.taken < 2 * LIMIT
    elif name == "django-async":  # has spooled it to a file before there is a view to ask
        assert answer.taken == len(body)
    else:
        assert not answer.taken


@pytest.mark.parametrize("name", CHUNKED)
def test_a_body_that_grows_too_large_is_read_no_further(name: str, log: pytest.LogCaptureFixture) -> None:
    """413, too, where the length is not announced; reading stops by what hookkit, or else the framework, allows."""
    to = Receiver(KEY, {"max_body_bytes": LIMIT})
    body = b" " * 30_000_000
    answer = SITES[name](to)(Call("/hooks", body, signed(body), announced=False))
    assert_refused(answer, to, log, 413, "too_large")
    if name in {"starlette", "fastapi", "flask"}:
        assert answer.taken < LIMIT + 70_000
    elif name == "quart":  # is ahead of its views by some chunks
        assert answer.taken < LIMIT + 500_000
    elif name == "litestar":  # 10 MB
        assert answer.taken < 10_100_000


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("name", CHUNKED)
def test_a_body_as_large_as_allowed_is_handled(name: str, *, announced: bool) -> None:
    """The limit is inclusive, whether or not the length was announced."""
    to = Receiver(KEY, {"max_body_bytes": LIMIT})
    body = b" " * LIMIT
    assert SITES[name](to)(Call("/hooks", body, signed(body), announced=announced)).status == 204
    assert len(to.handled[0].body) == LIMIT


@pytest.mark.parametrize("name", LOOKING)
def test_json_may_have_been_read_before(name: str) -> None:
    """What the framework keeps is still there to verify, byte for byte."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/look?before=json", BODY, signed())).status == 204
    assert to.seen == [json.loads(BODY)]
    assert to.handled[0].body == BODY


KEEP_FORMS = {
    "litestar": {"urlencoded"},
    "quart": {"urlencoded"},
    "django": {"urlencoded"},
    "django-async": {"urlencoded"},
    "drf": {"urlencoded"},
    "aiohttp": {"urlencoded"},
}


@pytest.mark.parametrize(("kind", "body", "type_"), [("urlencoded", FORM, URLENCODED), ("multipart", PARTS, MULTIPART)])
@pytest.mark.parametrize("name", LOOKING)
def test_a_form_that_was_parsed_before_is_verified_or_said_to_be_gone(name: str, kind: str, body: bytes, type_) -> None:
    """Where the framework keeps the bytes of a form it parsed, they verify; elsewhere an error says what to do."""
    to = Receiver(KEY)
    headers = [*type_, *sign_request(body, KEY).items()]
    answer = SITES[name](to)(Call("/look?before=form", body, headers))
    assert to.seen
    if kind in KEEP_FORMS.get(name, ()):
        assert (answer.status, to.problems) == (204, [])
        assert to.handled[0].body == body
    else:
        assert answer.status == 500
        assert "was read before" in to.problems[0]
        assert to.handled == []


@pytest.mark.parametrize("name", LOOKING)
def test_a_body_that_was_read_before_is_said_to_be_gone(name: str) -> None:
    """Somebody has read the stream and kept nothing: an error that says so, rather than a signature that is wrong."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/look?before=raw", BODY, signed())).status == 500
    assert to.seen == [BODY]
    assert "was read before" in to.problems[0]
    assert to.handled == []


@pytest.mark.parametrize(
    ("name", "announced"), [*((name, True) for name in LOOKING), *((name, False) for name in CHUNKED)]
)
def test_json_may_be_read_afterwards(name: str, *, announced: bool) -> None:
    """The body is still there for whoever reads it the framework's way."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/look?after=json", BODY, signed(), announced=announced)).status == 204
    assert to.seen == [json.loads(BODY)]


@pytest.mark.parametrize("name", LOOKING)
def test_the_stream_may_be_read_afterwards(name: str) -> None:
    """Where the framework fills it from what it has kept; Flask's and aiohttp's have come to their end."""
    to = Receiver(KEY)
    assert SITES[name](to)(Call("/look?after=raw", BODY, signed())).status == 204
    assert to.seen == [b"" if name in {"flask", "aiohttp"} else BODY]


AFTERWARDS = {
    "urlencoded": (FORM, URLENCODED, {"From": "+15550100", "Body": "hello, wörld"}),
    "multipart": (PARTS, MULTIPART, {"a": "b"}),
}


@pytest.mark.parametrize("kind", AFTERWARDS)
@pytest.mark.parametrize("name", LOOKING)
def test_a_form_may_be_parsed_afterwards(name: str, kind: str) -> None:
    """Verified first, a form is parsed by the framework as ever; except by aiohttp, which reads parts from the wire."""
    body, type_, expected = AFTERWARDS[kind]
    if (name, kind) == ("aiohttp", "multipart"):
        expected = {}
    to = Receiver(KEY)
    headers = [*type_, *sign_request(body, KEY).items()]
    assert SITES[name](to)(Call("/look?after=form", body, headers)).status == (204 if expected else 500)
    assert to.seen == ([expected] if expected else [])


# --- Keys, schemes, URLs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_keys_may_come_from_a_function_of_the_request(name: str) -> None:
    """It is asked for each request, so keys can be rotated, and each tenant has its own."""
    asked: list[bool] = []

    def keys(request: Any) -> list[SigningKey]:
        asked.append(bool(request))
        return [SigningKey("whsec_" + 32 * "B"), KEY]

    to = Receiver(keys)
    send = SITES[name](to)
    assert [send(Call("/hooks", BODY, signed())).status for _ in range(2)] == [204, 204]
    assert asked == [True, True]


@pytest.mark.parametrize("name", ASYNC)
def test_keys_may_be_awaited(name: str) -> None:
    """Where the framework is async, the function may be, too."""

    async def keys(request: Any) -> SigningKey:
        return KEY

    to = Receiver(keys)
    assert SITES[name](to)(Call("/hooks", BODY, signed())).status == 204
    assert len(to.handled) == 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("keys", [None, "", [], [" "]], ids=repr)
def test_a_missing_key_stops_the_start(name: str, keys: Any) -> None:
    """It is found when the receiver is built, and not when the first webhook arrives."""
    with pytest.raises(InvalidKey):
        SITES[name](Receiver(keys))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("options", "error"),
    [({"tolerance": 0.5 * 86_400 * 3}, ValueError), ({"tolerance": "5"}, TypeError), ({"schema": 1}, TypeError)],
    ids=repr,
)
def test_a_wrong_option_stops_the_start(name: str, options: dict[str, Any], error: type[Exception]) -> None:
    """So is an option that there is not, or that would switch the window off."""
    with pytest.raises(error):
        SITES[name](Receiver(KEY, options))


@pytest.mark.parametrize("name", ALL)
def test_scheme_and_tolerance_are_passed_on(name: str) -> None:
    """Another scheme reads other headers; a wider window takes what is older."""
    to = Receiver("secret", {"scheme": schemes.LOGTO})
    assert SITES[name](to)(Call("/hooks", BODY, signed(key="secret", scheme=schemes.LOGTO))).status == 204
    to = Receiver(KEY, {"tolerance": timedelta(minutes=10)})
    at = datetime.now(UTC) - timedelta(minutes=6)
    assert SITES[name](to)(Call("/hooks", BODY, signed(at=at))).status == 204


CALLED = HmacScheme("called", "x-signature", signed="{method} {url} {body}")
PUBLIC = "https://public.example.com/in"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("url", "sender_called"),
    [
        (PUBLIC, f"{PUBLIC}?bodySHA256=ab12&x=1"),
        (f"{PUBLIC}?fixed=1", f"{PUBLIC}?fixed=1"),
        (lambda request: f"{PUBLIC}/{type(request).__name__ != 'str'}", f"{PUBLIC}/True"),
    ],
    ids=["the query is added", "unless there is one", "a function"],
)
def test_the_public_url_and_the_method_are_what_was_signed(name: str, url: Any, sender_called: str) -> None:
    """Schemes that sign the URL get the one that the sender called, whatever the server was called by its proxy."""
    to = Receiver("secret", {"scheme": CALLED, "url": url})
    headers = signed(key="secret", scheme=CALLED, url=sender_called)
    assert SITES[name](to)(Call("/hooks?bodySHA256=ab12&x=1", BODY, headers)).status == 204
    assert len(to.handled) == 1


@pytest.mark.parametrize("name", ALL)
def test_twilio_signs_the_public_url_and_a_form(name: str) -> None:
    """The form verifies byte for byte under the URL that was set at Twilio, and under no other."""
    url = f"{PUBLIC}?x=1"
    headers = [*URLENCODED, *sign_request(FORM, "token", scheme=schemes.TWILIO, url=url).items()]
    for public, status in ((PUBLIC, 204), ("https://other.example.com/in", 401)):
        to = Receiver("token", {"scheme": schemes.TWILIO, "url": public})
        assert SITES[name](to)(Call("/hooks?x=1", FORM, headers)).status == status
        assert [verified.body for verified in to.handled] == ([FORM] if status == 204 else [])


@pytest.mark.parametrize("name", ALL)
def test_a_url_that_is_missing_is_the_hosts_error(name: str) -> None:
    """No adapter makes one up from the request's Host, which is the sender's to choose: 500, or the error itself."""
    headers = [*URLENCODED, *sign_request(FORM, "token", scheme=schemes.TWILIO, url=PUBLIC).items()]
    to = Receiver("token", {"scheme": schemes.TWILIO})
    send = SITES[name](to)
    with suppress(ValueError):
        assert send(Call("/hooks", FORM, headers)).status == 500
    assert to.handled == []
