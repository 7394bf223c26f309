"""What a secret looks like, wherever it stands: tokens, hashes of passwords, private keys, links that carry a token.

Each place of a text is looked at a bounded number of times, so that the work is linear in the text, whatever it is: no
pattern has two unbounded repeats side by side, and what begins with one that could overlap looks behind itself first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from hookkit.events._names import is_secret, words

__all__ = ["MASK", "masked"]

MASK: Final = "[redacted]"


class _Shape(NamedTuple):
    """A pattern, and a simpler one that is found wherever it is: most texts are done with by that."""

    hint: re.Pattern[str]
    pattern: re.Pattern[str]
    mend: str | Callable[[re.Match[str]], str] = MASK


def _shape(hint: str, *patterns: str, mend: str | Callable[[re.Match[str]], str] = MASK, flags: int = 0) -> _Shape:
    return _Shape(re.compile(hint), re.compile("".join(patterns), flags | re.ASCII), mend)


def _parameter(found: re.Match[str]) -> str:
    """Mask the value of a query's parameter, if its name is a secret's; ``code`` is OAuth's (RFC 6749 §4.1.2)."""
    before, name, value = found.groups()
    secret = is_secret(words(name)) or (name == "code" and before in ("?", "&", "#"))
    return f"{before}{name}={MASK}" if value and secret else found[0]


def _header(found: re.Match[str]) -> str:
    """Mask the value of a header. `Token: lost` may be prose: a name has a hyphen, or is one of the two without."""
    before, name, between, _ = found.groups()
    named = words(name)
    known = "-" in name or named in {("authorization",), ("cookie",)}
    return f"{before}{name}{between}{MASK}" if known and is_secret(named) else found[0]


def _member(found: re.Match[str]) -> str:
    """Mask a member of JSON that is a text within the text."""
    name, between, value = found.groups()
    return f'"{name}"{between}"{MASK}"' if value and is_secret(words(name)) else found[0]


# The makers' own pages on the formats of their tokens; `whsec_` and `whsk_` are Standard Webhooks'.
_PREFIXES: Final = """whsec_ whsk_ sk_live_ sk_test_ rk_live_ rk_test_ ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt-
    glrt- xoxa- xoxb- xoxe- xoxe. xoxp- xoxr- xoxs- xapp- shpat_ shpca_ shppa_ shpss_ dop_v1_ doo_v1_ dor_v1_ hvs. hvb.
    lin_api_ lin_oauth_ npm_ pypi-AgE sbp_ sb_secret_ dckr_pat_ tskey- ory_at_ ory_rt_ ory_ac_ ory_st_ ory_pat_
    rubygems_ sk-ant- sk-proj- sk-svcacct- ya29. SG.""".split()

_SHAPES: Final = (
    # RFC 7468 §10 and §11, and what OpenSSH and OpenPGP make of it. One that is cut off is as good as whole.
    _shape(
        "PRIVATE KEY",
        r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----.*?",
        r"(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        flags=re.DOTALL,
    ),
    # A JWT, signed or encrypted (RFC 7519): its first part is the base64url of `{"`, or of `{` and white space.
    _shape("eyJ|eyA|ewo|ew0K", r"(?<![\w-])(?:ey[AJ]|ewo[gJ]|ew0K)[\w-]{12,}(?:\.[\w-]*){2,4}"),
    # Hashes of passwords: as Django, Werkzeug and passlib write them; as crypt and PHC do; as LDAP does (RFC 2307).
    _shape(r"\$", r"(?<![\w$-])(?:pbkdf2|bcrypt|argon2|scrypt|md5|sha1|sha256|sha512)[\w:-]{0,40}\$[\w./+=,$:-]{16,}"),
    _shape(
        r"\$",
        r"\$(?:2[abxy]?|argon2(?:id?|d)|scrypt|pbkdf2[\w-]{0,20}|bcrypt[\w-]{0,20}|g?y|[1567HP]|apr1|md5|sha1)",
        r"\$[\w./+=,$:-]{16,}",
    ),
    _shape(
        "}",
        r"\{(?:S?SHA(?:256|384|512)?|S?MD5|CRYPT|ARGON2|BCRYPT|PBKDF2[\w-]{0,20})\}[\w./+=,$:-]{8,}",
        flags=re.IGNORECASE,
    ),
    # A key that its maker has given a prefix to be known by.
    _shape(
        r"[\w+/=.-]{19}",  # the shortest of them
        rf"(?<![A-Za-z0-9])(?=[Sdghlnoprstwxy])(?:{'|'.join(map(re.escape, _PREFIXES))})[\w+/=.-]{{16,}}",
    ),
    _shape("AKIA|ASIA|AIza", r"(?<!\w)(?:A[KS]IA[A-Z0-9]{16}|AIza[\w-]{35})(?![\w-])"),
    # What the header Authorization holds (RFC 9110 §11.4); "Basic authentication" is none of it.
    _shape(
        "earer |EARER |asic |ASIC |[Pp][Oo][Pp] ",
        r"(?<!\w)([Bb]earer|BEARER|[Bb]asic|BASIC|[Dd]Po[Pp]|dpop|DPOP) {1,4}",
        r"(?=[a-z._~+/-]{0,256}[A-Z0-9=])[\w.~+/-]{8,}={0,2}",
        mend=rf"\1 {MASK}",
    ),
    # Links: an authenticator app's secret, a password before the host (RFC 3986 §3.2.1), parameters; and forms.
    _shape("otpauth", r"otpauth(?:-migration)?://[^\s\"'<>]+"),
    _shape("://", r"(://[^\s/?#@:\"'<>]{0,128}:)[^\s/?#@\"'<>]{1,256}@", mend=rf"\1{MASK}@"),
    _shape("=", r"(^|[?&#;\s])([\w.\[\]-]{1,64})=([^&#;\s\"'<>]*)", mend=_parameter),
    # What was put into a text whole: a request's headers, JSON.
    _shape("[A-Za-z]:", r"(^|[\r\n])([\w-]{1,64})(:[ \t]{0,4})([^\s][^\r\n]*)", mend=_header),
    _shape('"', r'"([\w.-]{1,64})"(\s{0,4}:\s{0,4})"((?:[^"\\]|\\.)*+)"?', mend=_member, flags=re.DOTALL),
)


_ANY: Final = re.compile(
    r"[$}=\"]|://|[A-Za-z]:|PRIVATE KEY|[\w+/.-]{17}|(?:earer|EARER|asic|ASIC|[Pp][Oo][Pp]) ", re.ASCII
)
"""What is found wherever any of the hints is. The shortest run of letters is a JWT's: none has a shorter first part."""


def masked(text: str) -> str:
    """Return `text` with ``[redacted]`` in place of whatever has the shape of a secret."""
    if _ANY.search(text) is None:
        return text
    for hint, pattern, mend in _SHAPES:
        if hint.search(text) is not None:
            text = pattern.sub(mend, text)
    return text
