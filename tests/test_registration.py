"""Registering: what a webhook has to be, with an error for everything else that says how to mend it; and its keys."""

from __future__ import annotations

import enum
from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import (
    InvalidEndpoint,
    InvalidKey,
    PayloadError,
    RetryPolicy,
    SigningKey,
    TargetRefused,
    schemes,
)
from hookkit.events import Catalog, EventSpec
from hookkit.keys import new_ed25519_pair
from hookkit.profiles import BUILTIN, LOGTO, STANDARD
from hookkit.registration import (
    RESERVED,
    check_endpoint,
    is_reserved,
    renewed,
    rotated,
    subscribed_events,
)
from hookkit.targets import PUBLIC_HTTPS
from hookkit.testing.builders import KEY, endpoint
from hookkit.testing.clock import START
from hookkit.transports._wire import _RESERVED as ONLY_THE_TRANSPORTS

SECOND, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "hours", "days"))
LOGTO_KEY = "0123456789abcdefghijklmnopqrstuv"
SECRET_PAIR, PUBLIC_PAIR = new_ed25519_pair(lambda count: bytes(range(count)))
CATALOG = Catalog(["User.Created", "User.Data.Updated", "Role.Created", "PostSignIn"])


def check(*, catalog=None, profiles=BUILTIN, **fields):
    """Check a webhook that would be in order but for these fields."""
    if fields.get("profile") == "logto":
        fields.setdefault("keys", LOGTO_KEY)
    check_endpoint(endpoint(**fields), targets=PUBLIC_HTTPS, profiles=profiles, catalog=catalog)


def refusal(**fields):
    """Return the error that a webhook with these fields is refused with."""
    with pytest.raises(InvalidEndpoint) as caught:
        check(**fields)
    return caught.value


# --- Field by field ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["standard", "logto"])
def test_an_ordinary_webhook_is_in_order(profile):
    """With nothing but a URL and events, and with everything that there is."""
    check(profile=profile, max_in_flight=1, rate_limit=(1, 0.001))
    check(
        profile=profile,
        name="Müller's hook 🪝",
        tenant="acme",
        events=["User.Created", "User.*", "*"],
        headers={"x-api-key": "secret", "Authorization": "Bearer x", "User-Agent": "acme/1.0"},
        retry=RetryPolicy([1]),
        max_in_flight=10_000,
        rate_limit=(1_000_000, timedelta(days=366)),
        metadata={"plan": ["a", None, {"b": 1.5}]},
        enabled=False,
        disabled_reason="manual",
    )


@pytest.mark.parametrize(
    ("reason", "fields", "says"),
    [
        *(("id", {"id": text}, "1 to 128 printable ASCII") for text in ("", "a.b", "a b", "é", "a\n", "x" * 129)),
        *(
            (field, {field: value}, "at most 256 characters, without NUL and lone surrogates")
            for field in ("name", "tenant")
            for value in ("x" * 257, "a\0b", "\ud800", None, 5, b"x")
        ),
        ("profile", {"profile": "none"}, "'none' is not known here; there are logto, standard"),
        ("profile", {"profile": "STANDARD"}, "there are logto, standard"),
        ("events", {"events": []}, "name at least one, or '*' for all"),
        ("events", {"events": [f"a.b{n}" for n in range(257)]}, "257; at most 256. Use 'User.*' or '*'"),
        ("events", {"events": ["a", "b", "a"]}, "one is named twice"),
        *(
            ("events", {"events": [name]}, "neither an event's name nor 'User.*' nor '*'")
            for name in ("", "User.", ".User", "User.*.x", "*.User", "User*", "User.**", "a b", "é", "a" * 129)
        ),
        ("retry", {"retry": [1, 2]}, "a RetryPolicy, or None for the profile's"),
        ("retry", {"retry": 3}, "a RetryPolicy"),
        *(
            ("max_in_flight", {"max_in_flight": value}, "a whole number from 1 to 10,000")
            for value in (0, -1, 10_001, 2.5, "4", None, True)
        ),
        *(
            ("rate_limit", {"rate_limit": value}, r"(count, per), such as (10, 1.0) for ten a second")
            for value in (
                (0, 1),
                (-1, 1),
                (1.5, 1),
                (True, 1),
                (1_000_001, 1),
                (1, 0),
                (1, -1),
                (1, 1e-4),
                (1, 367 * DAY),
            )
        ),
        ("metadata", {"metadata": {"at": START}}, "metadata.at: datetime; use .isoformat()"),
        ("metadata", {"metadata": {1: 2}}, "JSON keys are strings"),
    ],
)
def test_what_is_not_in_order_is_refused(reason, fields, says):
    """With a word for programs, and a sentence that says what there should be."""
    error = refusal(**fields)
    assert error.reason == reason
    assert says in str(error)
    assert str(error).startswith(reason)


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://example.com/", "scheme"), ("https://127.0.0.1/", "ip"), ("https://example.com:22/", "port")],
)
def test_a_url_that_may_not_be_called_is_refused(url, reason):
    """By the target policy, with its own reason."""
    error = refusal(url=url)
    assert isinstance(error, TargetRefused)
    assert error.reason == reason


def test_a_profile_of_the_hosts_own_is_known_where_it_is_given():
    """The profiles are those that the registry was given."""
    mine = attrs.evolve(STANDARD, name="mine")
    check(profile="mine", profiles={"mine": mine})
    assert "there are mine" in str(refusal(profiles={"mine": mine}))


# --- Events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [["*"], ["User.*"], ["Nothing.Like.*"], ["User.Created"], ["PostSignIn", "Role.*"]])
def test_events_of_the_catalogue(events):
    """Exact names that it has, and any pattern: what it stands for may come later."""
    check(events=events, catalog=CATALOG)


@pytest.mark.parametrize("event", ["User.created", "User", "User.Created.x", "webhook.test"])
def test_an_event_that_the_catalogue_lacks(event):
    """Nobody would ever be told of it: refused with a catalogue, taken without."""
    check(events=["User.Created", event])
    error = refusal(events=["User.Created", event], catalog=CATALOG)
    assert error.reason == "events"
    assert f"{event!r} is not in the catalogue" in str(error)


def test_as_many_events_as_there_may_be():
    """256, each at most 128 characters long."""
    check(events=[f"e{n:03}".ljust(128, "x") for n in range(256)])


# --- Headers ----------------------------------------------------------------------------------------------------------


SPELLINGS = [str.lower, str.upper, str.title, str.swapcase]
DENIED = """host content-length transfer-encoding connection te upgrade expect cookie keep-alive trailer http2-settings
    proxy-authorization proxy-connection proxy- webhook-id webhook-timestamp webhook-signature webhook-anything
    svix-id svix-timestamp svix-signature""".split()


@pytest.mark.parametrize("spell", SPELLINGS, ids=lambda spell: spell.__name__)
@pytest.mark.parametrize("profile", ["standard", "logto"])
@pytest.mark.parametrize("name", DENIED)
def test_headers_of_the_connection_and_the_signature_are_refused(name, profile, spell):
    """In every case, in every profile."""
    error = refusal(profile=profile, headers={"x-fine": "1", spell(name): "x"})
    assert error.reason == "headers"
    assert f"{spell(name)!r} is set by hookkit or by the connection itself" in str(error)


def test_nothing_is_missing_from_that_list():
    """The test above knows every name that is reserved."""
    assert set(DENIED) >= RESERVED | schemes.STANDARD.header_names | schemes.SVIX.header_names


def test_what_a_transport_keeps_to_itself_is_not_registered():
    """No webhook is taken that the transport would refuse to send, every time."""
    for name in ONLY_THE_TRANSPORTS:
        assert is_reserved(name, STANDARD), name
        assert is_reserved(name, LOGTO), name


@pytest.mark.parametrize("spell", SPELLINGS, ids=lambda spell: spell.__name__)
def test_a_profiles_own_signature_header_is_refused(spell):
    """LOGTO's for LOGTO; elsewhere it is a name like any other."""
    custom = {spell("logto-signature-sha-256"): "x"}
    assert refusal(profile="logto", headers=custom).reason == "headers"
    check(profile="standard", headers=custom)
    assert is_reserved("logto-signature-sha-256", LOGTO)
    assert not is_reserved("logto-signature-sha-256", STANDARD)


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_the_content_type_is_logtos_to_replace(name):
    """STANDARD gives it, and says so."""
    check(profile="logto", headers={name: "application/vnd.acme+json"})
    error = refusal(headers={name: "text/plain"})
    assert (error.reason, "is given by the standard profile" in str(error)) == ("headers", True)


@pytest.mark.parametrize(
    "name", ["user-agent", "authorization", "x-api-key", "te2", "x-host", "hosts", "proxy", "svix", "a!#$%&'*+.^_`|~-9"]
)
def test_other_headers_are_the_hosts(name):
    """Whatever is a token and in nobody's way (RFC 9110 §5.6.2)."""
    check(headers={name: "x"})


@pytest.mark.parametrize(
    "name",
    ["", " ", "x y", "x:", ":x", ":path", ":authority", "x\r\ny", "x\0", "é", "x/y", "(x)", "x@y", 5, None, b"x"],
)
def test_what_is_no_header_name_is_refused(name):
    """It would fail when sent, every time."""
    error = refusal(headers={name: "x"})
    assert (error.reason, "is not a header name" in str(error)) == ("headers", True)


@pytest.mark.parametrize(
    "value",
    ["a\rb", "a\nb", "a\r\nx-evil: 1", "a\0b", "a\n", " a", "a ", " ", "\ta", "a\tb", "é", "日", "\x7f", "\x1b[31m"]
    + [5, None, b"x"],
)
def test_a_header_value_is_printable_ascii(value):
    """No line break, NUL, control or foreign character, no space around it; the error does not quote it."""
    error = refusal(headers={"x-secret": value})
    assert error.reason == "headers"
    assert str(error) == "headers: the value of 'x-secret' is not printable ASCII, or begins or ends with a space"


@pytest.mark.parametrize("value", ["", "a b", "Bearer x.y=", "".join(map(chr, range(0x21, 0x7F)))])
def test_any_printable_value_is_taken(value):
    """Spaces within, and nothing at all, too."""
    check(headers={"x-api-key": value})


@pytest.mark.parametrize("names", [("x-a", "X-A"), ("X-Api-Key", "x-api-key"), ("User-Agent", "user-agent")])
def test_two_spellings_of_one_name_are_refused(names):
    """Nobody could say which of them counts."""
    error = refusal(headers=dict.fromkeys(names, "x"))
    assert (error.reason, f"{names[1]!r} is there twice, in two spellings" in str(error)) == ("headers", True)


def test_headers_have_eight_kibibytes():
    """Names and values together, to the byte; over any number of headers."""
    check(headers={"x-long": "y" * (8192 - 6)})
    error = refusal(headers={"x-long": "y" * (8192 - 5)})
    assert (error.reason, "8193 bytes in all; at most 8192" in str(error)) == ("headers", True)
    many = {f"x-{n:04}": "y" * 10 for n in range(512)}
    check(headers=many)
    assert refusal(headers={**many, "x": ""}).reason == "headers"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4))
def test_any_headers_are_taken_or_refused(headers):
    """Whatever a customer types, the answer is one of these two."""
    try:
        check(headers=headers)
    except InvalidEndpoint as error:
        reason = error.reason
    else:
        reason = ""
        assert all(name.isascii() and value.isascii() and value.isprintable() for name, value in headers.items())
    assert reason in {"", "headers"}


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "keys"),
    [
        ("standard", [KEY]),
        ("standard", [SECRET_PAIR]),
        ("standard", [KEY, SECRET_PAIR]),
        ("standard", [KEY] * 16),
        ("standard", [SigningKey(KEY, expires_at=START - 999 * DAY)]),
        ("logto", [LOGTO_KEY]),
        ("logto", ["a b c é"]),
        ("logto", [KEY]),
    ],
)
def test_keys_of_the_right_kind(profile, keys):
    """What the profile's scheme can sign with; that one has expired does not matter here."""
    check(profile=profile, keys=keys)


@pytest.mark.parametrize(
    ("profile", "keys", "says"),
    [
        ("standard", [], "0; give 1 to 16, or none to have one made"),
        ("standard", [KEY] * 17, "17; give 1 to 16"),
        ("standard", [PUBLIC_PAIR], "sign with the whsk_ key"),
        ("standard", ["a plain secret"], "separator"),
        ("standard", [LOGTO_KEY + "!"], "plain-text key belongs to another scheme"),
        ("standard", ["whsec_"], "empty after its prefix"),
        ("standard", ["whsk_AAAA"], "holds 32 or 64 bytes"),
        ("standard", [KEY, PUBLIC_PAIR], "sign with the whsk_ key"),
        ("logto", [SECRET_PAIR], "Ed25519 key is no HMAC key"),
        ("logto", [PUBLIC_PAIR], "Ed25519 key is no HMAC key"),
        ("logto", [LOGTO_KEY, SECRET_PAIR], "Ed25519 key is no HMAC key"),
    ],
)
def test_keys_of_the_wrong_kind(profile, keys, says):
    """Each of them is looked at, not only the one that would sign; none is quoted."""
    error = refusal(profile=profile, keys=keys)
    assert error.reason == "keys"
    assert says in str(error)
    assert not any(key in str(error) for key in keys)
    assert error.__context__ is None or error.__suppress_context__


# --- New keys ---------------------------------------------------------------------------------------------------------


def drawn(count):
    """Be a source of randomness that is known."""
    return bytes(range(100, 100 + count))


@pytest.mark.parametrize(
    ("profile", "keys", "form"),
    [
        (STANDARD, (), "whsec_"),
        (STANDARD, KEY, "whsec_"),
        (STANDARD, SECRET_PAIR, "whsk_"),
        (STANDARD, f"  {SECRET_PAIR}", "whsk_"),
        (STANDARD, (SECRET_PAIR, KEY), "whsk_"),
        (STANDARD, (KEY, SECRET_PAIR), "whsec_"),
        (LOGTO, (), ""),
        (LOGTO, LOGTO_KEY, ""),
    ],
)
def test_a_new_key_is_of_the_webhooks_kind(profile, keys, form):
    """Its profile's, but who signs with Ed25519 goes on doing so: receivers hold a ``whpk_`` key then."""
    key = renewed(endpoint(profile=profile.name, keys=keys), profile, drawn, START)
    assert key.created_at == START
    assert key.expires_at is None
    assert key.value.startswith(form)
    assert key.value == renewed(endpoint(profile=profile.name, keys=keys), profile, drawn, START).value
    assert len(key.value) == 32 or form
    check(profile=profile.name, keys=key)


def key(text, made=None, ends=None):
    """Return a key that was made, and expires, at so many hours from the start."""
    made_at, ends_at = (None if hours is None else START + hours * HOUR for hours in (made, ends))
    return SigningKey(text, created_at=made_at, expires_at=ends_at)


@pytest.mark.parametrize(
    ("old", "overlap", "left"),
    [
        ([key("a", -9)], 24, [key("a", -9, 24)]),
        ([key("a")], 24, [key("a", None, 24)]),
        ([key("a", ends=1)], 24, [key("a", ends=1)]),
        ([key("a", ends=48)], 24, [key("a", ends=24)]),
        ([key("a")], 0, []),
        ([key("a", ends=5), key("b", ends=0), key("c", ends=-5), key("d")], 24, [key("a", ends=5), key("d", ends=24)]),
        ([], 24, []),
        ([key(f"k{n}") for n in range(16)], 24, [key(f"k{n}", ends=24) for n in range(15)]),
    ],
)
def test_a_rotation(old, overlap, left):
    """The new key first; the old ones until the overlap is over and never longer than they had; 16 in all."""
    new = key("new", 0)
    assert rotated(tuple(old), new, now=START, overlap=overlap * HOUR) == (new, *left)


@given(
    st.lists(st.none() | st.integers(-72, 72), max_size=16),
    st.lists(st.tuples(st.integers(0, 48), st.integers(0, 48)), max_size=20),
)
def test_rotations_one_after_another(lives, rotations):
    """However often: at most 16, the newest first, none living longer than it would have, none past its end."""
    keys = tuple(key(f"old{n}", ends=ends) for n, ends in enumerate(lives))
    now = START
    ends_before = {}
    for number, (pause, overlap) in enumerate(rotations):
        now += pause * HOUR
        ends_before |= {one.value: one.expires_at for one in keys}
        new = SigningKey(f"new{number}", created_at=now)
        keys = rotated(keys, new, now=now, overlap=overlap * HOUR)
        assert keys[0] is new
        assert len(keys) <= 16
        for one in keys[1:]:
            assert now < one.expires_at <= now + overlap * HOUR
            before = ends_before[one.value]
            assert before is None or one.expires_at <= before


# --- What a subscription stands for -----------------------------------------------------------------------------------


class Names(enum.StrEnum):
    """A host's own names."""

    CREATED = "User.Created"


@pytest.mark.parametrize(
    ("events", "catalog", "names"),
    [
        (["*"], CATALOG, ["User.Created", "User.Data.Updated", "Role.Created", "PostSignIn"]),
        (["User.*"], CATALOG, ["User.Created", "User.Data.Updated"]),
        (["Role.*", "*"], CATALOG, ["Role.Created", "User.Created", "User.Data.Updated", "PostSignIn"]),
        (["PostSignIn", "User.*", "User.Created"], CATALOG, ["PostSignIn", "User.Created", "User.Data.Updated"]),
        (["Nothing.*"], CATALOG, ["webhook.test"]),
        (["Not.There"], CATALOG, ["Not.There"]),
        (["*"], Catalog(), ["webhook.test"]),
        (["*"], None, ["webhook.test"]),
        (["User.*", "*", "Role.*"], None, ["webhook.test"]),
        (["b", "a", "b"], None, ["b", "a"]),
        ([Names.CREATED, EventSpec("Role.Created")], None, ["User.Created", "Role.Created"]),
        ([], CATALOG, []),
    ],
)
def test_what_a_subscription_stands_for(events, catalog, names):
    """Exact names as they are; patterns for what the catalogue has, or one ``webhook.test``; each once, in order."""
    assert subscribed_events(events, catalog) == names


@pytest.mark.parametrize("catalog", [None, CATALOG], ids=["without", "with"])
@pytest.mark.parametrize("event", ["", "a b", "User*", "*.User", "x" * 129])
def test_what_is_no_event_stands_for_nothing(event, catalog):
    """It is an error, with or without a catalogue."""
    with pytest.raises(InvalidEndpoint) as caught:
        subscribed_events(["User.Created", event], catalog)
    assert caught.value.reason == "events"


def test_a_name_is_text():
    """Or an ``EventType``; anything else says so."""
    with pytest.raises(PayloadError, match="int"):
        subscribed_events([5], None)


def test_a_signer_of_the_hosts_own_says_which_keys_it_takes():
    """Registration asks the profile's scheme, whatever that is."""

    class Stamp:
        header_names = frozenset({"x-stamp"})

        def sign(self, body, keys, *, id, at, method="POST", url=None):
            if keys[0].value != "the one":
                raise InvalidKey("only the one")
            return {"x-stamp": "1"}

    profiles = {"mine": attrs.evolve(STANDARD, name="mine", scheme=Stamp())}
    check(profile="mine", keys="the one", profiles=profiles)
    error = refusal(profile="mine", keys=["the one", "another"], profiles=profiles)
    assert (error.reason, str(error)) == ("keys", "keys: only the one")
    assert refusal(profile="mine", keys="the one", headers={"X-Stamp": "2"}, profiles=profiles).reason == "headers"
