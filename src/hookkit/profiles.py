"""Profiles: named sets of a payload format, a signature scheme and a retry policy.

A webhook names its profile; a delivery keeps the name it was made with. ``STANDARD`` follows Standard Webhooks,
``LOGTO`` speaks to receivers that were written for Logto.

========  ================  ================================  =================================================  =======
profile   body              headers                           retried                                            timeout
========  ================  ================================  =================================================  =======
standard  payload STANDARD  webhook-id, webhook-timestamp,    every status but 2xx and 410, network errors;      15 s
                            webhook-signature                 nine times within some 75 hours
logto     payload LOGTO     logto-signature-sha-256           status 500 and above, network errors; three times  10 s
========  ================  ================================  =================================================  =======

A host that needs another makes one, and gives all of them to the registry, the dispatcher and the worker alike::

    mine = Profile("mine", payloads.STANDARD, schemes.GITHUB, RetryPolicy([1, 60]), timeout=5)
    worker = Worker(store, profiles={**BUILTIN, mine.name: mine})
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import attrs

from hookkit import __version__, payloads, schemes
from hookkit.keys import new_logto_key, new_standard_key
from hookkit.model import as_duration
from hookkit.protocols import Payload, Signer
from hookkit.retry import RetryPolicy

__all__ = ["BUILTIN", "LOGTO", "STANDARD", "Profile"]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_USER_AGENT = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?")  # one header line, whatever it is made of


def _user_agent(value: str | None) -> str:
    return f"hookkit/{__version__}" if value is None else value


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


@attrs.frozen
class Profile:
    """How the deliveries of a webhook look, how they are signed, and how often they are tried.

    Args:
        name: What webhooks call it: 1 to 64 letters, digits, hyphens, underscores and full stops.
        payload: Makes the body.
        scheme: Signs it; any :class:`~hookkit.Signer`.
        retry: Which outcome is tried again, and when; a webhook's own ``retry`` replaces it.
        timeout: How long one attempt may take; a timedelta, or seconds. A transport with a shorter one wins.
        user_agent: The ``user-agent`` header; None: ``hookkit/<version>``.
        replaceable: The headers, in any case, that a webhook's custom headers may replace.
        new_key: Makes the text of a new signing key from a source of random bytes; by default a ``whsec_`` key.

    Raises:
        ValueError: `name` or `user_agent` holds what it must not, or `timeout` is not positive.
    """

    name: str
    payload: Payload
    scheme: Signer
    retry: RetryPolicy
    timeout: timedelta = attrs.field(converter=as_duration)
    user_agent: str = attrs.field(default=None, converter=_user_agent, kw_only=True)
    replaceable: frozenset[str] = attrs.field(default=frozenset({"user-agent"}), converter=_lower, kw_only=True)
    new_key: Callable[[Callable[[int], bytes]], str] = attrs.field(default=new_standard_key, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError("a profile's name is 1 to 64 letters, digits, hyphens, underscores and full stops")
        if _USER_AGENT.fullmatch(self.user_agent) is None:
            raise ValueError("a user agent is 1 to 256 printable ASCII characters, no space at either end")
        if self.timeout <= timedelta(0):
            raise ValueError("a timeout is longer than nothing")


STANDARD: Final = Profile(
    "standard",
    payloads.STANDARD,
    schemes.STANDARD,
    # Standard Webhooks, "Deliverability and reliability", gives this schedule as its example.
    RetryPolicy(
        (
            timedelta(seconds=5),
            timedelta(minutes=5),
            timedelta(minutes=30),
            *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
        )
    ),
    timedelta(seconds=15),
)
"""Standard Webhooks: what any receiver with one of its libraries verifies."""

LOGTO: Final = Profile(
    "logto",
    payloads.LOGTO,
    schemes.LOGTO,
    # Logto's document: status >= 500, up to three times; its code's waits. Trying network errors again goes beyond it.
    RetryPolicy((0.3, 0.6, 1.2), statuses=range(500, 1000)),
    timedelta(seconds=10),
    replaceable=frozenset({"user-agent", "content-type"}),
    new_key=new_logto_key,
)
"""Logto's own body, signature and retries: receivers written for Logto need no change."""

BUILTIN: Final[Mapping[str, Profile]] = MappingProxyType({profile.name: profile for profile in (STANDARD, LOGTO)})
"""The profiles that come with hookkit, by name. Read-only."""
