"""Two processes on one PostgreSQL."""

from __future__ import annotations

from contextlib import closing

import pytest
from postgres_tables import FAST

from kits.two_processes import TwoProcessRules, peers


class TestTwoProcessesOnPostgres(TwoProcessRules):
    """The database is the only thing that they share."""

    @pytest.fixture
    def store(self, tables):
        with closing(tables.store()) as store:
            yield store

    @pytest.fixture
    def pair(self, tables):
        with peers("postgres", FAST, tables.schema) as found:
            yield found
