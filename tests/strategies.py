"""Hypothesis strategies that several tests draw from."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["any_text", "event_types", "finite_floats", "json_values"]

any_text = st.text(st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC00, max_codepoint=0xDFFF))
"""Text of any code points, NUL and lone surrogates among them (low ones only, so that no two make a pair)."""

finite_floats = st.floats(allow_nan=False, allow_infinity=False)

segments = st.text("abcXYZ019_", min_size=1, max_size=6)
event_types = st.lists(segments, min_size=1, max_size=6).map(".".join)


def json_values(text: st.SearchStrategy[str] = any_text) -> st.SearchStrategy[object]:
    """Return a strategy for JSON values as Python holds them, with strings and keys drawn from `text`."""
    leaves = st.none() | st.booleans() | st.integers(-(2**1000), 2**1000) | finite_floats | text
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=25
    )
