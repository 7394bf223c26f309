"""What a webhook has to be before it is registered: pure checks, each with an error that says how to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hookkit.errors import InvalidEndpoint, InvalidKey, PayloadError
from hookkit.event import MAX_TEXT_CHARS, check_id, is_text, type_name
from hookkit.events import check_pattern
from hookkit.jsontext import check_json
from hookkit.keys import new_ed25519_pair
from hookkit.masked import Headers
from hookkit.retry import RetryPolicy
from hookkit.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from hookkit.events import Catalog
    from hookkit.model import DeliveryState, Endpoint
    from hookkit.profiles import Profile
    from hookkit.protocols import EventType
    from hookkit.targets import TargetPolicy

__all__ = [
    "FAILED",
    "check_endpoint",
    "check_fields",
    "check_headers",
    "is_reserved",
    "profile_of",
    "renewed",
    "rotated",
    "subscribed_events",
]

UPDATABLE: Final = frozenset(
    {"name", "url", "events", "headers", "profile", "retry", "max_in_flight", "rate_limit", "metadata"}
)
"""What ``Registry.update`` changes; other fields have verbs of their own."""
FAILED: Final[tuple[DeliveryState, ...]] = ("failed",)
MAX_EVENTS: Final = 256
MAX_KEYS: Final = 16
MAX_HEADER_BYTES: Final = 8_192
MAX_IN_FLIGHT: Final = 10_000
MAX_RATE: Final = 1_000_000
MAX_RATE_PER: Final = timedelta(days=366)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[ -~]*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Those that frame the message or speak of the connection (RFC 9110 §7.6.1, RFC 9112 §6, RFC 9113 §8.2.2), and cookies.
RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
RESERVED_PREFIXES: Final = ("proxy-", "webhook-", "svix-")


def is_reserved(name: str, profile: Profile) -> bool:
    """Return whether a custom header of this lower-case name would touch the connection or the signature."""
    return name in RESERVED or name.startswith(RESERVED_PREFIXES) or name in profile.scheme.header_names


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise unless each is a header's name (RFC 9110 §5.6.2) and printable ASCII with no space around it.

    Args:
        headers: Custom headers.

    Raises:
        InvalidEndpoint: Reason ``headers``. No value is quoted: it may be a credential.
    """
    wrong = next(filter(None, (_wrong_header(name, value) for name, value in headers.items())), "")
    if wrong:
        # Raised here, where no local variable is a header's value: some tools show those of every frame.
        raise InvalidEndpoint(f"headers: {wrong}", "headers")


def _wrong_header(name: object, value: object) -> str:
    if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
        return f"{str(name)[:80]!r} is not a header name (RFC 9110 §5.6.2)"
    if not isinstance(value, str) or _VALUE.fullmatch(value) is None or value != value.strip():
        return f"the value of {name!r} is not printable ASCII, or begins or ends with a space"
    return ""


def check_endpoint(
    endpoint: Endpoint,
    *,
    targets: TargetPolicy,
    profiles: Mapping[str, Profile],
    catalog: Container[str] | None,
) -> None:
    """Raise if `endpoint` cannot be registered.

    Args:
        endpoint: With its id and keys already made.
        targets: Which URLs may be called.
        profiles: The known profiles by name.
        catalog: The known event types; None: any name will do.

    Raises:
        InvalidEndpoint: With a reason: ``id``, ``name``, ``tenant``, ``events``, ``headers``, ``keys``, ``profile``,
            ``retry``, ``max_in_flight``, ``rate_limit`` or ``metadata``.
        TargetRefused: The URL may not be called.
    """
    _check_texts(endpoint)
    targets.check_url(endpoint.url)
    profile = profile_of(endpoint, profiles)
    _check_events(endpoint.events, catalog)
    _check_headers(endpoint.headers, profile)
    _check_keys(endpoint, profile)
    _check_numbers(endpoint)
    _check_metadata(endpoint.metadata)


def check_fields(fields: dict[str, Any]) -> None:
    """Raise TypeError if ``Registry.update`` does not take one of these fields. Their secrets are masked from here on.

    Args:
        fields: What it was given. It is changed: headers hide their values then, and nothing is left of it where it is
            refused, so that a traceback with local variables shows no key and no header's value.
    """
    other = sorted(fields.keys() - UPDATABLE)
    if other:
        fields.clear()
        raise TypeError(f"update() takes {', '.join(sorted(UPDATABLE))}; not {', '.join(other)}")
    if "headers" in fields:
        fields["headers"] = Headers(fields["headers"])


def profile_of(endpoint: Endpoint, profiles: Mapping[str, Profile]) -> Profile:
    """Return the webhook's profile. :class:`~hookkit.InvalidEndpoint` (reason ``profile``) if it is not known here."""
    profile = profiles.get(endpoint.profile)
    if profile is None:
        known = ", ".join(sorted(profiles))
        raise InvalidEndpoint(f"profile: {endpoint.profile!r} is not known here; there are {known}", "profile")
    return profile


def _check_texts(endpoint: Endpoint) -> None:
    try:
        check_id(endpoint.id)
    except PayloadError as error:
        raise InvalidEndpoint(str(error), "id") from None
    for field, value in (("name", endpoint.name), ("tenant", endpoint.tenant)):
        if not is_text(value):
            raise InvalidEndpoint(
                f"{field}: text of at most {MAX_TEXT_CHARS} characters, without NUL and lone surrogates", field
            )


def _check_events(events: tuple[str, ...], catalog: Container[str] | None) -> None:
    if not events:
        raise InvalidEndpoint("events: none; name at least one, or '*' for all", "events")
    if len(events) > MAX_EVENTS:
        raise InvalidEndpoint(f"events: {len(events)}; at most {MAX_EVENTS}. Use 'User.*' or '*'", "events")
    if len(set(events)) != len(events):
        raise InvalidEndpoint("events: one is named twice", "events")
    for event in events:
        check_pattern(event)
        if catalog is not None and not event.endswith("*") and event not in catalog:
            raise InvalidEndpoint(f"events: {event!r} is not in the catalogue", "events")


def _check_headers(headers: Mapping[str, str], profile: Profile) -> None:
    check_headers(headers)
    seen: set[str] = set()
    for name in headers:
        lower = name.lower()
        if lower in seen:
            raise InvalidEndpoint(f"headers: {name!r} is there twice, in two spellings", "headers")
        if is_reserved(lower, profile):
            raise InvalidEndpoint(f"headers: {name!r} is set by hookkit or by the connection itself", "headers")
        if lower == "content-type" and lower not in profile.replaceable:
            raise InvalidEndpoint(f"headers: {name!r} is given by the {profile.name} profile", "headers")
        seen.add(lower)
    size = sum(len(name) + len(value) for name, value in headers.items())
    if size > MAX_HEADER_BYTES:
        raise InvalidEndpoint(f"headers: {size} bytes in all; at most {MAX_HEADER_BYTES}", "headers")


def _check_keys(endpoint: Endpoint, profile: Profile) -> None:
    if not 1 <= len(endpoint.keys) <= MAX_KEYS:
        raise InvalidEndpoint(f"keys: {len(endpoint.keys)}; give 1 to {MAX_KEYS}, or none to have one made", "keys")
    try:
        for key in endpoint.keys:
            # The epoch: expired keys may well be stored, they only have to be readable.
            profile.scheme.sign(b"", (SigningKey(key.value),), id="check", at=_EPOCH, url=endpoint.url)
    except InvalidKey as error:
        raise InvalidEndpoint(f"keys: {error}", "keys") from None


def _check_numbers(endpoint: Endpoint) -> None:
    if endpoint.retry is not None and not isinstance(endpoint.retry, RetryPolicy):
        raise InvalidEndpoint("retry: a RetryPolicy, or None for the profile's", "retry")
    if not _is_count(endpoint.max_in_flight, MAX_IN_FLIGHT):
        raise InvalidEndpoint(f"max_in_flight: a whole number from 1 to {MAX_IN_FLIGHT:,}", "max_in_flight")
    if endpoint.rate_limit is not None:
        count, per = endpoint.rate_limit
        if not _is_count(count, MAX_RATE) or not timedelta(milliseconds=1) <= per <= MAX_RATE_PER:
            raise InvalidEndpoint(
                f"rate_limit: (count, per), such as (10, 1.0) for ten a second; 1 to {MAX_RATE:,} "
                "in a millisecond to a year",
                "rate_limit",
            )


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        check_json(dict(metadata), "metadata")
    except PayloadError as error:
        raise InvalidEndpoint(str(error), "metadata") from None


def renewed(endpoint: Endpoint, profile: Profile, random: Callable[[int], bytes], now: datetime) -> SigningKey:
    """Return a new signing key for a webhook: of its profile's kind, or an Ed25519 key if it signs with one now.

    Args:
        endpoint: The webhook.
        profile: Its profile.
        random: Returns so many unpredictable bytes.
        now: The key's ``created_at``.
    """
    asymmetric = bool(endpoint.keys) and endpoint.keys[0].value.strip().startswith("whsk_")
    return SigningKey(new_ed25519_pair(random)[0] if asymmetric else profile.new_key(random), created_at=now)


def subscribed_events(events: Iterable[str | EventType], catalog: Catalog | None) -> list[str]:
    """Return the exact names that a subscription stands for, each once, in order.

    Args:
        events: Names and patterns.
        catalog: What patterns stand for. Without it, or where it has nothing, a pattern stands for ``webhook.test``.

    Raises:
        InvalidEndpoint: One is neither a name nor a pattern.
    """
    names: dict[str, None] = {}
    for event in events:
        name = check_pattern(type_name(event))
        if name.endswith("*"):
            names |= dict.fromkeys((catalog.match(name) if catalog is not None else ()) or ("webhook.test",))
        else:
            names[name] = None
    return list(names)


def rotated(
    keys: tuple[SigningKey, ...], new: SigningKey, *, now: datetime, overlap: timedelta
) -> tuple[SigningKey, ...]:
    """Return the keys after a rotation: the new one first, the old ones until `overlap` is over, expired ones gone.

    An old key never lives longer than it would have; the list never grows beyond what a receiver accepts.
    """
    ends = now + overlap
    old: list[SigningKey] = []
    for key in keys:
        until = ends if key.expires_at is None else min(key.expires_at, ends)
        if until > now:
            old.append(SigningKey(key.value, created_at=key.created_at, expires_at=until))
    return (new, *old[: MAX_KEYS - 1])
