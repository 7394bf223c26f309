"""What it costs to open a connection for every request: hookkit's transport beside httpx with and without keep-alive.

Run it with ``nox -s bench-connections``. The receiver is a small server in a process of its own, on loopback, with TLS;
so what is measured is processor time on one machine. Over a network a new connection also takes two round trips, one
for TCP and one for TLS 1.3, which are not in here.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import trustme

from hookkit import Request
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import HttpxTransport

RESULTS = Path(__file__).parent / "results"
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'
REPLY = b"HTTP/1.1 204 No Content\r\n\r\n"


def receive(certificate: str, tell: Connection) -> None:
    """Answer every request with 204, one connection after another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tell.send(listener.getsockname()[1])
        while True:
            plain, _ = listener.accept()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(plain, server_side=True) as sock:
                data = b""
                while piece := sock.recv(65_536):
                    data += piece
                    if data.endswith(BODY):
                        sock.sendall(REPLY)
                        data = b""


def milliseconds(send: Callable[[], int], requests: int) -> list[float]:
    """Return how long each request took, the first ten left out."""
    took = []
    for _ in range(requests + 10):
        started = time.perf_counter()
        assert send() == 204
        took.append((time.perf_counter() - started) * 1000)
    return took[10:]


def measure(url: str, trust: ssl.SSLContext, requests: int, rounds: int) -> dict[str, list[float]]:
    """Return the median of each round, by what was used; they take turns."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with HttpxTransport(targets=LOOPBACK, ssl_context=trust) as transport:
            request = Request("POST", url, (("content-type", "application/json"),), BODY, 5)
            took = milliseconds(lambda: transport.send(request).status or 0, requests)  # noqa: B023 - called at once
            found.setdefault("hookkit, a connection for each request", []).append(statistics.median(took))
        for name, idle in (("httpx, a connection for each request", 0), ("httpx, one connection kept alive", 1)):
            limits = httpx.Limits(max_keepalive_connections=idle)
            with httpx.Client(verify=trust, limits=limits, trust_env=False) as client:
                took = milliseconds(lambda: client.post(url, content=BODY).status_code, requests)
                found.setdefault(name, []).append(statistics.median(took))
    return found


def page(kept: dict[str, object], found: dict[str, list[float]]) -> str:
    """Return the results as a page."""
    rows = [
        f"| {name:<38} | {statistics.median(rounds):>7.2f} | {min(rounds):>5.2f} | {max(rounds):>5.2f} |"
        for name, rounds in found.items()
    ]
    versions = ", ".join(f"{key} {value}" for key, value in kept.items())
    return (
        "# A connection for each request\n\n"
        f"By `nox -s bench-connections` ({versions}).\n\n"
        "Milliseconds for one POST over TLS on loopback: of each round the median request; of the rounds the median,\n"
        "the least and the most.\n\n"
        f"| {'what':<38} | median  | least | most  |\n| {'-' * 38} | ------: | ----: | ----: |\n"
        + "\n".join(rows)
        + "\n"
    )


def main() -> None:
    """Measure; with ``--write`` keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    parser.add_argument("--requests", type=int, default=200, help="how many in each round")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with tempfile.NamedTemporaryFile(suffix=".pem") as certificate:
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate.name)
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=receive, args=(certificate.name, theirs), daemon=True
        )
        server.start()
        url = f"https://localhost:{ours.recv()}/"
        found = measure(url, trust, given.requests, given.rounds)
        server.terminate()
        server.join()
    about: dict[str, object] = {
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "httpx": version("httpx"),
        "machine": platform.machine(),
        "requests": given.requests,
        "rounds": given.rounds,
    }
    print(page(about, found))
    if given.write:
        kept = {**about, "milliseconds": {name: [round(one, 3) for one in rounds] for name, rounds in found.items()}}
        (RESULTS / "connections.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "connections.md").write_text(page(about, found), encoding="utf-8")


if __name__ == "__main__":
    main()
