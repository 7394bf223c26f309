"""A catalogue as a section of an OpenAPI document: what a receiver gets, and what its answers bring about.

OpenAPI 3.1, "OpenAPI Object", ``webhooks``: by name, a Path Item with the request that the publisher will make. Its
schemas are JSON Schema 2020-12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from hookkit import payloads, schemes
from hookkit.event import Event
from hookkit.events._spec import EventSpec, sample_event
from hookkit.retry import GONE, NOT_2XX

if TYPE_CHECKING:
    from hookkit.protocols import Payload, Signer
    from hookkit.retry import RetryPolicy

__all__ = ["Sending", "webhooks"]

AT: Final = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
EVENT_ID: Final = "evt_019c13f0a2407c3e8d5b6a7f90123456"
ENDPOINT_ID: Final = "whk_019c13f0a2407c3e8d5b6a7f90654321"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")  # RFC 3339 §5.6

_HEADERS: Final[Mapping[str, tuple[str, dict[str, Any], str]]] = {
    "id": ("The event's id: the same at every attempt. Handle each id once.", {"type": "string"}, EVENT_ID),
    "timestamp": (
        "When this attempt was made, in Unix seconds. It is signed: refuse what is more than five minutes off.",
        {"type": "string", "pattern": "^[0-9]+$"},
        str(int(AT.timestamp())),
    ),
    "signature": (
        "Signatures, each after its version and a comma, with spaces between them. One that verifies is enough.",
        {"type": "string"},
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}
"""By the end of the header's name: Standard Webhooks, "Webhook metadata"."""


class Sending(Protocol):
    """What is asked of a profile here."""

    @property
    def payload(self) -> Payload:
        """Makes the body."""
        ...

    @property
    def scheme(self) -> Signer:
        """Signs it."""
        ...

    @property
    def retry(self) -> RetryPolicy:
        """Which answers are tried again."""
        ...


def webhooks(specs: Iterable[EventSpec], profile: Sending | None) -> dict[str, Any]:
    """Return the section; see :meth:`hookkit.events.Catalog.openapi_webhooks`."""
    payload = payloads.STANDARD if profile is None else profile.payload
    scheme = schemes.STANDARD if profile is None else profile.scheme
    retried = NOT_2XX if profile is None else profile.retry.statuses
    return {
        spec.name: {
            "post": {
                "operationId": f"webhook.{spec.name}",
                "summary": spec.name,
                "description": spec.description,
                "parameters": _parameters(scheme),
                "requestBody": {"required": True, "content": {payload.content_type: _media_type(spec, payload)}},
                "responses": _responses(retried),
            }
        }
        for spec in specs
    }


# --- Headers and answers ----------------------------------------------------------------------------------------------


def _parameters(scheme: Signer) -> list[dict[str, Any]]:
    # A parameter of these names shall be ignored (OpenAPI 3.1, "Parameter Object"); it would say nothing.
    names = sorted(scheme.header_names - {"accept", "authorization", "content-type"}, key=_place)
    return [_parameter(name, standard=isinstance(scheme, schemes.StandardScheme)) for name in names]


def _place(name: str) -> tuple[int, str]:
    ends = [*_HEADERS]
    end = name.rpartition("-")[2]
    return (ends.index(end) if end in ends else len(ends), name)


def _parameter(name: str, *, standard: bool) -> dict[str, Any]:
    plain = {"name": name, "in": "header", "required": True}
    known = _HEADERS.get(name.rpartition("-")[2]) if standard else None
    if known is None:
        return {**plain, "description": "What the sender signs its requests by.", "schema": {"type": "string"}}
    description, schema, example = known
    return {**plain, "description": description, "schema": dict(schema), "example": example}


def _responses(retried: frozenset[int]) -> dict[str, Any]:
    def outcome(statuses: range) -> str:
        again = [status for status in statuses if status != GONE and status in retried]
        rest = len(statuses) - (GONE in statuses) - len(again)
        if not again:
            return "It is not sent again."
        return "It is sent again later." if rest == 0 else "With some statuses it is sent again later."

    texts = {
        "2XX": "Received. Answer so before working on it; the body of the answer is not looked at.",
        "3XX": f"Not received: redirects are not followed. {outcome(range(300, 400))}",
        "410": "Gone: this webhook is disabled, and nothing is sent to it any more.",
        "4XX": f"Not received. {outcome(range(400, 500))}",
        "5XX": f"Not received. {outcome(range(500, 600))}",
    }
    return {status: {"description": text} for status, text in texts.items()}


# --- Bodies -----------------------------------------------------------------------------------------------------------


def _media_type(spec: EventSpec, payload: Payload) -> dict[str, Any]:
    data, context = sample_event(spec, lifts_context=payload.lifts_context)
    event = Event(spec.name, data, id=EVENT_ID, occurred_at=AT, context=context)
    try:
        example = json.loads(payload.encode(event, endpoint_id=ENDPOINT_ID))
    except ValueError:
        return {}  # a host's own format, which is not JSON
    schema = _schema(example)
    if isinstance(example, dict):
        own = [key for key in example if key not in context and not (payload.lifts_context and key == "data")]
        schema["required"] = own
        schema["properties"] |= {key: {"const": spec.name} for key in own if example[key] == spec.name}
    return {"schema": schema, "example": example}


def _schema(value: Any) -> dict[str, Any]:
    """Return what a sample shows of a value's kind; of a null and of an empty list that is nothing."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {key: _schema(member) for key, member in value.items()}}
    if isinstance(value, list):
        kinds = [_schema(item) for item in value]
        alike = kinds and all(kind == kinds[0] for kind in kinds)
        return {"type": "array", "items": kinds[0]} if alike else {"type": "array"}
    if isinstance(value, str):
        timed = {"format": "date-time"} if _TIME.fullmatch(value) else {}
        return {"type": "string", **timed}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, (int, float)):
        return {"type": "integer" if isinstance(value, int) else "number"}
    return {}
