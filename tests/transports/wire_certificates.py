"""An authority that issues certificates, good ones and others."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["DAY", "NOW", "Authority"]

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Authority:
    """Issues certificates, good ones and others."""

    def __init__(self, directory) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.certificate = self._build(self.name, self.name, self.key, self.key, ca=True, names=())
        self._count = 0

    def _build(self, subject, issuer, key, signer, *, ca, names, start=NOW - DAY, end=NOW + DAY):
        usage = dict.fromkeys(
            """digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign
            crl_sign encipher_only decipher_only""".split(),
            False,
        )
        usage["key_cert_sign" if ca else "digital_signature"] = True
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if not ca:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
            ).add_extension(x509.SubjectAlternativeName([*map(self._alternative, names)]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    @staticmethod
    def _alternative(name):
        return x509.IPAddress(ip_address(name)) if name[0].isdigit() or ":" in name else x509.DNSName(name)

    def server(self, *names, self_signed=False, **validity) -> ssl.SSLContext:
        """Return a server's context with a certificate for `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        issuer, signer = (subject, key) if self_signed else (self.name, self.key)
        certificate = self._build(subject, issuer, key, signer, ca=False, names=names, **validity)
        self._count += 1
        path = self.directory / f"{self._count}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.certificate.public_bytes(serialization.Encoding.PEM).decode())
