"""Sends through one of the guarded transports: over httpx or httpx2, sync or async, or over aiohttp."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import attrs

from hookkit import Reply, Request
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport

__all__ = ["Sender"]


@attrs.frozen
class Sender:
    """Sends one request with a transport made for it.

    Args:
        mode: ``sync`` or ``async``.
        family: ``httpx``, ``httpx2`` or ``aiohttp``; the last one is async only.
    """

    mode: str
    family: str

    def transport(self, **options) -> Any:
        """Return a new transport that may call this machine, unless the options say otherwise."""
        options = {"targets": LOOPBACK} | options
        if self.family == "aiohttp":
            return import_module("hookkit.transports.aiohttp").AiohttpTransport(**options)
        kind = HttpxTransport if self.mode == "sync" else AsyncHttpxTransport
        return kind(**{"family": self.family} | options)

    def send(self, request: Request, **options) -> Reply:
        if self.mode == "sync":
            with self.transport(**options) as transport:
                return transport.send(request)

        async def main() -> Reply:
            async with self.transport(**options) as transport:
                return await transport.send(request)

        return asyncio.run(main())

    def post(self, url: str, body: bytes = b"{}", headers=(), deadline: float = 5, **options) -> Reply:
        return self.send(Request("POST", url, tuple(headers), body, deadline), **options)
