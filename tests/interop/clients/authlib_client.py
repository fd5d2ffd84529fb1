"""Authlib: discovers, logs in, refreshes, introspects and revokes, with requests and httpx2. Guards with its validators."""

import asyncio
import os
from importlib.metadata import version
from types import SimpleNamespace

# The servers are on this machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7662 import IntrospectTokenValidator
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.jwk import KeySet, import_key
import requests

from servers import (
    PATIENCE,
    authorized,
    check,
    confidential,
    each,
    refused,
    same,
    turned_away,
)


def converse(server):
    metadata = discovered(server)
    for client in server["clients"]:
        converse_as(server, metadata, client)
        asyncio.run(converse_with_httpx2(server, metadata, client))
    guard(server, metadata)
    issued = issue(server, metadata)
    return f"discovers, logs in, refreshes, introspects, revokes (requests, httpx2), guards{issued}"


def discovered(server):
    url = get_well_known_url(server["issuer"], external=True)
    metadata = AuthorizationServerMetadata(requests.get(url, timeout=PATIENCE).json())
    same("the issuer", metadata["issuer"], server["issuer"])
    for key in metadata.REGISTRY_KEYS:
        # Authlib requires the member and a response type in it (RFC 8414). Without an authorization
        # endpoint there is none.
        if key != "response_types_supported":
            getattr(metadata, f"validate_{key}")()
    return metadata


def session_of(kind, client, metadata, **more):
    return kind(
        client["id"],
        client["secret"],
        token_endpoint_auth_method=client["method"],
        revocation_endpoint_auth_method=client["method"],
        token_endpoint=metadata["token_endpoint"],
        **more,
    )


def converse_as(server, metadata, client):
    session = session_of(OAuth2Session, client, metadata, default_timeout=PATIENCE)
    user, guarded = server["user"], server["guarded"]
    wrong = {**user, "password": "wrong"}
    refused("a wrong password", OAuthError, "invalid_grant", session.fetch_token, **wrong)
    first = dict(session.fetch_token(**user))
    authorized(server, session.get(guarded))
    if client["secret"]:
        impostor = session_of(OAuth2Session, {**client, "secret": "wrong"}, metadata)
        refused("a wrong secret", OAuthError, "invalid_client", impostor.fetch_token, **user)

    # The client refreshes by itself when it believes that a token has expired.
    session.token = {**first, "expires_at": 1}
    authorized(server, session.get(guarded))
    second = dict(session.token)
    for name in ("access_token", "refresh_token"):
        check(f"there is a new {name}", first[name] != second[name])

    introspect(session, metadata, second, client)
    revoke = metadata["revocation_endpoint"]
    said = session.revoke_token(revoke, second["access_token"], token_type_hint="access_token")
    same("revocation", said.status_code, 200)
    turned_away("a revoked access token", session.get(guarded))
    session.refresh_token()
    authorized(server, session.get(guarded))
    said = session.revoke_token(revoke, token_type_hint="refresh_token")
    same("revocation", said.status_code, 200)
    turned_away("the access token of a revoked session", session.get(guarded))
    refused("a revoked refresh token", OAuthError, "invalid_grant", session.refresh_token)

    stolen = session.fetch_token(**user)["refresh_token"]
    session.refresh_token()
    reuse = {"refresh_token": stolen}
    refused("a reused refresh token", OAuthError, "invalid_grant", session.refresh_token, **reuse)
    turned_away("the access token of a stolen session", session.get(guarded))


def introspect(session, metadata, tokens, client):
    for name in ("access_token", "refresh_token"):
        response = session.introspect_token(
            metadata["introspection_endpoint"], tokens[name], token_type_hint=name
        )
        if not client["secret"]:
            refusal = (response.status_code, response.json()["error"])
            same("introspection by a public client", refusal, (401, "invalid_client"))
            continue
        said = response.json()
        same(f"whose {name} that is", (said["active"], said["sub"]), (True, "alice"))
        same(f"which client's {name} that is", said["client_id"], client["id"])
        garbled = session.introspect_token(metadata["introspection_endpoint"], tokens[name] + "A")
        same("what is said of a garbled token", garbled.json(), {"active": False})


async def converse_with_httpx2(server, metadata, client):
    user, guarded = server["user"], server["guarded"]
    async with session_of(AsyncOAuth2Client, client, metadata, timeout=PATIENCE) as session:
        try:
            await session.fetch_token(**{**user, "password": "wrong"})
        except OAuthError as error:
            same("a wrong password, refused with", error.error, "invalid_grant")
        else:
            check("a wrong password is refused", False)
        first = dict(await session.fetch_token(**user))
        session.token = {**first, "expires_at": 1}
        authorized(server, await session.get(guarded))
        check("it has refreshed", session.token["refresh_token"] != first["refresh_token"])
        revoke = metadata["revocation_endpoint"]
        said = await session.revoke_token(revoke, token_type_hint="refresh_token")
        same("revocation", said.status_code, 200)
        turned_away("the access token of a revoked session", await session.get(guarded))
        try:
            await session.refresh_token()
        except OAuthError as error:
            same("a revoked refresh token, refused with", error.error, "invalid_grant")
        else:
            check("a revoked refresh token is refused", False)


def guard(server, metadata):
    """Validates tokens as a service in Python does."""
    client = confidential(server)
    session = session_of(OAuth2Session, client, metadata, default_timeout=PATIENCE)
    token = session.fetch_token(**server["user"])["access_token"]
    endpoint = metadata["introspection_endpoint"]

    class ByKey(JWTBearerTokenValidator):
        def get_jwks(self):
            keys = {"keys": [server["jwk"]]}
            if not server["jwk"]:
                keys = requests.get(metadata["jwks_uri"], timeout=PATIENCE).json()
            return KeySet.import_key_set(keys)

    class ByIntrospection(IntrospectTokenValidator):
        def introspect_token(self, token_string):
            return session.introspect_token(endpoint, token_string).json()

    by_key = ByKey(server["issuer"], server["audience"])
    claims = validated(by_key, token, "profile")
    same("whose token that is", (claims["sub"], claims["client_id"]), ("alice", client["id"]))
    foreign = ByKey(server["issuer"], "another-api")
    refused("another audience", InvalidTokenError, "invalid_token", validated, foreign, token)
    foreign = ByKey("https://another.example", server["audience"])
    refused("another issuer", InvalidTokenError, "invalid_token", validated, foreign, token)
    asked = ByIntrospection()
    for validator in (by_key, asked):
        validated(validator, token, "profile")
        lacking = (InsufficientScopeError, "insufficient_scope", validated, validator, token)
        refused("a scope that it lacks", *lacking, "admin")
        garbled = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
        refused("a garbled token", InvalidTokenError, "invalid_token", validated, validator, garbled)
    session.revoke_token(metadata["revocation_endpoint"], token, token_type_hint="access_token")
    refused("a revoked one", InvalidTokenError, "invalid_token", validated, asked, token)


def validated(validator, token, scope=None):
    protector = ResourceProtector()
    protector.register_token_validator(validator)
    request = SimpleNamespace(headers={"Authorization": f"Bearer {token}"})
    return protector.validate_request([scope] if scope else None, request)


def issue(server, metadata):
    """Signs a token with the exported secret, and checks that the server accepts it."""
    if not server["jwk"]:
        return ""
    session = session_of(OAuth2Session, confidential(server), metadata)
    token = session.fetch_token(**server["user"])["access_token"]
    key = import_key(server["jwk"])
    read = jwt.decode(token, key)
    # A token that no server has issued.
    read.claims["exp"] -= 1
    stranger = import_key({**server["jwk"], "k": "AAAA" + server["jwk"]["k"][4:]})
    for signer, judge in (
        (key, lambda said: authorized(server, said)),
        (stranger, lambda said: turned_away("a stranger's token", said)),
    ):
        signed = jwt.encode(read.header, read.claims, signer)
        headers = {"Authorization": f"Bearer {signed}"}
        judge(requests.get(server["guarded"], headers=headers, timeout=PATIENCE))
    return ", and issues"


each(f"Authlib {version('authlib')}", converse)
