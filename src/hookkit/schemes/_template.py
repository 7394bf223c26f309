"""What an HMAC covers, written as a template such as ``{timestamp}.{body}``."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Template", "read_template"]

_FIELDS = frozenset({"body", "id", "timestamp", "method", "url"})
_PIECES = re.compile(r"\{(\w+)\}|(\{\{|\}\}|[^{}]+)")


class Template(NamedTuple):
    """What a MAC covers.

    Args:
        parts: Literal bytes, and the field after them ('' at the end).
        covered: The names of the fields.
        seams: Characters that join the id to its neighbours: an id that held one could move the seam.
    """

    parts: tuple[tuple[bytes, str], ...]
    covered: frozenset[str]
    seams: frozenset[str]


def read_template(signed: str) -> Template:
    """Read a template: text with fields in braces; a doubled brace is a brace.

    Raises:
        ValueError: It holds a field twice, or one that there is not, or an id that nothing parts from its neighbours.
    """
    parts: list[tuple[str, str]] = []
    before, end = "", 0
    for piece in _PIECES.finditer(signed):
        field, text = piece.groups()
        if piece.start() != end or (field and field not in _FIELDS):
            break
        end = piece.end()
        if field:
            parts.append((before, field))
            before = ""
        else:
            before += text.replace("{{", "{").replace("}}", "}")
    if end != len(signed):
        raise ValueError(f"signed: {signed!r} holds a field other than {', '.join(sorted(_FIELDS))}")
    parts.append((before, ""))
    fields = [field for _, field in parts if field]
    if len(set(fields)) != len(fields):
        raise ValueError(f"signed: {signed!r} holds a field twice")
    encoded = tuple((literal.encode(), field) for literal, field in parts)
    return Template(encoded, frozenset(fields), _id_seams(signed, parts))


def _id_seams(signed: str, parts: list[tuple[str, str]]) -> frozenset[str]:
    # A literal at the very beginning or end has no variable neighbour, so an id may hold what it holds.
    for index, ((before, field), (after, next_field)) in enumerate(pairwise(parts)):
        if field == "id":
            has_left, has_right = index > 0, next_field != ""
            if (has_left and not before) or (has_right and not after):
                raise ValueError(f"signed: {signed!r} has nothing between {{id}} and the field beside it")
            return frozenset((before[-1] if has_left else "") + (after[0] if has_right else ""))
    return frozenset()
