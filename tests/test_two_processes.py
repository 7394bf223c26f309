"""Two processes on one SQLite file."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest

from hookkit.stores.sqlite import SQLiteStore
from kits.two_processes import TwoProcessRules, peers


class TestTwoProcessesOnSQLite(TwoProcessRules):
    """The file is the only thing that they share."""

    @pytest.fixture
    def path(self, empty_file, tmp_path):
        return shutil.copyfile(empty_file, tmp_path / "hooks.db")

    @pytest.fixture
    def store(self, path):
        with closing(SQLiteStore(path, synchronous="NORMAL")) as store:
            yield store

    @pytest.fixture
    def pair(self, path):
        with peers("sqlite", str(path)) as found:
            yield found
