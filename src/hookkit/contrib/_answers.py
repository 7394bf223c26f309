"""What a sender is told when its request does not verify: a status, and never the reason.

The reason and its hint are for whoever runs the receiver, so they go to ``logging``. A sender that forges requests
would learn from them how far it got.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from hookkit.errors import VerificationError
from hookkit.plaintext import plain

__all__ = ["CONSUMED", "Answer", "refused"]

_log: Final = logging.getLogger("hookkit.contrib")

_MALFORMED: Final = frozenset({"duplicate_header", "invalid_id", "invalid_timestamp", "malformed_signature"})
_TEXTS: Final = {400: "Bad Request", 401: "Unauthorized", 413: "Content Too Large"}

CONSUMED: Final = (
    "the request's body was read before hookkit saw it, so there is nothing to verify: verify first, and take what is "
    "parsed from the Verified, or from the request afterwards"
)
"""What the developer is told whose form parser, middleware or parameter took the body."""


class Answer(NamedTuple):
    """A status, and the fixed text that goes with it."""

    status: int
    text: str


def answer_to(reason: str) -> Answer:
    """Return the answer for a :class:`~hookkit.VerificationError` with this reason.

    413 for what is too large, 400 for headers that no sender of the scheme would write, 401 for everything else:
    nothing signed, signed with another key, signed at another time.
    """
    status = 413 if reason == "too_large" else 400 if reason in _MALFORMED else 401
    return Answer(status, _TEXTS[status])


def refused(error: VerificationError) -> Answer:
    """Log why a request was refused, and return what its sender is told."""
    answer = answer_to(error.reason)
    more = {"reason": error.reason, "hint": error.hint}
    _log.warning("refused with %d: %s", answer.status, plain(str(error)), extra=more)
    return answer
