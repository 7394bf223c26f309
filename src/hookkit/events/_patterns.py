"""The patterns by which webhooks subscribe to events."""

from __future__ import annotations

from typing import Final

from hookkit.errors import InvalidEndpoint
from hookkit.event import MAX_TYPE_CHARS, is_type

__all__ = ["check_pattern", "is_pattern", "matches", "patterns_for"]

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
