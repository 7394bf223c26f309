"""The services that the other tests here need."""

from __future__ import annotations


def test_there_is_a_postgresql(service) -> None:
    """With its driver. Where one is missing all of these tests are skipped, of which this one says why; in CI it fails."""
