"""Logto's 31 events: names, groups, and the shape of what each one sends."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest

from hookkit import Event
from hookkit.catalogs.logto import CATALOG, GROUPS
from hookkit.events import sample_event
from hookkit.payloads import LOGTO, STANDARD

NAMES = """
    PostRegister PostSignIn PostSignInAdaptiveMfaTriggered PostResetPassword
    User.Created User.Deleted User.Data.Updated User.SuspensionStatus.Updated
    TrustedDevice.Created TrustedDevice.Deleted
    Role.Created Role.Deleted Role.Data.Updated Role.Scopes.Updated
    Scope.Created Scope.Deleted Scope.Data.Updated
    Organization.Created Organization.Deleted Organization.Data.Updated Organization.Membership.Updated
    OrganizationRole.Created OrganizationRole.Deleted OrganizationRole.Data.Updated OrganizationRole.Scopes.Updated
    OrganizationScope.Created OrganizationScope.Deleted OrganizationScope.Data.Updated
    Identifier.Lockout Message.RateLimited Grant.LimitExceeded
""".split()

INTERACTION = "interactionEvent sessionId userAgent userId userIp user application"
EXPERIENCE = "interactionEvent userAgent applicationId sessionId ip application"
CALL = "path method status params matchedRoute"
API = f"userAgent ip {CALL}"

USER = """id username primaryEmail primaryPhone name avatar customData identities lastSignInAt createdAt updatedAt
    profile applicationId cimdClientId isSuspended"""
APPLICATION = "id type name description"
ROLE = "tenantId id name description type isDefault"
SCOPE = "tenantId id resourceId name description createdAt"
ORGANIZATION = "tenantId id name description customData isMfaRequired color branding customCss createdAt"
ORGANIZATION_ROLE = "tenantId id name description type"
ORGANIZATION_SCOPE = "tenantId id name description"

KEYS = {
    "PostRegister": INTERACTION,
    "PostSignIn": INTERACTION,
    "PostSignInAdaptiveMfaTriggered": f"adaptiveMfaResult {INTERACTION}",
    "PostResetPassword": INTERACTION,
    "User.Deleted": f"userAgent ip data {CALL}",
    "TrustedDevice.Created": "interactionEvent userAgent applicationId sessionId application data",
    "TrustedDevice.Deleted": f"userAgent {CALL} data",
    "Role.Deleted": API,
    "Role.Scopes.Updated": f"{API} roleId data",
    "Scope.Deleted": API,
    "Organization.Deleted": API,
    "Organization.Membership.Updated": f"{API} organizationId addedUserIds removedUserIds",
    "OrganizationRole.Deleted": API,
    "OrganizationRole.Scopes.Updated": f"{API} organizationRoleId",
    "OrganizationScope.Deleted": API,
    "Identifier.Lockout": f"{EXPERIENCE} type value",
    "Message.RateLimited": f"{EXPERIENCE} action recipient",
    "Grant.LimitExceeded": """ip userAgent application userId applicationId revokedGrantIds maxAllowedGrants
        preRevocationActiveGrantCount""",
}
"""What each event sends, in order; an event that is not here sends `API` and its data."""

DATA = {
    "User.Created": f"{USER} hasPassword",
    "User.Deleted": USER,
    "User.Data.Updated": f"{USER} hasPassword",
    "User.SuspensionStatus.Updated": f"{USER} hasPassword",
    "TrustedDevice.Created": "id userId expiresAt",
    "TrustedDevice.Deleted": "id userId expiresAt",
    "Role.Created": ROLE,
    "Role.Data.Updated": ROLE,
    "Scope.Created": SCOPE,
    "Scope.Data.Updated": SCOPE,
    "Organization.Created": ORGANIZATION,
    "Organization.Data.Updated": ORGANIZATION,
    "OrganizationRole.Created": ORGANIZATION_ROLE,
    "OrganizationRole.Data.Updated": ORGANIZATION_ROLE,
    "OrganizationScope.Created": ORGANIZATION_SCOPE,
    "OrganizationScope.Data.Updated": ORGANIZATION_SCOPE,
}

EACH = pytest.mark.parametrize("spec", CATALOG.values(), ids=list(CATALOG))


def test_the_names_are_logtos():
    """All 31, in the order of Logto's ``hookEvents``."""
    assert list(CATALOG) == NAMES
    assert len(NAMES) == 31


def test_the_groups_are_those_of_the_console():
    """Every event stands in one group, under Logto's headings, in its order; nothing can be changed."""
    assert list(GROUPS) == [
        "User",
        "Trusted device",
        "Organization",
        "Role",
        "Organization role",
        "Permission",
        "Organization permission",
        "User interaction",
        "Security",
    ]
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(NAMES)
    assert GROUPS["Permission"] == ("Scope.Created", "Scope.Deleted", "Scope.Data.Updated")
    assert GROUPS["User interaction"] == tuple(NAMES[:4])
    assert GROUPS["Security"] == tuple(NAMES[-3:])
    assert GROUPS["Organization"] == tuple(name for name in NAMES if name.startswith("Organization."))
    with pytest.raises(TypeError):
        GROUPS["User"] = ()


@EACH
def test_every_event_is_described(spec):
    """A sentence of its own for whoever chooses events."""
    assert re.fullmatch(r"[A-Z].{10,100}\.", spec.description)
    assert sum(other.description == spec.description for other in CATALOG.values()) == 1


@EACH
def test_every_sample_has_the_keys_of_its_event(spec):
    """The keys that Logto sends with this event, in its order, and no other."""
    assert spec.flat
    assert list(spec.example) == KEYS.get(spec.name, f"{API} data").split()


@EACH
def test_every_sample_is_what_logto_would_send(spec):
    """Encoded as a real event, the keys stand where the sample has them: sample and format agree on Logto's order."""
    data, context = sample_event(spec, lifts_context=LOGTO.lifts_context)
    sent = Event(spec.name, data, occurred_at=dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC), context=context)
    body = json.loads(LOGTO.encode(sent, endpoint_id="whk_1"))
    assert [key for key in body if key not in {"event", "createdAt", "hookId"}] == list(spec.example)
    assert {key: body[key] for key in spec.example} == spec.example
    assert (body["event"], body["createdAt"]) == (spec.name, "2026-01-31T09:30:00.000Z")
    assert list(body)[-1] == "hookId"


@EACH
def test_every_sample_serves_as_a_test_payload(spec):
    """In either format: LOGTO's test has it flat behind the three leading keys, STANDARD has it all as data."""
    bodies = {}
    for payload in (LOGTO, STANDARD):
        data, context = sample_event(spec, lifts_context=payload.lifts_context)
        sent = Event(spec.name, data, occurred_at=dt.datetime(2026, 1, 31, tzinfo=dt.UTC), context=context)
        bodies[payload] = json.loads(payload.encode(sent, endpoint_id="whk_1", test=True))
    assert list(bodies[LOGTO])[:3] == ["event", "hookId", "createdAt"]
    assert {key: bodies[LOGTO][key] for key in list(bodies[LOGTO])[3:]} == spec.example
    assert bodies[STANDARD]["data"] == spec.example


@EACH
def test_every_sample_has_the_data_of_its_event(spec):
    """The entity as Logto's tables and routes have it, complete and in order; no data where Logto sends none."""
    data = spec.example.get("data")
    if spec.name == "Role.Scopes.Updated":
        assert [list(scope) for scope in data] == [SCOPE.split()]
    elif spec.name in DATA:
        assert list(data) == DATA[spec.name].split()
    else:
        assert "data" not in spec.example


@EACH
def test_every_sample_is_consistent(spec):
    """Who signs in is who is described; the path is the route with its parameters; the status fits the method."""
    example = spec.example
    if "user" in example:
        assert list(example["user"]) == USER.split()
        assert example["user"]["id"] == example["userId"]
    if "application" in example:
        assert list(example["application"]) == APPLICATION.split()
        assert example.get("applicationId", example["application"]["id"]) == example["application"]["id"]
    if "path" in example:
        path = example["matchedRoute"]
        for name, value in example["params"].items():
            path = path.replace(f":{name}", value)
        assert example["path"] == path
        assert ":" not in path
        assert example["method"] in {"POST", "PATCH", "PUT", "DELETE"}
        assert example["status"] in {200, 201, 204}
        assert example["method"] != "DELETE" or example["status"] == 204
    if (
        isinstance(example.get("data"), dict)
        and spec.name.endswith(("Data.Updated", "Deleted"))
        and "params" in example
    ):
        assert example["data"]["id"] in example["params"].values()


def test_what_is_particular_to_an_event():
    """The kinds of interaction, the suspended user, the rule that asked for a second factor."""
    kinds = [CATALOG[name].example["interactionEvent"] for name in NAMES[:4]]
    assert kinds == ["Register", "SignIn", "SignIn", "ForgotPassword"]
    assert CATALOG["User.SuspensionStatus.Updated"].example["data"]["isSuspended"] is True
    assert CATALOG["User.Created"].example["data"]["isSuspended"] is False
    result = CATALOG["PostSignInAdaptiveMfaTriggered"].example["adaptiveMfaResult"]
    assert list(result) == ["requiresMfa", "triggeredRules"]
    assert [rule["rule"] for rule in result["triggeredRules"]] == ["new_country"]
    assert CATALOG["Identifier.Lockout"].example["type"] == "email"
    assert CATALOG["Message.RateLimited"].example["action"] == "VerificationCodeSend"
    grant = CATALOG["Grant.LimitExceeded"].example
    assert grant["preRevocationActiveGrantCount"] - len(grant["revokedGrantIds"]) == grant["maxAllowedGrants"]


@EACH
def test_no_sample_is_about_anybody(spec):
    """Names, addresses and numbers are those reserved for examples (RFC 2606, RFC 5737, 555-01xx)."""
    text = json.dumps(spec.example)
    assert set(re.findall(r"(?:@|//)([^\"/]+)", text)) <= {"example.com"}
    addresses = set(re.findall(r"\"(\d+\.\d+\.\d+\.\d+)\"", text))
    assert all(address.startswith(("203.0.113.", "198.51.100.")) for address in addresses)
    assert set(re.findall(r"\"primaryPhone\": \"(\d+)\"", text)) <= {"12025550123"}


def test_samples_share_nothing():
    """They are built from the same pieces, but a host that changes one changes no other."""
    first, second = CATALOG["User.Created"].example["data"], CATALOG["User.Deleted"].example["data"]
    assert first["customData"] == second["customData"]
    assert first["customData"] is not second["customData"]
