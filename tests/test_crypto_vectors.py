"""The two algorithms against published cases: Wycheproof's for Ed25519, the RFCs' for HMAC.

Wycheproof's HMAC cases are in no package of PyPI or npm; they test truncated tags and odd key sizes, neither of which
any scheme here has.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path

import pytest

from hookkit import InvalidKey
from hookkit.keys import Ed25519Public, HmacKey

VECTORS = Path(__file__).parent / "vectors"
HMAC = json.loads((VECTORS / "hmac_rfc.json").read_text("utf-8"))
ED25519 = [
    (group["public_key"], test)
    for group in json.loads((VECTORS / "wycheproof_ed25519.json").read_text("utf-8"))["groups"]
    for test in group["tests"]
]


@pytest.mark.parametrize("row", HMAC, ids=lambda row: f"{row['source']} {row['mac'][:8]}")
def test_an_hmac_is_the_rfcs(row):
    """RFC 4231 for SHA-256, RFC 2202 for SHA-1: keys below, at and above a block, in hex and in base64."""
    mac = bytes.fromhex(row["mac"])
    for encoding, expected in (("hex", mac.hex().encode()), ("base64", base64.b64encode(mac))):
        key = HmacKey(bytes.fromhex(row["key"]), digest=row["digest"], encoding=encoding)
        assert key.sign([bytes.fromhex(row["message"])]) == expected
        assert key.accepts([bytes.fromhex(row["message"])], [expected])
        assert not key.accepts([bytes.fromhex(row["message"]) + b"\0"], [expected])


@pytest.mark.parametrize(("public_key", "case"), ED25519, ids=[str(case["id"]) for _, case in ED25519])
def test_an_ed25519_signature_is_judged_as_wycheproof_says(public_key, case):
    """Valid ones are accepted, invalid ones are not; about the "acceptable" ones libraries differ, but none crashes."""
    try:
        key = Ed25519Public(bytes.fromhex(public_key))
    except InvalidKey:
        assert case["result"] != "valid"
        return
    token = b"v1a," + base64.b64encode(bytes.fromhex(case["signature"]))
    accepted = key.accepts([bytes.fromhex(case["message"])], [token])
    assert case["result"] in {"acceptable", {True: "valid", False: "invalid"}[accepted]}


def test_all_cases_are_there():
    """A vector file that has shrunk would test less without a word."""
    assert Counter(row["digest"] for row in HMAC) == {"sha256": 6, "sha1": 7}
    assert Counter(case["result"] for _, case in ED25519) == {"valid": 117, "invalid": 64, "acceptable": 29}
