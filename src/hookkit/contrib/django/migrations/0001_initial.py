"""The tables of store and inbox. A release with further numbered SQL has a further migration: ``make``, once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from hookkit.contrib.django._migrating import drop, make

__all__ = ["Migration"]


class Migration(migrations.Migration):
    """Reversible; going back drops the tables and all that is in them."""

    initial: ClassVar[bool | None] = True
    dependencies: ClassVar[Sequence[tuple[str, str]]] = ()
    operations: ClassVar[Sequence[Operation]] = (
        migrations.RunPython(make, drop),
        migrations.CreateModel(
            name="Webhook",
            fields=[("id", models.CharField(max_length=128, primary_key=True, serialize=False))],
            options={
                "managed": False,
                "default_permissions": ("view", "change"),
                "base_manager_name": "objects",
                "default_manager_name": "objects",
            },
        ),
    )
