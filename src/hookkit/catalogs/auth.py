"""What an auth server has to tell, under names of its own: 63 events, each with a sample.

The names are dotted, lower-case and in the past tense, as most of the field has them (Auth0, Clerk and WorkOS say
``user.created``, ``session.revoked``, ``organization.member.added``); where OpenID's CAEP and RISC know the event,
``docs/events.md`` has their name beside ours. A host emits those that it has, takes the shapes of the samples as a
beginning, and adds its own::

    catalog = Catalog([*CATALOG.values(), EventSpec("invoice.paid", "An invoice was paid.")])

No sample holds a credential: a password reset tells that it was asked for, by whom and until when, never its link.
All values are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hookkit.catalogs._auth_access import OAUTH, ORGANIZATIONS, ROLES
from hookkit.catalogs._auth_people import CREDENTIALS, LOGINS, MFA, SESSIONS, USERS
from hookkit.events import Catalog

__all__ = ["CATALOG", "GROUPS"]

GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        heading: tuple(spec.name for spec in specs)
        for heading, specs in {
            "Users": USERS,
            "Sign-ins": LOGINS,
            "Sessions": SESSIONS,
            "Credentials": CREDENTIALS,
            "Second factors": MFA,
            "Consents, tokens and applications": OAUTH,
            "Organisations": ORGANIZATIONS,
            "Roles": ROLES,
        }.items()
    }
)
"""The names by the heading under which a customer may choose them."""

CATALOG: Final = Catalog((*USERS, *LOGINS, *SESSIONS, *CREDENTIALS, *MFA, *OAUTH, *ORGANIZATIONS, *ROLES))
"""An auth server's events: ``OutboxDispatcher(store, catalog=CATALOG)`` emits no others, and no secret."""
