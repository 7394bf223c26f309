"""What a receiver echoes of our secrets is not stored: in every form that a program gives to what it received."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Endpoint, Reply, Request, SigningKey
from hookkit.keys import new_ed25519_pair
from hookkit.profiles import LOGTO, STANDARD
from hookkit.redaction import _alike, _places, redacted, redacted_headers, secrets_of
from worlds import World

RAW = b"\xfb\xef\xbe?a key of bytes, 32 in all....?"
KEY = "whsec_" + base64.b64encode(RAW).decode()
OLD = "whsec_" + base64.b64encode(b"an older key that still signs ..").decode()
PAIR = new_ed25519_pair(lambda count: bytes(range(7, 7 + count)))
LETTERS = "PlainKeyOfLettersPlainKeyOfLette"
TOKEN = 'Bearer s3cr3t/"token"+with&<odd>=signs'
EVENT_ID = "evt_0123456789abcdef"
SIGNATURE = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4= v1,bm9ldHUrIGp1c3QgYW5vdGhlciBzaWduYXR1cmUuLi4="
URL = "https://hooks.example.com/services/T0123456789abcdefXYZ/in?token=q%2Fu3ryt0ken&v=2"


def request(**headers: str) -> Request:
    """Return what was sent, signed and with an event's id."""
    pairs = {"content-type": "application/json", "user-agent": "hookkit/1.0.0", "x-api-key": TOKEN}
    pairs |= {"webhook-id": EVENT_ID, "webhook-timestamp": "1769851800", "webhook-signature": SIGNATURE}
    return Request("POST", URL, tuple((pairs | headers).items()), b"{}")


SECRETS = secrets_of(
    Endpoint(URL, "*", keys=[KEY, OLD, PAIR[0], LETTERS], headers={"x-api-key": TOKEN, "x-short": "abc"}),
    request(),
    event_id=EVENT_ID,
)

ECHOED: dict[str, str | bytes] = {
    "the key": KEY,
    "the key without its prefix": KEY.removeprefix("whsec_"),
    "the key's bytes": RAW,
    "the key's bytes in hexadecimal": RAW.hex(),
    "the key in URL-safe base64": base64.urlsafe_b64encode(RAW),
    "the key without padding": KEY.rstrip("="),
    "the key's text in base64": base64.b64encode(KEY.removeprefix("whsec_").encode()),
    "an older key": OLD,
    "an Ed25519 key": PAIR[0],
    "its seed": bytes(range(7, 39)),
    "its seed in base64": base64.b64encode(bytes(range(7, 39))).rstrip(b"="),
    "a key of letters": LETTERS,
    "a key of letters in hexadecimal": LETTERS.encode().hex(),
    "a custom header's value": TOKEN,
    "its token alone": TOKEN.split()[1],
    "the signature header": SIGNATURE,
    "one signature": SIGNATURE.split(maxsplit=1)[0],
    "one MAC": SIGNATURE.split()[1].removeprefix("v1,").rstrip("="),
    "a token in the query": "q%2Fu3ryt0ken",
    "the same decoded": "q/u3ryt0ken",
    "a token in the path": "T0123456789abcdefXYZ",
}

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "as JSON": lambda text: json.dumps(text)[1:-1],
    "as JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "as JSON within JSON": lambda text: json.dumps(json.dumps(text)),
    "as JSON without HTML": lambda text: "".join(f"\\u{ord(c):04x}" if c in "<>&'+\"=/" else c for c in text),
    "in a URL": lambda text: quote(text, safe=""),
    "in a form": quote_plus,
    "in a URL, in small letters": lambda text: quote(text, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "in a URL of a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "as HTML": html.escape,
    "as HTML of numbers": lambda text: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in text),
    "as HTML of hexadecimal numbers": lambda text: "".join(c if c.isalnum() else f"&#x{ord(c):X};" for c in text),
    "as repr": lambda text: repr(text)[1:-1],
}


def text_of(echo: str | bytes) -> bytes:
    """Return what is echoed as bytes."""
    return echo if isinstance(echo, bytes) else echo.encode()


@pytest.mark.parametrize("echo", ECHOED.values(), ids=ECHOED)
@pytest.mark.parametrize("end", ["", "</p>"])
def test_an_echo_is_not_kept(echo: str | bytes, end: str) -> None:
    """``***`` stands in its place, and the rest stays."""
    found = redacted(b"<p>You sent: " + text_of(echo) + end.encode(), SECRETS)
    assert found == b"<p>You sent: ***" + end.encode()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", ["the key", "its token alone", "one signature"])
def test_an_escaped_echo_is_not_kept(name: str, form: Callable[[str], str]) -> None:
    """Behind the escapes of JSON, URLs and HTML, in any case, one within the other."""
    echo = text_of(ECHOED[name]).decode()
    assert redacted(f"[{form(echo)}]".encode(), SECRETS).replace(b'"', b"").replace(b"\\", b"") == b"[***]"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_beginning_of_a_secret_at_the_end_is_taken_for_it(form: Callable[[str], str]) -> None:
    """The cap may have cut it anywhere, within an escape too; less than 8 bytes of it tell nothing."""
    echo = form(KEY).strip('"\\')
    for length in range(len(form(KEY[:9])), len(echo)):
        found = redacted(b"you sent " + echo[:length].encode(), SECRETS)
        assert found == b"you sent ***", echo[:length]


def test_a_short_beginning_at_the_end_stays() -> None:
    """As ``whsec_`` alone does."""
    assert redacted(b"send your whsec_", SECRETS) == b"send your whsec_"
    assert redacted(b"send your whsec_" + KEY[6:7].encode(), SECRETS) == b"send your whsec_" + KEY[6:7].encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"ok",
        b'{"received":true,"id":"evt_0123456789abcdef"}',
        b"application/json",
        b"hookkit/1.0.0",
        b"webhook-timestamp 1769851800",
        b"100% &amp; more \\u",
        b"abc",
        PAIR[1].encode(),
    ],
)
def test_what_is_no_secret_stays(text: bytes) -> None:
    """The event's id, our own name, a content type, a public key, and whatever else a receiver has to say."""
    assert redacted(text, SECRETS) == text


def test_several_and_overlapping_echoes() -> None:
    """Each place once, however many secrets it holds."""
    text = f"{KEY} and {TOKEN}, {SIGNATURE}; {KEY}{OLD}".encode()
    assert redacted(text, SECRETS).replace(b"******", b"***") == b"*** and ***, ***; ***"


def test_headers_are_redacted_in_name_and_value() -> None:
    """Bytes beyond ASCII included, as latin-1 shows them, and what a host's own transport made of its text."""
    pairs = [("X-Echo", f"got {TOKEN}"), (KEY, "x"), ("x-raw", RAW.decode("latin-1")), ("x", f"\u20ac\ud800 {LETTERS}")]
    assert redacted_headers(pairs, SECRETS) == (
        ("X-Echo", "got ***"),
        ("***", "x"),
        ("x-raw", "***"),
        ("x", "\u20ac\ud800 ***"),
    )


pieces = st.text(st.characters(codec="latin-1"), max_size=12) | st.sampled_from(
    [
        KEY,
        KEY[:14],
        KEY[:13],
        LETTERS,
        LETTERS[:8],
        LETTERS[:7],
        LETTERS[8:],
        RAW.decode("latin-1"),
        quote(TOKEN),
        "&",
        "%",
    ]
)


@given(st.lists(st.tuples(pieces, st.tuples(pieces, pieces).map("".join)), max_size=4))
def test_headers_are_redacted_each_by_itself(pairs: list[tuple[str, str]]) -> None:
    """One look over all of them decides only whether there is anything to do."""
    each = [[redacted(text.encode("latin-1"), SECRETS).decode("latin-1") for text in pair] for pair in pairs]
    assert redacted_headers(pairs, SECRETS) == tuple(map(tuple, each))


@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from(sorted(SECRETS)))
def test_no_surroundings_hide_a_secret(before: bytes, after: bytes, secret: bytes) -> None:
    """Whatever stands around it."""
    assert secret not in redacted(before + secret + after, SECRETS).lower()


@given(st.binary(max_size=200))
def test_other_bytes_stay(text: bytes) -> None:
    """Any bytes come back as they were, unless a secret is in them."""
    assert redacted(text, (b"a secret that is not drawn",)) == text


def of(*, keys: list[str], headers: dict[str, str] | None = None) -> Any:
    """Return the secrets of a webhook to which nothing was sent."""
    return secrets_of(Endpoint("https://a.example/", "*", keys=keys, headers=headers or {}), None, event_id="")


def test_a_public_key_is_no_secret() -> None:
    """Receivers are given it, and may well show it."""
    assert of(keys=[PAIR[1]]) == ()


def test_a_key_that_is_text_and_no_base64_is_one() -> None:
    """A vendor's, or a host's own."""
    key = "Correct-Horse 5"
    with pytest.raises(ValueError, match=r"base64|padding|number of data"):
        base64.b64decode(key.replace("-", "+") + "=")
    assert redacted(f"key={key};".encode(), of(keys=[key])) == b"key=***;"


def test_a_content_type_of_the_hosts_own_is_none() -> None:
    """LOGTO lets it be replaced; every answer has one."""
    found = of(keys=[LETTERS], headers={"Content-Type": "application/vnd.example+json", "x-token": "a-long-token"})
    assert redacted(b"application/vnd.example+json a-long-token", found) == b"application/vnd.example+json ***"


def test_three_layers_of_escapes_are_undone_and_no_more() -> None:
    """So that an answer of nothing but escapes costs no more than three looks."""
    text = "%" + "25" * 2 + "61-long-token"
    for _ in range(2):
        found = of(keys=[LETTERS], headers={"x-token": "a-long-token"})
        assert (b"***" in redacted(text.encode(), found)) is (text.count("25") == 2)
        text = text.replace("%", "%25")


def test_an_endpoint_without_secrets_has_none() -> None:
    """Nor does a request that was never sent have a signature."""
    assert secrets_of(Endpoint("https://hooks.example.com/", "*"), None, event_id="e") == ()
    assert all(len(one) >= 8 for one in SECRETS)


def test_a_secret_of_a_scheme_of_the_hosts_own() -> None:
    """Whatever a scheme adds to a request is taken for a signature if it is long, but for the event's id."""
    headers = {"x-sig": f"id={EVENT_ID};t=1769851800;mac=fedcba9876543210fedc", "x-short": "0123"}
    found = secrets_of(Endpoint("https://h.example/", "*"), request(**headers), event_id=EVENT_ID)
    assert redacted(f"mac fedcba9876543210fedc of {EVENT_ID}".encode(), found) == f"mac *** of {EVENT_ID}".encode()


# --- In a delivery ----------------------------------------------------------------------------------------------------


def echoing(sent: Request) -> Reply:
    """Answer with everything that was received, as a debugging page does."""
    shown = json.dumps({"url": sent.url, "headers": dict(sent.headers)}).encode()
    return Reply(500, tuple((f"x-echo-{name}", value) for name, value in sent.headers), shown + b"\0\xff\x1b[31m")


@pytest.mark.parametrize("profile", [STANDARD, LOGTO], ids=lambda profile: profile.name)
def test_the_log_holds_no_echo(world: World, profile: Any) -> None:
    """Of a whole request; signature and credentials are masked, and everything else is there."""
    world.answer(echoing)
    keys = LETTERS if profile is LOGTO else [KEY, OLD]
    world.register(url=URL, profile=profile, keys=keys, headers={"x-api-key": TOKEN})
    delivery = world.emit()
    world.worker().drain()
    (sent,) = world.sent
    (attempt,) = world.entry(delivery).attempts
    signatures = [value for name, value in sent.headers if "signature" in name]
    assert signatures
    stored = attempt.response_body.decode("latin-1") + repr(attempt.response_headers)
    for secret in (*signatures, *signatures[0].split(), TOKEN, TOKEN.split()[1], "q%2Fu3ryt0ken"):
        assert secret not in stored
    assert stored.count("***") >= 6
    assert '"content-type": "application/json' in stored
    assert attempt.response_body.endswith(b"\0\xff\x1b[31m")


def test_a_key_cut_by_the_logs_own_cap_is_not_kept(world: World) -> None:
    """Its first half would be the last that is stored."""
    padding = b"x" * (16_384 - 30)
    world.answer(Reply(500, body=padding + KEY.encode() + b"y" * 100))
    world.register(keys=KEY)
    delivery = world.emit()
    world.worker().drain()
    (attempt,) = world.entry(delivery).attempts
    assert attempt.response_body == padding + b"***"


def test_redaction_does_not_change_the_outcome(world: World) -> None:
    """Status and Retry-After are read from the answer as it came."""
    world.answer(Reply(503, (("retry-after", "12345678"),), KEY.encode()))
    world.register(keys=KEY, headers={"x-number": "12345678"})
    delivery = world.emit()
    world.worker().drain()
    (attempt,) = world.entry(delivery).attempts
    assert (attempt.status, attempt.retry_after) == (503, timedelta(seconds=12_345_678))
    assert (attempt.response_headers, attempt.response_body) == ((("retry-after", "***"),), b"***")


def test_the_forms_of_a_key_are_made_once() -> None:
    """A key's own parsed forms keep them."""
    key = SigningKey(KEY)
    endpoint = Endpoint(URL, "*", keys=key)
    first = secrets_of(endpoint, None, event_id="e")
    assert key.parsed("redaction", lambda _: pytest.fail("made again"))[0] is first[0]


# --- Work -------------------------------------------------------------------------------------------------------------


def customers_own(*words: str):
    """Return the secrets of a webhook whose custom header is all of these words."""
    endpoint = Endpoint("https://hooks.example.com/", "*", headers={"x-many": " ".join(words)}, keys=[KEY])
    return secrets_of(endpoint, None, event_id=EVENT_ID)


@pytest.mark.parametrize("body", [b"a" * 16_384, (b"a" * 50 + b"%25252561") * 270, b"&#" + b"0" * 16_000])
@pytest.mark.parametrize(
    "words",
    [
        [f"aaaaaaaa{number:04}" for number in range(600)],
        ["a" * length + "b" for length in range(8, 120)],
        [f"a{number:07}" for number in range(900)],
    ],
    ids=["same beginning", "all lengths", "different"],
)
def test_a_customers_headers_and_answer_cost_no_more_than_others(words, body) -> None:
    """However many secrets begin alike, and wherever they nearly stand, few comparisons are made at each place.

    A customer chooses both, and the worker that does the work is everybody's.
    """
    heads = _alike(customers_own(*words))
    places = list(_places(body, heads))
    assert len(places) <= len(body)
    assert max(len(alike.secrets) for alike in heads.values()) <= 8


def test_of_many_secrets_that_begin_alike_none_shows() -> None:
    """All that may be of any of them is masked: as much as the longest has."""
    words = [f"customer-token-{number:03}-{'z' * (number % 7)}" for number in range(40)]
    secrets = customers_own(*words)
    for word in words:
        assert redacted(f"said <{word}>".encode(), secrets) == b"said <***"
        assert redacted(word[:9].encode(), secrets) == b"***"
    assert redacted(b"said " + " ".join(words).encode(), secrets) == b"said ***"


def test_of_many_secrets_that_differ_none_shows() -> None:
    """Each is found, though not each is searched for."""
    words = [f"{number:03}-customers-token" for number in range(200)]
    secrets = customers_own(*words)
    for word in words:
        assert redacted(f"<{word}> and <{word[:9]}>".encode(), secrets) == f"<***> and <{word[:9]}>".encode()
        assert redacted(f"{word}, {word[:9]}".encode(), secrets) == b"***, ***"
        assert redacted_headers([("x", f"<{word}>")], secrets) == (("x", "<***>"),)
