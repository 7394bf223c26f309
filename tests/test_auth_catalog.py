"""Our own catalogue of an auth server's events: names, samples that fit each other, and nothing in them is real."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hookkit import Event
from hookkit.catalogs import _auth_samples as pieces
from hookkit.catalogs.auth import CATALOG, GROUPS
from hookkit.events import sample_event
from hookkit.payloads import LOGTO, STANDARD

EACH = pytest.mark.parametrize("spec", CATALOG.values(), ids=list(CATALOG))
NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

IDS = {
    "user": pieces.USER_ID,
    "session": pieces.SESSION_ID,
    "client": pieces.CLIENT_ID,
    "organization": pieces.ORGANIZATION_ID,
    "role": pieces.ROLE_ID,
    "factor": pieces.FACTOR["id"],
    "token": pieces.TOKEN["token_id"],
}


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every member of every object in a sample."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from members(inner)


@EACH
def test_the_names_are_of_one_kind(spec):
    """Dotted, lower-case, an object before its verb; nothing that a subscription's pattern could not reach."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)+", spec.name)
    assert spec.name in CATALOG.match(spec.name.split(".")[0] + ".*")


def test_every_area_of_an_auth_server_is_there():
    """Each group has the events of its own prefix, in order; every event stands in one; nothing can be changed."""
    assert [name for names in GROUPS.values() for name in names] == list(CATALOG)
    assert len(CATALOG) == 63
    prefixes = {heading: {name.split(".")[0] for name in names} for heading, names in GROUPS.items()}
    assert prefixes == {
        "Users": {"user"},
        "Sign-ins": {"login"},
        "Sessions": {"session"},
        "Credentials": {"credential"},
        "Second factors": {"mfa"},
        "Consents, tokens and applications": {"oauth"},
        "Organisations": {"organization"},
        "Roles": {"role"},
    }
    with pytest.raises(TypeError):
        GROUPS["Users"] = ()


@pytest.mark.parametrize(
    "name",
    """user.created user.updated user.deleted user.email.verified login.failed login.blocked session.created
    session.revoked credential.password.changed credential.password.reset_requested mfa.enrolled mfa.removed
    oauth.consent.granted oauth.token.revoked organization.member.added role.created""".split(),
)
def test_what_the_field_tells_is_there(name):
    """The events that other auth servers have, too, under names that are like theirs."""
    assert name in CATALOG


@EACH
def test_every_event_is_described(spec):
    """A sentence of its own for whoever chooses events."""
    assert re.fullmatch(r"[A-Z].{10,120}\.", spec.description)
    assert sum(other.description == spec.description for other in CATALOG.values()) == 1


@EACH
def test_every_sample_is_of_its_own_event(spec):
    """An object that names what it is about; no two events have the same sample, unless only their names differ."""
    assert isinstance(spec.example, dict)
    assert not spec.flat
    about = {name.removesuffix("_id") for name in spec.example}
    assert about & {*IDS, "member", "invitation", "connection", "consent", "key"}


@EACH
def test_every_sample_is_about_the_same(spec):
    """One user, session, application, organisation and role throughout; only administrators are somebody else."""
    for name, value in members(spec.example):
        what = name.removesuffix("_id")
        if name.endswith("_id") and what in IDS and value is not None:
            assert value == IDS[what], name
        if what in {"user", "session", "client", "organization", "role"} and isinstance(value, dict):
            assert value["id"] == IDS[what], name
        if name == "actor":
            assert value in (pieces.BY_USER, pieces.BY_ADMIN, pieces.BY_SYSTEM)
        if name == "changed" and "previous" in spec.example:
            assert list(spec.example["previous"]) == value


@EACH
def test_the_times_of_a_sample_fit(spec):
    """RFC 3339 in UTC: what was is not after now, what ends is."""
    for name, value in members(spec.example):
        if name.endswith("_at") and value is not None:
            at = datetime.fromisoformat(value)
            assert value.endswith("Z")
            assert at > NOW if name.endswith("expires_at") else at <= NOW, name
        assert name != "until" or datetime.fromisoformat(value) > NOW


@EACH
def test_no_sample_is_about_anybody(spec):
    """Names, addresses and numbers are those reserved for examples (RFC 2606, RFC 5737, 555-01xx)."""
    text = json.dumps(spec.example)
    assert all(
        host == "example.com" or host.endswith(".example.com") for host in re.findall(r"(?:@|//)([^\"/]+)", text)
    )
    assert {value for name, value in members(spec.example) if name == "ip"} <= {"203.0.113.7"}
    assert all(re.fullmatch(r"\+120255501\d\d", number) for number in re.findall(r"\"(\+\d+)\"", text))


@EACH
def test_every_sample_serves_as_a_test_payload(spec):
    """In either format the whole sample is the data."""
    for payload in (STANDARD, LOGTO):
        data, context = sample_event(spec, lifts_context=payload.lifts_context)
        sent = Event(spec.name, data, occurred_at=NOW, context=context)
        assert json.loads(payload.encode(sent, endpoint_id="whk_1", test=True))["data"] == spec.example


def test_samples_share_nothing():
    """They are built from the same pieces, but a host that changes one changes no other."""
    first, second = CATALOG["user.updated"].example, CATALOG["user.reactivated"].example
    assert first["user"] == second["user"] == pieces.CHANGED_USER
    assert first["user"] is not second["user"]
    assert first["actor"] is not pieces.BY_USER
