"""When a request was signed, and what that says about clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import attrs

from hookkit.explain._case import Case
from hookkit.explain._findings import Finding
from hookkit.explain._headers import wanted

__all__ = ["age_of", "clock_findings", "stamp_guesses"]

_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{1,15}(?![0-9])")
_MAX_STAMPS: Final = 24
_LAST: Final = 250_000_000_000  # in the year 9892; what lies beyond is no time that anybody can verify at
_DAY: Final = 86_400
_WIDEST: Final = 14 * 3600 + 60  # no two of UTC and a time zone are further apart
_QUARTER: Final = 900  # time zones differ by quarters of an hour


def age_of(case: Case) -> timedelta | None:
    """Return how long before now a request was signed whose signature is right; None if it does not say.

    The scheme knows where the time stands. Here it is enough to try, as "now", each number that could be it.
    """
    strict = attrs.evolve(case, tolerance=timedelta(0))
    for stamp in _stamps(case):
        if attrs.evolve(strict, now=stamp).outcome() == "" and attrs.evolve(strict, now=stamp + 1).outcome() != "":
            return timedelta(seconds=case.now - stamp)
    return None


def _stamps(case: Case) -> list[int]:
    """Return the numbers in the headers that matter, and in the beginning of the body, as seconds and milliseconds."""
    texts = [case.value(name) for name in wanted(case)]
    texts.append(case.body[:65_536].decode("latin-1"))
    numbers = [int(found) for text in texts for found in _NUMBER.findall(text)[:_MAX_STAMPS]]
    stamps = dict.fromkeys(stamp for number in numbers[:_MAX_STAMPS] for stamp in (number, number // 1000))
    return [stamp for stamp in stamps if stamp < _LAST]


def clock_findings(age: timedelta | None) -> Iterator[Finding]:
    """Yield what a signature that is too old or too new says."""
    if age is None:
        return
    seconds = age // timedelta(seconds=1)
    when = f"{_duration(abs(seconds))} {'before' if seconds > 0 else 'after'} now, as this check takes it"
    if seconds > _DAY:
        text = f"it was signed {when}: a recording, or a delivery sent again with its old signature"
        yield Finding("old_signature", text, certain=True)
        return
    whose = (
        "is this machine's clock right, or was it delivered late?" if seconds > 0 else "one of the two clocks is wrong"
    )
    yield Finding("clock_skew", f"it was signed {when}: {whose}", certain=True)
    nearest = round(seconds / _QUARTER) * _QUARTER
    if 2 * _QUARTER - 60 <= abs(seconds) <= _WIDEST and abs(seconds - nearest) <= 60:
        text = f"{_duration(abs(nearest))} is a difference between time zones: one of the two takes local time for UTC"
        yield Finding("time_zone", text, certain=False)


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{days} d" * bool(days),
        f"{hours} h" * bool(hours),
        f"{minutes} min" * bool(minutes),
        f"{rest} s" * bool(rest),
    ]
    return " ".join(filter(None, parts)) or "0 s"


def stamp_guesses(case: Case) -> Iterator[Finding]:
    """Yield what looks wrong about a timestamp that is no plain number of the right unit."""
    for name in wanted(case):
        value = case.value(name)
        if "timestamp" not in name or not value:
            continue
        if re.fullmatch(r"[0-9]{13}", value):
            text = f"{name} counts milliseconds, and has to count seconds"
        elif re.match(r"[0-9]{4}-[0-9]{2}-", value):
            text = f"{name} is a date, and has to be unix seconds"
        elif re.fullmatch(r"[0-9]+\.[0-9]+", value):
            text = f"{name} has a fraction, and has to be whole unix seconds"
        else:
            continue
        yield Finding("timestamp_form", text, certain=False)
