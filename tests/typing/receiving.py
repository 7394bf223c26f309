"""What type checkers see of the receiver's side. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from hookkit import (
    Event,
    HookkitError,
    InvalidEndpoint,
    SigningKey,
    TargetRefused,
    VerificationError,
    Verified,
    schemes,
    verify_signature,
)


def verifying(
    body: bytes, headers: Mapping[str, str], pairs: list[tuple[bytes, bytes]], environ: dict[str, Any]
) -> None:
    """Every kind of header container, of key and of time will do; what comes back is a Verified."""
    assert_type(verify_signature(body, headers, "whsec_x"), Verified)
    assert_type(verify_signature(bytearray(body), pairs, [SigningKey("x"), "y"], scheme=schemes.LOGTO), Verified)
    assert_type(verify_signature(memoryview(body), environ, ("x", "y"), now=1_700_000_000), Verified)
    verify_signature(body, headers, SigningKey("x"), now=datetime.now().astimezone(), tolerance=timedelta(minutes=1))
    verify_signature(body, headers, "x", tolerance=60, method="POST", url="https://example.com/", max_body_bytes=10)


def reading(verified: Verified) -> None:
    """What the signature does not cover is None."""
    assert_type(verified.id, str | None)
    assert_type(verified.timestamp, datetime | None)
    assert_type(verified.body, bytes)
    assert_type(verified.dedupe_key, str)
    assert_type(verified.json(), Any)
    assert_type(verified.event(), Event)


def failing(error: VerificationError, refused: TargetRefused) -> None:
    """Reasons and hints are text, and the tree is a tree."""
    assert_type(error.reason, str)
    assert_type(error.hint, str)
    assert_type(refused.reason, str)
    root: HookkitError = error
    invalid: InvalidEndpoint = refused
    del root, invalid
