"""A kind of event: its name, what it means, and a sample of it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import attrs

from hookkit.errors import PayloadError
from hookkit.event import DATA_DEPTH, check_type
from hookkit.jsontext import check_json

__all__ = ["EventSpec", "sample_event"]


@attrs.frozen
class EventSpec:
    """A kind of event with what a customer should know of it. The shipped ``EventType``.

    Args:
        name: The event's name, as subscribed to.
        description: A sentence for the customer who chooses events.
        example: A sample of the event's data, JSON, for test payloads and documentation. It is copied.
        flat: True if `example` is a whole flat body as Logto's are, less its ``event``, ``createdAt`` and ``hookId``:
            what stands under ``data`` is the data, everything else context.

    Raises:
        PayloadError: `name` is no event type, or `example` is not JSON, or flat and not an object, or has one of the
            three keys.
    """

    name: str
    description: str = ""
    example: Any = attrs.field(default=None, repr=False, hash=False)
    flat: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        # No converters: to pyright, a field that has one is not the plain attribute that the protocol asks for.
        object.__setattr__(self, "name", check_type(self.name))
        check_json(self.example, "example", DATA_DEPTH)
        object.__setattr__(self, "example", deepcopy(self.example))
        if not self.flat:
            return
        if not isinstance(self.example, dict):
            raise PayloadError(f"example: a flat one is a dict, not {type(self.example).__name__}")
        for key in ("event", "createdAt", "hookId"):
            if key in self.example:
                raise PayloadError(f"example.{key}: every body has its own; leave it out")


def sample_event(spec: EventSpec, *, lifts_context: bool) -> tuple[Any, dict[str, Any]]:
    """Return data and context of a test event.

    Args:
        spec: The event type; without an example its data is ``{}``.
        lifts_context: Whether the payload format makes the context a part of the body. A flat example is split for one
            that does, and is data as a whole for one that does not.
    """
    example = deepcopy({} if spec.example is None else spec.example)
    if not (spec.flat and lifts_context):
        return example, {}
    return example.pop("data", None), example
