"""PyJWT for `cargo xtask interop`: verifies our access tokens, and signs its own.

Reads one request in JSON from standard input, and writes one answer to standard output.
"""

import json
import sys

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def main():
    request = json.load(sys.stdin)
    jwks = jwt.PyJWKSet.from_dict(request["jwks"])
    answer = {
        "name": f"PyJWT {jwt.__version__}",
        "cases": [answer_to(case, jwks, request) for case in request["cases"]],
    }
    json.dump(answer, sys.stdout)


def answer_to(case, jwks, request):
    algorithm = case["alg"]
    if case["symmetric"]:
        ours, strangers = case["key"].encode(), case["stranger_key"].encode()
        sources, jwk = {"key": ours}, None
    else:
        ours, strangers = private(case["key"]), private(case["stranger_key"])
        public = ours.public_key()
        sources = {"key": public, "jwks": jwks[case["kid"]].key}
        jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)

    headers = {"typ": "at+jwt", "kid": case["kid"]}
    claims = jwt.decode(case["good"], options={"verify_signature": False})
    return {
        "alg": algorithm,
        "read": {
            source: {
                name: judged(case[name], key, algorithm, request)
                for name in ("good", "altered", "strange")
            }
            for source, key in sources.items()
        },
        "good": jwt.encode(claims, ours, algorithm, headers),
        "strange": jwt.encode(claims, strangers, algorithm, headers),
        "jwk": jwk,
    }


def judged(token, key, algorithm, request):
    """The claims, or a text that says why there are none."""
    try:
        decoded = jwt.decode_complete(
            token,
            key,
            algorithms=[algorithm],
            audience=request["audience"],
            issuer=request["issuer"],
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
        )
    except jwt.InvalidSignatureError:
        return "bad signature"
    except Exception as error:  # any error is an answer
        return f"{type(error).__name__}: {error}"
    if decoded["header"]["typ"] != "at+jwt":
        return "not an access token"
    return decoded["payload"]


def private(pem):
    return load_pem_private_key(pem.encode(), password=None)


main()
