"""STANDARD's short way says yes to nothing that the long way refuses; whatever it does not take goes the long way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import HookkitError, InvalidKey, SigningKey, VerificationError, verify_signature
from hookkit.keys import HmacKey, new_ed25519_pair
from hookkit.schemes import STANDARD, SUPABASE, SVIX, StandardScheme

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECRET, PUBLIC = new_ed25519_pair(bytes)
BODY = b'{"test": 2432232314}'
NOW = 1614265330
AT = datetime.fromtimestamp(NOW, UTC)
KEYS = (SigningKey(KEY),)
HEADERS = STANDARD.sign(BODY, [KEY], id="evt_1", at=AT)
GOOD = HEADERS["webhook-signature"]
COMMON = {"host": "receiver.example", "content-type": "application/json", "content-length": "20", "accept": "*/*"}


def outcome(headers, *, scheme=STANDARD, body=BODY, keys=KEY, now=NOW, tolerance=None):
    """Return what comes of it, in a form that can be compared."""
    try:
        return verify_signature(body, headers, keys, scheme=scheme, now=now, tolerance=tolerance)
    except HookkitError as error:
        return type(error), error.args


def the_long_way(headers, *, scheme=STANDARD, body=BODY, keys=KEY, now=NOW, tolerance=None):
    """Return what comes of it the long way alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StandardScheme, "quick", lambda *_: None)
        return outcome(headers, scheme=scheme, body=body, keys=keys, now=now, tolerance=tolerance)


def quick(headers, *, scheme=STANDARD, body=BODY, keys=KEYS, now=NOW, tolerance=None):
    return scheme.quick(body, headers, keys, now, tolerance)


@pytest.mark.parametrize("scheme", [STANDARD, SVIX])
@pytest.mark.parametrize("more", [{}, COMMON, {"": "", "x": None, "y": ["a", "b"], "é": b"z", "cookie": "a" * 5000}])
def test_an_ordinary_request_goes_the_short_way(scheme, more):
    """Whatever else its headers hold, and with any of several keys."""
    headers = {**more, **scheme.sign(BODY, [KEY], id="evt_1", at=AT)}
    for keys in ([KEY], [OTHER, KEY], [KEY, PUBLIC]):
        found = quick(headers, scheme=scheme, keys=[SigningKey(key) for key in keys])
        assert found == the_long_way(headers, scheme=scheme, keys=keys)
        assert (found.id, found.timestamp, found.body, found.dedupe_key) == ("evt_1", AT, BODY, "evt_1")


UNUSUAL = [
    {"Webhook-Id": "evt_1"},
    {"WEBHOOK-SIGNATURE": GOOD},
    {b"webhook-id": b"evt_1"},
    {b"x": b"y"},
    {None: "x"},
    {"X-Other": "x"},
    {"wsgi.version": (1, 0)},
    {"webhook-id": " evt_1"},
    {"webhook-id": "evt.1"},
    {"webhook-id": ""},
    {"webhook-id": None},
    {"webhook-id": ["evt_1"]},
    {"webhook-id": b"evt_1"},
    {"webhook-id": "evt_1" * 26},
    {"webhook-id": "évt"},
    {"webhook-timestamp": f" {NOW}"},
    {"webhook-timestamp": f"0{NOW}"},
    {"webhook-timestamp": f"{NOW}.0"},
    {"webhook-timestamp": "9" * 12},
    {"webhook-timestamp": "9" * 13},
    {"webhook-timestamp": str(NOW + 1)},
    {"webhook-timestamp": ""},
    {"webhook-timestamp": NOW},
    {"webhook-signature": f"{GOOD} "},
    {"webhook-signature": f"{GOOD},"},
    {"webhook-signature": f"{GOOD} {GOOD}"},
    {"webhook-signature": f"v1,x {GOOD}"},
    {"webhook-signature": GOOD.replace("v1,", "v2,")},
    {"webhook-signature": GOOD[:-1] + "é"},
    {"webhook-signature": GOOD[:-1] + "\udcff"},
    {"webhook-signature": GOOD[:-2] + "A="},
    {"webhook-signature": ""},
    {"webhook-signature": GOOD.encode()},
]


@pytest.mark.parametrize("changed", UNUSUAL, ids=repr)
def test_anything_unusual_goes_the_long_way(changed):
    """White space, other cases, bytes, lists, doubts of any kind: the short way says nothing, the long way decides."""
    headers = {**HEADERS, **changed}
    assert quick(headers) is None
    assert outcome(headers) == the_long_way(headers)


WALKED = {
    "title case": lambda headers: {name.title(): value for name, value in headers.items()},
    "pairs": lambda headers: [*headers.items()],
    "pairs of bytes": lambda headers: [(name.encode(), value.encode()) for name, value in headers.items()],
    "lists": lambda headers: {name.upper(): [value] for name, value in headers.items()},
}


@pytest.mark.parametrize("walked", WALKED.values(), ids=WALKED)
def test_headers_in_another_form_go_the_short_way_after_the_walk(walked, monkeypatch):
    """Once their names are in lower case and their values in order, an ordinary request is as ordinary as any."""
    expected = the_long_way(HEADERS)
    monkeypatch.setattr(StandardScheme, "_claim", lambda *_: pytest.fail("went the long way"))
    assert outcome(walked({**COMMON, **HEADERS})) == outcome(HEADERS) == expected


def test_a_wrong_signature_is_computed_twice_at_most(monkeypatch):
    """Once on either way, in whatever form the headers come."""
    count, sign, key = [], HmacKey.sign, SigningKey(KEY)
    outcome(HEADERS, keys=key)  # parses it
    monkeypatch.setattr(HmacKey, "sign", lambda *given: (count.append(1), sign(*given))[1])
    wrong = {**HEADERS, "webhook-signature": GOOD[:-2] + "A="}
    for form in (dict, *WALKED.values()):
        count.clear()
        assert outcome(form(wrong), keys=key)[1][0] == "bad_signature"
        assert len(count) == 2


def test_values_in_lists_are_one_each_or_go_the_long_way():
    """Two of one name are a repeat, none is a missing header, and a list beside a text is no form we know."""
    lists = {name: [value] for name, value in HEADERS.items()}
    assert quick(lists).id == "evt_1"
    for name in HEADERS:
        for value in ([], [HEADERS[name]] * 2, [None], [[HEADERS[name]]], HEADERS[name], (HEADERS[name],)):
            assert quick({**lists, name: value}) is None


def test_without_a_header_nothing_is_quick():
    """Each of the three has to be there."""
    for name in HEADERS:
        assert quick({other: value for other, value in HEADERS.items() if other != name}) is None


@pytest.mark.parametrize(
    ("now", "tolerance", "inside"),
    [
        (NOW + 300, None, True),
        (NOW - 300, None, True),
        (NOW + 301, None, False),
        (NOW - 301, None, False),
        (NOW + 10, timedelta(seconds=10), True),
        (NOW - 11, timedelta(seconds=10), False),
        (NOW, timedelta(0), True),
        (NOW + 1, timedelta(0), False),
        (NOW + 86_400, timedelta(hours=24), True),
    ],
)
def test_the_window_is_the_same(now, tolerance, inside):
    """Inclusive, both ways, the scheme's own unless another is given."""
    assert (quick(HEADERS, now=now, tolerance=tolerance) is not None) is inside
    assert outcome(HEADERS, now=now, tolerance=tolerance) == the_long_way(HEADERS, now=now, tolerance=tolerance)
    narrow = attrs.evolve(STANDARD, tolerance=300 if tolerance is None else tolerance)
    assert (quick(HEADERS, scheme=narrow, now=now) is not None) is inside


def test_an_unreadable_key_is_an_error_beside_a_good_one():
    """In whichever order: a mistake of the host does not wait for the day when the good key goes."""
    for keys in ([KEY, "!"], ["!", KEY], [KEY, SECRET]):
        with pytest.raises(InvalidKey):
            quick(HEADERS, keys=[SigningKey(key) for key in keys])


def test_a_public_key_is_not_asked_for_a_mac():
    """It is no HMAC key on the short way either."""
    assert quick(HEADERS, keys=[SigningKey(PUBLIC)]) is None


def test_joined_keys_go_the_long_way():
    """They have to be taken apart first."""
    assert quick(HEADERS, scheme=SUPABASE) is None
    assert outcome(HEADERS, scheme=SUPABASE, keys=f"{OTHER}|{KEY}").id == "evt_1"


# --- Properties -------------------------------------------------------------------------------------------------------

names = st.sampled_from([*HEADERS, "svix-id", "svix-timestamp", "svix-signature", "x"])
cases = names | names.map(str.title) | names.map(str.upper) | names.map(str.encode)
values = (
    st.sampled_from([*HEADERS.values(), f"{GOOD},", f" {GOOD}", str(NOW - 300), str(NOW + 301)])
    | st.text(max_size=4)
    | st.lists(st.sampled_from([*HEADERS.values()]), max_size=2)
    | st.none()
)


@given(
    st.dictionaries(cases, values, max_size=4),
    st.booleans(),
    st.sampled_from([STANDARD, SVIX, SUPABASE, StandardScheme(("webhook", "svix"), tolerance=10)]),
    st.lists(st.sampled_from([KEY, OTHER, PUBLIC, f"{KEY}\n"]), min_size=1, max_size=3),
    st.sampled_from([NOW, NOW + 300, NOW - 301, NOW + 11]),
    st.sampled_from([BODY, b"", BODY + b" "]),
)
def test_both_ways_come_to_the_same(changed, whole, scheme, keys, now, body):
    """As a dict and as pairs, which may go the short way, and the long way alone: the same Verified, or error."""
    headers = {**HEADERS, **changed} if whole else changed
    arguments = {"scheme": scheme, "keys": keys, "now": now, "body": body}
    assert outcome(headers, **arguments) == the_long_way(headers, **arguments)
    assert outcome([*headers.items()], **arguments) == the_long_way(headers, **arguments)


@given(st.integers(0, 46), st.characters(min_codepoint=0x20, max_codepoint=0x7E))
def test_a_changed_signature_is_as_wrong_on_either_way(at, letter):
    """One other character anywhere in it."""
    changed = GOOD[:at] + letter + GOOD[at + 1 :]
    headers = {**HEADERS, "webhook-signature": changed}
    assert (quick(headers) is not None) is (changed == GOOD)
    if changed != GOOD:
        with pytest.raises(VerificationError, match="bad_signature"):
            verify_signature(BODY, headers, KEY, now=NOW)
