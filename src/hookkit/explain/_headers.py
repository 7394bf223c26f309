"""What may have happened to headers between the wire and the check."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import unquote

import attrs

from hookkit.checks import MAX_SIGNATURES
from hookkit.explain._case import Case, Experiment
from hookkit.explain._findings import Finding
from hookkit.schemes import BUILTIN, StandardScheme

__all__ = ["form_experiments", "header_guesses", "repaired", "scheme_experiments", "wanted"]

_BEFORE: Final = re.compile(r"^(?:http-|x-(?:original-|forwarded-|amzn-remapped-)?)")
_LENGTHS: Final = {"v1": 44, "v1a": 88}
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


def wanted(case: Case) -> Sequence[str]:
    """Return the names of the headers that the scheme needs, in a fixed order."""
    scheme = case.scheme
    if isinstance(scheme, StandardScheme):
        sets = [[f"{family}-{part}" for part in ("id", "timestamp", "signature")] for family in scheme.families]
        return max(sets, key=lambda names: sum(bool(case.value(name)) for name in names))
    unsigned = getattr(scheme, "id_header", None) if "{id}" not in str(getattr(scheme, "signed", "{id}")) else None
    return sorted(scheme.header_names - {unsigned})


def repaired(case: Case) -> tuple[Case, list[Experiment]]:
    """Return the case with the headers it needs put in order, and how that was done.

    Each step is an experiment of its own; the last one's case is the one that is returned.
    """
    steps: list[Experiment] = []
    for mend in (_renamed, _single):
        changes, code, text = mend(case)
        if changes:
            case = case.with_headers(changes)
            steps.append(Experiment(code, text, case))
    return case, steps


_Mended = tuple[Mapping[str, str], str, str]


def _renamed(case: Case) -> _Mended:
    """Find missing headers under other names: underscores for dashes, ``HTTP_``, ``X-``."""
    other = {_BEFORE.sub("", name.replace("_", "-").strip()): name for name in case.headers}
    missing = [name for name in wanted(case) if not any(value.strip() for value in case.headers.get(name, ()))]
    found = {name: case.value(other[plain]) for name in missing if (plain := _BEFORE.sub("", name)) in other}
    text = (
        f"the headers {', '.join(found)} came under other names (underscores, HTTP_, X-): give request.headers instead"
    )
    return {name: value for name, value in found.items() if value}, "renamed_headers", text


def _single(case: Case) -> _Mended:
    """Make one header of one that came several times, in several lines or joined by commas."""
    found: dict[str, str] = {}
    for name in wanted(case):
        values = [value.strip() for value in case.headers.get(name, ())]
        if len(values) == 1:
            half, comma, rest = _halves(values[0])
            values = [half, rest] if comma else values
        if len(values) > 1 and len(set(values)) == 1:
            found[name] = values[0]
    text = f"the same value came twice in {', '.join(found)}: a proxy, or code that copies headers, added it again"
    return found, "repeated_headers", text


def _halves(value: str) -> tuple[str, str, str]:
    """Split a value that is one text twice, joined by a comma."""
    middle = len(value) // 2
    for comma in (",", ", "):
        half = value[: (len(value) - len(comma)) // 2]
        if half and value == half + comma + half:
            return half, comma, half
    return value, "", value[middle:]


def scheme_experiments(case: Case) -> Iterator[Experiment]:
    """Try every other scheme whose headers came."""
    keys = tuple(key for key in case.keys if not key.value.strip().removeprefix("v1,").startswith("whpk_"))
    for name, scheme in BUILTIN.items():
        if scheme is case.scheme or not scheme.header_names <= case.headers.keys():
            continue
        text = f"the sender signs as hookkit.schemes.{name} does: give scheme={name}"
        tried = case.keys if isinstance(scheme, StandardScheme) else keys  # anybody could sign with a public key's text
        if tried:
            yield Experiment("other_scheme", text, attrs.evolve(case, scheme=scheme, keys=tried))


def form_experiments(case: Case) -> Iterator[Experiment]:
    """Undo what is wrong about how a signature is written."""
    for name in _signature_names(case):
        value = case.value(name)
        if value:
            for what, other in _forms(value, str(getattr(case.scheme, "prefix", ""))):
                if other != value:
                    text = f"the signature in {name} {what}"
                    yield Experiment("signature_form", text, case.with_headers({name: other}))


def _signature_names(case: Case) -> list[str]:
    own = str(getattr(case.scheme, "header", ""))
    return [name for name in wanted(case) if name == own or "signature" in name or "hmac" in name]


def _forms(value: str, prefix: str) -> Iterator[tuple[str, str]]:
    yield "was percent-encoded on its way", unquote(value, errors="replace")
    yield "has quotes around it", value.strip("\"'")
    yield "is in upper case, and has to be in lower case", value.lower()
    bare = value.rpartition(",")[2] if "," in value else re.sub("^[a-z0-9]+=", "", value)
    for text in dict.fromkeys((value, bare, value.removeprefix(prefix))):
        yield "lacks the 'v1,' before it", "v1," + text
        yield f"lacks the {prefix!r} before it", prefix + text
        yield "has something before it that this scheme does not have", text
        if _HEX.fullmatch(text):
            in_base64 = _base64(bytes.fromhex(text))
            yield "is in hex, and has to be in base64", "v1," + in_base64
            yield "is in hex, and has to be in base64", prefix + in_base64
        with suppress(ValueError):
            yield "is in base64, and has to be in hex", prefix + binascii.a2b_base64(text, strict_mode=True).hex()


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def header_guesses(case: Case) -> Iterator[Finding]:
    """Yield what looks wrong about the headers."""
    names = wanted(case)
    missing = [name for name in names if not any(value.strip() for value in case.headers.get(name, ()))]
    yield from _missing_guesses(case, names, missing)
    if isinstance(case.scheme, StandardScheme) and not missing:
        tokens = case.value(names[2]).replace("\t", " ").split()[:MAX_SIGNATURES]
        yield from _kind_guesses(case, {token.partition(",")[0] for token in tokens})
        yield from _length_guesses(tokens)


def _missing_guesses(case: Case, names: Sequence[str], missing: Sequence[str]) -> Iterator[Finding]:
    others = {scheme.header_names: name for name, scheme in reversed(list(BUILTIN.items()))} if missing else {}
    for headers, name in others.items():
        # A request may have an authorization header for many reasons.
        if headers <= case.headers.keys() and headers not in (case.scheme.header_names, {"authorization"}):
            text = f"these are the headers of hookkit.schemes.{name}: is that the sender, and the key one of theirs?"
            yield Finding("other_headers", text, certain=False)
    if len(missing) == len(names):
        text = (
            f"none of {', '.join(names)} came: the request is another's (a browser, a health check), the sender has no "
            "key to sign with, or a proxy or a list of allowed headers drops them all"
        )
        yield Finding("no_headers", text, certain=False)
    elif missing:
        text = f"of the headers {', '.join(missing)} got lost: a proxy, a CDN or a list of allowed headers drops it"
        yield Finding("lost_headers", text, certain=False)


def _kind_guesses(case: Case, offered: set[str]) -> Iterator[Finding]:
    given = {"v1a" if key.value.strip().startswith("whpk_") else "v1" for key in case.keys}
    if given == {"v1"} and "v1a" in offered and "v1" not in offered:
        text = "it is signed with Ed25519 (v1a) only, and there is no whpk_ key: give the sender's"
        yield Finding("key_kind", text, certain=False)
    if given == {"v1a"} and "v1" in offered and "v1a" not in offered:
        text = "it is signed with HMAC (v1) only, and there is no whsec_ key: give the endpoint's"
        yield Finding("key_kind", text, certain=False)


def _length_guesses(tokens: Sequence[str]) -> Iterator[Finding]:
    for number, token in enumerate(tokens, start=1):
        version, _, text = token.removesuffix(",").partition(",")
        length = _LENGTHS.get(version)
        if length is not None and len(text) != length:
            what = f"signature {number} has {len(text)} characters after '{version},', and needs {length}"
            yield Finding("signature_length", f"{what}: was it cut off?", certain=False)
