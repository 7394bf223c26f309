"""The explanation, put together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import attrs

from hookkit.errors import InvalidKey, PayloadError, VerificationError
from hookkit.explain._bodies import body_experiments, body_guesses, rewriting_experiments, text_experiments
from hookkit.explain._case import Case, Experiment, Lens
from hookkit.explain._findings import Explanation, Finding
from hookkit.explain._headers import form_experiments, header_guesses, repaired, scheme_experiments, wanted
from hookkit.explain._keys import expired_experiments, key_experiments, key_guesses, kinds, readable
from hookkit.explain._times import age_of, clock_findings, stamp_guesses
from hookkit.explain._urls import url_experiments
from hookkit.headers import HeaderItems
from hookkit.jsontext import parse_json
from hookkit.schemes import STANDARD
from hookkit.signing import SigningKey, Verified, as_keys
from hookkit.verify import verify_signature

if TYPE_CHECKING:
    from hookkit.protocols import Verifier

__all__ = ["explain"]

_MAX_TRIALS: Final = 200
_MAX_BYTES: Final = 128 * 1_048_576  # over all trials

_Verdict = tuple[Verified | None, str, str]


def explain(
    body: bytes | bytearray | memoryview | str,
    headers: HeaderItems | Sequence[tuple[str | bytes, str | bytes]],
    keys: str | SigningKey | Iterable[str | SigningKey],
    *,
    scheme: Verifier = STANDARD,
    now: datetime | float | None = None,
    tolerance: timedelta | float | None = None,
    method: str | None = None,
    url: str | None = None,
    max_body_bytes: int = 1_048_576,
) -> Explanation:
    """Say why a request does not verify. For development: it tries the usual mistakes, and may take seconds.

    The arguments are those of :func:`~hookkit.verify_signature`. Where undoing a mistake makes the signature right, the
    finding is certain. No finding holds a key, a signature, or anything of the body: show them and log them, but never
    send them to whoever made the request.

    >>> from hookkit.testing import sign_request
    >>> key = "whsec_" + 32 * "MfKQ"
    >>> headers = sign_request(b'{"type": "user.created"}', key)
    >>> explanation = explain(b'{"type":"user.created"}', headers, key)
    >>> explanation.reason, [(finding.code, finding.certain) for finding in explanation.findings]
    ('bad_signature', [('reserialised_json', True)])

    Args:
        body: The body that was verified. Text is taken, too, in order to say what it was before it became text.
        headers: The request's headers.
        keys: A key, or 1 to 16 of them.
        scheme: How the sender signs.
        now: The time; None reads the clock.
        tolerance: How far the timestamp may lie from `now`; None: what the scheme says.
        method: The request's method, for schemes that sign it.
        url: The URL that the sender called, for schemes that sign it.
        max_body_bytes: A longer body is not looked at.

    Returns:
        The explanation, whatever the sender sent, and whatever the keys are.

    Raises:
        TypeError: An argument of the wrong type, such as a body that was parsed.
        ValueError: `now` is naive, `tolerance` would switch the window off, or the scheme needs `method` or `url`.
    """
    moment = time.time() if now is None else now
    options = {"now": moment, "tolerance": tolerance, "method": method, "url": url, "max_body_bytes": max_body_bytes}
    try:
        given = as_keys(keys)
    except InvalidKey as error:
        return _only("invalid_key", str(error))
    return _explained(body, headers, given, scheme, options)


def _only(reason: str, hint: str) -> Explanation:
    return Explanation(None, reason, hint, (), (), None)


def _explained(body: Any, headers: Any, keys: Sequence[SigningKey], scheme: Verifier, options: Any) -> Explanation:
    text = body if isinstance(body, str) else None
    raw = body if text is None else text.encode("utf-8", "surrogatepass")
    verdict = _verdict(raw, headers, keys, scheme, options)
    case = _seen(raw, headers, keys, scheme, options)
    if case is None:
        return _only(verdict[1], verdict[2])
    if text is not None:
        verdict = (None, "not_bytes", "the body is text; verify_signature takes the raw bytes only")
    elif verdict[0] is not None:
        return _success(verdict[0], case)
    return _failure(verdict, case, keys, text)


def _verdict(body: Any, headers: Any, keys: Sequence[SigningKey], scheme: Verifier, options: Any) -> _Verdict:
    try:
        return verify_signature(body, headers, keys, scheme=scheme, **options), "", ""
    except VerificationError as error:
        return None, error.reason, error.hint
    except InvalidKey as error:
        return None, "invalid_key", str(error)


def _seen(body: Any, headers: Any, keys: Sequence[SigningKey], scheme: Verifier, options: Any) -> Case | None:
    """Return what the scheme is given, with expired keys among the others; None if it is not asked at all."""
    lens = Lens(scheme)
    looking: Any = lens  # it verifies, and never signs
    with suppress(VerificationError):
        verify_signature(body, headers, [SigningKey(key.value) for key in keys], scheme=looking, **options)
    return lens.case


def _success(verified: Verified, case: Case) -> Explanation:
    facts = _facts(case)
    age = None
    if verified.timestamp is not None:
        age = timedelta(seconds=case.now) - (verified.timestamp - datetime.fromtimestamp(0, UTC))
        facts.append(f"it was signed {age.total_seconds():g} s before now")
    else:
        facts.append("the signature covers no time: a recorded request verifies for ever, so let an inbox remember it")
    if verified.id is None:
        facts.append("the signature covers no id: a repeat is told by its body")
    return Explanation(verified, "", "", (), tuple(facts), age)


def _failure(verdict: _Verdict, case: Case, given: Sequence[SigningKey], text: str | None) -> Explanation:
    at = datetime.fromtimestamp(case.now, UTC)
    expired = [key for key in given if key.expired(at)]
    case = attrs.evolve(case, keys=tuple(key for key in given if not key.expired(at)))
    mended, steps = repaired(case)
    match, found = _first(steps, _experiments(mended, expired, text))
    age = None if match is None else age_of(match)
    clock = [] if match is None or match.outcome() == "" else clock_findings(age)
    guesses = _guesses(verdict[1], case, mended, match)
    findings = [attrs.evolve(one, text=_sentence(one.text)) for one in (*found, *clock, *guesses)]
    findings.sort(key=lambda finding: not finding.certain)
    facts = _facts(attrs.evolve(case, keys=tuple(given)), expired)
    return Explanation(None, verdict[1], verdict[2], tuple(findings), tuple(facts), age)


def _experiments(case: Case, expired: Sequence[SigningKey], text: str | None) -> Iterator[Experiment]:
    """Yield what to try, the likely and the cheap first."""
    legible = attrs.evolve(case, keys=readable(case))
    if text is not None:
        yield from text_experiments(legible, text)
    else:
        yield Experiment("", "", case)
    if len(legible.keys) < len(case.keys):
        mend = "the signature is right for another of the keys: mend or drop the one that cannot be used"
        yield Experiment("unreadable_key", mend, legible)
    yield from expired_experiments(case, expired)
    yield from scheme_experiments(legible)
    yield from form_experiments(legible)
    yield from body_experiments(legible)
    yield from key_experiments(case)
    yield from url_experiments(legible)
    yield from rewriting_experiments(legible)


def _first(steps: Sequence[Experiment], experiments: Iterator[Experiment]) -> tuple[Case | None, list[Finding]]:
    """Return the first case whose signature is right, and what had to be undone for it, the steps before included."""
    spent = 0
    for experiment in islice(experiments, _MAX_TRIALS):
        spent += len(experiment.case.body)
        if spent > _MAX_BYTES:
            break
        if experiment.case.matches():
            undone = [*steps, experiment] if experiment.code else steps
            return experiment.case, [Finding(step.code, step.text, certain=True) for step in undone]
    return None, [Finding(step.code, step.text, certain=False) for step in steps]


def _guesses(reason: str, case: Case, mended: Case, match: Case | None) -> Iterator[Finding]:
    guesses = [key_guesses(case)]
    if match is None:
        guesses += [header_guesses(mended), stamp_guesses(mended), body_guesses(mended)]
    found = list(chain.from_iterable(guesses))
    yield from found
    if match is None and reason == "bad_signature" and not found:
        text = "none of the usual mistakes: is it this endpoint's own key, and did nothing change the body?"
        yield Finding("other_key_or_body", text, certain=False)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _facts(case: Case, expired: Sequence[SigningKey] = ()) -> list[str]:
    headers = [name + _presence(case.headers.get(name, ())) for name in wanted(case)]
    return [
        f"the body has {len(case.body)} bytes, {_kind(case.body)}",
        f"headers that matter: {', '.join(headers)}",
        f"keys: {len(case.keys)} ({kinds(case.keys)})" + f", {len(expired)} expired" * bool(expired),
    ]


def _presence(values: Sequence[str]) -> str:
    if len(values) > 1:
        return f" ({len(values)} times)"
    return "" if values and values[0].strip() else " (empty)" if values else " (missing)"


def _kind(body: bytes) -> str:
    try:
        parse_json(body, max_bytes=len(body))
    except PayloadError:
        return "no JSON in UTF-8"
    return "JSON"
