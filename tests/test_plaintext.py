"""Text from outside is harmless wherever it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Attempt
from hookkit.plaintext import lines_of, plain
from hookkit.testing.clock import START
from strategies import any_text

HOSTILE = {
    "a line feed": ("a\nb", r"a\nb"),
    "a carriage return": ("a\rb", r"a\rb"),
    "NUL": ("a\0b", r"a\x00b"),
    "a colour": ("\x1b[31mred", r"\x1b[31mred"),
    "a C1 control": ("\x9b31m", r"\x9b31m"),
    "a title that a terminal would answer": ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
    "a line separator": ("a\u2028b", r"a\u2028b"),
    "a bidirectional override": ("\u202etxt.exe", r"\u202etxt.exe"),
    "a bidirectional isolate": ("\u2066x\u2069", r"\u2066x\u2069"),
    "a zero-width space": ("a\u200bb", r"a\u200bb"),
    "a byte order mark": ("\ufeffa", r"\ufeffa"),
    "a Hangul filler": ("a\u3164b", r"a\u3164b"),
    "a grapheme joiner": ("a\u034fb", r"a\u034fb"),
    "a variation selector": ("a\U000e0100b", r"a\U000e0100b"),
    "a tag": ("a\U000e0041b", r"a\U000e0041b"),
    "a wide space": ("a\u2003b", r"a\u2003b"),
    "a lone surrogate": ("a\ud800b", r"a\ud800b"),
    "no UTF-8": (b"a\xff\xfeb", r"a\xff\xfeb"),
    "a surrogate in UTF-8": (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    "an escape as bytes": (b"\x1b[2J", r"\x1b[2J"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_could_do_harm_is_an_escape(text: str | bytes, shown: str) -> None:
    """Whatever moves a cursor, begins a line, hides, or turns round what stands beside it."""
    assert plain(text) == shown


@pytest.mark.parametrize("text", ["", "plain text", "<b>&amp;</b>", "café", "日本語", "🙂", r"C:\x1b", "a~!"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """In every script; HTML is a page's own affair."""
    assert plain(text) == plain(text.encode()) == text


@given(any_text | st.binary(max_size=60))
def test_plain_text_is_one_printable_line(text: str | bytes) -> None:
    """Whatever it was."""
    assert plain(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("abcdef", "abc... and 3 characters more"), (b"abcdef", "abc... and 3 bytes more"), ("abc", "abc")],
)
def test_a_limit_says_what_is_missing(text: str | bytes, shown: str) -> None:
    """In characters or bytes, as it was given."""
    assert plain(text, 3) == shown


@given(st.binary(max_size=60), st.integers(1, 40))
def test_lines_are_plain(body: bytes, limit: int) -> None:
    """Whatever bytes, and the last line says how many are not shown."""
    lines = list(lines_of(body, limit))
    assert all(line.isprintable() for line in lines)
    assert (f"... and {len(body) - limit} bytes more" in lines) == (len(body) > limit)


def test_an_attempt_shows_its_response() -> None:
    """For a page: its lines, harmless, and no more than is asked for."""
    attempt = Attempt(1, START, response_body=b"<p>\x1b[31m\nsecond\x00\xff")
    assert attempt.shown_body() == "<p>\\x1b[31m\nsecond\\x00\\xff"
    assert attempt.shown_body(3) == "<p>\n... and 14 bytes more"
    assert Attempt(1, START).shown_body() == ""
