"""Headers, in whatever form a framework has them: every name in lower case, with every value it came with.

Nothing is judged here, and nothing that came twice is joined or dropped: that is for whoever reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["HeaderItems", "header_fields"]


class HeaderItems(Protocol):
    """Headers as most frameworks keep them: an object whose ``items()`` gives pairs of name and value."""

    def items(self) -> Iterable[tuple[object, object]]:
        """Return the pairs. Names in any case, as str or bytes; values likewise, or lists of them."""
        ...


def header_fields(headers: object) -> dict[str, list[str]]:
    """Return every header under its lower-case name, with every value it came with.

    Args:
        headers: An object with ``items()`` (or ``multi_items()``, or ``lists()``), a list or tuple of pairs, or a WSGI
            environ, which is known by its ``wsgi.version`` being a tuple: no header's value is one.

    Raises:
        TypeError: It is none of these.
    """
    found: dict[str, list[str]] = {}
    for name, value in _pairs(headers):
        if type(name) is str and type(value) is str:  # the usual case, and this loop is the hottest
            name, values = name.lower(), [value]  # noqa: PLW2901 - the same name, as it is looked up
        elif type(name) is bytes and type(value) is bytes:  # as ASGI has them
            name, values = name.decode("latin-1").lower(), [value.decode("latin-1")]  # noqa: PLW2901 - likewise
        elif isinstance(value, tuple) and isinstance(name, str) and name == "wsgi.version":
            return header_fields(_environ_headers(headers))
        else:
            name, values = _text(name).lower(), _texts(value)  # noqa: PLW2901 - likewise
        if name in found:
            found[name] += values
        else:
            found[name] = values
    return found


def _pairs(headers: object) -> Iterable[tuple[object, object]]:
    """Return the pairs of a container, none of them collapsed.

    ``items()`` of some multi-dicts joins or drops repeated names: httpx and Starlette show all in ``multi_items()``,
    Django and Werkzeug all values of a name in ``lists()``.
    """
    if isinstance(headers, (list, tuple)):
        return _only_pairs(headers)
    if type(headers) is dict:
        return headers.items()
    for method in ("multi_items", "lists", "items"):
        items = getattr(headers, method, None)
        if callable(items):
            return _only_pairs(items())
    raise TypeError(f"headers: {type(headers).__name__}; give an object with items(), or a list of pairs")


def _only_pairs(items: Any) -> list[tuple[object, object]]:
    return [(item[0], item[1]) for item in items if isinstance(item, (list, tuple)) and len(item) == 2]


def _text(value: object) -> str:
    """Return a name or a value as text; empty if it cannot be any."""
    return value if isinstance(value, str) else value.decode("latin-1") if isinstance(value, bytes) else ""


def _texts(value: object) -> list[str]:
    return [_text(one) for one in value] if isinstance(value, (list, tuple)) else [_text(value)]


def _environ_headers(environ: object) -> list[tuple[str, object]]:
    """Return the headers of a WSGI environ (PEP 3333): only ``HTTP_…`` comes from the request's headers."""
    return [
        (name[5:].replace("_", "-"), value)
        for name, value in _pairs(environ)
        if isinstance(name, str) and name.startswith("HTTP_")
    ]
