"""The paths over sockets: what answers, what does not, what is no TLS or bad TLS, and the host's own ways there."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import trustme
from stage import PATH, QUERY, URL, Stage

from canaries import CANARIES
from hookkit import Request
from hookkit.testing.loopback import LoopbackServer, closed_port
from hookkit.transports.httpx import HttpxTransport

__all__ = ["delivering", "delivering_by_the_hosts_client", "delivering_over_tls", "proxies"]

CLIENT = str(CANARIES["client"][0])
OK = b"HTTP/1.1 204 No Content\r\nset-cookie: a=b\r\n\r\n"
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@contextmanager
def answering(said: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yield a port where everybody is told the same, whatever they say; within TLS if there is a context for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _address = server.accept()
                except OSError:  # it is shut down
                    return
                with peer, suppress(OSError):  # a handshake that fails, or somebody who hangs up
                    peer.settimeout(10)
                    speaker = peer if context is None else context.wrap_socket(peer, server_side=True)
                    speaker.recv(65_536)
                    speaker.sendall(said)
                    while speaker.recv(65_536):  # until they hang up; to do so first could take back what was said
                        pass
                    speaker.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread
            thread.join()


def _at(stage: Stage, transport: Any, where: str) -> None:
    """Deliver to a URL, and send a test there."""
    made = stage.register(url=f"{where}?token={QUERY}&path={PATH}")
    stage.emit()
    stage.deliver(transport)
    results = stage.registry(transport=transport).send_test(made.id, events=["a"])
    stage.look(results, *(result.request for result in results))
    stage.registry().remove(made.id)


def _everywhere(stage: Stage, transport: Any) -> None:
    with LoopbackServer() as server, answering(b"220 mail.example.com ESMTP ready\r\n") as plain_port:
        for path in ("status/204", "status/500", "status/302", "cookie", "hang-up", "garbage", "cut"):
            _at(stage, transport, server.url(f"/{path}"))
        _at(stage, transport, f"https://127.0.0.1:{plain_port}/")
        _at(stage, transport, f"http://127.0.0.1:{closed_port()}/")
        assert len(server.received) >= 14


def delivering(stage: Stage) -> None:
    """Success, failure, refusal, a closed port, broken TLS, and a name that nobody knows."""
    with stage.http() as transport:
        _everywhere(stage, transport)

    def nobody(*_: object) -> Any:
        raise OSError("no such name")

    with stage.http(resolver=nobody) as transport:
        _at(stage, transport, "http://localhost/")


def delivering_by_the_hosts_client(stage: Stage) -> None:
    """A client with credentials of its own, in every place where it can have them; and hooks that raise."""
    credentials: dict[str, Any] = {
        "auth": ("host", CLIENT),
        "headers": {"x-client": CLIENT},
        "cookies": {"session": CLIENT},
        "params": {"token": CLIENT},
    }
    with stage.client(**credentials) as transport:
        _everywhere(stage, transport)

    def fail(_: object) -> None:
        raise RuntimeError("the host's hook")

    async def fail_later(_: object) -> None:
        raise RuntimeError("the host's hook")

    hook = stage.kind(fail, fail_later)
    with LoopbackServer() as server:
        for hooks in ({"request": [hook]}, {"response": [hook]}):
            with stage.client(event_hooks=hooks, **credentials) as transport:
                _at(stage, transport, server.url("/status/204"))
    proxy = httpx.Proxy(f"http://127.0.0.1:{closed_port()}", auth=("user", str(CANARIES["proxy"][0])))
    with stage.client(proxy=proxy) as transport:
        stage.look(stage.run(transport.send(Request("POST", URL, (), b"{}", 2))))


def delivering_over_tls(stage: Stage) -> None:
    """A good certificate, and every kind of a bad one, for both transports; what comes out has the right reason."""
    authority, stranger = trustme.CA(), trustme.CA()
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    cases = {
        "": (authority, "127.0.0.1", {}),
        "tls_unknown_ca": (stranger, "127.0.0.1", {}),
        "tls_hostname": (authority, "elsewhere.example.com", {}),
        "tls_expired": (authority, "127.0.0.1", {"not_before": LONG_AGO, "not_after": LONG_AGO + timedelta(days=1)}),
    }
    for reason, (issuer, name, options) in cases.items():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issuer.issue_cert(name, **options).configure_cert(context)
        with answering(OK, context) as port:
            where = f"https://127.0.0.1:{port}/"
            for way in (stage.http(ssl_context=trusting), stage.client(verify=trusting)):
                with way as transport:
                    _at(stage, transport, where)
                    reply = stage.run(transport.send(Request("POST", where, (), b"{}", 5)))
                    assert reply.reason == reason


def proxies(stage: Stage) -> None:
    """A proxy with a password: reached, closed, and misspelt."""
    password = CANARIES["proxy"][0]
    with LoopbackServer() as server:
        for where in (urlsplit(server.url("")).port, closed_port()):
            proxy = f"http://user:{password}@127.0.0.1:{where}"
            for url in (URL, URL.replace("http:", "https:")):
                with stage.http(proxy=proxy) as transport:
                    stage.look(stage.run(transport.send(Request("POST", url, (), b"{}", 2))))
    for wrong in (f"ftp://user:{password}@127.0.0.1/", f"http://user:{password}@[/", f"http://user:{password}@h:x/"):
        stage.fails(lambda bad=wrong: HttpxTransport(proxy=bad), ValueError, given=True)
