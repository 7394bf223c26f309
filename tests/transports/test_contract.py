"""Every transport keeps the contract that is shipped for whoever writes one of their own."""

from __future__ import annotations

import importlib

import pytest
from wire_ways import AIOHTTP

from hookkit.targets import LOOPBACK
from hookkit.testing import TransportContract, as_sync
from hookkit.transports.httpx import AsyncClientTransport, AsyncHttpxTransport, ClientTransport, HttpxTransport


class TestHttpxTransport(TransportContract):
    @pytest.fixture
    def transport(self, family):
        with HttpxTransport(targets=LOOPBACK, family=family) as transport:
            yield transport


class TestAsyncHttpxTransport(TransportContract):
    @pytest.fixture
    def transport(self, family):
        with as_sync(AsyncHttpxTransport(targets=LOOPBACK, family=family)) as transport:
            yield transport


@AIOHTTP
class TestAiohttpTransport(TransportContract):
    @pytest.fixture(params=[0, 10], ids=["closed", "kept"])
    def transport(self, request):
        module = importlib.import_module("hookkit.transports.aiohttp")
        with as_sync(module.AiohttpTransport(targets=LOOPBACK, keep_alive=request.param)) as transport:
            yield transport


class TestClientTransport(TransportContract):
    @pytest.fixture
    def transport(self, family):
        with importlib.import_module(family).Client(trust_env=False, verify=False) as client:
            yield ClientTransport(client, targets=LOOPBACK)


class TestAsyncClientTransport(TransportContract):
    @pytest.fixture
    def transport(self, family):
        client = importlib.import_module(family).AsyncClient(trust_env=False, verify=False)
        with as_sync(AsyncClientTransport(client, targets=LOOPBACK)) as transport:
            yield transport
            transport.run(client.aclose())
