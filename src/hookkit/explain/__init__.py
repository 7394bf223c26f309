"""Why does it not verify? For development, on the receiver's side.

:func:`explain` takes what :func:`~hookkit.verify_signature` takes, and tries to undo the usual mistakes one by one: a
body that was parsed and written again, a key in another spelling, a clock that is wrong. ``hookkit verify`` and
``hookkit listen`` do the same on the command line.

Keep it out of production. It does a hundred times the work of a verification, and knows more than a sender may learn.
"""

from __future__ import annotations

from hookkit.explain._explain import explain
from hookkit.explain._findings import Explanation, Finding

__all__ = ["Explanation", "Finding", "explain"]
