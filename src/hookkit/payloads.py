r"""Payload formats: how an event becomes the bytes of a request.

=============  =================================================================  ============  ==============
format         body                                                               per_endpoint  lifts_context
=============  =================================================================  ============  ==============
STANDARD       ``{"type":…,"timestamp":…,"data":…}``, as Standard Webhooks        no            no
LOGTO          Logto's flat object, byte for byte what ``JSON.stringify`` writes  yes           yes
=============  =================================================================  ============  ==============

Both write compact UTF-8 with nothing escaped that JSON does not ask for. A lone surrogate, which UTF-8 cannot carry, is
written as the escape ``\udXXX``: an odd user agent must not fail the sign-in that it came with.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, final

import attrs

from hookkit.errors import PayloadError
from hookkit.event import Event

__all__ = ["LOGTO", "STANDARD", "LogtoPayload", "StandardPayload", "js_number", "js_stringify"]

_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _body(write: Callable[[Any], str], value: dict[str, Any]) -> bytes:
    try:
        text = write(value)
    except (TypeError, ValueError, RecursionError):
        # An Event was checked when it was made; the exception would quote what stands there now.
        raise PayloadError("the event's data was changed after the event was made: JSON cannot carry it now") from None
    return _utf8(text)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Two halves that stand side by side are one character, as in JavaScript; what is left over stays an escape
        # (ECMA-262 §25.5.2, well-formed JSON.stringify).
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return joined.encode("utf-8", "backslashreplace")


def _instant(event: Event) -> datetime:
    if event.occurred_at is None:
        raise ValueError("occurred_at is not set; only an event that has its time can be encoded")
    return event.occurred_at


def _timestamp(at: datetime, timespec: str) -> str:
    """Return an aware UTC datetime as RFC 3339 text that ends in ``Z``."""
    return at.isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


# --- STANDARD ---------------------------------------------------------------------------------------------------------


@final
@attrs.frozen
class StandardPayload:
    """The body that Standard Webhooks, "Payload structure", recommends.

    ``{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{…}}``, in this order. ``timestamp`` is the
    event's ``occurred_at`` in UTC, with six decimals where it is not a whole second. ``data`` is always there, ``null``
    if it is None. The event's context is not sent. Keys keep the order they were given in.
    """

    content_type: str = attrs.field(default="application/json", init=False)
    per_endpoint: bool = attrs.field(default=False, init=False)
    lifts_context: bool = attrs.field(default=False, init=False)

    def encode(self, event: Event, *, endpoint_id: str, test: bool = False) -> bytes:
        """Return the body; neither `endpoint_id` nor `test` makes a difference.

        Raises:
            PayloadError: The event's data was changed, after the event was made, to what JSON cannot carry.
            ValueError: ``occurred_at`` is not set.
        """
        at = _instant(event)
        timestamp = _timestamp(at, "microseconds" if at.microsecond else "seconds")
        return _body(_compact, {"type": event.type, "timestamp": timestamp, "data": event.data})


# --- LOGTO ------------------------------------------------------------------------------------------------------------

# Logto `libraries/hook/index.ts`: each builder spreads its objects in a fixed order, and receivers have come to see it.
_INTERACTION = (
    "adaptiveMfaResult", "event", "interactionEvent", "createdAt", "sessionId", "userAgent", "userId", "userIp", "user",
    "application", "cimdClientId",
)  # fmt: skip
_DATA = (
    "event", "createdAt", "interactionEvent", "userAgent", "applicationId", "cimdClientId", "sessionId", "ip",
    "application", "path", "method", "status", "params", "matchedRoute", "roleId", "data",
)  # fmt: skip
_USER_DELETED = (*_DATA[: _DATA.index("path")], "data", *_DATA[_DATA.index("path") : -1])
_GRANT = (
    "event", "createdAt", "ip", "userAgent", "application", "userId", "applicationId", "cimdClientId",
    "revokedGrantIds", "maxAllowedGrants", "preRevocationActiveGrantCount",
)  # fmt: skip
_LAYOUTS: Final = {
    "PostRegister": _INTERACTION,
    "PostSignIn": _INTERACTION,
    "PostSignInAdaptiveMfaTriggered": _INTERACTION,
    "PostResetPassword": _INTERACTION,
    "User.Deleted": _USER_DELETED,
    "Grant.LimitExceeded": _GRANT,
}


@final
@attrs.frozen
class LogtoPayload:
    """Logto's body: one flat object, of the event's name, its time, its context, its data and the webhook's id.

    The bytes are what Logto's ``JSON.stringify`` would give. Context keys that Logto knows stand where it puts them,
    others after them in the order given, ``hookId`` last. ``createdAt`` is the event's ``occurred_at`` in UTC, cut to
    three decimals. ``data`` is left out if it is None. A test payload begins ``event``, ``hookId``, ``createdAt``, and
    goes on with the context in the order given, then the data (Logto's ``generateHookTestPayload``).
    """

    content_type: str = attrs.field(default="application/json", init=False)
    per_endpoint: bool = attrs.field(default=True, init=False)
    lifts_context: bool = attrs.field(default=True, init=False)

    def encode(self, event: Event, *, endpoint_id: str, test: bool = False) -> bytes:
        """Return the body for one webhook.

        Args:
            event: Its ``occurred_at`` is set.
            endpoint_id: The webhook's id, sent as ``hookId``.
            test: True for a test payload, which has an order of its own.

        Raises:
            PayloadError: The event was changed, after it was made, to what JSON cannot carry.
            ValueError: ``occurred_at`` is not set.
        """
        head = {"event": event.type, "createdAt": _timestamp(_instant(event), "milliseconds")}
        rest = dict(event.context) if event.data is None else {**event.context, "data": event.data}
        if test:
            return _body(js_stringify, {"event": event.type, "hookId": endpoint_id, **head, **rest})
        members = _in_order({**head, **rest}, _LAYOUTS.get(event.type, _DATA))
        return _body(js_stringify, {**members, "hookId": endpoint_id})


def _in_order(members: dict[str, Any], layout: tuple[str, ...]) -> dict[str, Any]:
    """Return `members` with the layout's keys first, then the others as they came."""
    return {**{key: members[key] for key in layout if key in members}, **members}


# --- JSON as JavaScript writes it -------------------------------------------------------------------------------------

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_ARRAY_INDEX_END = 2**32 - 1


def js_stringify(value: Any) -> str:
    """Return the text that JavaScript's ``JSON.stringify`` gives for `value`.

    Compact; numbers as :func:`js_number` writes them; in every object the keys that are array indexes come first, in
    ascending order (ECMA-262 §10.1.11.1). Integers keep all their digits, where JavaScript would round those beyond
    2**53.

    Args:
        value: None, bool, int, finite float, str, or lists, tuples and str-keyed dicts of those.

    Raises:
        TypeError: Something in it is nothing of these.
        ValueError: A float in it is not finite.
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{_compact(key)}:{js_stringify(member)}" for key, member in _js_items(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(js_stringify, value)) + "]"
    if isinstance(value, float):
        return js_number(value)
    return _compact(value)


def _js_items(members: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    indexes = [key for key in members if _ARRAY_INDEX.fullmatch(key) and int(key) < _ARRAY_INDEX_END]
    if not indexes:
        return members.items()
    return ({key: members[key] for key in sorted(indexes, key=int)} | members).items()


def js_number(value: float) -> str:
    """Return the text that JavaScript gives for a number: ``1`` for 1.0, ``1e+21``, ``1e-7``, ``0`` for -0.0.

    Python and JavaScript choose the same digits, the shortest that read back as the same double; they differ in where
    they put the point (ECMA-262 §6.1.6.1.20, Number::toString).

    Raises:
        ValueError: `value` is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("NaN and Infinity are not JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(digits) - len(fraction)  # value = 0.digits * 10**point
    return sign + _placed(digits.rstrip("0"), point)


def _placed(digits: str, point: int) -> str:
    if 0 < point <= 21:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    elif -6 < point <= 0:
        whole, fraction = "0", "0" * -point + digits
    else:
        whole, fraction = digits[0], digits[1:]
    text = f"{whole}.{fraction}" if fraction else whole
    return text if -6 < point <= 21 else f"{text}e{point - 1:+d}"


STANDARD: Final = StandardPayload()
"""The body of Standard Webhooks."""

LOGTO: Final = LogtoPayload()
"""Logto's body."""
