"""An authority that issues certificates, good ones and bad ones, by trustme."""

from __future__ import annotations

import ssl
from datetime import datetime

import trustme

__all__ = ["Authority"]


class Authority:
    """Issues certificates, good ones and others.

    Attributes:
        pem: Its own certificate.
    """

    def __init__(self) -> None:
        self._own = trustme.CA()
        self._unknown = trustme.CA(organization_name="Nobody knows me")
        self.pem = self._own.cert_pem.bytes().decode()

    def server(
        self, *names: str, unknown: bool = False, start: datetime | None = None, end: datetime | None = None
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for `names`.

        Args:
            names: Host names and addresses.
            unknown: An authority has signed it that nobody trusts.
            start: From when it is valid; None: from long ago.
            end: Until when; None: for long.
        """
        issuer = self._unknown if unknown else self._own
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(*names, not_before=start, not_after=end).configure_cert(context)
        return context

    def self_signed(self) -> ssl.SSLContext:
        """Return a server's context with a certificate that has signed itself."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with self._unknown.cert_pem.tempfile() as certificate, self._unknown.private_key_pem.tempfile() as key:
            context.load_cert_chain(certificate, key)
        return context

    def client(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.pem)
