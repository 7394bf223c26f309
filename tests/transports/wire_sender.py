"""Sends through one of the guarded transports, sync or async, with either family."""

from __future__ import annotations

import asyncio

import attrs

from hookkit import Reply, Request
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport

__all__ = ["Sender"]


@attrs.frozen
class Sender:
    """Sends one request with a transport made for it, sync or async."""

    mode: str
    family: str

    def send(self, request: Request, **options) -> Reply:
        options = {"targets": LOOPBACK, "family": self.family} | options
        if self.mode == "sync":
            with HttpxTransport(**options) as transport:
                return transport.send(request)

        async def main() -> Reply:
            async with AsyncHttpxTransport(**options) as transport:
                return await transport.send(request)

        return asyncio.run(main())

    def post(self, url: str, body: bytes = b"{}", headers=(), deadline: float = 5, **options) -> Reply:
        return self.send(Request("POST", url, tuple(headers), body, deadline), **options)
