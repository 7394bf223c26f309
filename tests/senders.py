"""What tests of all schemes need to know of each: a body that it signs, and what its signature covers."""

from __future__ import annotations

from hookkit.schemes import BUILTIN, HmacScheme, StandardScheme, TwilioScheme

__all__ = ["BODY", "SECONDS", "SIGNING_ANY_BODY", "body_of", "covers_id", "covers_time"]

BODY = b'{"test": 2432232314}'
SECONDS = 1614265330


SIGNING_ANY_BODY = {
    name: scheme
    for name, scheme in BUILTIN.items()
    if isinstance(scheme, StandardScheme) or (isinstance(scheme, HmacScheme) and scheme.timestamp_json is None)
}
"""The schemes that sign whatever the body is: not a form alone, nor JSON with a timestamp in it, nor nothing at all."""


def body_of(scheme: object, seconds: int = SECONDS) -> bytes:
    """Return a body that was sent at that time: Twilio sends forms, and Linear writes the time into its JSON."""
    if isinstance(scheme, TwilioScheme):
        return b"CallSid=CA1234567890ABCDE&From=%2B14158675309&Body="
    if isinstance(scheme, HmacScheme) and scheme.timestamp_json is not None:
        return b'{"%s":%d}' % (scheme.timestamp_json.encode(), seconds * 1000)
    return BODY


def covers_id(scheme: object) -> bool:
    """Return whether the signature covers the event's id."""
    return isinstance(scheme, StandardScheme) or (isinstance(scheme, HmacScheme) and "{id}" in scheme.signed)


def covers_time(scheme: object) -> bool:
    """Return whether the signature covers when it was made."""
    if isinstance(scheme, HmacScheme):
        return "{timestamp}" in scheme.signed or scheme.timestamp_json is not None
    return isinstance(scheme, StandardScheme)
