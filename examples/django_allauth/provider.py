"""An OpenID provider that believes everybody, for the tests: the pages that a relying party asks for, and no more."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt


class Provider:
    """Serves on a port of its own; a context manager.

    Attributes:
        who: What it says of whoever comes next.
        secrets: What it has handed out and no third party may see.
    """

    def __init__(self) -> None:
        self.client = "the-client"
        self.secret = "canary-client-secret-" + secrets.token_hex(8)
        self.who: dict[str, Any] = {"sub": "grace-1", "email": "grace@example.com", "email_verified": True}
        self.secrets = [self.secret]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (_Handler,), {"provider": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def made(self, what: str) -> str:
        """Return a new secret."""
        secret = f"canary-{what}-{secrets.token_hex(8)}"
        self.secrets.append(secret)
        return secret

    def tokens(self) -> dict[str, Any]:
        """Return what a code is exchanged for."""
        claims = {**self.who, "iss": self.url, "aud": self.client, "exp": time.time() + 60}
        made = {
            "access_token": self.made("access-token"),
            "refresh_token": self.made("refresh-token"),
            "id_token": jwt.encode(claims, "x" * 32, "HS256"),
            "token_type": "Bearer",
        }
        self.secrets.append(made["id_token"])
        return made

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/authorize":
            asked = parse_qs(url.query)
            back = urlencode({"code": self.provider.made("code"), "state": asked["state"][0]})
            self.send_response(302)
            self.send_header("location", f"{asked['redirect_uri'][0]}?{back}")
            self.send_header("content-length", "0")
            self.end_headers()
        elif url.path == "/who":
            self._answer(self.provider.who)
        else:
            at = self.provider.url
            self._answer(
                {
                    "issuer": at,
                    "authorization_endpoint": f"{at}/authorize",
                    "token_endpoint": f"{at}/token",
                    "userinfo_endpoint": f"{at}/who",
                    "jwks_uri": f"{at}/keys",
                }
            )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(self.provider.tokens())

    def _answer(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
