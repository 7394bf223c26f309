"""The contracts of a Signer, and of one that can verify."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from hookkit.errors import InvalidKey, VerificationError
from hookkit.protocols import Signer, Verifier
from hookkit.signing import SigningKey
from hookkit.testing.builders import KEY
from hookkit.testing.clock import START
from hookkit.verify import verify_signature

__all__ = ["SignerContract", "VerifierContract"]

BODY = b'{"type":"user.created","data":{"id":"u_1"}}'
URL = "https://receiver.example.com/webhooks?a=1"


class SignerContract:
    """Checks a :class:`hookkit.Signer`. Override the fixture ``signer``, and ``keys`` if it needs its own."""

    @pytest.fixture
    def signer(self) -> Signer:
        """Return the signer under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `signer`")

    @pytest.fixture
    def keys(self) -> Sequence[SigningKey | str]:
        """Return keys that it can sign with, newest first: overridden where it needs some of its own."""
        return (SigningKey(KEY),)

    def test_its_header_names_are_lower_case(self, signer: Signer) -> None:
        """Custom headers are compared with them so."""
        assert signer.header_names
        assert all(name == name.lower() for name in signer.header_names)

    def test_it_adds_only_the_headers_it_names(self, signer: Signer, keys: Sequence[SigningKey | str]) -> None:
        """With values that can be sent: printable ASCII, no line break."""
        headers = signer.sign(BODY, keys, id="evt_1", at=START, url=URL)
        assert headers
        assert {name.lower() for name in headers} <= signer.header_names
        assert all(value.isascii() and value.isprintable() for value in headers.values())

    def test_it_is_pure(self, signer: Signer, keys: Sequence[SigningKey | str]) -> None:
        """The same arguments give the same headers, in a dict of their own."""
        first = signer.sign(BODY, keys, id="evt_1", at=START, url=URL)
        second = signer.sign(BODY, keys, id="evt_1", at=START, url=URL)
        assert first == second
        assert first is not second

    def test_keys_may_be_text(self, signer: Signer, keys: Sequence[SigningKey | str]) -> None:
        """A key's text signs as the SigningKey does."""
        texts = [key.value if isinstance(key, SigningKey) else key for key in keys]
        headers = signer.sign(BODY, keys, id="evt_1", at=START, url=URL)
        assert signer.sign(BODY, texts, id="evt_1", at=START, url=URL) == headers

    def test_every_byte_of_the_body_counts(self, signer: Signer, keys: Sequence[SigningKey | str]) -> None:
        """No two bodies have the same headers; an empty one can be signed, too."""
        bodies = (b"", BODY, BODY + b" ", BODY + b"\n", BODY[:-1], b"\x00" + BODY, b"\xff\xfe")
        signed = {tuple(signer.sign(body, keys, id="evt_1", at=START, url=URL).items()) for body in bodies}
        assert len(signed) == len(bodies)

    def test_without_a_key_nothing_is_signed(self, signer: Signer) -> None:
        """An unsigned request must not leave."""
        with pytest.raises(InvalidKey):
            signer.sign(BODY, (), id="evt_1", at=START, url=URL)


class VerifierContract(SignerContract):
    """Checks a :class:`hookkit.protocols.Verifier`, through :func:`hookkit.verify_signature`.

    Override ``signer``; and ``keys``, ``verifying_keys`` and ``wrong_keys`` where it needs keys of its own.
    """

    @pytest.fixture
    def signer(self) -> Verifier:
        """Return the signer under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `signer`")

    @pytest.fixture
    def verifying_keys(self, keys: Sequence[SigningKey | str]) -> Sequence[SigningKey | str]:
        """Return what the receiver of ``keys``' signatures has: the same keys, or their public halves."""
        return keys

    @pytest.fixture
    def wrong_keys(self) -> Sequence[SigningKey | str]:
        """Return readable keys that did not sign."""
        return ("whsec_d3JvbmcgMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY=",)

    def test_it_verifies_what_it_signed(
        self, signer: Verifier, keys: Sequence[SigningKey | str], verifying_keys: Sequence[SigningKey | str]
    ) -> None:
        """And returns the very bytes."""
        for body in (BODY, b"", bytes(range(256))):
            headers = signer.sign(body, keys, id="evt_1", at=START, url=URL)
            verified = verify_signature(body, headers, verifying_keys, scheme=signer, now=START, method="POST", url=URL)
            assert verified.body == body
            assert verified.id in {"evt_1", None}
            assert verified.timestamp is None or abs(verified.timestamp - START) < timedelta(seconds=1)

    def test_an_id_it_signs_is_one_it_verifies(
        self, signer: Verifier, keys: Sequence[SigningKey | str], verifying_keys: Sequence[SigningKey | str]
    ) -> None:
        """Anything else is refused at the sender's, where it can be mended."""
        for name in ("evt.1", "evt 1", "", "é", "evt\r\nx: y", "e" * 129):
            try:
                headers = signer.sign(BODY, keys, id=name, at=START, url=URL)
            except ValueError:
                continue
            verify_signature(BODY, headers, verifying_keys, scheme=signer, now=START, method="POST", url=URL)

    def test_another_attempt_has_the_same_dedupe_key(
        self, signer: Verifier, keys: Sequence[SigningKey | str], verifying_keys: Sequence[SigningKey | str]
    ) -> None:
        """So that the receiver processes the event once."""
        seen = set()
        for seconds in (0, 60):
            at = START + timedelta(seconds=seconds)
            headers = signer.sign(BODY, keys, id="evt_1", at=at, url=URL)
            verified = verify_signature(BODY, headers, verifying_keys, scheme=signer, now=at, method="POST", url=URL)
            seen.add(verified.dedupe_key)
        assert len(seen) == 1

    def test_a_changed_body_does_not_verify(
        self, signer: Verifier, keys: Sequence[SigningKey | str], verifying_keys: Sequence[SigningKey | str]
    ) -> None:
        """Not by a byte."""
        headers = signer.sign(BODY, keys, id="evt_1", at=START, url=URL)
        for body in (b"", BODY + b" ", BODY[:-1], BODY.replace(b"u_1", b"u_2")):
            with pytest.raises(VerificationError):
                verify_signature(body, headers, verifying_keys, scheme=signer, now=START, method="POST", url=URL)

    def test_a_wrong_key_does_not_verify(
        self, signer: Verifier, keys: Sequence[SigningKey | str], wrong_keys: Sequence[SigningKey | str]
    ) -> None:
        """However readable it is."""
        headers = signer.sign(BODY, keys, id="evt_1", at=START, url=URL)
        with pytest.raises(VerificationError):
            verify_signature(BODY, headers, wrong_keys, scheme=signer, now=START, method="POST", url=URL)

    def test_without_its_headers_nothing_verifies(
        self, signer: Verifier, verifying_keys: Sequence[SigningKey | str]
    ) -> None:
        """An unsigned request is refused, with the reason."""
        with pytest.raises(VerificationError) as caught:
            verify_signature(BODY, {}, verifying_keys, scheme=signer, now=START, method="POST", url=URL)
        assert caught.value.reason == "missing_header"
