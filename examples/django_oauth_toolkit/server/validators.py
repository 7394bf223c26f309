"""The toolkit's validator, which knows two things that no signal tells."""

from __future__ import annotations

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator

from server import webhooks


class Validator(OAuth2Validator):  # type: ignore[misc]  # the toolkit has no types
    """Says what is an authorisation, and which tokens go because others come."""

    def save_authorization_code(self, client_id: str, code: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Store a code, and tell that a user lets a client act for them. The code itself is told to nobody."""
        super().save_authorization_code(client_id, code, request, *args, **kwargs)
        webhooks.authorized(request.user, request.client, request.scopes)

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Store tokens. Those that they replace are not revoked, but refreshed."""
        with webhooks.refreshing():
            super().save_bearer_token(token, request, *args, **kwargs)
