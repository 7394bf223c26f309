"""The kinds of guarded transports that there are, as parameters of tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

__all__ = ["AIOHTTP", "WAYS"]

AIOHTTP = pytest.mark.skipif(find_spec("aiohttp") is None, reason="the extra aiohttp is not installed")
WAYS = [
    pytest.param((mode, family), id=f"{mode}-{family}", marks=marks)
    for mode, family, marks in (
        ("sync", "httpx", ()),
        ("async", "httpx", ()),
        ("sync", "httpx2", pytest.mark.httpx2),
        ("async", "httpx2", pytest.mark.httpx2),
        ("async", "aiohttp", AIOHTTP),
    )
]
"""Pairs of mode and family."""
