"""The kinds of events that a host publishes, as a whole: what may be emitted, and what of it goes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from hookkit.event import Event, type_name
from hookkit.events._patterns import check_pattern, matches
from hookkit.events._redaction import Redacted, Redaction
from hookkit.events._spec import EventSpec

if TYPE_CHECKING:
    from hookkit.events._openapi import Sending
    from hookkit.protocols import EventType

__all__ = ["Catalog"]


def _spec(event: EventType | str) -> EventSpec:
    if isinstance(event, EventSpec):
        return event
    if isinstance(event, str):
        return EventSpec(event)
    return EventSpec(type_name(event), event.description, event.example)


def _harmless(spec: EventSpec, redaction: Redaction | None) -> EventSpec:
    """Return an event type whose sample holds no secret."""
    example = spec.example if redaction is None else redaction.value(spec.example)
    return spec if example is spec.example else attrs.evolve(spec, example=example)


@final
class Catalog(Mapping[str, EventSpec]):
    """The event types that a host publishes, by name, in their order. Immutable.

    An :class:`~hookkit.OutboxDispatcher` that is given it emits no others, and no secret: whatever looks like one is
    replaced by ``[redacted]`` before anything is stored. The samples are treated alike.

    Args:
        events: :class:`EventSpec` or other ``EventType`` objects; a ``str`` or ``StrEnum`` member is one without
            description and example.
        redact: What is taken for a secret: True for what :class:`Redaction` says by default, a Redaction of your own to
            widen or narrow that. False sends everything as it is: a password hash, a session cookie, whatever a
            dictionary happens to hold.

    Raises:
        ValueError: Two have the same name.
        PayloadError: One has a name that no event can have, or an example that is not JSON.
        TypeError: `redact` is neither.
    """

    __slots__ = ("_redaction", "_specs")

    def __init__(self, events: Iterable[EventType | str] = (), *, redact: Redaction | bool = True) -> None:
        if not isinstance(redact, (Redaction, bool)):
            raise TypeError("redact is True, False or a Redaction")
        self._redaction: Final = Redaction() if redact is True else redact or None
        specs: dict[str, EventSpec] = {}
        for spec in map(_spec, events):
            if spec.name in specs:
                raise ValueError(f"the catalogue has {spec.name!r} twice")
            specs[spec.name] = _harmless(spec, self._redaction)
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

    def redacted(self, event: Event) -> Redacted:
        """Return an event as it is emitted, without secrets, and the names of the fields that held them.

        A dispatcher calls it. With ``redact=False`` it is the event that was given.
        """
        return Redacted(event, ()) if self._redaction is None else self._redaction.event(event)

    def openapi_webhooks(self, profile: Sending | None = None) -> dict[str, Any]:
        """Return the section ``webhooks`` of an OpenAPI 3.1 document, for whoever writes a receiver.

        Each event is an operation: what it means, the headers that it comes with, a schema and an example of its body,
        and what an answer brings about. A schema says what the sample shows, so receivers are told to expect more
        members than it has.

        Args:
            profile: The :class:`~hookkit.profiles.Profile` that is sent by; None: Standard Webhooks' body and headers.

        Returns:
            A new dict of JSON values, by the events' names, in the catalogue's order.

        Raises:
            PayloadError: The profile's payload format cannot carry a sample.
        """
        from hookkit.events._openapi import webhooks

        return webhooks(self.values(), profile)
