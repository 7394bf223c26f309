"""What others' libraries sign, hookkit verifies; what hookkit signs, they accept; what was changed, nobody does."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from clients import CLIENTS, HERE, NODE, OTHER_WHSEC, URL, WHSEC, Client, Headers, Request

from hookkit import VerificationError, schemes, verify_signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookkit import Verified

pytestmark = pytest.mark.interop

JSON = {
    "plain": json.dumps({"type": "user.created", "data": {"id": "u1", "name": "Zoë", "age": 1.0}}, ensure_ascii=False),
    "odd characters": json.dumps({"text": "\u2028 \u0000 \U0001f600 </script> \\ \" '"}, ensure_ascii=False),
    "spaced": '{ "a" : [ 1 ,\r\n 2.50 ] }\n',
    "large": json.dumps({"blob": "x" * 200_000}),
}
FORMS = {
    "form": "From=%2B15550100&To=%2B15550199&Body=hello%2C+w%C3%B6rld",
    "empty values": "B=&A=1",
    "several values": "Media=b&Media=a&A=1",
    "order": "b=2&B=1&a=3&A=0",
}
BODIES = [(name, kind, text) for name in CLIENTS for kind, text in (FORMS if "twilio" in name else JSON).items()]
SIGNING = [case for case in BODIES if CLIENTS[case[0]].sign]
STAMPED = [name for name, client in CLIENTS.items() if client.scheme not in {"GITHUB", "TWILIO"}]


PACKAGES = "slack_sdk standardwebhooks stripe svix twilio workos".split()


@pytest.fixture(scope="module", autouse=True)
def libraries() -> Iterator[None]:
    """Skip, and say how to go on, unless they are there; end the JavaScript process with this file's tests."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    missing += [name for name in ("svix", "@octokit") if not (HERE / "node_modules" / name).is_dir()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; `nox -s interop` installs them")
    yield
    NODE.close()


def request_of(client: Client, text: str, **changed: Any) -> Request:
    """Return a request of now, with the client's own key."""
    return Request(text.encode(), client.key, seconds=int(time.time()), **changed)


def theirs(client: Client, request: Request) -> Headers:
    """Return the headers with which the library signs."""
    assert client.sign
    return client.sign(request)


def ours(client: Client, request: Request) -> Headers:
    """Return the headers with which hookkit signs."""
    at = datetime.fromtimestamp(request.seconds, UTC)
    return client.ours.sign(request.body, [request.key], id=request.id, at=at, url=request.url)


def verify(client: Client, request: Request, headers: Headers) -> Verified:
    """Verify with hookkit."""
    return verify_signature(request.body, headers, request.key, scheme=client.ours, method="POST", url=request.url)


def refused(client: Client, request: Request, headers: Headers) -> bool:
    """Return whether hookkit and the library both refuse; one that would take it is a failure, and so is any error."""
    with pytest.raises(VerificationError):
        verify(client, request, headers)
    return not client.accepts(request, headers)


@pytest.mark.parametrize(("name", "kind", "text"), SIGNING, ids=[f"{name}: {kind}" for name, kind, _ in SIGNING])
def test_what_they_sign_verifies(name: str, kind: str, text: str) -> None:
    """With the id and the time that they signed, where their scheme has them."""
    client = CLIENTS[name]
    request = request_of(client, text)
    verified = verify(client, request, theirs(client, request))
    assert verified.body == request.body
    assert verified.timestamp == (datetime.fromtimestamp(request.seconds, UTC) if name in STAMPED else None)
    assert verified.id == (request.id if client.scheme in {"STANDARD", "SVIX"} else None)


@pytest.mark.parametrize(("name", "kind", "text"), BODIES, ids=[f"{name}: {kind}" for name, kind, _ in BODIES])
def test_they_accept_what_hookkit_signs(name: str, kind: str, text: str) -> None:
    """As their users call them."""
    client = CLIENTS[name]
    request = request_of(client, text)
    headers = ours(client, request)
    assert client.accepts(request, headers)
    assert verify(client, request, headers).body == request.body


@pytest.mark.parametrize("signer", [theirs, ours])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_changed_request_is_refused_by_both(name: str, signer: Any) -> None:
    """One letter of the body, another key, one letter of the signature, another URL: whoever signed it."""
    client = CLIENTS[name]
    if client.sign is None:
        signer = ours
    text = FORMS["form"] if client.scheme == "TWILIO" else JSON["plain"]
    request = request_of(client, text)
    headers = signer(client, request)
    verify(client, request, headers)
    assert client.accepts(request, headers)
    assert refused(client, request._replace(body=request.body.replace(b"o", b"0", 1)), headers)
    assert refused(client, request._replace(key=client.other), headers)
    (signature,) = (header for header in headers if "signature" in header or header.startswith("x-hub"))
    for last in "AB":
        changed = headers[signature].rstrip("=")
        changed = changed[:-3] + last + changed[-2:] + "=" * (len(headers[signature]) - len(changed))
        if changed != headers[signature]:
            assert refused(client, request, {**headers, signature: changed})
    if client.scheme == "TWILIO":
        assert refused(client, request._replace(url=URL.replace("twilio", "other")), headers)


@pytest.mark.parametrize("name", STAMPED)
def test_a_request_that_is_too_old_is_refused_by_both(name: str) -> None:
    """Each within its vendor's own window, and not a minute longer."""
    client = CLIENTS[name]
    window = int(client.ours.tolerance.total_seconds())
    request = request_of(client, JSON["plain"])
    for signer in [ours, *([theirs] if client.sign else [])]:
        fresh = request._replace(seconds=request.seconds - window + 30)
        headers = signer(client, fresh)
        verify(client, request, headers)
        assert client.accepts(request, headers)
        assert refused(client, request, signer(client, request._replace(seconds=request.seconds - window - 30)))


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.scheme in {"STANDARD", "SVIX"}])
def test_while_keys_are_rotated_both_are_accepted(name: str) -> None:
    """A header with two signatures is accepted with either key."""
    client = CLIENTS[name]
    request = request_of(client, JSON["plain"])
    at = datetime.fromtimestamp(request.seconds, UTC)
    headers = client.ours.sign(request.body, [OTHER_WHSEC, WHSEC], id=request.id, at=at)
    for key in (WHSEC, OTHER_WHSEC):
        assert client.accepts(request._replace(key=key), headers)
        verify(client, request._replace(key=key), headers)


def test_stripe_sends_two_signatures_while_a_secret_is_rolled() -> None:
    """Both stand in one header; either secret verifies it, here and there."""
    client = CLIENTS["PyPI stripe"]
    request = request_of(client, JSON["plain"])
    first, second = (theirs(client, request._replace(key=key)) for key in (client.other, client.key))
    header = first["stripe-signature"] + "," + second["stripe-signature"].partition(",")[2] + ",v0=00"
    for key in (client.key, client.other):
        one = request._replace(key=key)
        assert client.accepts(one, {"stripe-signature": header})
        assert verify(client, one, {"stripe-signature": header}).body == request.body


@pytest.mark.parametrize("port", ["", ":443"])
@pytest.mark.parametrize("called", ["", ":443"])
def test_twilio_signs_the_url_with_or_without_its_port(port: str, called: str) -> None:
    """Twilio does either, so both take either."""
    client = CLIENTS["PyPI twilio"]
    request = request_of(client, FORMS["form"], url=f"https://hooks.example.com{port}/twilio")
    received = request._replace(url=f"https://hooks.example.com{called}/twilio")
    for headers in (theirs(client, request), ours(client, request)):
        assert client.accepts(received, headers)
        assert verify(client, received, headers).body == request.body


def test_twilio_signs_the_digest_of_json() -> None:
    """It stands in the URL; a changed body does not match it, a changed digest not the signature."""
    client = CLIENTS["PyPI twilio"]
    body = JSON["plain"].encode()
    url = f"https://hooks.example.com/twilio?bodySHA256={hashlib.sha256(body).hexdigest()}"
    request = request_of(client, JSON["plain"], url=url)
    changed = body.replace(b"u1", b"u2")
    for headers in (theirs(client, request), ours(client, request)):
        assert client.accepts(request, headers)
        assert verify(client, request, headers).body == body
        assert refused(client, request._replace(body=changed), headers)
        digest = hashlib.sha256(changed).hexdigest()
        assert refused(client, request._replace(body=changed, url=url[:-64] + digest), headers)


def test_every_scheme_of_theirs_is_one_of_ours() -> None:
    """By its public name."""
    assert {client.scheme for client in CLIENTS.values()} <= schemes.BUILTIN.keys()
