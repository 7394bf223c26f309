"""A catalogue as the ``webhooks`` of an OpenAPI document: what it says of events, headers, bodies and answers.

Whether the document is valid is tried in ``tests/frameworks/test_openapi_document.py``, by a validator.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Event, RetryPolicy
from hookkit.catalogs import auth, logto
from hookkit.events import Catalog, EventSpec
from hookkit.events._openapi import _schema
from hookkit.profiles import LOGTO, STANDARD, Profile
from hookkit.schemes import BUILTIN, STRIPE, SVIX
from strategies import json_values

PROFILES = pytest.mark.parametrize("profile", [None, STANDARD, LOGTO], ids=["none", "standard", "logto"])
CATALOGS = pytest.mark.parametrize("catalog", [auth.CATALOG, logto.CATALOG], ids=["auth", "logto"])


def operation(event: EventSpec, profile: Profile | None = None) -> dict[str, Any]:
    """Return the one operation of a catalogue of one event."""
    return Catalog([event]).openapi_webhooks(profile)[event.name]["post"]


def body_of(one: dict[str, Any]) -> dict[str, Any]:
    """Return the schema and the example of an operation."""
    return one["requestBody"]["content"]["application/json"]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether a value is what a schema asks for, as far as these schemas go."""
    if "const" in schema:
        return value == schema["const"]
    if "type" not in schema:
        return True
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if not isinstance(value, kinds[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if schema["type"] == "object":
        known = schema["properties"]
        return set(schema.get("required", ())) <= set(value) and all(
            fits(member, known.get(name, {})) for name, member in value.items()
        )
    return schema["type"] != "array" or all(fits(item, schema.get("items", {})) for item in value)


@CATALOGS
@PROFILES
def test_every_event_is_an_operation(catalog, profile):
    """In the catalogue's order: a POST with its description, a body that the schema describes, and ids of its own."""
    section = catalog.openapi_webhooks(profile)
    assert list(section) == list(catalog)
    operations = [item["post"] for item in section.values()]
    assert [one["description"] for one in operations] == [spec.description for spec in catalog.values()]
    assert len({one["operationId"] for one in operations}) == len(catalog)
    for one in operations:
        assert one["requestBody"]["required"] is True
        assert fits(body_of(one)["example"], body_of(one)["schema"])
    json.dumps(section, allow_nan=False)


@CATALOGS
@pytest.mark.parametrize("profile", [STANDARD, LOGTO], ids=["standard", "logto"])
def test_the_example_is_what_is_sent(catalog, profile):
    """Byte for byte, apart from white space, the body that the profile's format makes of the sample."""
    for name, item in catalog.openapi_webhooks(profile).items():
        example = body_of(item["post"])["example"]
        data, context = example.get("data"), {}
        if profile is LOGTO:
            context = {key: example[key] for key in example if key not in {"event", "createdAt", "hookId", "data"}}
        at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
        sent = profile.payload.encode(
            Event(name, data, occurred_at=at, context=context), endpoint_id=example.get("hookId", "")
        )
        assert json.dumps(example, ensure_ascii=False, separators=(",", ":")).encode() == sent


def test_the_envelope_of_each_format():
    """The event's name is fixed, its time is one, and what every body has is required; the rest may be missing."""
    standard = body_of(operation(EventSpec("user.created", example={"id": 1})))["schema"]
    assert standard["required"] == ["type", "timestamp", "data"]
    assert standard["properties"]["type"] == {"const": "user.created"}
    assert standard["properties"]["timestamp"] == {"type": "string", "format": "date-time"}
    spec = EventSpec("User.Created", example={"ip": "::1", "data": {"id": 1}}, flat=True)
    flat = body_of(operation(spec, LOGTO))["schema"]
    assert flat["required"] == ["event", "createdAt", "hookId"]
    assert flat["properties"]["event"] == {"const": "User.Created"}
    assert list(flat["properties"]) == ["event", "createdAt", "ip", "data", "hookId"]


def test_a_name_in_the_data_is_no_fixed_value():
    """Only what every body of the event has is one."""
    spec = EventSpec("a", example={"ip": "a", "data": "a"}, flat=True)
    known = body_of(operation(spec, LOGTO))["schema"]["properties"]
    assert [name for name, schema in known.items() if "const" in schema] == ["event"]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, {}),
        (True, {"type": "boolean"}),
        (1, {"type": "integer"}),
        (1.5, {"type": "number"}),
        ("a", {"type": "string"}),
        ("2026-01-31T09:30:00Z", {"type": "string", "format": "date-time"}),
        ("2026-01-31T09:30:00.123+01:00", {"type": "string", "format": "date-time"}),
        ("2026-01-31", {"type": "string"}),
        ([], {"type": "array"}),
        (["a", "b"], {"type": "array", "items": {"type": "string"}}),
        (["a", 1], {"type": "array"}),
        ({"a": None}, {"type": "object", "properties": {"a": {}}}),
    ],
)
def test_a_schema_says_what_a_sample_shows(value, schema):
    """Of a null, an empty list and a mixed one it says no more than is known."""
    assert _schema(value) == schema


@given(json_values(st.text(max_size=4)))
def test_every_sample_fits_its_schema(value):
    """Whatever JSON it is."""
    one = body_of(operation(EventSpec("a", example=value)))
    assert fits(one["example"], one["schema"])


def test_the_headers_of_standard_webhooks():
    """Id, timestamp and signature, in this order, with what a receiver does with each; all of them always come."""
    headers = operation(EventSpec("a"))["parameters"]
    assert [header["name"] for header in headers] == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert all(header["in"] == "header" and header["required"] and header["description"] for header in headers)
    assert re.fullmatch(headers[1]["schema"]["pattern"], headers[1]["example"])
    assert headers[2]["example"].startswith("v1,")


@pytest.mark.parametrize("scheme", BUILTIN.values(), ids=list(BUILTIN))
def test_the_headers_of_any_scheme(scheme):
    """Those that it signs by; ``Authorization`` is none, for OpenAPI ignores a parameter of that name."""
    profile = Profile("mine", STANDARD.payload, scheme, RetryPolicy([1]), 5)
    headers = operation(EventSpec("a"), profile)["parameters"]
    assert {header["name"] for header in headers} == scheme.header_names - {"authorization"}


def test_other_vendors_headers_are_not_explained_as_ours():
    """A timestamp of theirs may count milliseconds; Svix's are Standard Webhooks' by another name."""
    profile = Profile("mine", STANDARD.payload, STRIPE, RetryPolicy([1]), 5)
    assert "example" not in operation(EventSpec("a"), profile)["parameters"][0]
    svix = operation(EventSpec("a"), attrs.evolve(profile, scheme=SVIX))["parameters"]
    assert [header["name"].rpartition("-")[2] for header in svix] == sorted(
        (header["name"].rpartition("-")[2] for header in svix), key=["id", "timestamp", "signature"].index
    )


def test_what_an_answer_brings_about():
    """2xx is received, 410 disables, and the profile's own policy says what is sent again."""
    standard = {status: answer["description"] for status, answer in operation(EventSpec("a"))["responses"].items()}
    assert list(standard) == ["2XX", "3XX", "410", "4XX", "5XX"]
    assert "disabled" in standard["410"]
    assert all(standard[status].endswith("It is sent again later.") for status in ("3XX", "4XX", "5XX"))
    assert standard == {
        status: answer["description"] for status, answer in operation(EventSpec("a"), STANDARD)["responses"].items()
    }
    theirs = {name: answer["description"] for name, answer in operation(EventSpec("a"), LOGTO)["responses"].items()}
    assert theirs["5XX"].endswith("It is sent again later.")
    assert all(theirs[status].endswith("It is not sent again.") for status in ("3XX", "4XX"))
    stubborn = operation(EventSpec("a"), attrs.evolve(STANDARD, retry=RetryPolicy([1], statuses=[410])))
    assert stubborn["responses"]["4XX"]["description"].endswith("It is not sent again.")
    picky = attrs.evolve(STANDARD, retry=RetryPolicy([1], statuses=[429, 503]))
    some = {name: answer["description"] for name, answer in operation(EventSpec("a"), picky)["responses"].items()}
    assert all(some[status].endswith("With some statuses it is sent again later.") for status in ("4XX", "5XX"))


@attrs.frozen
class Text:
    """A host's own format that is no JSON."""

    content_type: str = "text/plain"
    per_endpoint: bool = False
    lifts_context: bool = False

    def encode(self, event, *, endpoint_id, test=False) -> bytes:
        return event.type.encode() + b" happened"


def test_a_format_that_is_no_json_has_no_schema():
    """Its content type is all that is known of it."""
    profile = attrs.evolve(STANDARD, payload=Text())
    assert operation(EventSpec("a"), profile)["requestBody"]["content"] == {"text/plain": {}}


@attrs.frozen
class Listed(Text):
    """A host's own format: a list with one event."""

    content_type: str = "application/json"

    def encode(self, event: Event, *, endpoint_id: str, test: bool = False) -> bytes:
        return json.dumps([event.type]).encode()


def test_a_format_that_is_no_object_has_no_members_to_require():
    """Its schema says what the sample shows."""
    profile = attrs.evolve(STANDARD, payload=Listed())
    assert body_of(operation(EventSpec("user.created"), profile)) == {
        "schema": {"type": "array", "items": {"type": "string"}},
        "example": ["user.created"],
    }


def test_each_section_is_the_callers_own():
    """It may be changed, and put into a document, without effect on the next one."""
    catalog = Catalog([EventSpec("a", example={"id": 1})])
    first = catalog.openapi_webhooks()
    body_of(first["a"]["post"])["example"]["data"]["id"] = 2
    first["a"]["post"]["parameters"][0]["schema"]["type"] = "integer"
    second = catalog.openapi_webhooks()
    assert body_of(second["a"]["post"])["example"]["data"] == {"id": 1}
    assert second["a"]["post"]["parameters"][0]["schema"] == {"type": "string"}


def test_no_secret_is_published():
    """An example is the sample as it is emitted."""
    spec = EventSpec("a", example={"password": "hunter2"})
    assert "hunter2" not in json.dumps(Catalog([spec]).openapi_webhooks())
