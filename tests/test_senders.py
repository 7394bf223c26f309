"""The table of senders: what each row writes, what it takes, and that no row can be talked into anything else."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import inspect
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hookkit import InvalidKey, SigningKey, VerificationError, schemes, verify_signature
from hookkit.checks import MAX_SIGNATURES
from hookkit.schemes import (
    APPWRITE,
    AUTH0,
    BUILTIN,
    CLAVEX,
    CLERK,
    OKTA,
    ORY,
    PADDLE,
    STANDARD,
    SUPABASE,
    SVIX,
    TWILIO,
    HmacScheme,
    StandardScheme,
    TokenScheme,
    TwilioScheme,
    _presets,
)
from hookkit.testing import sign_request
from senders import BODY, SECONDS, body_of, covers_id, covers_time

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = datetime.fromtimestamp(SECONDS, UTC)
URL = "https://receiver.example/hook?a=1"
NAMES = sorted(BUILTIN)
REASONS = {
    "missing_header", "duplicate_header", "invalid_id", "invalid_timestamp", "timestamp_too_old", "timestamp_too_new",
    "malformed_signature", "bad_signature", "bad_digest", "too_large",
}  # fmt: skip


def mac(message: bytes, key: str = KEY, digest: str = "sha256") -> bytes:
    return hmac.new(key.encode(), message, digest).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def sign(scheme, body=BODY, key=KEY, **changed):
    return sign_request(body, key, **{"scheme": scheme, "id": "evt_1", "at": AT, "url": URL, **changed})


def verify(scheme, headers, body=BODY, keys=KEY, **changed):
    options = {"scheme": scheme, "now": SECONDS, "method": "POST", "url": URL, **changed}
    return verify_signature(body, headers, keys, **options)


def reason(scheme, headers, body=BODY, keys=KEY, **changed):
    with pytest.raises(VerificationError) as caught:
        verify(scheme, headers, body, keys, **changed)
    return caught.value.reason


# --- The table --------------------------------------------------------------------------------------------------------


def test_every_row_is_exported_and_listed():
    """``hookkit.schemes`` has each sender by its name, and BUILTIN has all of them."""
    assert set(_presets.__all__) == {"BUILTIN", *BUILTIN}
    assert set(_presets.__all__) <= set(schemes.__all__) <= set(dir(schemes))
    assert all(getattr(schemes, name) is scheme for name, scheme in BUILTIN.items())
    with pytest.raises(TypeError):
        BUILTIN["MINE"] = STANDARD


def test_every_row_says_where_it_comes_from():
    """Each is followed by a text with a source: a document, or a file of the vendor's own code."""
    body = ast.parse(inspect.getsource(_presets)).body
    rows = [(node, after) for node, after in pairwise(body) if isinstance(node, ast.AnnAssign)]
    assert {node.target.id for node, _ in rows} == {*BUILTIN, "BUILTIN"} - {"STANDARD"}
    for _, after in rows:
        text = ast.literal_eval(after.value)
        assert re.search(r"``\S+\.\w+``|docs|``\w+``|by its name", text), text


def test_the_names_of_rows_are_their_own():
    """Two rows of one name could not be told apart in a message."""
    named = [scheme.name for scheme in BUILTIN.values() if isinstance(scheme, (HmacScheme, TokenScheme))]
    assert len(set(named)) == len(named)
    assert all(BUILTIN[name.upper().replace("-", "_")].name == name for name in named)
    assert CLERK is SVIX


WINDOWS = {"WORKOS": 180, "LINEAR": 60, "PADDLE": 5}


@pytest.mark.parametrize("name", NAMES)
def test_every_row_keeps_its_vendors_window_both_ways(name):
    """At either edge a request verifies, a second beyond it does not; no vendor's one-sided check is copied."""
    scheme, window = BUILTIN[name], WINDOWS.get(name, 300)
    body = body_of(scheme)
    headers = sign(scheme, body)
    assert scheme.tolerance == timedelta(seconds=window)
    for off in (-window, window):
        assert verify(scheme, headers, body, now=SECONDS + off).body == body
    if covers_time(scheme):
        assert reason(scheme, headers, body, now=SECONDS + window + 1) == "timestamp_too_old"
        assert reason(scheme, headers, body, now=SECONDS - window - 1) == "timestamp_too_new"


STAMP = str(SECONDS)
V1 = "v1," + b64(hmac.new(base64.b64decode(KEY[6:]), b"evt_1.%d." % SECONDS + BODY, "sha256").digest())
FORM = body_of(TWILIO)
LINEAR_BODY = body_of(BUILTIN["LINEAR"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("STANDARD", {"webhook-id": "evt_1", "webhook-timestamp": STAMP, "webhook-signature": V1}),
        ("SVIX", {"svix-id": "evt_1", "svix-timestamp": STAMP, "svix-signature": V1}),
        ("SUPABASE", {"webhook-id": "evt_1", "webhook-timestamp": STAMP, "webhook-signature": V1}),
        ("LOGTO", {"logto-signature-sha-256": mac(BODY).hex()}),
        ("GITHUB", {"x-hub-signature-256": f"sha256={mac(BODY).hex()}", "x-github-delivery": "evt_1"}),
        ("STRIPE", {"stripe-signature": f"t=1614265330,v1={mac(b'1614265330.' + BODY).hex()}"}),
        ("ZITADEL", {"zitadel-signature": f"t=1614265330,v1={mac(b'1614265330.' + BODY).hex()}"}),
        ("WORKOS", {"workos-signature": f"t=1614265330000, v1={mac(b'1614265330000.' + BODY).hex()}"}),
        ("PADDLE", {"paddle-signature": f"ts=1614265330;h1={mac(b'1614265330:' + BODY).hex()}"}),
        (
            "SLACK",
            {"x-slack-signature": f"v0={mac(b'v0:1614265330:' + BODY).hex()}", "x-slack-request-timestamp": STAMP},
        ),
        ("ZOOM", {"x-zm-signature": f"v0={mac(b'v0:1614265330:' + BODY).hex()}", "x-zm-request-timestamp": STAMP}),
        ("SHOPIFY", {"x-shopify-hmac-sha256": b64(mac(BODY)), "x-shopify-webhook-id": "evt_1"}),
        ("LINEAR", {"linear-signature": mac(LINEAR_BODY).hex()}),
        (
            "TWILIO",
            {
                "x-twilio-signature": b64(
                    mac(f"{URL}BodyCallSidCA1234567890ABCDEFrom+14158675309".encode(), digest="sha1")
                )
            },
        ),
        ("APPWRITE", {"x-appwrite-webhook-signature": b64(mac(URL.encode() + BODY, digest="sha1"))}),
        ("KEYCLOAK_PHASETWO", {"x-keycloak-signature": mac(BODY).hex()}),
        ("CLAVEX", {"x-clavex-signature": f"sha256={mac(BODY, KEY[6:]).hex()}"}),
        ("AUTH0", {"authorization": KEY}),
        ("OKTA", {"authorization": KEY}),
        ("ORY", {"authorization": KEY}),
    ],
)  # fmt: skip
def test_every_row_writes_what_its_vendor_sends(name, expected):
    """The headers, written out by hand from each vendor's description."""
    scheme = BUILTIN[name]
    assert sign(scheme, body_of(scheme)) == expected
    assert scheme.header_names == expected.keys()


# --- All rows, whatever is signed -------------------------------------------------------------------------------------

keys = st.binary(min_size=24, max_size=64).map(lambda raw: "whsec_" + base64.b64encode(raw).decode())
pairs = st.lists(st.tuples(st.text("abcN &=+%é", min_size=1), st.text("abc123 &=+%é")), max_size=5)


@st.composite
def requests(draw):
    """Draw a scheme, a body that it can sign, and a time."""
    name = draw(st.sampled_from(NAMES))
    seconds = draw(st.integers(0, 253_402_214_399))
    if name == "TWILIO":
        body = urlencode(draw(pairs)).encode()
    elif name == "LINEAR":
        body = body_of(BUILTIN[name], seconds)[:-1] + b',"x":"%s"}' % draw(st.text("ab ")).encode()
    else:
        body = draw(st.binary(max_size=100))
    return BUILTIN[name], body, seconds


@given(requests(), keys)
def test_what_a_sender_signs_its_receiver_verifies(request, key):
    """By every row, for any body, key and time; and it says no more than is covered."""
    scheme, body, seconds = request
    at = datetime.fromtimestamp(seconds, UTC)
    headers = sign_request(body, [key, OTHER], scheme=scheme, at=at, url=URL)
    for receivers in (key, SigningKey(key), [OTHER, key]):
        found = verify(scheme, headers, body, receivers, now=at)
        assert found.body == body
        assert found.timestamp == (at if covers_time(scheme) else None)
        assert found.id == ("evt_test" if covers_id(scheme) else None)


@given(requests(), st.data())
def test_nothing_of_it_can_be_changed(request, data):
    """One byte of the body, or one character of a header that matters: a Verified is of what was signed, or is not."""
    scheme, body, seconds = request
    headers = sign_request(body, KEY, scheme=scheme, at=datetime.fromtimestamp(seconds, UTC), url=URL)
    unread = set() if covers_id(scheme) else {getattr(scheme, "id_header", None)}
    name = data.draw(st.sampled_from(["body", *sorted(headers.keys() - unread)]))
    if name == "body":
        assume(not isinstance(scheme, TokenScheme))
        changed = data.draw(
            st.binary(max_size=3).map(lambda more: body[: len(body) // 2] + more + body[len(body) // 2 + 1 :])
        )
        assume(meaning(scheme, changed) != meaning(scheme, body))
        assert reason(scheme, headers, changed, now=seconds) in {"bad_signature", "bad_digest"}
        return
    at = data.draw(st.integers(0, len(headers[name]) - 1))
    letter = data.draw(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E).filter(lambda new: new != headers[name][at])
    )
    value = headers[name][:at] + letter + headers[name][at + 1 :]
    assert reason(scheme, {**headers, name: value}, body, now=seconds) in REASONS


def meaning(scheme, body):
    """Return what of a body Twilio signs: its fields, run together; of any other sender's, every byte."""
    if not isinstance(scheme, TwilioScheme):
        return body
    try:
        return TWILIO.sign(body, [KEY], id="a", at=AT, url=URL)
    except ValueError:
        return None


@pytest.mark.parametrize("name", NAMES)
def test_a_header_that_matters_is_required_by_every_row(name):
    """Without it, or with it twice, nothing verifies."""
    scheme = BUILTIN[name]
    body = body_of(scheme)
    headers = sign(scheme, body)
    for header in headers:
        if not covers_id(scheme) and header == getattr(scheme, "id_header", None):
            continue
        others = {other: value for other, value in headers.items() if other != header}
        assert reason(scheme, others, body) == "missing_header"
        assert reason(scheme, {**headers, header.title(): headers[header]}, body) == "duplicate_header"


@pytest.mark.parametrize("name", NAMES)
def test_too_many_signatures_are_refused_by_every_row(name):
    """More than sixteen where a header can hold several, or one that is too long where it cannot."""
    scheme = BUILTIN[name]
    body = body_of(scheme)
    headers = sign(scheme, body)
    header = getattr(scheme, "header", None) or next(header for header in headers if header.endswith("-signature"))
    separator = getattr(scheme, "separator", None) or ","
    many = {**headers, header: separator.join([headers[header]] + ["v1=x,v1,x"] * (MAX_SIGNATURES * 40))}
    assert reason(scheme, many, body) == "too_large"
    if isinstance(scheme, StandardScheme) or getattr(scheme, "signature_field", None):
        few = {
            **headers,
            header: separator.join([headers[header]] + [f"{getattr(scheme, 'signature_field', 0)}=x"] * 16),
        }
        assert reason(scheme, few, body) == "too_large"


@given(
    st.sampled_from(NAMES),
    st.binary(max_size=40),
    st.lists(
        st.text(max_size=40) | st.text("tv10sh=,; |", max_size=40) | st.sampled_from(["", "t=1,v1=a"]), max_size=3
    ),
    st.text("htps:/?#[]@.x1&=bodySHA256", max_size=40) | st.just(URL),
)
def test_whatever_arrives_nothing_but_a_verification_error_escapes(name, body, values, url):
    """Any values in the very headers that matter, any body, and any URL that a Host header may have made."""
    scheme = BUILTIN[name]
    headers = list(zip(sorted(scheme.header_names), values, strict=False))
    assert reason(scheme, headers, body + b"!", url=url) in REASONS


def test_another_senders_headers_are_named_in_the_hint():
    """Whoever forgot ``scheme=`` learns which it is; a static token is in too many requests to tell anything."""
    for name in NAMES:
        scheme = BUILTIN[name]
        if scheme.header_names == STANDARD.header_names:
            continue
        with pytest.raises(VerificationError) as caught:
            verify(STANDARD, sign(scheme, body_of(scheme)))
        same = [other for other in BUILTIN if BUILTIN[other].header_names == scheme.header_names]
        named = re.findall(r"hookkit\.schemes\.(\w+)", caught.value.hint)
        assert named == ([] if isinstance(scheme, TokenScheme) else same[:1])


# --- Supabase ---------------------------------------------------------------------------------------------------------


def test_supabase_joins_keys_and_signatures():
    """The setting holds ``v1,whsec_…|v1,whsec_…``; the header holds ``v1,…, v1,…``; any of them will do."""
    joined = f"v1,{OTHER}|v1,{KEY}"
    headers = sign(SUPABASE, key=joined)
    alone = [sign(STANDARD, key=key)["webhook-signature"] for key in (OTHER, KEY)]
    assert headers["webhook-signature"] == ", ".join(alone)
    for receivers in (joined, SigningKey(joined), KEY, f"v1,{OTHER}", [f"v1,{KEY}", OTHER], f"{KEY}|{KEY}"):
        assert verify(SUPABASE, headers, keys=receivers).id == "evt_1"
        assert verify(SUPABASE, sign(SUPABASE), keys=joined).id == "evt_1"
    assert verify(STANDARD, headers).id == "evt_1", "STANDARD reads the header, too"


@pytest.mark.parametrize(
    "setting", [f"{KEY}|", f"|{KEY}", f"{KEY}||{OTHER}", f"{KEY}|!", f"{KEY}| ", "|", f"{KEY},{OTHER}"]
)
def test_a_damaged_setting_of_joined_keys_is_an_invalid_key(setting):
    """Each part is a key of its own; one that is blank or unreadable is an error even beside a good one."""
    with pytest.raises(InvalidKey):
        verify(SUPABASE, sign(SUPABASE), keys=setting)
    with pytest.raises(InvalidKey):
        sign(SUPABASE, key=setting)


def test_joined_keys_count_as_what_they_are():
    """Sixteen in all, however they are joined, for whoever signs and for whoever verifies."""
    sixteen = ["|".join([KEY] * 8)] * 2
    assert verify(SUPABASE, sign(SUPABASE, key=sixteen), keys=sixteen).id == "evt_1"
    for several in (["|".join([KEY] * 17)], ["|".join([KEY] * 9)] * 2):
        with pytest.raises(InvalidKey, match="16"):
            verify(SUPABASE, sign(SUPABASE), keys=several)
        with pytest.raises(InvalidKey, match="16"):
            sign(SUPABASE, key=several)


def test_standard_does_not_take_a_joined_text_for_a_key():
    """Where a text is one key, a separator in it is an error that says what to do."""
    with pytest.raises(InvalidKey, match="list"):
        verify(STANDARD, sign(STANDARD), keys=f"{KEY}|{OTHER}")


@pytest.mark.parametrize("separator", ["", ",", ";", "\n", "  ", " ,", ", ,"])
def test_signatures_are_joined_by_what_the_grammar_parts(separator):
    """A scheme cannot be made that writes what it would not read."""
    with pytest.raises(ValueError, match="separator"):
        StandardScheme(separator=separator)


def test_keys_are_parted_by_something():
    """An empty text parts nothing."""
    with pytest.raises(ValueError, match="key_separator"):
        StandardScheme(key_separator="")


# --- Clavex -----------------------------------------------------------------------------------------------------------


def test_clavex_takes_the_key_without_its_prefix_and_not_decoded():
    """With or without ``whsec_`` it is the same key, and no other vendor's reading of it."""
    assert sign(CLAVEX, key=KEY) == sign(CLAVEX, key=KEY[6:])
    assert verify(CLAVEX, sign(CLAVEX), keys=KEY[6:]).body == BODY
    github = HmacScheme("github", "x-clavex-signature", prefix="sha256=")
    assert reason(CLAVEX, sign(github)) == "bad_signature"


def test_a_key_that_is_nothing_but_its_prefix_is_empty():
    """Everybody knows the empty key."""
    with pytest.raises(InvalidKey, match="empty after whsec_"):
        sign(CLAVEX, key="whsec_")


# --- Tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [AUTH0, OKTA, ORY, TokenScheme("mine", "X-Api-Key")])
def test_a_token_proves_the_sender_and_nothing_of_the_request(scheme):
    """The header is the key; the body is anybody's, which the Verified shows by having neither id nor time."""
    headers = sign(scheme, key="Bearer s3cr3t")
    assert headers == {scheme.header: "Bearer s3cr3t"}
    for body in (BODY, b"another"):
        found = verify(scheme, headers, body, "Bearer s3cr3t")
        assert (found.id, found.timestamp, found.body) == (None, None, body)
        assert found.dedupe_key == hashlib.sha256(body).hexdigest()
    for wrong in ("Bearer s3cr3T", "bearer s3cr3t", "Bearer s3cr3t x", "s3cr3t", "Bearer  s3cr3t", "Bearer s3cr3té"):
        assert reason(scheme, {scheme.header: wrong}, keys="Bearer s3cr3t") == "bad_signature"
    assert verify(scheme, headers, keys=["new", "Bearer s3cr3t"]).body == BODY


@pytest.mark.parametrize("key", [" token", "token\n", "tok\nen", "tok\ten", "tokén", "\udcff", "t\0", "t" * 4097])
def test_a_token_that_no_header_can_hold_is_an_invalid_key(key):
    """A line break in a setting must not become one in a request, nor a key that never matches."""
    for attempt in (lambda: sign(AUTH0, key=key), lambda: verify(AUTH0, {"authorization": "x"}, keys=["x", key])):
        with pytest.raises(InvalidKey, match="printable ASCII"):
            attempt()


def test_the_longest_token_is_the_longest_header():
    """4,096 characters are signed and verified."""
    assert verify(AUTH0, sign(AUTH0, key="t" * 4096), keys="t" * 4096).body == BODY


def test_the_hint_for_a_wrong_token_shows_neither():
    """It says where to look."""
    with pytest.raises(VerificationError, match="whole value") as caught:
        verify(AUTH0, {"authorization": "SENTINEL"}, keys="the-key")
    assert not any(text in str(caught.value) for text in ("SENTINEL", "the-key"))


# --- Twilio -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        ("https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("https://a.example:443/x?y=1", "https://a.example/x?y=1"),
        ("https://a.example/x", "https://a.example:8443/x"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example?q", "http://a.example:8080?q"),
        ("https://[::1]/x", "https://[::1]:443/x"),
        ("https://[::1]:443/x", "https://[::1]/x"),
        ("https://u:p@a.example/x", "https://u:p@a.example:443/x"),
        ("https://a.example/x#f", "https://a.example:443/x#f"),
        ("https://a.example/x", "https://a.example:/x"),
        ("nonsense", "nonsense"),
        ("https://a.example:x/", "https://a.example:x/"),
    ],
)
def test_twilio_urls_differ_in_their_port_alone(signed, received):
    """A proxy may have added or taken away the port; nothing else may differ."""
    headers = sign(TWILIO, FORM, url=signed)
    assert verify(TWILIO, headers, FORM, url=received).body == FORM
    assert reason(TWILIO, headers, FORM, url=received + "0") == "bad_signature"


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        ("https://a.example/x", "http://a.example/x"),
        ("https://a.example:80/x", "https://a.example/x"),
        ("https://a.example:443/x", "https://a.example:8443/x"),
        ("https://a.example/x", "https://b.example/x"),
        ("https://a.example/x", "https://a.example/x/"),
        ("https://a.example/x:443", "https://a.example/x"),
        ("https://a.example?u:443/x", "https://a.example?u/x"),
        ("https://a.example@b:443/x", "https://a.example/x"),
    ],
)
def test_twilio_urls_that_differ_otherwise_are_others(signed, received):
    """Neither another port, nor what looks like one elsewhere in the URL."""
    assert reason(TWILIO, sign(TWILIO, FORM, url=signed), FORM, url=received) == "bad_signature"


def digest_url(body, url=URL):
    return f"{url}&bodySHA256={hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("body", [b'{"a":1}', b"", b"\xff\0", FORM, b"a" * 100_000])
def test_a_body_that_is_no_form_is_covered_by_its_digest(body):
    """The signature covers the URL, and the URL the body; the body itself may be anything."""
    url = digest_url(body)
    headers = sign(TWILIO, body, url=url)
    assert headers == {"x-twilio-signature": b64(mac(url.encode(), digest="sha1"))}
    assert verify(TWILIO, headers, body, url=url).body == body
    assert reason(TWILIO, headers, body + b" ", url=url) == "bad_digest"
    assert reason(TWILIO, headers, body, url=digest_url(b"other")) == "bad_signature"


def test_a_wrong_digest_is_told_only_to_whom_signed_it():
    """The signature comes first, as everywhere."""
    assert (
        reason(TWILIO, sign(TWILIO, BODY, url=digest_url(BODY)), b"x", OTHER, url=digest_url(BODY)) == "bad_signature"
    )


@pytest.mark.parametrize(
    "body", [b'{"a":1}', b"a", b"a=1&", b"&a=1", b"a=1&b", b"a=%ff", b"a=\xc3\xa9", "a=é".encode(), b"\0"]
)
def test_a_body_that_nothing_covers_is_refused(body):
    """Neither a form nor a digest: Twilio's own signature would be the URL's alone."""
    bare = {"x-twilio-signature": b64(mac(URL.encode(), digest="sha1"))}
    assert reason(TWILIO, bare, body) == "bad_digest"
    with pytest.raises(ValueError, match="bodySHA256"):
        sign(TWILIO, body)


@pytest.mark.parametrize(
    "query",
    [
        "bodySHA256=",
        "bodySHA256={digest}&bodySHA256={digest}",
        "bodySHA256={DIGEST}",
        "bodySHA256={digest}0",
        "bodySHA256",
    ],
)
def test_a_digest_stands_in_the_url_once_and_in_one_spelling(query):
    """Two of them would let one parser check the other's."""
    digest = hashlib.sha256(BODY).hexdigest()
    url = "https://a.example/?" + query.format(digest=digest, DIGEST=digest.upper())
    headers = {"x-twilio-signature": b64(mac(url.encode(), digest="sha1"))}
    assert reason(TWILIO, headers, url=url) == "bad_digest"
    with pytest.raises(ValueError, match="bodySHA256"):
        sign(TWILIO, url=url)


def test_a_form_is_not_looked_at_where_there_is_a_digest():
    """Even a wrong or a malformed digest says what the signature covers: the URL, and not the form."""
    for query in ("bodySHA256=x", "bodySHA256=x=y", "bodySHA256=&a=b"):
        url = f"https://a.example/?{query}"
        headers = {"x-twilio-signature": b64(mac(url.encode(), digest="sha1"))}
        assert reason(TWILIO, headers, FORM, url=url) == "bad_digest"


@pytest.mark.parametrize(
    "url",
    ["https://a.example/&bodySHA256={}", "https://a.example/#?bodySHA256={}", "https://a.example/?xbodySHA256={}"],
)
def test_a_digest_stands_in_the_query_or_nowhere(url):
    """A path or a fragment that looks like one covers nothing."""
    with pytest.raises(ValueError, match="form"):
        sign(TWILIO, url=url.format(hashlib.sha256(BODY).hexdigest()))


def test_the_fields_of_a_form_are_sorted_and_repeats_count_once():
    """By name, then by value, as Twilio's libraries do; the order of sending makes no difference."""
    body = b"b=2&a=%20x&b=1&b=2&A=&a.b=%C3%A9"
    expected = b64(mac(URL.encode() + "Aa xa.béb1b2".encode(), digest="sha1"))
    assert sign(TWILIO, body) == {"x-twilio-signature": expected}
    assert verify(TWILIO, sign(TWILIO, body), b"a=+x&A=&b=1&b=2&a.b=%c3%a9").body == b"a=+x&A=&b=1&b=2&a.b=%c3%a9"


def test_a_form_has_a_thousand_fields_at_most():
    """Each costs time to read and to sort, before anything is proven."""
    assert sign(TWILIO, b"&".join([b"a=1"] * 1000)) == sign(TWILIO, b"a=1")
    assert reason(TWILIO, sign(TWILIO, b"a=1"), b"&".join([b"a=1"] * 1001)) == "bad_digest"


def test_an_empty_body_is_a_form_without_fields():
    """As Twilio sends a GET."""
    assert sign(TWILIO, b"") == {"x-twilio-signature": b64(mac(URL.encode(), digest="sha1"))}


@pytest.mark.parametrize(("url", "error"), [(None, ValueError), (b"https://a.example", TypeError)])
def test_twilio_and_appwrite_need_the_url(url, error):
    """It is the program's to give; that it was forgotten must not look like a forgery."""
    for scheme in (TWILIO, APPWRITE):
        with pytest.raises(error, match="url"):
            verify(scheme, sign(scheme, FORM), FORM, url=url)
        with pytest.raises(error, match="url"):
            sign(scheme, FORM, url=url)


def test_a_window_can_be_widened_for_a_clock_that_is_off():
    """Paddle's five seconds are its own; a receiver may give another window, never none."""
    headers = sign(PADDLE)
    assert reason(PADDLE, headers, now=SECONDS + 6) == "timestamp_too_old"
    assert verify(PADDLE, headers, now=SECONDS + 60, tolerance=60).timestamp == AT


LOADED = """
import sys
from hookkit import verify_signature
from hookkit.schemes import STANDARD
loaded = {name for name in sys.modules if name.startswith("hookkit.schemes._")}
assert loaded == {"hookkit.schemes._standard"}, loaded
from hookkit.schemes import GITHUB, BUILTIN
assert BUILTIN["GITHUB"] is GITHUB
"""


def test_a_receiver_loads_its_own_sender_only():
    """The others come when they are first asked for; a name that there is not is an AttributeError, as anywhere."""
    subprocess.run([sys.executable, "-c", LOADED], check=True)
    with pytest.raises(AttributeError, match="no attribute 'NOBODY'"):
        schemes.NOBODY  # noqa: B018
    for name in set(schemes.__all__) - {"Scheme", "StandardScheme"}:
        assert schemes.__getattr__(name) is getattr(schemes, name) is vars(schemes)[name]
