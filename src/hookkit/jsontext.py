"""JSON as hookkit accepts it: what may be sent, and how a received body is read.

Sending checks values and names the path of what JSON cannot carry. Receiving is strict (RFC 8259 §4: names within an
object should be unique; §6: no NaN or Infinity), because two parsers that disagree about one body are an attack.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from hookkit.errors import PayloadError

__all__ = ["MAX_DEPTH", "check_json", "parse_json"]

MAX_DEPTH = 64
_MAX_INT_BITS = 1024  # what a double can hold; CPython refuses to print integers of more than 4,300 digits
_MAX_NUMBER_CHARS = 400
_NO_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}"]+', re.DOTALL)


def check_json(value: object, path: str, depth: int = 0) -> None:
    """Raise :class:`PayloadError` that names the path of whatever in `value` is not JSON.

    Args:
        value: None, bool, int, finite float, str, or lists, tuples and str-keyed dicts of those.
        path: What to call `value` in the message, such as ``data``.
        depth: How deep `value` lies already; more than 64 levels are refused (a cycle ends here, too).
    """
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if value.bit_length() > _MAX_INT_BITS:
            raise PayloadError(f"{path}: an integer of {value.bit_length()} bits; send it as a string")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise PayloadError(f"{path}: {value!r} is not JSON; use None or a string")
    elif isinstance(value, dict):
        _check_depth(path, depth)
        for name, member in value.items():
            if not isinstance(name, str):
                raise PayloadError(f"{path}: a key of type {type(name).__name__}; JSON keys are strings")
            check_json(member, f"{path}.{name}", depth + 1)
    elif isinstance(value, (list, tuple)):
        _check_depth(path, depth)
        for index, member in enumerate(value):
            check_json(member, f"{path}[{index}]", depth + 1)
    else:
        raise PayloadError(f"{path}: {_advice(value)}")


def _check_depth(path: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise PayloadError(f"{path[:80]}…: nested more than {MAX_DEPTH} levels deep (or it contains itself)")


def _advice(value: object) -> str:
    name = type(value).__name__
    mends = {
        "datetime": "use .isoformat()",
        "date": "use .isoformat()",
        "time": "use .isoformat()",
        "UUID": "use str()",
        "Decimal": "use str()",
        "bytes": "use base64 text",
        "set": "use sorted() or list()",
        "frozenset": "use sorted() or list()",
    }
    return f"{name}; {mends.get(name, 'use dict, list, str, int, float, bool or None')}"


def parse_json(body: bytes, *, max_bytes: int = 1_048_576, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a received body strictly.

    Args:
        body: UTF-8 bytes, with no byte order mark.
        max_bytes: Refuse more than this.
        max_depth: Refuse deeper nesting.

    Raises:
        PayloadError: The body is too large, too deep, not UTF-8 or not JSON, repeats a name within one object, or has
            NaN, Infinity or a number too large to hold.
    """
    if len(body) > max_bytes:
        raise PayloadError(f"the body has {len(body)} bytes; at most {max_bytes} are parsed")
    _check_nesting(body, max_depth)
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
    except PayloadError:
        raise
    except (ValueError, RecursionError):
        pass
    # Neither exception may travel on, not even as this one's context: both quote the body, or hold it.
    raise PayloadError("the body is not JSON in UTF-8")


def _check_nesting(body: bytes, max_depth: int) -> None:
    """Bound the depth before the recursive parser sees it (brackets inside strings do not count)."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for byte in _NO_BRACKETS.sub(b"", body):
        depth += 1 if byte in b"[{" else -1
        if depth > max_depth:
            raise PayloadError(f"the body is nested more than {max_depth} levels deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise PayloadError("the body repeats a name within one object")
    return members


def _no_constant(_: str) -> NoReturn:
    raise PayloadError("the body has NaN or Infinity, which are not JSON")


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_NUMBER_CHARS:
        raise PayloadError("the body has a number too large to hold")
    return int(text)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise PayloadError("the body has a number too large to hold")
    return value
