"""Subscription patterns, event types and catalogues."""

from __future__ import annotations

import copy
import re
from enum import StrEnum

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import InvalidEndpoint, PayloadError
from hookkit.events import Catalog, EventSpec, check_pattern, is_pattern, matches, patterns_for, sample_event
from strategies import any_text, event_types, segments


class Users(StrEnum):
    CREATED = "user.created"
    DELETED = "user.deleted"


@attrs.frozen
class HostType:
    """A host's own event type, which hookkit has never seen."""

    name: str
    description: str = "theirs"
    example: object = None


prefixes = st.lists(segments, min_size=1, max_size=6).map(".".join)
patterns = event_types | prefixes.map(lambda prefix: f"{prefix}.*") | st.just("*")

# --- Patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a", "User.Created", "User.*", "User.Data.*", "*", "A" * 128, "A" * 126 + ".*", "_.*"]
)
def test_what_can_be_subscribed_to(text):
    """An exact name, a prefix with a star as its last segment, or a star alone."""
    assert is_pattern(text)
    assert check_pattern(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".*",
        "**",
        "*.*",
        "a*",
        "*a",
        "a.*.b",
        "a.*.*",
        "*.b",
        "a.b*",
        "a..*",
        "User.",
        "User.*\n",
        " *",
        "* ",
        "é.*",
        "A" * 129,
        "A" * 127 + ".*",
        "a-b.*",
        "a.?",
        "�",
        "a.**",
        "a/*",
    ],
)
def test_what_cannot_be_subscribed_to(text):
    """A star elsewhere, a broken name, or a pattern too long to match any name: an error that shows the form."""
    assert not is_pattern(text)
    with pytest.raises(InvalidEndpoint, match="neither an event's name nor 'User") as caught:
        check_pattern(text)
    assert caught.value.reason == "events"
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("pattern", "event_type", "told"),
    [
        ("User.Created", "User.Created", True),
        ("User.Created", "User.Created.Late", False),
        ("User.Created", "user.created", False),
        ("User.*", "User.Created", True),
        ("User.*", "User.Data.Updated", True),
        ("User.*", "User", False),
        ("User.*", "UserRole.Created", False),
        ("User.*", "Old.User.Created", False),
        ("User.Data.*", "User.Data.Updated", True),
        ("User.Data.*", "User.Created", False),
        ("*", "User", True),
        ("*", "User.Data.Updated", True),
    ],
)
def test_who_is_told(pattern, event_type, told):
    """A prefix takes everything below it at any depth, but neither itself nor what merely begins alike."""
    assert matches(pattern, event_type) is told


def test_the_patterns_of_an_event():
    """They run from the exact name over ever shorter prefixes to the star."""
    assert patterns_for("A.B.C") == ("A.B.C", "A.B.*", "A.*", "*")
    assert patterns_for("A") == ("A", "*")


@given(patterns, event_types)
def test_looking_up_is_matching(pattern, event_type):
    """The index lookup by ``patterns_for`` finds exactly the subscribers that ``matches`` names."""
    assert (pattern in patterns_for(event_type)) is matches(pattern, event_type)


@given(event_types.filter(lambda name: len(name) <= 128))
def test_the_patterns_of_an_event_are_patterns_and_match(event_type):
    """Each can be subscribed to, each matches, and none is named twice."""
    found = patterns_for(event_type)
    assert all(is_pattern(pattern) and matches(pattern, event_type) for pattern in found)
    assert len(set(found)) == len(found)


def test_a_name_of_the_greatest_length_has_few_patterns():
    """The most segments that a name can have make 65 patterns, so a lookup stays small."""
    assert len(patterns_for(".".join(["a"] * 64))) == 65


@given(any_text | st.text("aZ0_.*", max_size=8))
def test_no_text_breaks_the_check(text):
    """Any text at all either is a pattern or is not, as its grammar says."""
    grammar = re.compile(r"\*|[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(\.\*)?")
    assert is_pattern(text) is (len(text) <= 128 and grammar.fullmatch(text) is not None)


# --- Event types ------------------------------------------------------------------------------------------------------


def test_an_event_type_says_what_it_is():
    """Name, description and example are what was given; they are compared, and the example does not hinder hashing."""
    spec = EventSpec("user.created", "Somebody signed up.", {"id": 1})
    assert (spec.name, spec.description, spec.example, spec.flat) == (
        "user.created",
        "Somebody signed up.",
        {"id": 1},
        False,
    )
    assert spec == EventSpec("user.created", "Somebody signed up.", {"id": 1})
    assert spec != EventSpec("user.created", "Somebody signed up.", {"id": 2})
    assert {spec, EventSpec("user.created", "Somebody signed up.", {"id": 1})} == {spec}
    assert (EventSpec("a").description, EventSpec("a").example) == ("", None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        spec.name = "other"


def test_a_str_enum_member_gives_a_plain_name():
    """Names never print as ``Users.CREATED``."""
    assert type(EventSpec(Users.CREATED).name) is str
    assert EventSpec(Users.CREATED).name == "user.created"


def test_the_example_is_its_own():
    """What its maker does to it afterwards, deep within, does not reach the catalogue."""
    example = {"user": {"id": 1}}
    spec = EventSpec("a", example=example)
    example["user"]["id"] = 2
    assert spec.example == {"user": {"id": 1}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a.*"}, "type: 'a.*' is not letters"),
        ({"name": "a", "example": {"at": b""}}, "example.at: bytes; use base64 text"),
        ({"name": "a", "example": lambda: None}, "example: function; use dict"),
        ({"name": "a", "flat": True}, "example: a flat one is a dict, not NoneType"),
        ({"name": "a", "example": [], "flat": True}, "example: a flat one is a dict, not list"),
        ({"name": "a", "example": {"event": "a"}, "flat": True}, "example.event: every body has its own"),
        ({"name": "a", "example": {"createdAt": ""}, "flat": True}, "example.createdAt: every body has its own"),
        ({"name": "a", "example": {"hookId": ""}, "flat": True}, "example.hookId: every body has its own"),
    ],
)
def test_what_is_no_event_type_is_refused(fields, message):
    """A name that no event can have, an example that is not JSON, or a flat one that cannot be split."""
    with pytest.raises(PayloadError) as caught:
        EventSpec(**fields)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("spec", "lifts_context", "sample"),
    [
        (EventSpec("a"), False, ({}, {})),
        (EventSpec("a"), True, ({}, {})),
        (EventSpec("a", example={"data": 1, "ip": 2}), False, ({"data": 1, "ip": 2}, {})),
        (EventSpec("a", example={"data": 1, "ip": 2}), True, ({"data": 1, "ip": 2}, {})),
        (EventSpec("a", example=[0]), True, ([0], {})),
        (EventSpec("a", example=0), False, (0, {})),
        (EventSpec("a", example={"data": 1, "ip": 2}, flat=True), False, ({"data": 1, "ip": 2}, {})),
        (EventSpec("a", example={"ip": 2, "data": 1}, flat=True), True, (1, {"ip": 2})),
        (EventSpec("a", example={"ip": 2}, flat=True), True, (None, {"ip": 2})),
    ],
)
def test_samples(spec, lifts_context, sample):
    """A flat example is split for a format that lifts context; any other is the data; none at all is ``{}``."""
    assert sample_event(spec, lifts_context=lifts_context) == sample


@pytest.mark.parametrize("flat", [False, True])
def test_samples_are_copies(flat):
    """Whoever changes a sample changes nobody else's."""
    spec = EventSpec("a", example={"data": {"id": 1}, "params": {"id": 1}}, flat=flat)
    for lifts_context in (True, False):
        data, context = sample_event(spec, lifts_context=lifts_context)
        for part in (data, *data.values(), context, *context.values()):
            if isinstance(part, dict):
                part.clear()
    assert spec.example == {"data": {"id": 1}, "params": {"id": 1}}


# --- Catalogues -------------------------------------------------------------------------------------------------------


def test_a_catalogue_is_a_mapping_in_order():
    """Iterated by name in the order given, looked up by name, told what it holds."""
    created, deleted = EventSpec("user.created"), EventSpec("user.deleted")
    catalog = Catalog([deleted, created])
    assert list(catalog) == ["user.deleted", "user.created"]
    assert len(catalog) == 2
    assert catalog["user.created"] is created
    assert catalog[Users.CREATED] is created
    assert "user.created" in catalog
    assert "user.*" not in catalog
    assert catalog.get("other") is None
    assert dict(catalog) == {"user.deleted": deleted, "user.created": created}
    assert repr(catalog) == "<Catalog of 2 event types>"
    with pytest.raises(KeyError):
        catalog["other"]


def test_a_catalogue_takes_whatever_is_an_event_type():
    """Text, a whole StrEnum and a host's own classes all become specs; a spec stays the object it is."""
    spec = EventSpec("d")
    catalog = Catalog([*Users, "b", HostType("c", "theirs", {"id": 1}), spec])
    assert list(catalog.values()) == [
        EventSpec("user.created"),
        EventSpec("user.deleted"),
        EventSpec("b"),
        EventSpec("c", "theirs", {"id": 1}),
        spec,
    ]
    assert catalog["d"] is spec
    assert list(Catalog(Users)) == ["user.created", "user.deleted"]
    assert len(Catalog()) == 0


@pytest.mark.parametrize(
    "events", [["a", "a"], [EventSpec("a", "one"), EventSpec("a", "other")], [Users.CREATED, "user.created"]]
)
def test_a_name_stands_once_in_a_catalogue(events):
    """Two of one name would make it unclear what is meant."""
    with pytest.raises(ValueError, match="twice"):
        Catalog(events)


def test_a_catalogue_holds_names_not_patterns():
    """A pattern is nothing that a host can emit."""
    with pytest.raises(PayloadError):
        Catalog(["user.*"])


def test_a_catalogue_cannot_be_changed():
    """It has no way to be; what was given can be, without effect. It can be copied with the settings it stands in."""
    events = ["a"]
    catalog = Catalog(events)
    events.append("b")
    with pytest.raises(TypeError):
        catalog["b"] = EventSpec("b")
    with pytest.raises(AttributeError):
        catalog.other = 1
    assert list(catalog) == ["a"]
    assert copy.deepcopy(catalog) == catalog


CATALOG = Catalog(["User", "User.Created", "Role.Created", "User.Data.Updated", "UserX.Created"])


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("User.Created", ("User.Created",)),
        ("User.*", ("User.Created", "User.Data.Updated")),
        ("User.Data.*", ("User.Data.Updated",)),
        ("*", ("User", "User.Created", "Role.Created", "User.Data.Updated", "UserX.Created")),
        ("User.Gone", ()),
        ("Gone.*", ()),
    ],
)
def test_a_pattern_expands_to_names(pattern, names):
    """In the catalogue's order; a pattern that nothing matches expands to nothing."""
    assert CATALOG.match(pattern) == names


def test_what_is_no_pattern_does_not_expand():
    """A slip of the pen is an error, not an empty answer."""
    with pytest.raises(InvalidEndpoint):
        CATALOG.match("User*")
