"""The kinds of events that a host publishes, and the patterns by which webhooks subscribe to them.

A pattern is an exact name (``User.Created``), a prefix (``User.*``: whatever begins with ``User.``, at any depth, but
not ``User`` itself), or ``*``. A star stands only as the last segment. So the patterns that match a given event are few
and known, and a store finds subscribers by looking up :func:`patterns_for` in an index, not by scanning.

A catalogue says what may be emitted, and keeps secrets out of it: see :class:`Redaction`.
"""

from __future__ import annotations

from hookkit.events._catalog import Catalog
from hookkit.events._patterns import check_pattern, is_pattern, matches, patterns_for
from hookkit.events._redaction import Redacted, Redaction
from hookkit.events._spec import EventSpec, sample_event

__all__ = [
    "Catalog",
    "EventSpec",
    "Redacted",
    "Redaction",
    "check_pattern",
    "is_pattern",
    "matches",
    "patterns_for",
    "sample_event",
]
