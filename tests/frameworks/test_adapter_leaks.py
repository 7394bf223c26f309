"""No adapter tells anybody its key, or what came in: neither the sender, nor the log, whatever the request is like."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from sites import SITES, Receiver
from wires import Call

from canaries import CANARIES, KEYS, found
from hookkit.testing import sign_request

pytestmark = pytest.mark.frameworks

PAYLOAD = CANARIES["payload"][0]
BODY = f'{{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{{"token":"{PAYLOAD}"}}}}'.encode()

REQUESTS = {
    "good": lambda good: (BODY, good),
    "tampered": lambda good: (BODY + b" ", good),
    "signed with another key": lambda _: (BODY, sign_request(BODY, KEYS["logto"].ljust(44, "A"))),
    "old": lambda _: (BODY, sign_request(BODY, KEYS["whsec"], at=datetime.now(UTC) - timedelta(hours=1))),
    "unsigned": lambda _: (BODY, {}),
    "half signed": lambda good: (BODY, {name: good[name] for name in good if name != "webhook-timestamp"}),
    "with the key for a signature": lambda good: (
        BODY,
        good | {"webhook-signature": f"v1,{KEYS['whsec'].removeprefix('whsec_')}"},
    ),
    "too large": lambda good: (BODY + b" " * 300_000, good),
}
"""Made of a good request's headers as the test runs: signed at collection it could be too old by then."""


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("name", SITES)
def test_nobody_is_told_a_secret(name: str, request_: str, caplog: pytest.LogCaptureFixture, capfd) -> None:
    """Nothing of them is answered, printed or logged, with every logger at DEBUG."""
    body, headers = REQUESTS[request_](sign_request(BODY, KEYS["whsec"]))
    to = Receiver(KEYS["whsec"], {"max_body_bytes": 200_000})
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="hookkit")
    answer = SITES[name](to)(Call("/hooks", body, [("Content-Type", "application/json"), *headers.items()]))
    assert (answer.status == 204) is (request_ == "good")
    records = [f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in caplog.records]
    assert found("\n".join([answer.text, *records, *capfd.readouterr()])) == []
    assert found(repr(to.handled)) == []
