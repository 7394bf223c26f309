"""Sending one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hookkit.model import Reply, Request

__all__ = ["AsyncTransport", "Transport"]


class Transport(Protocol):
    """Sends one request and returns what came back.

    Reasons of a reply without a status: ``dns``, ``connect``, ``connect_timeout``, ``timeout``, ``connection_lost``,
    ``protocol_error``, ``too_large``, ``target_refused``, ``tls_expired``, ``tls_not_yet_valid``, ``tls_self_signed``,
    ``tls_unknown_ca``, ``tls_hostname``, ``tls_protocol``, ``tls_other``. A 3xx has its status and ``redirect``.

    Three more stand in the log, and no transport gives them: ``status`` for an unwanted status, ``lost`` for a lease
    that ran out, ``unsendable`` for a request that could not be made or signed.
    """

    def send(self, request: Request) -> Reply:
        """Send `request` and return the reply, within ``request.deadline`` of real time.

        It never raises for what the network or the other side does. It follows no redirect, keeps no cookie, decodes no
        body, reads a bounded number of bytes, and calls no address that its target policy refuses. Once a status line
        and the headers have arrived the reply has that status, whatever becomes of the body. It may be called from
        several threads at once.
        """
        ...


class AsyncTransport(Protocol):
    """The async twin of :class:`Transport`."""

    async def send(self, request: Request) -> Reply:
        """As :meth:`Transport.send`; cancelling it leaves no connection behind."""
        ...
