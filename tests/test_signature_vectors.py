"""Vectors: published signatures, cases where libraries differ, hostile requests, and Logto's own.

``tests/vectors`` holds them with their sources. Rows of what is no signature scheme of ours are named, with the reason.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hookkit import InvalidKey, SigningKey, VerificationError, verify_signature
from hookkit.keys import HmacKey, standard_key
from hookkit.schemes import BUILTIN, LOGTO, HmacScheme, StandardScheme, TokenScheme

VECTORS = Path(__file__).parent / "vectors"


def load(name):
    return json.loads((VECTORS / name).read_text("utf-8"))


SIGNATURES = load("signatures.json")
HOSTILE = load("hostile.json")
OTHER_NAMES = {
    "standardwebhooks": "STANDARD",
    "standardwebhooks-v1a": "STANDARD",
    "keycloak-phasetwo": "KEYCLOAK_PHASETWO",
    "shared-token": "AUTH0",
}
NOT_HERE = {
    "cloudevents-http": "a format of events; it signs nothing",
    "cloudevents-webhook-handshake": "a question before the first delivery: hookkit.challenges",
    "fusionauth-jwt": "a JWT that holds the body's hash, with any JOSE algorithm and keys from a JWKS",
    "rfc9421": "HTTP Message Signatures: structured fields and five more algorithms; http-message-signatures does them",
    "rfc9530": "a digest without a key: it proves nothing of the sender",
    "set-push": "Security Event Tokens: the body is a JWT under keys from a JWKS",
    "zoom-url-validation": "a question, answered with a MAC: hookkit.challenges",
}
"""What is no scheme here, and why."""

SCHEMES = {
    row["scheme"]: BUILTIN[OTHER_NAMES.get(row["scheme"], row["scheme"].upper())]
    for row in SIGNATURES
    if row["scheme"] not in {"standardwebhooks-key", *NOT_HERE}
}

REQUESTS = [row for row in SIGNATURES if row["scheme"] in SCHEMES]
KEYS = [row for row in SIGNATURES if row["scheme"] == "standardwebhooks-key"]


def ids(row):
    return row.get("id") or row["name"]


def verify(row):
    # A v1a row names the public key beside the secret one: the receiver has the public one.
    key = row.get("public_key") or row["secret"]
    return verify_signature(
        row["body"].encode(),
        row["headers"],
        key,
        scheme=SCHEMES[row["scheme"]],
        now=row["now"],
        tolerance=row.get("tolerance"),
        url=row.get("url"),
    )


def test_no_row_is_forgotten():
    """Every scheme in the file is either tested here or named with a reason, and every preset is in the file."""
    assert {row["scheme"] for row in SIGNATURES} == {*SCHEMES, *NOT_HERE, "standardwebhooks-key"}
    unseen = {name for name, scheme in BUILTIN.items() if scheme not in SCHEMES.values()}
    assert unseen == {"CLAVEX", "OKTA", "ORY"}, "no vector was published; test_senders.py writes theirs out"


@pytest.mark.parametrize("row", REQUESTS, ids=ids)
def test_a_vector_comes_out_as_it_must(row):
    """``ok`` verifies, a bad secret is an InvalidKey, anything else a VerificationError of that reason."""
    expected = row["expect"]
    if expected == "ok":
        assert verify(row).body == row["body"].encode()
    elif expected in {"invalid_secret", "empty_secret"}:
        with pytest.raises(InvalidKey):
            verify(row)
    elif expected == "parse_only":
        # Nobody knows the secret. Both tokens are well-formed, so it is the key that does not match, of either kind.
        for key in ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="):
            with pytest.raises(VerificationError, match="bad_signature: no key matches"):
                verify({**row, "secret": key})
    else:
        with pytest.raises(VerificationError) as caught:
            verify(row)
        assert caught.value.reason == expected


# Two of Twilio's rows give the URL as a proxy sees it, with a port that was not there when it was signed.
SIGNED = [row for row in REQUESTS if row["expect"] == "ok" and row["id"] not in {"twilio-port", "twilio-add-port"}]


def signed_at(row):
    """Return when the row was signed: the first number of ten digits in a header, without Workos' milliseconds."""
    values = [value for name, value in row["headers"].items() if not name.lower().endswith("-id")]
    found = re.search(r"(?:^\s*|t=|ts=)(\d{1,10})(?:000)?(?=\s*$|[,;])", "\n".join(values), re.MULTILINE)
    return datetime.fromtimestamp(int(found[1]) if found else 0, UTC)


@pytest.mark.parametrize("row", SIGNED, ids=ids)
def test_signing_reproduces_the_vector(row):
    """All algorithms are deterministic, so our sender writes the very signature of the published request."""
    scheme = SCHEMES[row["scheme"]]
    headers = {name.lower(): value.strip(" \t") for name, value in row["headers"].items()}
    family = next((name for name in ("svix", "webhook") if f"{name}-id" in headers), "")
    made = scheme.sign(
        row["body"].encode(),
        [row.get("signing_key") or row["secret"]],
        id=headers.get(f"{family}-id", "evt_1"),
        at=signed_at(row),
        url=row.get("url"),
    )
    if isinstance(scheme, StandardScheme):
        made = {name.replace(scheme.families[0], family): value for name, value in made.items()}
        (signature,) = [value for name, value in made.items() if name.endswith("-signature")]
        assert made.keys() <= headers.keys()
        assert signature in re.split(r"[ \t]+|,(?= |$)", headers[f"{family}-signature"])
        return
    signing = scheme.header if isinstance(scheme, (HmacScheme, TokenScheme)) else "x-twilio-signature"
    assert re.split(r"[,;] ?", made[signing])[-1] in headers[signing]


@pytest.mark.parametrize("row", KEYS, ids=ids)
def test_a_key_vector_is_read_or_refused(row, caplog, monkeypatch):
    """Lengths that are only weak are logged, not refused: such keys are in use."""
    monkeypatch.setattr("hookkit.keys._reported", set())
    if row["expect"] == "invalid_secret":
        with pytest.raises(InvalidKey):
            standard_key(row["secret"])
        return
    with caplog.at_level(logging.WARNING, "hookkit"):
        assert isinstance(standard_key(row["secret"]), HmacKey)
    weak = row["expect"] == "weak_or_long_secret"
    assert [record.name for record in caplog.records] == (["hookkit.keys"] if weak else [])


# --- Hostile requests -------------------------------------------------------------------------------------------------


def unpacked(value):
    """Return a header's name or value: text, or bytes that JSON could not hold, or text too long to write out."""
    if isinstance(value, str):
        return value
    return base64.b64decode(value["b64"]) if "b64" in value else inflated(value["zlib_b64"]).decode()


def inflated(text):
    return zlib.decompress(base64.b64decode(text))


PREFIXES = {"hmac": "whsec_", "ed25519": "whpk_"}


@pytest.mark.parametrize("case", HOSTILE["cases"], ids=ids)
def test_a_hostile_request_is_judged_by_the_policy(case):
    """The accepted ones verify, the others are refused for the reason that the policy names."""
    body = base64.b64decode(case["body_b64"]) if "body_b64" in case else inflated(case["body_zlib_b64"])
    headers = [(unpacked(name), unpacked(value)) for name, value in case["headers"]]
    keys = [SigningKey(PREFIXES[kind] + text) for kind, text in case["keys"]]

    def check():
        return verify_signature(body, headers, keys, now=case["now"], tolerance=case["tolerance"])

    if case["expected"] == "accept":
        assert check().body == body
    else:
        with pytest.raises(VerificationError) as caught:
            check()
        assert caught.value.reason == case["reason"]


def test_the_hostile_cases_are_dated():
    """All of them are judged at the instant that the file gives."""
    assert {case["now"] for case in HOSTILE["cases"]} == {HOSTILE["now"]}


# --- Logto ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", load("logto.json"), ids=ids)
def test_a_logto_signature_is_made_and_verified(row):
    """What Node computes with Logto's code, both ways."""
    body, key = row["body"].encode("utf-8", "surrogatepass"), row["key"]
    headers = {"logto-signature-sha-256": row["signature"]}
    assert LOGTO.sign(body, [key], id="evt_1", at=datetime(2026, 1, 1, tzinfo=UTC)) == headers
    assert verify_signature(body, headers, key, scheme=LOGTO).body == body
    with pytest.raises(VerificationError, match="bad_signature"):
        verify_signature(body + b" ", headers, key, scheme=LOGTO)
