"""OAuth 2.0 with Authlib: tokens issued and revoked, each with its event. This is the file to learn from.

Authlib calls the methods below while it answers a request. They write through ``g.session``, and so do the events: the
request's view commits all of it, or nothing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import InvalidGrantError, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, g
from models import AuthorizationCode, Client, Token, User, digest, new_id
from sqlalchemy import delete, select

from hookkit import Dispatcher


def emit(type: str, data: dict[str, Any]) -> None:
    """Emit in the request's transaction. Data is named field by field: rows, tokens and requests hold secrets."""
    dispatcher: Dispatcher = g.dispatcher
    dispatcher.emit(type, data, tx=g.session)


def query_client(client_id: str) -> Client | None:
    """Return a client by its id."""
    client: Client | None = g.session.scalar(select(Client).where(Client.client_id == client_id))
    return client


def save_token(token: dict[str, Any], request: OAuth2Request) -> None:
    """Store a new token, and tell of it by the id of its row. ``token`` has the token itself: never emit it."""
    kept = {name: digest(token[name]) for name in ("access_token", "refresh_token") if name in token}
    row = Token(
        id=new_id(),
        client_id=request.client.client_id,
        user_id=request.user.id if request.user else None,
        token_type=token["token_type"],
        scope=token.get("scope", ""),
        issued_at=int(time.time()),
        expires_in=token["expires_in"],
        **kept,
    )
    g.session.add(row)
    expires_at = datetime.fromtimestamp(row.issued_at + row.expires_in, UTC)
    about = {"grant_type": request.payload.grant_type, "scope": row.scope, "expires_at": expires_at.isoformat()}
    emit("token.issued", {"id": row.id, "client_id": row.client_id, "user_id": row.user_id, **about})


def revoke(token: Token, reason: str) -> None:
    """Revoke a token and what would renew it."""
    token.access_token_revoked_at = token.refresh_token_revoked_at = int(time.time())
    emit("token.revoked", {"id": token.id, "client_id": token.client_id, "user_id": token.user_id, "reason": reason})


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc] # Authlib has no types
    """A user lets a client in; the client exchanges the code that it gets for a token."""

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Store a code."""
        given = request.payload.data
        row = AuthorizationCode(
            code=digest(code),
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            scope=request.scope,
            user_id=request.user.id,
            code_challenge=given.get("code_challenge"),
            code_challenge_method=given.get("code_challenge_method"),
        )
        g.session.add(row)
        emit("consent.granted", {"user_id": row.user_id, "client_id": row.client_id, "scope": row.scope})

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Return a code that is still good."""
        mine = AuthorizationCode.client_id == client.client_id
        found = g.session.scalar(select(AuthorizationCode).where(AuthorizationCode.code == digest(code), mine))
        return found if found and not found.is_expired() else None

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Use a code up. Of two requests with one code one comes too late; what it has stored and emitted goes."""
        gone = g.session.execute(delete(AuthorizationCode).where(AuthorizationCode.id == authorization_code.id))
        if gone.rowcount != 1:
            raise InvalidGrantError("Invalid 'code' in request.")

    def authenticate_user(self, authorization_code: AuthorizationCode) -> User | None:
        """Return whose code it is."""
        user: User | None = g.session.get(User, authorization_code.user_id)
        return user


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """A client renews a token. The old one is revoked."""

    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        """Return a token that may be renewed."""
        found: Token | None = g.session.scalar(select(Token).where(Token.refresh_token == digest(refresh_token)))
        return None if found is None or found.is_revoked() else found

    def authenticate_user(self, refresh_token: Token) -> User | None:
        """Return whose token it is."""
        user: User | None = g.session.get(User, refresh_token.user_id)
        return user

    def revoke_old_credential(self, refresh_token: Token) -> None:
        """Revoke what was renewed."""
        revoke(refresh_token, "renewed")


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """A client gives a token back (RFC 7009)."""

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        """Return the token: an access token or one that renews. The hint may be wrong, so it is not heeded."""
        its = digest(token_string)
        found: Token | None = g.session.scalar(
            select(Token).where((Token.access_token == its) | (Token.refresh_token == its))
        )
        return found

    def revoke_token(self, token: Token, request: OAuth2Request) -> None:
        """Revoke it. Authlib's signal ``token_revoked`` comes after this, and would do; other reasons have none."""
        if not token.is_revoked():
            revoke(token, "client")


class Validator(BearerTokenValidator):  # type: ignore[misc]
    """Finds the token of a request."""

    def authenticate_token(self, token_string: str) -> Token | None:
        """Return the token, good or not."""
        found: Token | None = g.session.scalar(select(Token).where(Token.access_token == digest(token_string)))
        return found


def oauth(app: Flask) -> tuple[AuthorizationServer, ResourceProtector]:
    """Return Authlib's two halves: what issues tokens, and what asks for them."""
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    server = AuthorizationServer(app, query_client, save_token)
    server.register_grant(CodeGrant, [CodeChallenge(required=True)])
    server.register_grant(RefreshGrant)
    server.register_grant(grants.ClientCredentialsGrant)
    server.register_endpoint(Revocation)
    protector = ResourceProtector()
    protector.register_token_validator(Validator())
    return server, protector
