"""Every error that hookkit raises on purpose.

One root, split by whose mistake it is::

    HookkitError
    ├── VerificationError      the sender's: this request does not verify (.reason, .hint)
    ├── InvalidKey             the host's: a signing key that cannot be used
    ├── InvalidEndpoint        the customer's: a webhook that cannot be registered (.reason)
    │   └── TargetRefused      … because its URL or address must not be called
    ├── NotFound               no such webhook or delivery (or it is another tenant's)
    ├── PayloadError           the host's: an event that is not what JSON can carry
    └── StoreError             the database's: nothing is known to have been stored

Messages say what was wrong and what to do next. None of them holds a key, a signature or a body, so all of them may be
logged. A wrong *type* of argument is a plain :class:`TypeError`, a wrong option a :class:`ValueError`: those are bugs
in the calling code, not something to handle at run time.
"""

from __future__ import annotations

__all__ = [
    "HookkitError",
    "InvalidEndpoint",
    "InvalidKey",
    "NotFound",
    "PayloadError",
    "StoreError",
    "TargetRefused",
    "VerificationError",
]


class HookkitError(Exception):
    """The root: ``except HookkitError`` catches whatever hookkit raises on purpose."""


class VerificationError(HookkitError):
    """A request that does not verify. Answer 401 and do not process it.

    Args:
        reason: A stable word for programs: ``missing_header``, ``duplicate_header``, ``invalid_id``,
            ``invalid_timestamp``, ``timestamp_too_old``, ``timestamp_too_new``, ``malformed_signature``,
            ``bad_signature``, ``bad_digest`` or ``too_large``.
        hint: A sentence for the developer. Never send it to whoever made the request.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.reason}: {self.hint}" if self.hint else self.reason


class InvalidKey(HookkitError):
    """A signing key that is empty, unreadable, or of a kind that this scheme cannot use."""


class InvalidEndpoint(HookkitError):
    """A webhook that cannot be registered as it is.

    Args:
        message: What is wrong, and how to mend it.
        reason: A stable word for programs: ``events``, ``headers``, ``keys``, ``profile``, ``id`` … or, in a
            :class:`TargetRefused`, the rule of the target policy that refused the URL.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message, reason)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])


class TargetRefused(InvalidEndpoint):
    """A URL or an address that must not be called (reasons: see :mod:`hookkit.targets`)."""


class NotFound(HookkitError):
    """No webhook or delivery has this id, or it belongs to another tenant."""


class PayloadError(HookkitError):
    """An event type, an event's data, or a received body that is not what it has to be."""


class StoreError(HookkitError):
    """The store could not do it. After a write the outcome may be unknown: repeat with the same idempotency key."""
