"""The kinds of events that a host publishes, and the patterns by which webhooks subscribe to them.

A pattern is an exact name (``User.Created``), a prefix (``User.*``: whatever begins with ``User.``, at any depth, but
not ``User`` itself), or ``*``. A star stands only as the last segment. So the patterns that match a given event are few
and known, and a store finds subscribers by looking up :func:`patterns_for` in an index, not by scanning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from hookkit.errors import InvalidEndpoint, PayloadError
from hookkit.event import DATA_DEPTH, MAX_TYPE_CHARS, check_type, is_type, type_name
from hookkit.jsontext import check_json

if TYPE_CHECKING:
    from hookkit.protocols import EventType

__all__ = ["Catalog", "EventSpec", "check_pattern", "is_pattern", "matches", "patterns_for", "sample_event"]

# --- Patterns ---------------------------------------------------------------------------------------------------------

EVERYTHING: Final = "*"


def is_pattern(text: str) -> bool:
    """Return whether a webhook can subscribe to `text`: an exact name, ``prefix.*``, or ``*``."""
    return len(text) <= MAX_TYPE_CHARS and (text == EVERYTHING or is_type(text.removesuffix(".*")))


def check_pattern(text: str) -> str:
    """Return `text`, or raise :class:`~hookkit.InvalidEndpoint` if no webhook can subscribe to it."""
    if not is_pattern(text):
        raise InvalidEndpoint(
            f"events: {text[:140]!r} is neither an event's name nor 'User.*' nor '*'; a star stands only at the end",
            "events",
        )
    return text


def matches(pattern: str, event_type: str) -> bool:
    """Return whether a webhook that subscribed to `pattern` is told of `event_type`."""
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern in (EVERYTHING, event_type)


def patterns_for(event_type: str) -> tuple[str, ...]:
    """Return every pattern that matches `event_type`, the narrowest first: ``("A.B", "A.*", "*")`` for ``A.B``."""
    prefixes: list[str] = []
    prefix = event_type
    while "." in prefix:
        prefix = prefix.rpartition(".")[0]
        prefixes.append(f"{prefix}.*")
    return (event_type, *prefixes, EVERYTHING)


# --- Catalogues -------------------------------------------------------------------------------------------------------


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


def _spec(event: EventType | str) -> EventSpec:
    if isinstance(event, EventSpec):
        return event
    if isinstance(event, str):
        return EventSpec(event)
    return EventSpec(type_name(event), event.description, event.example)


@final
class Catalog(Mapping[str, EventSpec]):
    """The event types that a host publishes, by name, in their order. Immutable.

    Args:
        events: :class:`EventSpec` or other ``EventType`` objects; a ``str`` or ``StrEnum`` member is one without
            description and example.

    Raises:
        ValueError: Two have the same name.
        PayloadError: One has a name that no event can have, or an example that is not JSON.
    """

    __slots__ = ("_specs",)

    def __init__(self, events: Iterable[EventType | str] = ()) -> None:
        specs: dict[str, EventSpec] = {}
        for spec in map(_spec, events):
            if spec.name in specs:
                raise ValueError(f"the catalogue has {spec.name!r} twice")
            specs[spec.name] = spec
        self._specs: Final = specs

    def __getitem__(self, name: str) -> EventSpec:
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __repr__(self) -> str:
        return f"<Catalog of {len(self)} event types>"

    def match(self, pattern: str) -> tuple[str, ...]:
        """Return the names that `pattern` stands for, in the catalogue's order; none if it has none.

        Raises:
            InvalidEndpoint: `pattern` is none.
        """
        check_pattern(pattern)
        return tuple(name for name in self if matches(pattern, name))
