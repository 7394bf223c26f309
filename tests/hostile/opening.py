"""Opens the museum: every exhibit's server in one process of its own, so that what they cost is not the visitor's.

:class:`Museum` starts that process and knows the way to each exhibit; run as a script, this file is the process.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime

from children import Child, answer_all
from museum import EXHIBITS, GOOD, Exhibit, bomb
from wire_server import Server

__all__ = ["DOMAIN", "INSIDE", "Museum", "resolve"]

DOMAIN = "museum.test"
INSIDE = "192.0.2.7"  # stands for an address of the inside; nobody has it (RFC 5737)
_SLOW_S = 3.0  # longer than the deadline of anybody who asks


def resolve(host: str | bytes, port: int, *_: object, **__: object) -> list[tuple]:
    """Answer as the name server of :data:`DOMAIN` does; called like :func:`socket.getaddrinfo`."""
    name = host.decode() if isinstance(host, bytes) else host
    if name == f"slow.{DOMAIN}":
        threading.Event().wait(_SLOW_S)
    address = INSIDE if name == f"inside.{DOMAIN}" else "127.0.0.1"
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]


class Museum(Child):
    """The museum, open until it is closed.

    Attributes:
        authority: The certificate, in PEM, of the authority that a visitor trusts.
    """

    def __init__(self) -> None:
        super().__init__("opening.py")
        opened = self.ask("where")
        self.authority: str = opened["authority"]
        self._ports: dict[str, int] = opened["ports"]

    def url(self, exhibit: Exhibit) -> str:
        """Return where `exhibit` is."""
        scheme = "http" if exhibit.tls == "no" else "https"
        host = exhibit.host or f"{exhibit.name}.{DOMAIN}"
        return f"{scheme}://{host}:{self._ports[exhibit.name]}/hook"

    def connections(self) -> dict[str, int]:
        """Return how many connections came to each exhibit so far."""
        return self.ask("connections")


# --- In the process of its own ----------------------------------------------------------------------------------------


class Certificates:
    """Server contexts, each with a good certificate for the museum's hosts, or one that is bad in its own way."""

    def __init__(self) -> None:
        from wire_certificates import Authority  # only who opens the museum needs it

        self.authority = Authority()
        issue, hosts = self.authority.server, f"*.{DOMAIN}"
        self._kinds: dict[str, Callable[[], ssl.SSLContext]] = {
            "good": lambda: issue(hosts),
            "expired": lambda: issue(hosts, start=_year(2001), end=_year(2002)),
            "not-yet-valid": lambda: issue(hosts, start=_year(2900), end=_year(2901)),
            "for-another-host": lambda: issue("museum.example"),
            "of-unknown-ca": lambda: issue(hosts, unknown=True),
            "self-signed": self.authority.self_signed,
            "too-old": lambda: _too_old(issue(hosts)),
        }

    def context(self, kind: str) -> ssl.SSLContext | None:
        """Return a context of that kind; None for those who do not use TLS, or do it by hand."""
        return self._kinds[kind]() if kind in self._kinds else None


def _too_old(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings(action="ignore"):  # that it is too old is the point
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def main() -> None:
    """Open every exhibit, and say where they are and how many connections came."""
    bomb(2)  # takes a second, which is not to be the visitor's
    certificates = Certificates()
    servers = {each.name: Server(each.handle, certificates.context(each.tls)) for each in (GOOD, *EXHIBITS)}
    for server in servers.values():
        server.late = certificates.context("good")

    def answer(question: str) -> dict:
        if question == "connections":
            return {name: server.accepted for name, server in servers.items()}
        return {
            "authority": certificates.authority.pem,
            "ports": {name: server.port for name, server in servers.items()},
        }

    answer_all(answer)
    os._exit(0)  # some of them would go on for ever


if __name__ == "__main__":
    main()
