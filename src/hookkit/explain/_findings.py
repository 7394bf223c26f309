"""What an explanation is."""

from __future__ import annotations

from datetime import timedelta

import attrs

from hookkit.signing import Verified

__all__ = ["Explanation", "Finding"]


@attrs.frozen
class Finding:
    """One thing that is wrong, or looks like it.

    Args:
        code: A stable word for programs, such as ``reserialised_json``.
        text: What is wrong and what to do about it, in a sentence or two. It holds no key, no signature, and nothing
            of the body.
        certain: True: with this undone, the signature is right. False: it looks like it, and may not be all.
    """

    code: str
    text: str
    certain: bool


@attrs.frozen
class Explanation:
    """Why a request does not verify, or that it does. ``str()`` gives all of it as lines of text.

    Args:
        verified: What :func:`~hookkit.verify_signature` returned, or None.
        reason: The :class:`~hookkit.VerificationError`'s reason; ``invalid_key``, or ``not_bytes``, where that raises
            something else; empty if it verifies.
        hint: What it said.
        findings: What is wrong, the certain first.
        facts: What was looked at: short sentences about body, headers and keys.
        age: How long before now the request was signed, negative if after; None if that is not known.
    """

    verified: Verified | None
    reason: str
    hint: str
    findings: tuple[Finding, ...]
    facts: tuple[str, ...]
    age: timedelta | None

    @property
    def ok(self) -> bool:
        """Whether it verifies."""
        return self.verified is not None

    def __str__(self) -> str:
        lines = ["It verifies." if self.ok else f"It does not verify: {self.reason}: {self.hint}".removesuffix(": ")]
        lines += [f"{'Found' if found.certain else 'Perhaps'}: {found.text}" for found in self.findings]
        return "\n".join([*lines, *(f"- {fact}" for fact in self.facts)])
