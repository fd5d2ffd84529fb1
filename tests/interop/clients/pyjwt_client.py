"""PyJWT: verifies the servers' tokens with their key sets and with the exported secret, and issues tokens with the secret."""

import json
from urllib import request as http
from urllib.error import HTTPError

import jwt

from servers import PATIENCE, check, each, refused, same


def converse(server):
    token = logged_in(server)
    if server["jwk"]:
        by_secret(server, token)
        return "verifies by the exported secret, and issues with it"
    by_key_set(server, token)
    return "verifies by the key set"


def by_key_set(server, token):
    keys = jwt.PyJWKClient(server["metadata"]["jwks_uri"], timeout=PATIENCE)
    key = keys.get_signing_key_from_jwt(token)
    verify(server, token, key)
    # A token whose key is not in the set.
    stranger = jwt.encode({}, "a secret of 32 bytes, or even more", headers={"kid": "strange"})
    unknown = (jwt.PyJWKClientError, "PyJWKClientError", keys.get_signing_key_from_jwt, stranger)
    refused("an unknown key", *unknown)


def by_secret(server, token):
    keys = jwt.PyJWKClient(server["metadata"]["jwks_uri"], timeout=PATIENCE)
    nothing = (jwt.PyJWKSetError, "PyJWKSetError", keys.get_signing_key_from_jwt, token)
    refused("a secret in the key set", *nothing)

    key = jwt.PyJWK(server["jwk"])
    claims, header = verify(server, token, key)
    # A token that no server has issued.
    claims["exp"] -= 1
    same("its own token, answered with", ask(server, jwt.encode(claims, key, headers=header)), 200)
    stranger = jwt.encode(claims, "a secret of 32 bytes, or even more", headers=header)
    same("a stranger's token, answered with", ask(server, stranger), 401)


def verify(server, token, key):
    def decoded(token, **other):
        demand = {"issuer": server["issuer"], "audience": server["audience"], **other}
        options = {"require": ["exp", "iat", "iss", "aud", "sub", "jti", "client_id"]}
        algorithms = [server["algorithm"]]
        return jwt.decode_complete(token, key, algorithms=algorithms, options=options, **demand)

    whole = decoded(token)
    claims, header = whole["payload"], whole["header"]
    same("whose token that is", (claims["sub"], claims["scope"]), ("alice", "profile"))
    same("its type", header["typ"], "at+jwt")
    check("it names its key", header["kid"] == key.key_id)
    message, signature = token.rsplit(".", 1)
    altered = f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    for what, kind, token, other in (
        ("an altered one", jwt.InvalidSignatureError, altered, {}),
        ("another audience", jwt.InvalidAudienceError, token, {"audience": "another-api"}),
        ("another issuer", jwt.InvalidIssuerError, token, {"issuer": "https://another.example"}),
    ):
        refused(what, kind, kind.__name__, decoded, token, **other)
    return claims, {name: header[name] for name in ("typ", "kid")}


def logged_in(server):
    body = json.dumps(server["user"]).encode()
    headers = {"Content-Type": "application/json"}
    request = http.Request(f"{server['issuer']}/auth/login", body, headers)
    with http.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)["access_token"]


def ask(server, token):
    request = http.Request(server["guarded"], headers={"Authorization": f"Bearer {token}"})
    try:
        with http.urlopen(request, timeout=PATIENCE) as response:
            return response.status
    except HTTPError as error:
        return error.code


each(f"PyJWT {jwt.__version__}", converse)
