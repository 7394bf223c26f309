"""The services that the other tests here need."""

from __future__ import annotations


def test_there_is_a_postgresql(service) -> None:
    """And its driver. Where it is not there all tests here are skipped, and this one says why; in CI it fails."""
