"""Which names of fields hold a secret: read word by word, so that ``resetToken`` and ``reset_token_id`` differ."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["COOKIES", "describes", "is_code", "is_secret", "words"]

MAX_NAME_CHARS: Final = 128
"""Of a longer name the end is read: it says what the field is."""
_WORD: Final = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# A field is what the last word of its name says: a `token_type` is a type, a `password_changed_at` a time.
_LAST: Final = frozenset(
    """authorization backupcode hotp jwt mnemonic onetimecode otp passcode passworddigest passwordhash passwordsalt pin
    pwd recoverycode resetcode salt tokenhash verificationcode""".split()
)
# No other word ends like these, so what is written as one is known by its end, too: `userpassword`.
_ENDS: Final = tuple(
    "accesskey apikey cookie passphrase passwd password privatekey secret secretkey sessionkey signingkey token".split()
)
_PAIRS: Final = frozenset(
    tuple(pair.split())
    for pair in """client assertion|saml assertion|saml response|code verifier|srp verifier|user pass|smtp pass|db pass
    |access key|account key|api key|deploy key|encryption key|master key|private key|recovery key|secret key
    |service key|session key|shared key|signing key|symmetric key|recovery phrase|seed phrase|totp seed|otp seed
    |totp uri|totp url|otp uri|otp url|otpauth uri|otpauth url|uri complete
    |link url|password link|password url|pass phrase|pass word|secret data|security stamp|qr code""".split("|")
)
_CODES: Final = frozenset(
    """2fa access activation auth authorization backup bypass confirmation device email fa invitation invite login
    magic mfa otp pairing pass pin recovery reset rescue scratch security signin sms time totp unlock user
    verification""".split()
)
_LINKS: Final = frozenset("activation confirmation invitation invite magic recovery reset unlock verification".split())
_NUMERIC: Final = frozenset("code hotp otp passcode passwd password pin pwd".split())

# What may follow without changing what the field holds: a hash of a password is as good as lost once it is sent.
_FORMS: Final = frozenset(
    """again b64 base32 base64 bcrypt confirm confirmation current der digest encoded encrypted hash hashed hashes hex
    jwk md5 new old pem plain plaintext previous raw repeat salt salts sha1 sha256 sha512 string text value
    values""".split()
)
_ABOUT: Final = frozenset(  # `has_password`, `requires_otp`
    "allow allows can disable enable has is must needs no require requires supports use uses with without".split()
)
_DESCRIBING: Final = frozenset(
    """alg algorithm at audience channel count description enabled expires expiry format id ids issuer kind label length
    level method name provider purpose reason scope scopes state status strength type use version""".split()
)
COOKIES: Final = frozenset(("cookie", "cookies"))


def words(name: str) -> tuple[str, ...]:
    """Return the words of a field's name, in lower case: ``("x", "api", "key")`` of ``X-API-Key`` and ``xApiKey``."""
    return tuple(word.lower() for word in _WORD.findall(name[-MAX_NAME_CHARS:]))


def _one(word: str) -> str:
    """Return the singular of a plural."""
    return word[:-1] if word.endswith("s") and word != "pass" else word


def _core(name: tuple[str, ...]) -> tuple[str, ...]:
    end = len(name)
    while end > 1 and (name[end - 1].isdigit() or name[end - 1] in _FORMS):
        end -= 1
    return (*name[: end - 1], _one(name[end - 1])) if name else ()


def is_secret(name: tuple[str, ...]) -> bool:
    """Return whether a field of that name holds a secret.

    Args:
        name: See :func:`words`.
    """
    core = _core(name)
    if not core or core[0] in _ABOUT:
        return False
    last = core[-1]
    before = core[-2] if len(core) > 1 else ""
    return (
        last in _LAST
        or last.endswith(_ENDS)
        or (before, last) in _PAIRS
        or (last == "code" and before in _CODES)
        or (last == "link" and before in {*_LINKS, "in", "login", "signin", "time"})
        or (last == "url" and before in _LINKS)
    )


def is_code(name: tuple[str, ...]) -> bool:
    """Return whether a secret of that name may be a number: a one-time code, a PIN; a token never is."""
    return bool(name) and _core(name)[-1] in _NUMERIC


def describes(name: tuple[str, ...]) -> bool:
    """Return whether a field of that name, within what is secret as a whole, only says what it is: its id, its type."""
    return bool(name) and name[-1] in _DESCRIBING
