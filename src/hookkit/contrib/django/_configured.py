"""What ``settings.HOOKKIT`` says: for whatever Django itself makes a store, a registry or a worker of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from hookkit.profiles import BUILTIN

if TYPE_CHECKING:
    from hookkit.events import Catalog
    from hookkit.profiles import Profile
    from hookkit.targets import TargetPolicy
    from hookkit.vault import Vault

__all__ = ["Configured", "configured"]

_NAMES: Final = ("CATALOG", "DATABASE", "PROFILES", "TARGETS", "VAULT")


@attrs.frozen
class Configured:
    """``settings.HOOKKIT``, with a dotted path replaced by what it leads to.

    Args:
        database: ``DATABASE``: the alias of the database with the tables.
        vault: ``VAULT``: seals signing keys and custom headers.
        catalog: ``CATALOG``: the event types that there are.
        targets: ``TARGETS``: which URLs may be called; None: public HTTPS only.
        profiles: ``PROFILES``: the known profiles by name.
    """

    database: str = DEFAULT_DB_ALIAS
    vault: Vault | None = None
    catalog: Catalog | None = None
    targets: TargetPolicy | None = None
    profiles: Mapping[str, Profile] = BUILTIN


def configured() -> Configured:
    """Return what is configured now; ImproperlyConfigured, which quotes no value, if it cannot be read."""
    given: Any = getattr(settings, "HOOKKIT", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured("HOOKKIT: give a dict")
    unknown = sorted(set(given) - set(_NAMES))
    if unknown:
        raise ImproperlyConfigured(f"HOOKKIT: not known: {', '.join(unknown)}; there are {', '.join(_NAMES)}")
    return Configured(**{name.lower(): _found(name, value) for name, value in given.items() if value is not None})


def _found(name: str, value: Any) -> Any:
    if name == "DATABASE" or not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        # What stands there by mistake may be a key.
        raise ImproperlyConfigured(f"HOOKKIT: {name}: give an object, or the dotted path of one") from error.__cause__
