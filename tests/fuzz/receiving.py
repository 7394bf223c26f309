"""Coverage-guided fuzzing (atheris) of every parser that a receiver shows to the world, or to its own settings.

``nox -s fuzz`` runs all targets, two minutes each; ``nox -s fuzz -- 10`` ten seconds each. One by itself, with options
of libFuzzer: ``python tests/fuzz/receiving.py headers -max_total_time=60``. A target that raises anything but an error
of ours ends with a traceback, and the input is kept.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hookkit", "json"]):
    from hookkit import HookkitError, InvalidKey, PayloadError, SigningKey, VerificationError, verify_signature
    from hookkit.challenges import cloudevents_handshake, okta_verification, zoom_url_validation
    from hookkit.explain import explain
    from hookkit.jsontext import parse_json
    from hookkit.keys import standard_key
    from hookkit.schemes import BUILTIN, STANDARD
    from hookkit.signing import Verified

VECTORS = Path(__file__).parent.parent / "vectors"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
NOW = 1614265330
AT = datetime.fromtimestamp(NOW, UTC)
NAMES = sorted(BUILTIN)
KEYS = (SigningKey(KEY), SigningKey(PUBLIC))


def headers(data: bytes) -> None:
    """STANDARD's three headers, each any text, as a dict and as pairs of bytes: both come to the same."""
    given = atheris.FuzzedDataProvider(data)
    values = [given.ConsumeUnicode(given.ConsumeIntInRange(0, 80)) for _ in range(3)]
    body = given.ConsumeBytes(40)
    texts = dict(zip(sorted(STANDARD.header_names), values, strict=True))
    pairs = [(name.title(), value) for name, value in texts.items()]
    assert refusal(body, texts) == refusal(body, pairs)


def refusal(body: bytes, fields: object) -> tuple[str, str]:
    """Return why a request does not verify."""
    try:
        verify_signature(body, fields, KEYS, now=NOW)
    except VerificationError as error:
        return error.reason, error.hint
    raise AssertionError("nobody signed it")


def containers(data: bytes) -> None:
    """Headers of any number, kind and spelling, in any container."""
    given = atheris.FuzzedDataProvider(data)
    names = [*STANDARD.header_names, "wsgi.version", "HTTP_WEBHOOK_ID", ""]
    pairs: list[tuple[object, object]] = []
    while given.remaining_bytes() and len(pairs) < 20:
        name = names[given.ConsumeIntInRange(0, len(names) - 1)] or given.ConsumeUnicode(12)
        kinds = (
            given.ConsumeUnicode(20),
            given.ConsumeBytes(20),
            None,
            given.ConsumeInt(2),
            (1, 0),
            [given.ConsumeUnicode(9)],
        )
        value = kinds[given.ConsumeIntInRange(0, len(kinds) - 1)]
        pairs.append((name.encode("utf-8", "surrogatepass") if given.ConsumeBool() else name, value))
    for container in (pairs, tuple(pairs), dict(pairs)):
        refusal(b"body", container)


def senders(data: bytes) -> None:
    """The headers that matter to any scheme, any body and any URL."""
    given = atheris.FuzzedDataProvider(data)
    scheme = BUILTIN[NAMES[given.ConsumeIntInRange(0, len(NAMES) - 1)]]
    pairs = [(name, given.ConsumeUnicode(given.ConsumeIntInRange(0, 90))) for name in sorted(scheme.header_names)]
    url = given.ConsumeUnicode(given.ConsumeIntInRange(0, 60))
    body = given.ConsumeBytes(200)
    try:
        verify_signature(body, pairs, "a key that nobody guesses", scheme=scheme, now=NOW, method="POST", url=url)
    except VerificationError:
        return
    except InvalidKey:
        assert scheme.header_names <= {
            f"{family}-{end}" for family in ("webhook", "svix") for end in ("id", "timestamp", "signature")
        }
        return
    raise AssertionError("nobody signed it")


def signed_bodies(data: bytes) -> None:
    """Bodies that were signed: forms and URLs for Twilio, a timestamp in JSON for Linear."""
    given = atheris.FuzzedDataProvider(data)
    scheme = BUILTIN[("TWILIO", "LINEAR")[given.ConsumeBool()]]
    url = given.ConsumeUnicode(given.ConsumeIntInRange(0, 80))
    body = given.ConsumeBytes(given.remaining_bytes())
    try:
        made = scheme.sign(body, [KEY], id="evt_1", at=AT, url=url)
    except ValueError:
        return
    try:
        assert verify_signature(body, made, KEY, scheme=scheme, now=NOW, url=url).body == body
    except VerificationError as error:
        if error.reason not in {"invalid_timestamp", "timestamp_too_old", "timestamp_too_new"}:
            raise AssertionError(error.reason) from error


def keys(data: bytes) -> None:
    """The text of a key, as somebody pasted it."""
    given = atheris.FuzzedDataProvider(data)
    prefix = ("", "whsec_", "whpk_", "whsk_", "v1,whsec_")[given.ConsumeIntInRange(0, 4)]
    text = prefix + given.ConsumeUnicode(given.remaining_bytes())
    try:
        standard_key(text)
    except InvalidKey as error:
        if error.__context__ is not None:
            raise AssertionError("a foreign exception may quote the key") from error


def bodies(data: bytes) -> None:
    """A body that has been verified, read as JSON and as an event."""
    try:
        parse_json(data)
        Verified("evt_1", None, data, "evt_1").event()
    except PayloadError:
        return


def challenges(data: bytes) -> None:
    """One-time questions of Okta, Zoom and CloudEvents' senders."""
    given = atheris.FuzzedDataProvider(data)
    value, origin = given.ConsumeUnicode(60), given.ConsumeUnicode(60)
    body = b'{"event":"endpoint.url_validation","payload":' + given.ConsumeBytes(given.remaining_bytes()) + b"}"
    for question in (
        lambda: okta_verification({"x-okta-verification-challenge": value}),
        lambda: cloudevents_handshake({"webhook-request-origin": origin}, origins=["a.example"]),
        lambda: zoom_url_validation(Verified(None, None, body, "x"), KEY),
    ):
        try:
            question()
        except HookkitError:
            continue


def explaining(data: bytes) -> None:
    """The explanation of anything is an explanation, and shows no key."""
    given = atheris.FuzzedDataProvider(data)
    names = sorted(BUILTIN[NAMES[given.ConsumeIntInRange(0, len(NAMES) - 1)]].header_names)
    texts = {name: given.ConsumeUnicode(given.ConsumeIntInRange(0, 80)) for name in names}
    found = explain(given.ConsumeBytes(60), texts, KEY, now=NOW)
    assert KEY[6:] not in str(found)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (headers, containers, senders, signed_bodies, keys, bodies, challenges, explaining)
}


def seeds(place: Path) -> None:
    """Write what the vectors hold as inputs to begin with."""
    for number, row in enumerate(json.loads((VECTORS / "signatures.json").read_text("utf-8"))):
        for field in ("body", "secret"):
            place.joinpath(f"{number}-{field}").write_text(row.get(field, ""), encoding="utf-8")
        text = "".join(row.get("headers", {}).values())
        place.joinpath(f"{number}-headers").write_text(text, encoding="utf-8")


def main() -> None:
    """Fuzz the target that is named first, or ``all`` of them one by one, with the options that follow."""
    name, *options = sys.argv[1:] or [""]
    if name == "all":
        for each in TARGETS:
            subprocess.run([sys.executable, __file__, each, *options], check=True)
        return
    if name not in TARGETS:
        raise SystemExit(f"name all, or one of: {', '.join(TARGETS)}")
    logging.disable()  # every short key would be a line
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
