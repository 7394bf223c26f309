"""The page about scaling is what its script works out from the measurements; its arithmetic is right."""

from __future__ import annotations

import json
import re
import runpy

import pytest

from sourcetree import PROJECT

SCRIPT = runpy.run_path(str(PROJECT / "docs" / "scaling.py"))
PAGE = (PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8")
RESULTS = PROJECT / "benchmarks" / "results" / "workers.json"

MADE_UP = {
    "about": {"processor": "X, 2 of its cores", "python": "3.11", "runs": 1, "deliveries": 10},
    "runs": {
        f"postgres, http, {n}": [{"per_second": 500.0 * n, "worker_ms": 2.0, "server_ms": 1.0}] for n in (1, 2, 4)
    },
}


@pytest.mark.skipif(not RESULTS.is_file(), reason="the source archive has no results of benchmarks")
def test_the_page_is_worked_out_from_the_results() -> None:
    """``python docs/scaling.py`` writes it again, and nothing is different."""
    assert SCRIPT["page"](json.loads(RESULTS.read_text(encoding="utf-8"))) == PAGE


def test_the_arithmetic() -> None:
    """With figures that can be reckoned in the head: 2 ms and 1 ms a delivery, 2,000 a second at best."""
    found = SCRIPT["plan"](MADE_UP)
    assert (found["worker_cpus"], found["server_cpus"]) == (200, 100)
    assert found["shards"] == 100, "200,000 by 2,000"
    assert found["in_flight"] == 20_000, "100,000 a second, a fifth of a second each"
    assert found["processes"] == 1250, "20,000 by 32 slots, twice"
    assert (found["each"], found["connections"]) == (13, 26)
    assert round(found["payload_tb"]) == 62, "100,000 a second, a kilobyte each, for a week"


def test_it_says_what_was_not_run() -> None:
    """A plan is no measurement."""
    assert "Neither Citus nor several shards were run." in PAGE
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (PROJECT / "docs" / link).is_file(), link
