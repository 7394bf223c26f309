"""An egress proxy to try the transport with: it connects to the hosts that it was told of, and says what it did.

    python examples/custom_transport/egress_proxy.py --port 3128 --allow 127.0.0.1

In earnest you have one already, such as Squid or Envoy. Give it a list of what it must not reach: internal addresses.
"""

from __future__ import annotations

import argparse
import select
import socket
import socketserver
from collections.abc import Collection
from contextlib import suppress


class Proxy(socketserver.ThreadingTCPServer):
    """Answers ``CONNECT host:port``, and carries bytes both ways."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, allowed: Collection[str]) -> None:
        self.allowed = allowed
        super().__init__(("127.0.0.1", port), Tunnel)

    def told(self, line: str) -> None:
        """Say what was done. Of a tunnel nobody sees more than where it leads."""
        print(f"proxy: {line}", flush=True)


class Tunnel(socketserver.StreamRequestHandler):
    """One connection."""

    server: Proxy

    def handle(self) -> None:
        """Read where it shall lead, and carry it there."""
        method, _, rest = self.rfile.readline(1_024).decode("latin-1").partition(" ")
        authority = rest.split(" ")[0]
        while self.rfile.readline(8_192) not in (b"\r\n", b""):
            pass
        host, _, port = authority.rpartition(":")
        if method != "CONNECT" or host.strip("[]") not in self.server.allowed:
            self.server.told(f"{method} {authority} refused")
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            return
        try:
            other = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        except OSError:
            self.server.told(f"CONNECT {authority} failed")
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return
        self.server.told(f"CONNECT {authority}")
        with other:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            carry(self.connection, other)


def carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        for source in select.select([one, other], [], [])[0]:
            try:
                data = source.recv(65_536)
                if not data:
                    return
                (other if source is one else one).sendall(data)
            except OSError:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tunnel to some hosts, and to no others.")
    parser.add_argument("--port", type=int, default=3128, help="default: 3128")
    parser.add_argument("--allow", nargs="+", default=["127.0.0.1"], help="hosts; default: this machine")
    arguments = parser.parse_args()
    with Proxy(arguments.port, arguments.allow) as proxy, suppress(KeyboardInterrupt):
        proxy.serve_forever()
