"""Contract kits: pytest classes that check an implementation against its protocol's docstrings."""

from __future__ import annotations

import pytest

# Before any of them is imported: a failing rule then shows the values that it compared.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "claiming",
            "clocks",
            "dispatchers",
            "fairness",
            "handover",
            "holding",
            "inbox",
            "leases",
            "log_entries",
            "log_health",
            "outbox",
            "payloads",
            "recovery",
            "settling",
            "signers",
            "subjects",
            "transports",
            "webhooks",
            "whole",
        )
    )
)
